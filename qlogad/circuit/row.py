"""Rows of a design: a gate, its wires and its angles, read from a design's table and written back to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, TypeVar, cast, get_args

from qlogad import documents
from qlogad.circuit import expression
from qlogad.circuit.circuit import MAX_WIRES, Init
from qlogad.circuit.gates import GATES, MACROS
from qlogad.circuit.wiring import STEPPED, Wires, arity, place
from qlogad.errors import DesignError, did_you_mean, one_line, shown

__all__ = ["Claims", "Row", "Takes"]

Share = Literal["wires", "layers", "all"]
T = TypeVar("T")
MAX_DEPTH = 10_000
MAX_NESTING = 3  # largest nesting of rows in rows
_LARGEST = 10**9  # largest number in a file, as in expressions
NAME = 80  # largest number of characters of a name


@dataclass(frozen=True)
class Row:
    """One row of a design: the same gate on several wires, or the same rows on several groups of wires.

    Raises:
        DesignError: a field is invalid; the message names it and suggests a fix.
    """

    gate: str = ""  # a gate of the table, or "rot" (rz, ry, rz)
    on: str | tuple[Wires, ...] = ""  # a wiring pattern, or explicit wires
    flip: bool = False  # swap the wires of each gate
    reverse: bool = False  # the gates in reverse order
    stride: int | str = 1  # for ring and walk; a number or an expression in layer and wires
    start: int | str = 0  # for ring and walk
    angle: tuple[float | str, ...] = ()  # one expression per angle; empty: a fresh weight, or x[i]
    share: Share | None = None  # "wires": one weight for the row; "layers": the same weights in every layer; "all": both
    when: str | None = None  # a condition on layer and wires; if false, the row is omitted
    rows: tuple[Row, ...] = ()  # instead of a gate: rows applied to each group of wires as if it were the whole circuit

    def __post_init__(self) -> None:
        documents.enforce(self, DesignError)
        if self.rows:
            self._check_group()
        else:
            self._check_gate()
        if self.on not in STEPPED and (self.stride, self.start) != (1, 0):
            raise DesignError(
                f"stride and start apply only to {' and '.join(sorted(STEPPED))}, but on = {shown(self.on)}; remove them"
            )

    def _check_group(self) -> None:
        arity(self.on)
        if self.gate or self.angle:
            raise DesignError("a row has either a `gate` or `rows`; remove one, and give each angle with its gate")
        if self.nesting > MAX_NESTING:
            raise DesignError(f"rows hold rows at most {MAX_NESTING} deep; write them flatter")

    @property
    def nesting(self) -> int:
        """The nesting depth of its rows; 0 for a gate."""
        return max((1 + row.nesting for row in self.rows), default=0)

    def _check_gate(self) -> None:
        known = [*GATES, *MACROS]
        if self.gate not in known:
            raise DesignError(f"gate = {shown(self.gate)}{did_you_mean(self.gate, known)}; known: {', '.join(known)}")
        width, wanted = arity(self.on), GATES[self.parts[0]].wires
        if width != wanted:
            fix, given = "each" if wanted == 1 else "ring", width or "groups of any size, for `rows`"
            raise DesignError(f"'{self.gate}' acts on {wanted} wires, but on = {shown(self.on)} gives {given}; try on = '{fix}'")
        if self.angle and len(self.angle) != self.angles:
            raise DesignError(f"'{self.gate}' takes {self.angles} angles, got {len(self.angle)}; give as many, or none")

    def texts(self) -> Iterator[str]:
        """Every angle given as text, including those of nested rows."""
        yield from (text for text in self.angle if isinstance(text, str))
        for row in self.rows:
            yield from row.texts()

    @property
    def parts(self) -> tuple[str, ...]:
        """The elementary gates of the row's gate."""
        return MACROS.get(self.gate, (self.gate,))

    @property
    def angles(self) -> int:
        """The number of angles of the row's gate."""
        return sum(GATES[part].angles for part in self.parts)

    def places(self, scope: Mapping[str, int]) -> list[Wires]:
        """The wires of each gate of the row, in order; `scope` holds `wires` and, inside a layer, `layer`."""
        if self.when is not None and not expression.truth(self.when, scope):
            return []
        stepped = self.on in STEPPED and scope["wires"] > 1
        stride = expression.integer(self.stride, scope) if stepped else 1
        start = expression.integer(self.start, scope) if stepped else 0
        found = [] if self.on in STEPPED and not stepped else place(self.on, scope["wires"], stride=stride, start=start)
        if self.flip:
            found = [wires[::-1] for wires in found]
        return found[::-1] if self.reverse else found


