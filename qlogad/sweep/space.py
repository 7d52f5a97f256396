"""The search space of a study: axes over the keys of a contender, and circuit designs built row by row.

    "core.depth" = { int = [1, 4] }                             lowest and highest; also step, log
    lr           = { float = [1e-4, 1e-1], log = true }
    "core.ansatz" = { choice = ["sim14", "sim19"] }
    "core.hidden" = { int = [4, 32], when = { cell = "gru" } }  exists only if another axis, defined above it, has that value

A design has the axis `design.rows`, then for each of its rows k `design.k.gate`, `design.k.wires` (for gates on one wire) or
`design.k.pairs` (for gates on two), `design.k.flip` and `design.k.reverse`; the axes of row 2 exist only if there are two rows.
"""

from __future__ import annotations

import builtins
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar

from optuna.trial import FixedTrial

from qlogad import documents
from qlogad.circuit.design import Design
from qlogad.circuit.gates import GATES, MACROS
from qlogad.circuit.row import Row
from qlogad.circuit.wiring import PATTERNS, arity
from qlogad.errors import DocumentError, did_you_mean, shown

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

__all__ = ["Axis", "ChoiceAxis", "DesignSpace", "FloatAxis", "IntAxis", "Space", "Value", "axis", "space"]

Value = bool | int | float | str
T = TypeVar("T", bound=Value)
_CLOSE = 1e-6  # steps: a number this close to a value of the axis counts as that value
_LARGEST = 2**53  # of an integer, since samplers convert integers to floats


@dataclass(frozen=True)
class IntAxis:
    """Integers from the lowest to the highest."""

    int: tuple[builtins.int, builtins.int]
    step: builtins.int = 1
    log: bool = False
    when: Mapping[str, Value] = field(default_factory=dict)

    def __post_init__(self) -> None:
        low, high = self.int
        if not -_LARGEST <= low <= high <= _LARGEST or self.step < 1:
            raise DocumentError(f"int = [lowest, highest] with step 1 or more, got {list(self.int)} and {self.step}")
        if self.log and (low < 1 or self.step != 1):
            raise DocumentError(f"a logarithmic int starts at 1 or above and has no step, got {list(self.int)}")

    @property
    def first(self) -> Value:
        """A value of the axis, for checking keys."""
        return self.int[0]

    def suggest(self, trial: BaseTrial, key: str) -> Value:
        """Suggest a value for a trial."""
        low, high = self.int
        return trial.suggest_int(key, low, high - (high - low) % self.step, step=self.step, log=self.log)

    def holds(self, value: Any) -> bool:
        """Whether a value is on the axis."""
        low, high = self.int
        return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high and (value - low) % self.step == 0


@dataclass(frozen=True)
class FloatAxis:
    """Numbers from the lowest to the highest."""

    float: tuple[builtins.float, builtins.float]
    step: builtins.float | None = None
    log: bool = False
    when: Mapping[str, Value] = field(default_factory=dict)

    def __post_init__(self) -> None:
        low, high = self.float
        if not (math.isfinite(low) and math.isfinite(high) and low <= high) or (self.step is not None and not self.step > 0):
            raise DocumentError(f"float = [lowest, highest] with a step above 0 or none, got {list(self.float)} and {self.step}")
        if self.step is not None and (high - low) / self.step > _LARGEST:
            raise DocumentError(f"a step of {self.step} makes too many values from {low} to {high}; leave it out")
        if self.log and (low <= 0 or self.step is not None):
            raise DocumentError(f"a logarithmic float starts above 0 and has no step, got {list(self.float)}")

    @property
    def first(self) -> Value:
        """A value of the axis, for checking keys."""
        return self.float[0]

    def suggest(self, trial: BaseTrial, key: str) -> Value:
        """Suggest a value for a trial."""
        low, high = self.float
        if self.step is not None:  # Optuna computes steps in decimal arithmetic
            steps = math.floor((high - low) / self.step + _CLOSE)
            high = float(Decimal(str(low)) + steps * Decimal(str(self.step)))
        return trial.suggest_float(key, low, high, step=self.step, log=self.log)

    def holds(self, value: Any) -> bool:
        """Whether a value is on the axis, up to rounding."""
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not self.float[0] <= value <= self.float[1]:
            return False
        steps = 0.0 if self.step is None else (value - self.float[0]) / self.step
        return abs(steps - builtins.round(steps)) < _CLOSE

    def exact(self, value: builtins.float) -> builtins.float:
        """The value of the axis closest to one on it up to rounding: 0.30000000000000004 becomes 0.3."""
        if self.step is None:
            return builtins.float(value)
        steps = builtins.round((value - self.float[0]) / self.step)
        return builtins.float(Decimal(str(self.float[0])) + steps * Decimal(str(self.step)))


