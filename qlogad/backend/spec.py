"""The part of a backend's name after the colon: options such as `fake_torino,shots=1024`."""

from __future__ import annotations

import re
from collections.abc import Collection

from qlogad.backend.sampled import MAX_SHOTS
from qlogad.errors import BackendError, did_you_mean, shown

__all__ = ["number", "options"]


def options(text: str, known: Collection[str]) -> tuple[str, dict[str, str]]:
    """Split a target such as "fake_manila,shots=1024" into its bare name (or "") and its options.

    Raises:
        BackendError: an option is not known, or given twice.

    >>> options("fake_manila,shots=1024", ["shots"])
    ('fake_manila', {'shots': '1024'})
    """
    bare = ""
    found: dict[str, str] = {}
    for place, part in enumerate(part.strip() for part in text.split(",")):
        name, equals, value = (side.strip() for side in part.partition("="))
        if place == 0 and not equals:
            bare = name
            continue
        if name not in known or not equals:
            raise BackendError(
                f"a target has no option {shown(name)}{did_you_mean(name, known)}; known: {', '.join(known)}, as in 'shots=1024'"
            )
        if name in found:
            raise BackendError(f"the option '{name}' is given twice; give it once")
        found[name] = value
    return bare, found


def number(name: str, text: str | None, *, least: int, most: int = MAX_SHOTS) -> int | None:
    """An integer option from `least` to `most`, or None if it is not given.

    Raises:
        BackendError: it is not such a number.
    """
    if text is None:
        return None
    if not re.fullmatch("[0-9]{1,15}", text) or not least <= int(text) <= most:
        example = min(max(least, 1024), most)
        raise BackendError(
            f"{name} must be an integer from {least} to {most:,}, got {shown(text)}; write for example {name}={example}"
        )
    return int(text)