@dataclass(frozen=True)
class Claims:
    """Claims of a design file about itself, which tests verify."""

    weights: tuple[tuple[int, int], ...] = ()  # wires, weights of one layer
    live_weights: tuple[tuple[int, int], ...] = ()  # wires, Jacobian rank of <Z> on every wire at depth 1
    encoding: str = "angle-y"  # the encoding that live_weights was measured with


@dataclass(frozen=True)
class Takes:
    """The features that an encoding takes: their number and valid values."""

    features: int | str = "wires"  # number of features, as an expression in wires
    range: tuple[int | float | str, int | float | str] | None = None  # lowest and highest, in wires and values
    integer: bool = False  # integers only, such as event ids


def raw_slots(features: int) -> tuple[str, ...]:
    return tuple(f"x[{d}]" for d in range(features))


_TYPES: dict[str, tuple[tuple[type, ...], str]] = {  # keys of a row, their types, and an example
    "gate": ((str,), "gate = 'ry'"),
    "on": ((str, list), "on = 'ring' or on = [[0, 1], [1, 2]]"),
    "flip": ((bool,), "flip = true"),
    "reverse": ((bool,), "reverse = true"),
    "stride": ((int, str), "stride = 2 or stride = 'layer + 1'"),
    "start": ((int, str), "start = -1"),
    "angle": ((int, float, str, list), "angle = 'pi / 2'"),
    "share": ((str,), "share = 'layers'"),
    "when": ((str,), "when = 'wires > 2'"),
    "rows": ((list,), "rows = [{ gate = 'ry', on = 'each' }, { gate = 'cx', on = 'linear' }]"),
}


def rows_of(content: Mapping[str, Any], part: str, where: str) -> tuple[Row, ...]:
    rows = typed(content, part, list, where, [])
    return tuple(row_of(row, f"{where}, row {number} of {part}") for number, row in enumerate(rows, start=1))


def row_of(content: Any, where: str, nesting: int = 0) -> Row:
    if nesting > MAX_NESTING:
        raise DesignError(f"{where}: rows hold rows at most {MAX_NESTING} deep; write them flatter")
    if not isinstance(content, dict):
        raise DesignError(f"{where}: a row must be a table such as {{ gate = 'ry', on = 'each' }}, got {shown(content)}")
    known = [f.name for f in fields(Row)]
    for key, value in content.items():
        if key not in known:
            raise DesignError(f"{where}: unknown key {shown(key)}{did_you_mean(key, known)}; known: {', '.join(known)}")
        types, example = _TYPES[key]
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types) or is_out_of_bounds(value):
            raise DesignError(f"{where}: {key} = {shown(value)} has the wrong type; write {example}")
    for key in ("on",) if "rows" in content else ("gate", "on"):
        if key not in content:
            raise DesignError(f"{where}: '{key}' is missing; write {_TYPES[key][1]}")
    values = dict(content)
    values["on"] = content["on"] if isinstance(content["on"], str) else tuple(wires_of(item, where) for item in content["on"])
    if "rows" in values:
        inner = enumerate(content["rows"], start=1)
        values["rows"] = tuple(row_of(row, f"{where}, row {number} of its rows", nesting + 1) for number, row in inner)
        if not values["rows"]:
            raise DesignError(f"{where}: rows = [] is empty; write {_TYPES['rows'][1]}")
    if "angle" in values:
        angle = values["angle"]
        values["angle"] = tuple(angle) if isinstance(angle, list) else (angle,)
        if not all(map(is_angle, values["angle"])):
            raise DesignError(f"{where}: angle = {shown(angle)} has the wrong type; write {_TYPES['angle'][1]}")
    try:
        return Row(**values)
    except DesignError as error:
        raise DesignError(f"{where}: {error}") from None


def wires_of(item: Any, where: str) -> Wires:
    wires = item if isinstance(item, list) else [item]
    if not wires or not all(isinstance(wire, int) and not isinstance(wire, bool) and 0 <= wire < MAX_WIRES for wire in wires):
        raise DesignError(f"{where}: on must list wires from 0 to {MAX_WIRES - 1}, got {shown(item)}")
    if len(set(wires)) != len(wires):
        raise DesignError(f"{where}: on lists the same wire twice in {shown(item)}")
    return tuple(wires)