@dataclass(frozen=True)
class ChoiceAxis:
    """One of several values: names, numbers or booleans."""

    choice: tuple[Value, ...]
    when: Mapping[str, Value] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.choice or len({(type(value), value) for value in self.choice}) < len(self.choice):
            raise DocumentError(f"choice must list one or more different values, got {shown(list(self.choice))}")

    @property
    def first(self) -> Value:
        """A value of the axis, for checking keys."""
        return self.choice[0]

    def suggest(self, trial: BaseTrial, key: str) -> Value:
        """Suggest a value for a trial."""
        chosen = trial.suggest_categorical(key, self.choice)
        assert chosen is not None  # it is one of them
        return chosen

    def holds(self, value: Any) -> bool:
        """Whether a value is on the axis."""
        return any(type(value) is type(one) and value == one for one in self.choice)


Axis = IntAxis | FloatAxis | ChoiceAxis
_KINDS: dict[str, type[Axis]] = {"int": IntAxis, "float": FloatAxis, "choice": ChoiceAxis}


def axis(table: Any, where: str) -> Axis:
    """Parse an axis from a table as TOML gives it.

    Raises:
        DocumentError: the table is not an axis; with what was found and what would fit.
    """
    if not isinstance(table, Mapping):
        raise DocumentError(f"{where}: an axis must be a table such as {{ int = [1, 4] }}, got {shown(table)}")
    kinds = [kind for kind in _KINDS if kind in table]
    if len(kinds) != 1:
        hint = "".join(did_you_mean(key, _KINDS) for key in table if key not in ("step", "log", "when"))
        raise DocumentError(f"{where}: an axis needs one of int, float and choice, got {shown(dict(table), 80)}{hint}")
    found: Axis = documents.from_mapping(_KINDS[kinds[0]], table, where)
    return found


