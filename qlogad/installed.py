"""Code that a user names in a document: `package:function`, of a package that is installed, and of nothing that only lies there."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.metadata import distribution, packages_distributions
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from qlogad.errors import InputError, shown

__all__ = ["check_factory", "check_installed", "imported"]


def imported(factory: str, kind: type[InputError]) -> Callable[..., Any]:
    """The function named by "package:function".

    Args:
        factory: its name.
        kind: the exception class to raise.

    Raises:
        InputError: no installed package has it, or it is no function.
    """
    check_installed(factory, kind)
    place, _, name = factory.partition(":")
    try:
        found: Any = import_module(place)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise kind(f"factory '{factory:.80}' cannot be imported: {error}") from error
    if not callable(found):
        raise kind(f"factory '{factory:.80}' must be a function, got {shown(found, 80)}")
    make: Callable[..., Any] = found
    return make


def check_factory(factory: object, does: str, kind: type[InputError]) -> None:
    """Check that a factory is a function or reads like `package:function`; nothing is imported.

    Args:
        factory: what was given.
        does: what the function makes of what, for the message.
        kind: the exception class to raise.

    Raises:
        InputError: it is neither.
    """
    if isinstance(factory, str):
        module, _, name = factory.partition(":")
        good = all(part.isidentifier() for part in (*module.split("."), *name.split(".")))
    else:
        good = callable(factory)
    if not good:
        raise kind(f"factory must be a function {does}, or a string such as 'package:function', got {shown(factory, 80)}")


def check_installed(factory: str, kind: type[InputError]) -> None:
    """Check that an installed package has what `package:function` names; nothing is imported.

    Raises:
        InputError: none has.
    """
    package = factory.partition(":")[0].partition(".")[0]
    if not _installed(package):
        raise kind(
            f"factory '{factory:.80}': no installed package provides '{package:.40}'; install it, or pass the function itself in Python"
        )


@cache
def _installed(package: str) -> bool:
    """Whether a package would be imported from an installed distribution; nothing is imported."""
    names = packages_distributions().get(package, ())
    spec = find_spec(package) if names else None
    if spec is None:
        return False
    places = {Path(place).resolve() for place in (spec.origin, *(spec.submodule_search_locations or ())) if place}
    return any(_provides(name, package, places) for name in names)


def _provides(name: str, package: str, places: set[Path]) -> bool:
    """Whether a distribution provides a package, among its files or, if editable, in its source folder."""
    found = distribution(name)
    own = {Path(str(found.locate_file(file))).resolve() for file in found.files or () if file.parts[0].partition(".")[0] == package}
    if places & (own | {path.parent for path in own}):
        return True
    origin = json.loads(found.read_text("direct_url.json") or "{}")
    folder = Path(unquote(urlsplit(origin.get("url", "")).path)).resolve()
    return bool(origin.get("dir_info", {}).get("editable")) and any(place.is_relative_to(folder) for place in places)
