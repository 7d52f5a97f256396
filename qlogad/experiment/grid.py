"""Grids: `[grid.NAME]` makes variants of contender NAME, one for each combination of the values listed under its dotted keys.

    [grid.quantum]
    core.encoding = ["angle-y", "chen"]        "quantum angle-y depth=1", "quantum angle-y depth=2", "quantum chen depth=1", ...
    core.depth = [1, 2]

The last key varies fastest, as in scikit-learn's ParameterGrid. `[[grid.NAME]]` gives a contender several grids. The contender itself
stays in the table.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

from qlogad import documents
from qlogad.errors import DocumentError, did_you_mean, shown

__all__ = ["MAX_MADE", "combinations", "grids_of", "made_name", "nested"]

MAX_MADE = 250  # contenders made by all grids of an experiment
_OWN = {
    "name": "a grid names its contenders itself",
    "like": "[grid.NAME] already says which contender",
    "seed": "every contender has the seeds of [judge]",
}

Axes = dict[str, list[Any]]  # dotted key -> its values


def nested(grids: Any) -> Any:
    """The grids as nested tables: a quoted `"core.depth" = [1]` becomes what TOML reads for `core.depth = [1]`, so that `--set` works.

    >>> nested({"quantum": {"core.depth": [1, 2]}}) == nested({"quantum.core.depth": [1, 2]})
    True
    """
    if not isinstance(grids, Mapping):
        return grids
    whole = {name: tables for name, tables in grids.items() if isinstance(tables, Mapping) or _several(tables)}
    dotted = {name: values for name, values in grids.items() if name not in whole}
    found: dict[str, Any] = {
        name: [_nested(table) for table in tables] if isinstance(tables, list) else _nested(tables)
        for name, tables in whole.items()
    }
    for name, values in _nested(dotted).items():
        if isinstance(found.get(name), list):
            raise DocumentError(f"[grid]: '{name}' has several grids; write the key into one of them")
        found[name] = _merged(found[name], values, name) if name in found else values
    return found


def _several(tables: Any) -> bool:
    return isinstance(tables, list) and all(isinstance(table, Mapping) for table in tables)


def _nested(table: Any) -> Any:
    if not isinstance(table, Mapping):
        return table
    found: dict[str, Any] = {}
    for key, value in table.items():
        *path, last = key.split(".")
        place = found
        for part in path:
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                raise DocumentError(f"[grid]: the key {shown(key)} lies inside another key of the grid; remove one of them")
        value = _nested(value)
        place[last] = _merged(place[last], value, key) if last in place else value
    return found


def _merged(one: Any, other: Any, key: str) -> Any:
    """Merge two tables written under one key."""
    if not (isinstance(one, Mapping) and isinstance(other, Mapping)) or set(_flat(one)) & set(_flat(other)):
        raise DocumentError(f"[grid]: {shown(key)} is given twice; remove one of them")
    return _nested({**_flat(one), **_flat(other)})


def _flat(table: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """A nested table as a mapping from dotted keys to values."""
    found: dict[str, Any] = {}
    for key, value in table.items():
        found |= _flat(value, f"{before}{key}.") if isinstance(value, Mapping) else {f"{before}{key}": value}
    return found


def grids_of(grids: Any, names: Sequence[str], where: str) -> dict[str, list[Axes]]:
    """The grids of each contender, in the form that `nested` returns, checked except for the detector's own keys.

    Raises:
        DocumentError: a grid names no contender, a key has no list of distinct values, or there are more than `MAX_MADE` contenders.
    """
    if not isinstance(grids, Mapping):
        raise DocumentError(f"{where}: write a grid as [grid.NAME], after the contender that it varies, got {shown(grids)}")
    found: dict[str, list[Axes]] = {}
    for name, tables in grids.items():
        if name not in names:
            hint = did_you_mean(name, names)
            raise DocumentError(
                f"{where}: [grid.{shown(name)[1:-1]}] names no [[contender]]{hint}; write [grid.NAME] with one of: {', '.join(names)}"
            )
        place = f"{where}: [grid.{name}]"
        found[name] = [_axes(table, place) for table in (tables if isinstance(tables, list) else [tables])]
    made = sum(math.prod(map(len, axes.values())) for many in found.values() for axes in many)
    if made > MAX_MADE:
        raise DocumentError(
            f"{where}: [grid] makes {made} contenders, and at most {MAX_MADE} can be compared in one table; "
            "list fewer values, or search them with qlogad sweep"
        )
    return found


def _axes(table: Any, where: str) -> Axes:
    if not isinstance(table, Mapping) or not table:
        raise DocumentError(f"{where} must be a table of keys and lists of values, such as core.depth = [1, 2], got {shown(table)}")
    axes = _flat(table)
    for key, values in axes.items():
        if key in _OWN:
            raise DocumentError(f"{where}: '{key}' cannot be varied: {_OWN[key]}")
        if not isinstance(values, list) or not values:
            raise DocumentError(f"{where}: {key} must be a list of values in brackets, strings in quotes, got {shown(values)}")
        documents.refuse_objects(values, f"{where}: {key}")
        digests = [documents.digest(type(value).__name__, value) for value in values]
        for number, value in enumerate(values):
            if digests[number] in digests[:number]:
                raise DocumentError(f"{where}: {key} lists {shown(value)} twice; remove one of them")
    return axes


def combinations(axes: Axes) -> Iterator[dict[str, Any]]:
    """Iterate over every combination as dotted key -> value; the last key varies fastest.

    >>> list(combinations({"core.depth": [1, 2]}))
    [{'core.depth': 1}, {'core.depth': 2}]
    """
    for values in product(*axes.values()):
        yield dict(zip(axes, values, strict=True))


def made_name(name: str, axes: Axes, values: Mapping[str, Any]) -> str:
    """The name of a grid's contender: its words, and other values with the last part of their key.

    >>> made_name("quantum", {"core.encoding": ["chen"], "core.depth": [1, 2]}, {"core.encoding": "chen", "core.depth": 2})
    'quantum chen depth=2'
    """
    return " ".join([name, *(part for key in axes if (part := _part(key, axes, values[key])))])


def _part(key: str, axes: Axes, value: Any) -> str:
    if key == "control" and value == "none":
        return ""
    last = key.rpartition(".")[2]
    label = last if [other.rpartition(".")[2] for other in axes].count(last) == 1 else key
    words = [_words(each) for each in axes.values()]
    plain = all(isinstance(each, str) for each in axes[key]) and sum(bool(set(_words(axes[key])) & set(own)) for own in words) == 1
    text = _text(value, short=len(set(_words(axes[key]))) == len(axes[key]))
    return text if plain else f"{label}={text}"


def _words(values: Sequence[Any]) -> list[str]:
    return [_text(value, short=True) for value in values]


def _text(value: Any, *, short: bool) -> str:
    """A value as part of a name; a path is shortened to its file name if that is unambiguous."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            return value.rpartition("/")[2].removesuffix(".toml").removesuffix(".qasm") or value if short else value
        case Mapping():
            return ",".join(
                _text(one, short=short) if isinstance(one, str) else f"{key}={_text(one, short=short)}"
                for key, one in value.items()
            )
        case list():
            return ",".join(_text(one, short=short) for one in value)
    return str(value)
