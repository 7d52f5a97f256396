"""Check anything that has public laws, ours or another package's: a detector, backend, data set, parser, view, core, control or design."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import is_dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from qlogad import documents, names
from qlogad.circuit.design import ROLES
from qlogad.errors import InputError, did_you_mean, one_line, shown
from qlogad.testing.laws import Tell

__all__ = ["check", "kinds"]


def kinds() -> list[str]:
    """The kinds with public laws: those with a file in this folder.

    >>> kinds()
    ['backend', 'control', 'core', 'dataset', 'design', 'detector', 'parser', 'view']
    """
    known = [*names.KINDS, "design"]
    return sorted(kind for kind in known if Path(__file__).with_name(f"{kind}s.py").is_file())


def check(named: str, settings: Mapping[str, object], tell: Tell, *, kind: str | None = None) -> str:
    """Check something against the laws of its kind; returns the kind.

    Args:
        named: a name such as `deeplog`, `sim14` or `aer:shots=200`, or `module:Class`, which is imported.
        settings: fields of its class, as in an experiment; those of a data set include the path of a sample.
        tell: called with the outcome of each law.
        kind: the kind meant, if things of several kinds have the name.

    Raises:
        InputError: nothing has this name, its kind has no public laws, or it has no such fields.

    >>> check("length", {}, lambda outcome: None)
    'detector'
    """
    found = [one for one in _meant(named) if kind in (None, one[0])]
    if len(found) > 1:
        both = " and a ".join(one for one, _, _ in found)
        raise InputError(f"{shown(named)} is the name of a {both}; say which with --kind {found[-1][0]}")
    if not found:
        elsewhere = [one for one in names.KINDS if kind in (None, one) and named in names.known(cast(Any, one))]
        if elsewhere:
            raise InputError(
                f"{shown(named)} is a {elsewhere[0]}, a kind without public laws; kinds with laws: {', '.join(kinds())}"
            )
        every = [name for one in kinds() if one in names.KINDS for name in names.known(cast(Any, one))]
        every += [name for role in ROLES for name in names.designs(role)]
        raise InputError(
            f"there is no {kind or ' or '.join(kinds())} {shown(named)}{did_you_mean(named, every)}; name your own as module:Class"
        )
    ((meant, thing, more),) = found
    _hold(meant, thing, settings, tell, *more)
    return meant


def _meant(named: str) -> list[tuple[str, object, tuple[str, ...]]]:
    """Everything of this name: its kind, the thing itself, and further arguments of its check."""
    found: list[tuple[str, object, tuple[str, ...]]] = [
        ("design", named, (role,)) for role in ROLES if named in names.designs(role)
    ]
    if named.partition(":")[0] in names.known("backend"):
        found.append(("backend", named, ()))
    elif ":" in named:
        cls = _imported(named)
        return [(_kind_of(cls), cls, ())]
    others = [cast(Any, kind) for kind in kinds() if kind in names.KINDS and kind != "backend"]
    return found + [(kind, names.find(kind, named), ()) for kind in others if named in names.known(kind)]


def _hold(kind: str, thing: object, settings: Mapping[str, object], tell: Tell, *more: object) -> None:
    fields: dict[str, object] = {}
    if settings:
        if not is_dataclass(thing) or not isinstance(thing, type):
            raise InputError(f"{kind} {shown(getattr(thing, '__name__', thing))} has no fields to set; leave out --set")
        whole = documents.from_mapping(thing, settings, "--set")
        fields = {name: getattr(whole, name) for name in settings}
    laws = getattr(import_module(f"qlogad.testing.{kind}s"), f"check_{kind}")
    laws(thing, *more, tell=tell, **fields)


def _kind_of(cls: type[Any]) -> str:
    above = {base.__name__ for base in cls.__mro__[1:] if base.__module__.partition(".")[0] == "qlogad"}
    for kind, (_, base, _) in names.KINDS.items():
        if base in above and kind in kinds():
            return kind
    wanted = ", ".join(names.KINDS[kind][1] for kind in kinds() if kind in names.KINDS)
    raise InputError(f"no laws apply to {cls.__name__}; inherit from one of: {wanted}")


def _imported(named: str) -> type[Any]:
    """The class `module:Class`; the working directory is searched too."""
    module, _, name = named.partition(":")
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(f"cannot import {shown(named)}: {one_line(error)}; write module:Class, as in an import") from None
    if not isinstance(found, type):
        raise InputError(f"{shown(named)} is not a class")
    return found
