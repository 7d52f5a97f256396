"""Circuit designs: one TOML file per ansatz or encoding, for any number of wires and any depth; see circuits/README.md.

A design is `before`, `layer` (repeated `depth` times) and `after`, each a list of rows; a row is a gate, its wires and
its angle, or rows of its own that act on each group of its wires. In an ansatz a missing angle is a fresh weight; in an
encoding it is `x[i]`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from qlogad import documents, files, names
from qlogad.circuit import amplitude, expression
from qlogad.circuit.circuit import MAX_WIRES, Angle, Circuit, Gate, Init, z_each
from qlogad.circuit.gates import GATES
from qlogad.circuit.row import (
    MAX_DEPTH,
    NAME,
    Claims,
    Row,
    Takes,
    check_of,
    init_of,
    name_in,
    prepare_of,
    raw_slots,
    repeat_of,
    row_table,
    rows_of,
    takes_of,
    typed,
)
from qlogad.circuit.wiring import Wires
from qlogad.errors import DesignError, DocumentError, WidthError, did_you_mean, one_line, shown

__all__ = ["ROLES", "UNSAID", "Design", "Role", "inputs_of", "role_of"]

Role = Literal["ansatz", "encoding"]

ROLES: tuple[Role, ...] = ("ansatz", "encoding")
UNSAID = "angle-y"  # the default encoding
MAX_GATES = 100_000
MAX_STEPS = 10 * MAX_GATES


@dataclass(frozen=True)
class Design(documents.Written):
    """A circuit for any number of wires and any depth.

    >>> Design.load("qulog", "ansatz").build(wires=4, depth=1).weights
    8
    """

    name: str
    role: Role
    layer: tuple[Row, ...]
    before: tuple[Row, ...] = ()
    after: tuple[Row, ...] = ()
    source: str = ""
    check: Claims = Claims()
    init: Init = "uniform"  # how weights are initialized; "identity-block" adds the inverse of every layer, with weights of its own
    needs: str | None = None  # a condition on `wires`; other widths are refused
    takes: Takes = Takes()  # of an encoding: the features it takes
    repeat: int = 1  # of an encoding: repetitions of `layer` in one upload
    prepare: str = ""  # of an encoding: "amplitude", a state preparation in place of rows
    where: str = field(default="", compare=False)  # the name used in error messages

    def __post_init__(self) -> None:
        documents.enforce(self, DesignError)

    @classmethod
    def load(cls, name: str | Path, role: Role) -> Design:
        """Load a design by name, or from a path that ends in .toml.

        Raises:
            UnknownName: there is no such design.
            DesignError: the file is malformed; one line with file, row, what was expected and a fix.
        """
        path = names.design_path(role, str(name))
        if path.suffix == ".qasm":
            return cls.from_circuit(path, role)
        try:
            content = documents.read(path)
        except DocumentError as error:
            raise DesignError(str(error)) from error
        return cls.from_mapping(content, role, where=str(path), name=path.stem)

    @classmethod
    def of(cls, given: object, role: Role) -> Design:
        """The design behind an argument of a core or layer: a name, a path, a table, a design, or a circuit of another framework."""
        if isinstance(given, Mapping):
            return cls.from_mapping(given, role, where=role)
        if isinstance(given, str | Path) and "\n" not in str(given):
            return cls.load(given, role)
        return design_of(given if isinstance(given, Design) else cls.from_circuit(given, role), role)

    @classmethod
    def from_circuit(cls, circuit: object, role: Role = "ansatz", *, name: str = "", **options: Any) -> Design:
        """Turn a circuit into a design on explicit wires, for `save`, a core or a layer.

        Its weights are those of one layer: `depth` repeats it with fresh ones. Weights after the last one that a gate reads are
        dropped; all others keep their numbers, read or not. An ansatz that reads inputs is a whole circuit, used without an
        encoding. Measurements are dropped, since a core defines its own readout.

        Args:
            circuit: a qlogad or Qiskit circuit, a PennyLane QNode, TorchLayer or tape, OpenQASM 2 or 3 as text, or a path to a .qasm file.
            role: "encoding": every parameter is a feature, whatever its name. "ansatz": parameters named x (the rule is in `from_qiskit`)
                and a QNode's argument `inputs` are features, all others weights.
            name: name of the design; default: that of the file or circuit.
            options: passed to `from_qnode` (`weight_shapes`, `inputs`) or `from_tape` (`inputs`).

        >>> from qiskit.circuit.library import zz_feature_map
        >>> Design.from_circuit(zz_feature_map(3), "encoding").takes.features
        3

        Raises:
            DesignError: it is not a circuit, or has gates, angles or arguments that a design cannot express.
        """
        from qlogad.circuit.frameworks import read

        found, called = read(circuit, encoding=role == "encoding", **options)
        return _explicit(found, role, name or called)

    @classmethod
    def from_mapping(cls, content: Mapping[str, Any], role: Role, *, where: str = "design", name: str = "") -> Design:
        """Build a design from a table as read from TOML; `where` is the name used in error messages."""
        known = ["name", "source", "needs", "init", "before", "layer", "after", "check", "provenance"]
        known += _ENCODING if role == "encoding" else []
        angles = (text for part in ("before", "layer", "after") for text in _angles(content.get(part)))
        whole = role == "ansatz" and any(_mentions(text, "x") for text in angles)
        known += ["takes"] if whole else []
        for key in content:
            if key in _ENCODING and role == "ansatz" and not (whole and key == "takes"):
                raise DesignError(f"{where}: {shown(key)} is a key of encodings, but this is an ansatz; remove it")
            if key not in known:
                raise DesignError(f"{where}: unknown key {shown(key)}{did_you_mean(key, known)}; known: {', '.join(known)}")
        if "layer" not in content and "prepare" not in content:
            raise DesignError(f"{where}: `layer` is missing; write layer = [{{ gate = 'ry', on = 'each' }}]")
        return cls(
            name=name_in(typed(content, "name", str, where, name), where),
            role=role,
            source=typed(content, "source", str, where, ""),
            before=rows_of(content, "before", where),
            layer=rows_of(content, "layer", where),
            after=rows_of(content, "after", where),
            check=check_of(typed(content, "check", dict, where, {}), where),
            init=init_of(typed(content, "init", str, where, "uniform"), where),
            needs=typed(content, "needs", str, where, "") or None,
            takes=takes_of(typed(content, "takes", dict, where, {}), f"{where}: takes"),
            repeat=repeat_of(content.get("repeat", 1), where),
            prepare=prepare_of(typed(content, "prepare", str, where, ""), where),
            where=where,
        )

    def build(self, wires: int, depth: int = 1, *, readout: Sequence[str] | None = None) -> Circuit:
        """Build the circuit for a width and depth; depth 0 is `before` and `after` alone. The default readout is <Z> on every wire.

        Raises:
            DesignError: the design does not fit the width, or is too large.
        """
        builder = Builder(wires, depth)
        builder.init = self.init
        builder.add(self, "before")
        for layer in range(depth * self.repeat):
            builder.add(self, "layer", layer)
        builder.add(self, "after")
        return builder.circuit(readout)

    @property
    def wires(self) -> int | None:
        """The only possible width, if given as `needs = "wires == 3"`; else None."""
        found = re.fullmatch(r"wires == (\d{1,3})", self.needs or "")
        return None if found is None else int(found[1])

    @property
    def whole(self) -> bool:
        """Whether it is an ansatz that reads features itself (it has `takes`) and so is used without an encoding."""
        return self.role == "ansatz" and self.takes.features != Takes.features

    def save(self, path: str | Path, provenance: Mapping[str, Any] | None = None) -> None:
        """Write the design as a .toml file; `provenance` describes its origin (a search, a paper, a person).

        Raises:
            DesignError: the path does not end in .toml.
        """
        if Path(path).suffix != ".toml":
            raise DesignError(f"designs must be saved as .toml, got '{Path(path).name}'; save it as '{Path(path).stem}.toml'")
        files.write(path, documents.dump(self.table() | ({"provenance": dict(provenance)} if provenance else {})))

    def table(self) -> documents.Document:
        """The contents of its file, as read by `from_mapping`."""
        table: dict[str, Any] = {"name": self.name, "source": self.source, "needs": self.needs}
        table |= {"init": self.init} if self.init != "uniform" else {}
        table["takes"] = {f.name: getattr(self.takes, f.name) for f in fields(Takes) if getattr(self.takes, f.name) != f.default}
        table |= {"repeat": self.repeat if self.repeat != 1 else None, "prepare": self.prepare}
        table |= {part: [row_table(row) for row in getattr(self, part)] for part in ("before", "layer", "after")}
        check = {key: {str(wires): count for wires, count in getattr(self.check, key)} for key in ("weights", "live_weights")}
        table["check"] = {key: value for key, value in check.items() if value}
        if self.check.encoding != Claims.encoding:
            table["check"]["encoding"] = self.check.encoding
        kept: documents.Document = documents.plain({key: value for key, value in table.items() if value or key == "layer"})
        return kept


def role_of(content: Mapping[str, Any]) -> Role | None:
    """The role of a design, inferred from its table: encodings have `takes` or read features, ansaetze count or name weights.

    >>> role_of({"layer": [{"gate": "ry", "on": "each", "angle": "pi * x[i]"}]})
    'encoding'

    Returns:
        None if the table is valid as either.
    """
    angles = [text for part in ("before", "layer", "after") for text in _angles(content.get(part))]
    weights = any(key in content for key in ("check", "init")) or any(_weighted(text) for text in angles)
    if weights and any(_mentions(text, "x") for text in angles):
        return "ansatz"
    if any(key in content for key in _ENCODING) or any(_mentions(text, "x") for text in angles):
        return "encoding"
    if any(key in content for key in ("check", "init")) or any(_mentions(text, "w") for text in angles):
        return "ansatz"
    return None


def _angles(rows: object) -> Iterator[str]:
    """Every angle given as text, in unchecked rows."""
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, dict):
            angle = row.get("angle")
            yield from (text for text in (angle if isinstance(angle, list) else [angle]) if isinstance(text, str))
            yield from _angles(row.get("rows"))


def _weighted(text: str) -> bool:
    """Whether an angle names a trained weight of the circuit, as opposed to an encoding's table."""
    try:
        return expression.numbered(text) is not None or (expression.uses(text, "w") and not expression.uses(text, "x"))
    except DesignError:  # loading says what is wrong with it
        return False