@dataclass(frozen=True)
class DesignSpace:
    """Ansaetze built row by row, each row a gate on a wiring pattern, as in a file of circuits/ansatz.

    Raises:
        DocumentError: a gate or pattern is unknown, or no pattern fits a gate.
    """

    rows: tuple[int, int] = (1, 3)  # fewest and most rows of the layer
    gates: tuple[str, ...] = ("ry", "rz", "rot", "cx", "cz", "crx", "crz")
    on: tuple[str, ...] = ("each", "linear", "ring", "even", "odd")
    flip: bool = True  # search whether gates on two wires exchange them
    reverse: bool = False  # search whether they are applied in reverse order

    def __post_init__(self) -> None:
        if not 1 <= self.rows[0] <= self.rows[1] <= 20:
            raise DocumentError(f"rows = [fewest, most] from 1 to 20, got {list(self.rows)}")
        for name, given, known in (("gates", self.gates, [*GATES, *MACROS]), ("on", self.on, [p for p in PATTERNS if arity(p)])):
            if not given or len(set(given)) < len(given):
                raise DocumentError(f"{name} must list one or more different names, got {shown(list(given))}")
            for word in given:
                if word not in known:
                    raise DocumentError(f"{name}: {shown(word)}{did_you_mean(word, known)}; known: {', '.join(known)}")
        for gate in self.gates:
            if not self._patterns(gate):
                wires, fix = _width(gate), {1: "each", 2: "ring"}[_width(gate)]
                raise DocumentError(
                    f"'{gate}' acts on {wires} {'wire' if wires == 1 else 'wires'}, but no pattern in `on` does; add '{fix}'"
                )

    def _patterns(self, gate: str) -> tuple[str, ...]:
        return tuple(pattern for pattern in self.on if arity(pattern) == _width(gate))

    def suggest(self, trial: BaseTrial) -> dict[str, Any]:
        """Suggest an ansatz for a trial, as a document."""
        count = trial.suggest_int("design.rows", *self.rows)
        return {"layer": [self._row(trial, f"design.{row}") for row in range(1, count + 1)]}

    def _row(self, trial: BaseTrial, key: str) -> dict[str, Any]:
        gate = trial.suggest_categorical(f"{key}.gate", self.gates)
        two = _width(gate) == 2
        row: dict[str, Any] = {
            "gate": gate,
            "on": trial.suggest_categorical(f"{key}.{'pairs' if two else 'wires'}", self._patterns(gate)),
        }
        for name in self._turns if two else ():
            if trial.suggest_categorical(f"{key}.{name}", (False, True)):
                row[name] = True
        return row

    @property
    def _turns(self) -> tuple[str, ...]:
        """The boolean keys of a row on two wires that are searched."""
        return tuple(name for name in ("flip", "reverse") if getattr(self, name))

    def locate(self, name: str) -> dict[str, Value]:
        """The values that give a named ansatz.

        Raises:
            DocumentError: the space does not contain it; with the reason.
        """
        return self.located(Design.load(name, "ansatz"))

    def located(self, design: Design) -> dict[str, Value]:
        """The values that give an ansatz.

        Raises:
            DocumentError: the space does not contain it; with the reason.
        """
        name = design.name
        if design.before or design.after or design.needs or design.init != "uniform":
            raise DocumentError(
                f"ansatz '{name}' consists of more than the rows of a layer, so the design space cannot contain it; name it in core.ansatz"
            )
        if not self.rows[0] <= len(design.layer) <= self.rows[1]:
            raise DocumentError(f"ansatz '{name}' has {len(design.layer)} rows, the design space {list(self.rows)}; widen rows")
        found: dict[str, Value] = {"design.rows": len(design.layer)}
        for number, row in enumerate(design.layer, start=1):
            found |= self._located(row, f"design.{number}", name)
        return found

    def _located(self, row: Row, key: str, name: str) -> dict[str, Value]:
        plain = Row(row.gate, row.on, flip=row.flip, reverse=row.reverse) if row.gate else None
        if row != plain or row.gate not in self.gates or row.on not in self._patterns(row.gate):
            what = f"{row.gate or 'rows'} on {shown(row.on)}"
            raise DocumentError(
                f"ansatz '{name}' has a row outside the design space: {what}; widen gates or on, or name it in core.ansatz"
            )
        two = _width(row.gate) == 2
        for turn in ("flip", "reverse"):
            if getattr(row, turn) and not (two and turn in self._turns):
                raise DocumentError(
                    f"ansatz '{name}' has {turn} = true, which is outside the design space; set {turn} = true in design"
                )
        values: dict[str, Value] = {f"{key}.gate": row.gate, f"{key}.{'pairs' if two else 'wires'}": str(row.on)}
        return values | ({f"{key}.{turn}": getattr(row, turn) for turn in self._turns} if two else {})


def _width(gate: str) -> int:
    return GATES[MACROS.get(gate, (gate,))[0]].wires


