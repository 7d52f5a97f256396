"""What a study may choose from: axes over the keys of a contender, and circuit designs put together row by row.

    "core.depth" = { int = [1, 4] }                             lowest and highest; also step, log
    lr           = { float = [1e-4, 1e-1], log = true }
    "core.ansatz" = { choice = ["sim14", "sim19"] }
    "core.hidden" = { int = [4, 32], when = { cell = "gru" } }  there only if another axis, written above it, has that value

A design of rows has the axes `design.rows`, then for each of its rows k `design.k.gate`, `design.k.wires` (of a gate on one wire) or
`design.k.pairs` (on two), `design.k.flip` and
`design.k.reverse`; those of row 2 are there only if there are two rows.
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
_CLOSE = 1e-6  # steps: a number that near to one is meant to be it
_LARGEST = 2**53  # of an integer, which samplers take for a float


@dataclass(frozen=True)
class IntAxis:
    """Whole numbers from the lowest to the highest."""

    int: tuple[builtins.int, builtins.int]
    step: builtins.int = 1
    log: bool = False
    when: Mapping[str, Value] = field(default_factory=dict)

    def __post_init__(self) -> None:
        low, high = self.int
        if not -_LARGEST <= low <= high <= _LARGEST or self.step < 1:
            raise DocumentError(f"int = [lowest, highest] with step 1 or more, got {list(self.int)} and {self.step}")
        if self.log and (low < 1 or self.step != 1):
            raise DocumentError(f"a logarithmic int begins at 1 or above and has no step, got {list(self.int)}")

    @property
    def first(self) -> Value:
        """A value of the axis, to try keys with."""
        return self.int[0]

    def suggest(self, trial: BaseTrial, key: str) -> Value:
        """The value that a trial takes."""
        low, high = self.int
        return trial.suggest_int(key, low, high - (high - low) % self.step, step=self.step, log=self.log)

    def holds(self, value: Any) -> bool:
        """Whether it is a value of the axis."""
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
            raise DocumentError(f"a logarithmic float begins above 0 and has no step, got {list(self.float)}")

    @property
    def first(self) -> Value:
        """A value of the axis, to try keys with."""
        return self.float[0]

    def suggest(self, trial: BaseTrial, key: str) -> Value:
        """The value that a trial takes."""
        low, high = self.float
        if self.step is not None:  # Optuna counts steps in decimals
            steps = math.floor((high - low) / self.step + _CLOSE)
            high = float(Decimal(str(low)) + steps * Decimal(str(self.step)))
        return trial.suggest_float(key, low, high, step=self.step, log=self.log)

    def holds(self, value: Any) -> bool:
        """Whether it is a value of the axis."""
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not self.float[0] <= value <= self.float[1]:
            return False
        steps = 0.0 if self.step is None else (value - self.float[0]) / self.step
        return abs(steps - builtins.round(steps)) < _CLOSE

    def exact(self, value: builtins.float) -> builtins.float:
        """The value of the axis that one which it holds is meant to be: 0.30000000000000004 is 0.3."""
        if self.step is None:
            return builtins.float(value)
        steps = builtins.round((value - self.float[0]) / self.step)
        return builtins.float(Decimal(str(self.float[0])) + steps * Decimal(str(self.step)))


@dataclass(frozen=True)
class ChoiceAxis:
    """Any of some values: names, numbers or truth values."""

    choice: tuple[Value, ...]
    when: Mapping[str, Value] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.choice or len({(type(value), value) for value in self.choice}) < len(self.choice):
            raise DocumentError(f"choice lists one value or more, each once, got {shown(list(self.choice))}")

    @property
    def first(self) -> Value:
        """A value of the axis, to try keys with."""
        return self.choice[0]

    def suggest(self, trial: BaseTrial, key: str) -> Value:
        """The value that a trial takes."""
        chosen = trial.suggest_categorical(key, self.choice)
        assert chosen is not None  # it is one of them
        return chosen

    def holds(self, value: Any) -> bool:
        """Whether it is a value of the axis."""
        return any(type(value) is type(one) and value == one for one in self.choice)


Axis = IntAxis | FloatAxis | ChoiceAxis
_KINDS: dict[str, type[Axis]] = {"int": IntAxis, "float": FloatAxis, "choice": ChoiceAxis}


def axis(table: Any, where: str) -> Axis:
    """An axis from a table as TOML gives it.

    Raises:
        DocumentError: it is no axis; with what was met, and what would fit.
    """
    if not isinstance(table, Mapping):
        raise DocumentError(f"{where}: an axis is a table such as {{ int = [1, 4] }}, got {shown(table)}")
    kinds = [kind for kind in _KINDS if kind in table]
    if len(kinds) != 1:
        hint = "".join(did_you_mean(key, _KINDS) for key in table if key not in ("step", "log", "when"))
        raise DocumentError(f"{where}: an axis has one of int, float and choice, got {shown(dict(table), 80)}{hint}")
    found: Axis = documents.from_mapping(_KINDS[kinds[0]], table, where)
    return found


@dataclass(frozen=True)
class DesignSpace:
    """Ansaetze put together row by row, each a gate on a wiring pattern, as in a file of circuits/ansatz.

    Raises:
        DocumentError: a gate or pattern is not known, or there is no pattern for a gate.
    """

    rows: tuple[int, int] = (1, 3)  # fewest and most rows of the layer
    gates: tuple[str, ...] = ("ry", "rz", "rot", "cx", "cz", "crx", "crz")
    on: tuple[str, ...] = ("each", "linear", "ring", "even", "odd")
    flip: bool = True  # whether gates on two wires may also have them exchanged
    reverse: bool = False  # whether they may also come in reverse order

    def __post_init__(self) -> None:
        if not 1 <= self.rows[0] <= self.rows[1] <= 20:
            raise DocumentError(f"rows = [fewest, most] from 1 to 20, got {list(self.rows)}")
        for name, given, known in (("gates", self.gates, [*GATES, *MACROS]), ("on", self.on, [p for p in PATTERNS if arity(p)])):
            if not given or len(set(given)) < len(given):
                raise DocumentError(f"{name} lists one name or more, each once, got {shown(list(given))}")
            for word in given:
                if word not in known:
                    raise DocumentError(f"{name}: {shown(word)}{did_you_mean(word, known)}; known: {', '.join(known)}")
        for gate in self.gates:
            if not self._patterns(gate):
                wires, fix = _width(gate), {1: "each", 2: "ring"}[_width(gate)]
                raise DocumentError(
                    f"'{gate}' acts on {wires} {'wire' if wires == 1 else 'wires'}, and no pattern of `on` does; add '{fix}'"
                )

    def _patterns(self, gate: str) -> tuple[str, ...]:
        return tuple(pattern for pattern in self.on if arity(pattern) == _width(gate))

    def suggest(self, trial: BaseTrial) -> dict[str, Any]:
        """The document of the ansatz that a trial takes."""
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
        """The keys of a row on two wires that are searched, true or false."""
        return tuple(name for name in ("flip", "reverse") if getattr(self, name))

    def locate(self, name: str) -> dict[str, Value]:
        """The values that give a known ansatz.

        Raises:
            DocumentError: the space does not hold it, and why.
        """
        return self.located(Design.load(name, "ansatz"))

    def located(self, design: Design) -> dict[str, Value]:
        """The values that give an ansatz.

        Raises:
            DocumentError: the space does not hold it, and why.
        """
        name = design.name
        if design.before or design.after or design.needs or design.init != "uniform":
            raise DocumentError(
                f"ansatz '{name}' is more than the rows of a layer, so the design space does not hold it; name it in core.ansatz"
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
                f"ansatz '{name}' has a row that the design space does not hold: {what}; widen gates or on, or name it in core.ansatz"
            )
        two = _width(row.gate) == 2
        for turn in ("flip", "reverse"):
            if getattr(row, turn) and not (two and turn in self._turns):
                raise DocumentError(
                    f"ansatz '{name}' has {turn} = true, and the design space does not; say {turn} = true in design"
                )
        values: dict[str, Value] = {f"{key}.gate": row.gate, f"{key}.{'pairs' if two else 'wires'}": str(row.on)}
        return values | ({f"{key}.{turn}": getattr(row, turn) for turn in self._turns} if two else {})


def _width(gate: str) -> int:
    return GATES[MACROS.get(gate, (gate,))[0]].wires


@dataclass(frozen=True)
class Space:
    """All a trial of one contender chooses.

    >>> from optuna.trial import FixedTrial
    >>> space = Space({"core.depth": IntAxis((1, 4))})
    >>> space.suggest(FixedTrial({"core.depth": 2}))
    ({'core.depth': 2}, None)
    """

    axes: Mapping[str, Axis]
    design: DesignSpace | None = None

    def suggest(self, trial: BaseTrial) -> tuple[dict[str, Value], dict[str, Any] | None]:
        """The keys and the ansatz document that a trial takes; no document where the space builds no designs."""
        chosen: dict[str, Value] = {}
        for key, one in self.axes.items():
            if all(chosen.get(other) == value for other, value in one.when.items()):
                chosen[key] = one.suggest(trial, key)
        return chosen, None if self.design is None else self.design.suggest(trial)

    def assignment(self, known: Mapping[str, Any], where: str) -> dict[str, Value]:
        """What a known point fixes, as the names of the axes; `design` names an ansatz, and what it leaves open is sampled.

        Raises:
            DocumentError: an axis is not there, or does not hold the value.
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
                raise DocumentError(f"{where}: {key} = {shown(value)} lies outside its axis; widen the axis, or leave it out")
            else:
                one = self.axes[key]
                found[key] = one.exact(value) if isinstance(one, FloatAxis) else value
        for key in found.keys() & self.axes.keys():
            for other, value in self.axes[key].when.items():
                if other in known and known[other] != value:
                    raise DocumentError(
                        f"{where}: {key} is there only if {other} = {shown(value)}, and it is {shown(known[other])}; drop one"
                    )
        return found

    def first(self, given: Mapping[str, Value]) -> dict[str, Value]:
        """The point of the first values, but for those given, and for what these wait for."""
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
        """Every point of a space that is not endless, the last axis changing first.

        >>> [point["n"] for point in Space({"n": IntAxis((1, 7), step=3)}).points()]
        [1, 4, 7]
        """
        turns: list[tuple[int, int]] = []  # which of how many values each axis of a point takes
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
        """The first axis with endlessly many values, or ""."""
        return next(
            (
                key
                for key, one in self.axes.items()
                if isinstance(one, FloatAxis) and one.step is None and one.float[0] < one.float[1]
            ),
            "",
        )

    def uneven(self) -> str:
        """The first axis that is not a number that every trial has, or ""."""
        if self.design is not None:
            return "design.rows"
        return next((key for key, one in self.axes.items() if isinstance(one, ChoiceAxis) or one.when), "")


class _Visit(FixedTrial):
    """A trial that takes the given values of its first axes, by their places, and the first of all others."""

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
    """A space from tables as TOML gives them.

    Raises:
        DocumentError: naming the axis at fault.
    """
    axes: dict[str, Axis] = {}
    for key, table in tables.items():
        axes[key] = axis(table, f"{where}: {shown(key)}")
        for other, value in axes[key].when.items():
            if other == key or other not in axes:
                raise DocumentError(
                    f"{where}: {shown(key)}: `when` names {shown(other)}, which is no axis above it{did_you_mean(other, axes)}"
                )
            if not axes[other].holds(value):
                raise DocumentError(
                    f"{where}: {shown(key)}: `when` waits for {other} = {shown(value)}, which that axis does not hold"
                )
    if design is not None and not isinstance(design, Mapping):
        raise DocumentError(f"{where}: design is a table such as {{ rows = [1, 3], gates = ['ry', 'cx'] }}, got {shown(design)}")
    rows = None if design is None else documents.from_mapping(DesignSpace, design, f"{where}: design")
    if rows is not None and "core.ansatz" in axes:
        raise DocumentError(f"{where}: an ansatz is either chosen by name (core.ansatz) or put together (design); drop one")
    return Space(axes, rows)