def _mentions(text: str, name: str) -> bool:
    try:
        return expression.uses(text, name)
    except DesignError:  # loading says what is wrong with it
        return False


def design_of(named: str | Path | Design, role: Role) -> Design:
    if not isinstance(named, Design):
        return Design.load(named, role)
    if named.role != role:
        raise DesignError(f"'{named.name}' is an {named.role}, not an {role}; make it with role = '{role}'")
    return named


def _explicit(circuit: Circuit, role: Role, name: str) -> Design:
    """The design whose rows are the gates of a circuit."""
    if role == "encoding" and circuit.weights:
        raise DesignError(
            f"an encoding has features but no weights, and '{name}' has {circuit.weights} weights; read it as an ansatz"
        )
    if role == "encoding" and not circuit.inputs:
        raise DesignError(f"an encoding reads features, but '{name}' has no parameters; read it as an ansatz")
    if circuit.dephased:
        raise DesignError("a dephased circuit is not unitary and cannot be a design; use the circuit it was made from")
    slots = circuit.computed or raw_slots(circuit.inputs)
    features = sum(slot in raw_slots(len(slots)) for slot in slots)
    rows = tuple(
        Row(gate.name, (gate.wires,), angle=tuple(_worded(angle, slots) for angle in gate.angles)) for gate in circuit.gates
    )
    takes = Takes(features) if circuit.inputs else Takes()
    return Design(
        name=name_in(name or "circuit", "a circuit"), role=role, layer=rows, needs=f"wires == {circuit.wires}", takes=takes
    )