def check_of(content: dict[str, Any], where: str) -> Claims:
    known = [f.name for f in fields(Claims)]
    for key in content:
        if key not in known:
            raise DesignError(f"{where}: unknown key {shown('check.' + key)}{did_you_mean(key, known)}; known: {', '.join(known)}")
    counts = {key: counts_of(typed(content, key, dict, where, {}), f"{where}: check.{key}") for key in ("weights", "live_weights")}
    return Claims(**counts, encoding=typed(content, "encoding", str, where, Claims.encoding))


def takes_of(content: dict[str, Any], where: str) -> Takes:
    known = [f.name for f in fields(Takes)]
    for key in content:
        if key not in known:
            raise DesignError(f"{where}: unknown key {shown(key)}{did_you_mean(key, known)}; known: {', '.join(known)}")
    features, limits, integer = content.get("features", "wires"), content.get("range"), content.get("integer", False)
    if isinstance(features, float) or not is_angle(features):
        raise DesignError(f"{where}: features = {shown(features)} has the wrong type; write features = '2 * wires'")
    if not isinstance(integer, bool):
        raise DesignError(f"{where}: integer = {shown(integer)} has the wrong type; write integer = true")
    if limits is not None and not (isinstance(limits, list) and len(limits) == 2 and all(map(is_angle, limits))):
        raise DesignError(f"{where}: range = {shown(limits)} is not a pair of numbers or expressions; write range = [0, 1]")
    return Takes(features, None if limits is None else (limits[0], limits[1]), integer)


def is_angle(value: object) -> bool:
    return isinstance(value, (int, float, str)) and not isinstance(value, bool) and not is_out_of_bounds(value)


def is_out_of_bounds(value: object) -> bool:
    return isinstance(value, (int, float)) and not abs(value) <= _LARGEST  # `not <=` catches NaN too


def name_in(name: str, where: str) -> str:
    if name != one_line(name, NAME):
        raise DesignError(f"{where}: name must be one line of at most {NAME} characters, got {shown(name)}")
    return name


def repeat_of(value: object, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MAX_DEPTH:
        raise DesignError(f"{where}: repeat must be an integer from 1 to {MAX_DEPTH}, got {shown(value)}")
    return value


def prepare_of(name: str, where: str) -> str:
    if name not in ("", "amplitude"):
        raise DesignError(f"{where}: prepare = {shown(name)}{did_you_mean(name, ['amplitude'])}; known: amplitude")
    return name


def init_of(name: str, where: str) -> Init:
    for known in get_args(Init):
        if name == known:
            return cast(Init, known)
    raise DesignError(f"{where}: init = {shown(name)}{did_you_mean(name, get_args(Init))}; known: {', '.join(get_args(Init))}")


def counts_of(table: dict[str, Any], where: str) -> tuple[tuple[int, int], ...]:
    widths = {str(wires): wires for wires in range(1, MAX_WIRES + 1)}
    for wires, count in table.items():
        if wires not in widths or not isinstance(count, int) or isinstance(count, bool) or not 0 <= count <= _LARGEST:
            raise DesignError(
                f"{where} must map widths from 1 to {MAX_WIRES} to numbers of weights, such as {{ 4 = 16 }}, "
                f"got {one_line(wires, 20)} = {shown(count)}"
            )
    return tuple(sorted((widths[wires], count) for wires, count in table.items()))


def typed(content: Mapping[str, Any], key: str, kind: type[T], where: str, default: T) -> T:
    value = content.get(key, default)
    if not isinstance(value, kind):
        called = {str: "text", list: "a list of rows", dict: "a table"}[kind]  # type: ignore[index]
        raise DesignError(f"{where}: {key} must be {called}, got {shown(value)}")
    return value


def row_table(row: Row) -> dict[str, Any]:
    given = {f.name: getattr(row, f.name) for f in fields(Row) if getattr(row, f.name) != f.default}
    if row.rows:
        given["rows"] = [row_table(inner) for inner in row.rows]
    if "angle" in given and len(row.angle) == 1:
        given["angle"] = row.angle[0]
    return given