@dataclass(frozen=True)
class Space:
    """All choices of a trial of one contender.

    >>> from optuna.trial import FixedTrial
    >>> space = Space({"core.depth": IntAxis((1, 4))})
    >>> space.suggest(FixedTrial({"core.depth": 2}))
    ({'core.depth': 2}, None)
    """

    axes: Mapping[str, Axis]
    design: DesignSpace | None = None

    def suggest(self, trial: BaseTrial) -> tuple[dict[str, Value], dict[str, Any] | None]:
        """Suggest values for a trial: the keys, and the ansatz document, or None if the space builds no designs."""
        chosen: dict[str, Value] = {}
        for key, one in self.axes.items():
            if all(chosen.get(other) == value for other, value in one.when.items()):
                chosen[key] = one.suggest(trial, key)
        return chosen, None if self.design is None else self.design.suggest(trial)

    def assignment(self, known: Mapping[str, Any], where: str) -> dict[str, Value]:
        """A known point as values of the axes; `design` names an ansatz, and axes without a value are sampled.

        Raises:
            DocumentError: there is no such axis, or the value is not on it.
        """
        found: dict[str, Value] = {}
        for key, value in known.items():
            if key == "design" and self.design is not None:
                found |= self.design.locate(str(value))
            elif key not in self.axes:
                raise DocumentError(
                    f"{where}: the space has no axis {shown(key)}{did_you_mean(key, self.axes)}; its axes: {', '.join(self.axes)}"
                )
            elif not self.axes[key].holds(value):
                raise DocumentError(f"{where}: {key} = {shown(value)} lies outside its axis; widen the axis, or remove the key")
            else:
                one = self.axes[key]
                found[key] = one.exact(value) if isinstance(one, FloatAxis) else value
        for key in found.keys() & self.axes.keys():
            for other, value in self.axes[key].when.items():
                if other in known and known[other] != value:
                    raise DocumentError(
                        f"{where}: {key} exists only if {other} = {shown(value)}, but it is {shown(known[other])}; remove one"
                    )
        return found

    def first(self, given: Mapping[str, Value]) -> dict[str, Value]:
        """The point of first values, except for the given ones and those that their conditions require."""
        wanted = dict(given)
        for key in reversed(list(self.axes)):
            if key in wanted:
                wanted = {**self.axes[key].when, **wanted}
        found: dict[str, Value] = {}
        for key, one in self.axes.items():
            if all(found.get(other) == value for other, value in one.when.items()):
                found[key] = wanted.get(key, one.first)
        return found

    def points(self) -> Iterator[dict[str, Value]]:
        """Iterate over every point of a finite space; the last axis varies fastest.

        >>> [point["n"] for point in Space({"n": IntAxis((1, 7), step=3)}).points()]
        [1, 4, 7]
        """
        turns: list[tuple[int, int]] = []  # for each axis of a point, the index of its value and the number of values
        while True:
            visit = _Visit([turn for turn, _ in turns])
            self.suggest(visit)
            yield visit.point
            turns = visit.turns
            while turns and turns[-1][0] == turns[-1][1] - 1:
                turns.pop()
            if not turns:
                return
            turns[-1] = (turns[-1][0] + 1, turns[-1][1])

    def endless(self) -> str:
        """The first axis with infinitely many values, or ""."""
        return next(
            (
                key
                for key, one in self.axes.items()
                if isinstance(one, FloatAxis) and one.step is None and one.float[0] < one.float[1]
            ),
            "",
        )

    def uneven(self) -> str:
        """The first axis that is not numeric or does not exist in every trial, or ""."""
        if self.design is not None:
            return "design.rows"
        return next((key for key, one in self.axes.items() if isinstance(one, ChoiceAxis) or one.when), "")


class _Visit(FixedTrial):
    """A trial that takes the given values, by index, for its first axes, and the first value for all others."""

    def __init__(self, places: Sequence[int]) -> None:
        super().__init__({})
        self.point: dict[str, Value] = {}
        self.turns: list[tuple[int, int]] = []
        self._places = places

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        return self._take(name, range(low, high + 1, step))

    def suggest_float(self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False) -> float:
        first, each = Decimal(str(low)), Decimal(str(step or 1))
        steps = self._take(name, range(round((Decimal(str(high)) - first) / each) + 1))
        self.point[name] = value = float(first + steps * each)
        return value

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return self._take(name, choices)

    def _take(self, name: str, values: Sequence[T]) -> T:
        place = self._places[len(self.turns)] if len(self.turns) < len(self._places) else 0
        self.turns.append((place, len(values)))
        self.point[name] = value = values[place]
        return value


def space(tables: Mapping[str, Any], design: Any, where: str) -> Space:
    """Parse a space from tables as TOML gives them.

    Raises:
        DocumentError: with the axis at fault.
    """
    axes: dict[str, Axis] = {}
    for key, table in tables.items():
        axes[key] = axis(table, f"{where}: {shown(key)}")
        for other, value in axes[key].when.items():
            if other == key or other not in axes:
                raise DocumentError(
                    f"{where}: {shown(key)}: `when` names {shown(other)}, which is not an axis above it{did_you_mean(other, axes)}"
                )
            if not axes[other].holds(value):
                raise DocumentError(f"{where}: {shown(key)}: `when` requires {other} = {shown(value)}, which is not on that axis")
    if design is not None and not isinstance(design, Mapping):
        raise DocumentError(
            f"{where}: design must be a table such as {{ rows = [1, 3], gates = ['ry', 'cx'] }}, got {shown(design)}"
        )
    rows = None if design is None else documents.from_mapping(DesignSpace, design, f"{where}: design")
    if rows is not None and "core.ansatz" in axes:
        raise DocumentError(f"{where}: an ansatz is either chosen by name (core.ansatz) or built (design); remove one of them")
    return Space(axes, rows)