def _worded(angle: Angle, slots: Sequence[str]) -> float | str:
    """An angle as an expression of a design file."""
    if angle.source is None:
        return angle.shift
    text = f"w[{angle.index}]" if angle.source == "weight" else slots[angle.index]
    scaled = text if angle.scale == 1 else f"{angle.scale!r} * ({text})"
    return scaled if angle.shift == 0 else f"{scaled} + {angle.shift!r}"


def inputs_of(circuit: Circuit, x_ND: Any) -> Any:
    """Compute a circuit's inputs (..., I) from features (..., D), numpy or torch; differentiable in torch.

    >>> import numpy as np
    >>> angle = Angle("input", 1)
    >>> circuit = Circuit(1, (Gate("ry", (0,), (angle,)),), ("Z",), 2, 0, computed=("x[0]", "x[0] ** 2"))
    >>> inputs_of(circuit, np.array([[3.0]])).tolist()
    [[3.0, 9.0]]

    Raises:
        DesignError: the number of features is wrong.
    """
    slots = circuit.computed or raw_slots(circuit.inputs)
    wanted = sum(slot in raw_slots(len(slots)) for slot in slots)
    if x_ND.shape[-1] != wanted:
        raise DesignError(f"the circuit reads {wanted} features, got {x_ND.shape[-1]}")
    features = [x_ND[..., d] for d in range(wanted)]
    return expression.namespace(x_ND).stack([expression.feature(slot, features) for slot in slots], -1) if slots else x_ND


@dataclass(frozen=True)
class _Encoded:
    """One upload: its gates, and for each input its source: a feature "x[0]" or an expression in features."""

    gates: tuple[Gate, ...]
    slots: tuple[str, ...]


@lru_cache(maxsize=256)
def encoded_by(design: Design, wires: int) -> _Encoded:
    builder = Builder(wires, design.repeat)
    builder.add(design, "before")
    for layer in range(design.repeat):
        builder.add(design, "layer", layer)
    builder.add(design, "after")
    circuit, slots = builder.circuit(None), builder.inputs_in_order()
    missing = [d for d in range(capacity(design, wires)) if not design.prepare and not any(f"x[{d}]" in slot for slot in slots)]
    if missing:
        raise DesignError(f"{called(design)}: no row reads x[{missing[0]}] on {wires} wires; add one, or correct takes.features")
    return _Encoded(circuit.gates, slots)


def capacity(design: Design, wires: int) -> int:
    """The number of features that an encoding holds."""
    try:
        room = expression.integer(design.takes.features, {"wires": wires})
    except DesignError as error:
        raise WidthError(f"{called(design)}: takes.features: {error}; use fewer wires, got {wires}") from None
    if room > MAX_GATES:
        raise DesignError(
            f"{called(design)}: takes.features gives {room} features on {wires} wires, more than {MAX_GATES}; correct it"
        )
    if room < 1:
        raise WidthError(
            f"{called(design)}: takes.features = {one_line(design.takes.features, NAME)} needs more than {wires} wires"
        )
    return room


def called(design: Design) -> str:
    return design.where or design.name


@dataclass(frozen=True)
class _Place:
    """The position of an angle in a design; angles of equal position share a weight."""

    layer: int | None  # None: outside all layers, or shared by all
    path: tuple[object, ...]

    def at(self, number: int) -> _Place:
        return replace(self, path=(*self.path, number))

    def inside(self, row: Row, number: int) -> _Place:
        """The position within a gate or group of a row; shared rows ignore its number."""
        layer = None if row.share in ("layers", "all") else self.layer
        return _Place(layer, (*self.path, None if row.share in ("wires", "all") else number))


def needs_met(design: Design, wires: int) -> bool:
    try:
        return expression.truth(design.needs or "", {"wires": wires})
    except DesignError as error:
        raise DesignError(f"{called(design)}: needs: {error}") from None


class Builder:
    """Collects gates and allocates weights."""

    def __init__(self, wires: int, depth: int) -> None:
        if not 1 <= wires <= MAX_WIRES:
            raise DesignError(f"a circuit must have 1 to {MAX_WIRES} wires, got {wires}")
        if not 0 <= depth <= MAX_DEPTH:
            raise DesignError(f"the depth must be from 0 to {MAX_DEPTH}, got {depth}")
        self.wires, self.weights, self.inputs, self.features = wires, 0, 0, 0
        self.slots: dict[str, int] = {}  # sources of the encoding's inputs, and their numbers so far
        self.layer: int | None = None
        self.steps = 0
        self.init: Init = "uniform"
        self.gates: list[Gate] = []
        self.block = 0  # the number of w[0] in the current part
        self.owned: dict[_Place, int] = {}  # weight by position
        self.twins: dict[int, int] = {}  # weights of an inverse layer, which start equal to the layer's
        self.ends: list[int] = []  # number of gates after each encoding and each layer

    def whole(self, encoding: Design, *, fresh: bool = False) -> None:
        """Add one upload; unless `fresh`, it reads the same inputs as earlier uploads."""
        if encoding.needs is not None and not needs_met(encoding, self.wires):
            raise WidthError(f"{called(encoding)} needs {one_line(encoding.needs, NAME)}, got wires = {self.wires}")
        one = encoded_by(encoding, self.wires)
        begin = self.inputs if fresh else 0
        self.inputs = begin + len(one.slots)
        self.gates += [_shifted(gate, begin) for gate in one.gates] if begin else one.gates
        self._check_size()
        self.ends.append(len(self.gates))

    def add(self, design: Design, part: Literal["before", "layer", "after"], layer: int | None = None) -> None:
        """Add the rows of one part; errors name the place."""
        before, begin, self.layer = self.weights, len(self.gates), layer
        if design.role == "encoding" or design.whole:
            self.features = capacity(design, self.wires)
        numbers = [expression.numbered(text) for row in getattr(design, part) for text in row.texts()]
        self.block = self.weights
        self.weights += max((number + 1 for number in numbers if number is not None), default=0)
        if design.needs is not None and not needs_met(design, self.wires):
            raise WidthError(f"{called(design)} needs {one_line(design.needs, NAME)}, got wires = {self.wires}")
        if design.prepare and part == "layer":
            self.gates += [_through(gate, lambda k: self._input(f"amplitude[{k}]")) for gate in amplitude.gates(self.wires)]
            self._check_size()
        for number, row in enumerate(getattr(design, part), start=1):
            try:
                self._row(design, row, range(self.wires), _Place(layer, (design.name, part, number)))
            except DesignError as error:
                raise type(error)(f"{called(design)}, row {number} of {part}: {error}") from None
        if part == "layer" and layer == 0:
            stated = dict(design.check.weights).get(self.wires)
            if stated is not None and stated != self.weights - before:
                found = self.weights - before
                raise DesignError(
                    f"{called(design)}: check.weights says {stated} weights per layer on {self.wires} wires, "
                    f"but the rows give {found}; correct one of them"
                )
        if part == "layer":
            if design.role == "ansatz" and self.init == "identity-block":
                self._undo(self.gates[begin:])
            self.ends.append(len(self.gates))

    def _step(self) -> None:
        self.steps += 1
        if self.steps > MAX_STEPS:
            raise DesignError(f"building takes more than {MAX_STEPS} steps; use fewer wires or layers")

    def _row(self, design: Design, row: Row, on: Sequence[int], place: _Place) -> None:
        """Add a row on a group of wires; in its expressions, `wires` is the group's size, and `i` and `j` are wires of the circuit."""
        scope = {"wires": len(on)} | ({} if self.layer is None else {"layer": self.layer})
        self._step()
        for number, group in enumerate(row.places(scope)):
            self._step()
            wires, here = tuple(on[wire] for wire in group), place.inside(row, number)
            for inner, part in enumerate(row.rows, start=1):
                try:
                    self._row(design, part, wires, here.at(inner))
                except DesignError as error:
                    raise type(error)(f"row {inner} of its rows: {error}") from None
            if not row.rows:
                self._gate(design, row, wires, {**scope, **dict(zip("ij", wires, strict=False))}, here)

    def _gate(self, design: Design, row: Row, wires: Wires, scope: Mapping[str, int], place: _Place) -> None:
        encoding = design.role == "encoding"
        texts = row.angle or (("x[i]" if encoding else "w"),) * row.angles
        angles = iter(
            [
                self._angle(text, scope, encoding or (design.whole and expression.uses(text, "x")), place.at(slot))
                for slot, text in enumerate(texts)
            ]
        )
        for part in row.parts:
            self.gates.append(Gate(part, wires, tuple(next(angles) for _ in range(GATES[part].angles))))
        self._check_size()

    def _check_size(self) -> None:
        if len(self.gates) > MAX_GATES:
            raise DesignError(f"the circuit has more than {MAX_GATES} gates; use fewer wires or layers")

    def _angle(self, text: str | float, scope: Mapping[str, int], encoding: bool, place: _Place) -> Angle:
        if encoding:
            return self._encoding_angle(text, scope)
        if not expression.uses(text, "w"):
            return expression.angle(text, scope)
        if expression.numbered(text) is not None:
            return expression.angle(text, scope, weight=self.block)
        weight = self.owned.setdefault(place, self.weights)
        self.weights = max(self.weights, weight + 1)
        return expression.angle(text, scope, weight=weight)

    def _encoding_angle(self, text: str | float, scope: Mapping[str, int]) -> Angle:
        """An angle affine in one feature is kept; any other expression becomes an input."""
        try:
            if not expression.uses(text, "w"):
                found = expression.angle(text, scope, inputs=self.features)
                return found if found.source is None else replace(found, index=self._input(f"x[{found.index}]"))
        except expression.NotAffine:
            pass
        table = sum("w[" in slot for slot in self.slots)
        slot = expression.closed(str(text), scope, inputs=self.features, table=table)
        return Angle("input", self._input(slot))

    def _input(self, slot: str) -> int:
        """The provisional number of an input, before `circuit` sorts them; equal expressions share one."""
        return self.slots.setdefault(slot, len(self.slots))

    def inputs_in_order(self) -> tuple[str, ...]:
        """The inputs in order: plain features by number, then expressions by first use."""
        raw = {slot: int(slot[2:-1]) for slot in self.slots if slot[2:-1].isdigit() and slot[:2] == "x["}
        return (*sorted(raw, key=raw.__getitem__), *(slot for slot in self.slots if slot not in raw))

    def _undo(self, gates: Sequence[Gate]) -> None:
        """Add the inverse of the gates, with its own weights, which start equal to theirs."""
        for gate in reversed(gates):
            angles = []
            for angle in gate.inverse().angles:
                if angle.source == "weight":
                    twin = self.twins.setdefault(angle.index, self.weights)
                    self.weights = max(self.weights, twin + 1)
                    angle = replace(angle, index=twin)
                angles.append(angle)
            self.gates.append(replace(gate.inverse(), angles=tuple(angles)))

    def circuit(self, readout: Sequence[str] | None) -> Circuit:
        words = z_each(self.wires) if readout is None else tuple(readout)
        twins = tuple(self.twins.items())
        if self.slots:
            place = {self.slots[slot]: number for number, slot in enumerate(self.inputs_in_order())}
            self.gates, self.inputs = [_through(gate, place.__getitem__) for gate in self.gates], len(place)
        return Circuit(self.wires, tuple(self.gates), words, self.inputs, self.weights, self.init, twins)


def _shifted(gate: Gate, inputs: int) -> Gate:
    return _through(gate, lambda index: index + inputs)


def _through(gate: Gate, place: Callable[[int], int]) -> Gate:
    """A gate with renumbered inputs."""
    angles = [replace(angle, index=place(angle.index)) if angle.source == "input" else angle for angle in gate.angles]
    return replace(gate, angles=tuple(angles))


_ENCODING = ["takes", "repeat", "prepare"]  # keys of an encoding's file only
