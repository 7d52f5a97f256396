"""Circuit designs: one TOML file per ansatz or encoding, for any number of wires and any depth; circuits/README.md teaches them.

A design is `before`, `layer` (repeated `depth` times) and `after`, each a list of rows; a row is a gate, its wires and
its angle, or rows of its own that act on each group of its wires. In an ansatz a missing angle is a fresh weight; in an
encoding it is `x[i]`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TypeVar, cast, get_args

import numpy as np
from numpy.typing import NDArray

from qlogad import documents, files, names
from qlogad.circuit import amplitude, expression
from qlogad.circuit.circuit import MAX_WIRES, Angle, Circuit, Gate, Init, z_each
from qlogad.circuit.gates import GATES, MACROS
from qlogad.circuit.readout import readout as words_of
from qlogad.circuit.wiring import STEPPED, Wires, arity, place
from qlogad.errors import DesignError, DocumentError, WidthError, did_you_mean, one_line, shown

__all__ = ["ROLES", "UNSAID", "Check", "Design", "Encoding", "Role", "Row", "Takes", "assemble", "inputs_of", "role_of"]

Role = Literal["ansatz", "encoding"]
Share = Literal["wires", "layers", "all"]
T = TypeVar("T")

ROLES: tuple[Role, ...] = ("ansatz", "encoding")
UNSAID = "angle-y"  # the encoding where none is named
MAX_DEPTH = 10_000
MAX_GATES = 100_000
MAX_NESTING = 3  # rows in rows
MAX_STEPS = 10 * MAX_GATES
_LARGEST = 10**9  # number in a file, as in expressions
_NAME = 80  # characters


@dataclass(frozen=True)
class Row:
    """One row of a design: the same gate on several wires, or the same rows on several groups of wires.

    Raises:
        DesignError: a field does not fit; the message says which, and a fix.
    """

    gate: str = ""  # a gate of the table, or "rot" (rz, ry, rz)
    on: str | tuple[Wires, ...] = ""  # a wiring pattern, or explicit wires
    flip: bool = False  # swap the wires of each gate
    reverse: bool = False  # the gates in reverse order
    stride: int | str = 1  # for ring and walk; a number or an expression in layer and wires
    start: int | str = 0  # for ring and walk
    angle: tuple[float | str, ...] = ()  # one expression per angle; empty: a fresh weight, or x[i]
    share: Share | None = None  # "wires": one weight for the row; "layers": the same weights in every layer; "all": both
    when: str | None = None  # a condition in layer and wires; the row is left out where it is false
    rows: tuple[Row, ...] = ()  # in place of a gate: rows for each group of wires, as if the group were all there is

    def __post_init__(self) -> None:
        documents.enforce(self, DesignError)
        if self.rows:
            self._check_group()
        else:
            self._check_gate()
        if self.on not in STEPPED and (self.stride, self.start) != (1, 0):
            raise DesignError(f"stride and start belong to {' and '.join(sorted(STEPPED))}, but on = {shown(self.on)}; drop them")

    def _check_group(self) -> None:
        arity(self.on)
        if self.gate or self.angle:
            raise DesignError("a row has either a `gate` or `rows`; drop one, and write each angle beside its gate")
        if self.nesting > MAX_NESTING:
            raise DesignError(f"rows hold rows at most {MAX_NESTING} deep; write them flatter")

    @property
    def nesting(self) -> int:
        """How deep its rows hold rows; 0 for a gate."""
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
            raise DesignError(f"'{self.gate}' takes {self.angles} angles, got {len(self.angle)}; write as many, or none")

    def texts(self) -> Iterator[str]:
        """Every angle that is written as text, in its rows too."""
        yield from (text for text in self.angle if isinstance(text, str))
        for row in self.rows:
            yield from row.texts()

    @property
    def parts(self) -> tuple[str, ...]:
        """The gates of the table that the row's gate stands for."""
        return MACROS.get(self.gate, (self.gate,))

    @property
    def angles(self) -> int:
        """How many angles the row's gate takes."""
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
class Check:
    """What a file says about itself, so that it can be proved."""

    weights: tuple[tuple[int, int], ...] = ()  # wires, weights of one layer
    live_weights: tuple[tuple[int, int], ...] = ()  # wires, Jacobian rank of <Z> on every wire at depth 1
    encoding: str = "angle-y"  # the encoding that live_weights was measured with


@dataclass(frozen=True)
class Takes:
    """What an encoding takes: how many features, and which values."""

    features: int | str = "wires"  # how many features so many wires hold
    range: tuple[int | float | str, int | float | str] | None = None  # lowest and highest, in wires and values
    integer: bool = False  # integers only, such as event ids


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
    check: Check = Check()
    init: Init = "uniform"  # how the weights start; "identity-block" adds to every layer its undoing, with weights of its own
    needs: str | None = None  # a condition in wires; other widths are refused
    takes: Takes = Takes()  # of an encoding: its features
    repeat: int = 1  # of an encoding: how often `layer` comes in one upload
    prepare: str = ""  # of an encoding: "amplitude", the state preparation that stands in place of rows
    where: str = field(default="", compare=False)  # what errors call it

    def __post_init__(self) -> None:
        documents.enforce(self, DesignError)

    @classmethod
    def load(cls, name: str | Path, role: Role) -> Design:
        """The design of a name, or of a path that ends in .toml.

        Raises:
            UnknownName: there is no such design.
            DesignError: the file is not well formed; one line with file, row, what was expected and a fix.
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
        """The design that a core or a layer is given: a name, a path, a table of a document, a design, or a circuit made elsewhere."""
        if isinstance(given, Mapping):
            return cls.from_mapping(given, role, where=role)
        if isinstance(given, str | Path) and "\n" not in str(given):
            return cls.load(given, role)
        return _design(given if isinstance(given, Design) else cls.from_circuit(given, role), role)

    @classmethod
    def from_circuit(cls, circuit: object, role: Role = "ansatz", *, name: str = "", **options: Any) -> Design:
        """The design that is a circuit as it is, on explicit wires: `save` writes it as a file, and a core or a layer takes it.

        Its weights are those of one layer: `depth` repeats it with fresh ones. Weights behind the last one that a gate reads are left
        out, as nothing depends on them; those before it keep their numbers, read or not. An ansatz that reads inputs is a whole circuit and
        stands without an encoding; what it measures is not kept, as a core says its readout itself.

        Args:
            circuit: of ours, of Qiskit, a PennyLane QNode, TorchLayer or tape, OpenQASM 2 or 3 as text, or the path of a .qasm file.
            role: "encoding": every parameter is a feature, whatever it is called. "ansatz": parameters called x (`from_qiskit` has the
                rule), and a QNode's argument `inputs`, are features, all others weights.
            name: unless said, that of the file or circuit.
            options: of `from_qnode` (`weight_shapes`, `inputs`) and `from_tape` (`inputs`).

        >>> from qiskit.circuit.library import zz_feature_map
        >>> Design.from_circuit(zz_feature_map(3), "encoding").takes.features
        3

        Raises:
            DesignError: it is no circuit, or has gates, angles or arguments that a design has no words for.
        """
        from qlogad.circuit.foreign import read

        found, called = read(circuit, encoding=role == "encoding", **options)
        return _explicit(found, role, name or called)

    @classmethod
    def from_mapping(cls, content: Mapping[str, Any], role: Role, *, where: str = "design", name: str = "") -> Design:
        """A design from a table, as TOML gives it; `where` is what errors call it."""
        known = ["name", "source", "needs", "init", "before", "layer", "after", "check", "provenance"]
        known += _ENCODING if role == "encoding" else []
        angles = (text for part in ("before", "layer", "after") for text in _angles(content.get(part)))
        whole = role == "ansatz" and any(_mentions(text, "x") for text in angles)
        known += ["takes"] if whole else []
        for key in content:
            if key in _ENCODING and role == "ansatz" and not (whole and key == "takes"):
                raise DesignError(f"{where}: {shown(key)} belongs to encodings, and this is an ansatz; drop it")
            if key not in known:
                raise DesignError(f"{where}: unknown key {shown(key)}{did_you_mean(key, known)}; known: {', '.join(known)}")
        if "layer" not in content and "prepare" not in content:
            raise DesignError(f"{where}: `layer` is missing; write layer = [{{ gate = 'ry', on = 'each' }}]")
        return cls(
            name=_name(_typed(content, "name", str, where, name), where),
            role=role,
            source=_typed(content, "source", str, where, ""),
            before=_rows(content, "before", where),
            layer=_rows(content, "layer", where),
            after=_rows(content, "after", where),
            check=_check(_typed(content, "check", dict, where, {}), where),
            init=_init(_typed(content, "init", str, where, "uniform"), where),
            needs=_typed(content, "needs", str, where, "") or None,
            takes=_takes(_typed(content, "takes", dict, where, {}), f"{where}: takes"),
            repeat=_repeat(content.get("repeat", 1), where),
            prepare=_prepare(_typed(content, "prepare", str, where, ""), where),
            where=where,
        )

    def build(self, wires: int, depth: int = 1, *, readout: Sequence[str] | None = None) -> Circuit:
        """The circuit on so many wires; depth 0 is `before` and `after` alone. Reads <Z> on every wire unless told otherwise.

        Raises:
            DesignError: the design does not fit the width, or is too large.
        """
        builder = _Builder(wires, depth)
        builder.init = self.init
        builder.add(self, "before")
        for layer in range(depth * self.repeat):
            builder.add(self, "layer", layer)
        builder.add(self, "after")
        return builder.circuit(readout)

    @property
    def wires(self) -> int | None:
        """The one width that it takes, where that is said as `needs = "wires == 3"`; None where there may be others."""
        found = re.fullmatch(r"wires == (\d{1,3})", self.needs or "")
        return None if found is None else int(found[1])

    @property
    def whole(self) -> bool:
        """Whether it is an ansatz that reads features itself, and says so by `takes`, so that no encoding stands before it."""
        return self.role == "ansatz" and self.takes.features != Takes.features

    def save(self, path: str | Path, provenance: Mapping[str, Any] | None = None) -> None:
        """Write the design as a .toml file; `provenance` says where it comes from (a search, a paper, a person).

        Raises:
            DesignError: the path ends otherwise, so that it would be read as something else, or not found.
        """
        if Path(path).suffix != ".toml":
            raise DesignError(f"designs are saved as .toml, got '{Path(path).name}'; save it as '{Path(path).stem}.toml'")
        files.write(path, documents.dump(self.table() | ({"provenance": dict(provenance)} if provenance else {})))

    def table(self) -> documents.Document:
        """What its file says; `from_mapping` reads it."""
        table: dict[str, Any] = {"name": self.name, "source": self.source, "needs": self.needs}
        table |= {"init": self.init} if self.init != "uniform" else {}
        table["takes"] = {f.name: getattr(self.takes, f.name) for f in fields(Takes) if getattr(self.takes, f.name) != f.default}
        table |= {"repeat": self.repeat if self.repeat != 1 else None, "prepare": self.prepare}
        table |= {part: [_row_table(row) for row in getattr(self, part)] for part in ("before", "layer", "after")}
        check = {key: {str(wires): count for wires, count in getattr(self.check, key)} for key in ("weights", "live_weights")}
        table["check"] = {key: value for key, value in check.items() if value}
        if self.check.encoding != Check.encoding:
            table["check"]["encoding"] = self.check.encoding
        kept: documents.Document = documents.plain({key: value for key, value in table.items() if value or key == "layer"})
        return kept


@dataclass(frozen=True)
class Encoding:
    """A design that puts features into a circuit, and the inputs it computes for it.

    An angle that is affine in one feature stays in the circuit, whose input is that feature. Any other expression (an arctan, a
    product) is computed here, in numpy or torch, and is an input of its own. Features beyond those given are 0; more features than
    the wires hold are refused.

    Args:
        design: from `Design.load(name, "encoding")`.
        uploads: how often the circuit encodes; counts only with `scaling`.
        scaling: every upload multiplies every feature by a weight of its own first (Perez-Salinas et al. 2020, arXiv:1907.02085).
        values: how many different integers there are, where features are integers; event ids are 0 to values - 1.

    >>> encoding = Encoding.load("chen")
    >>> encoding.circuit(1).inputs, encoding.inputs(np.array([[1.0]])).round(3).tolist()
    (2, [[0.785, 0.785]])

    Raises:
        DesignError: the design is no encoding, or cannot be scaled.
    """

    design: Design
    uploads: int = 1
    scaling: bool = False
    values: int | None = None

    def __post_init__(self) -> None:
        design, takes = self.design, self.design.takes
        if design.role != "encoding" and not design.whole:
            raise DesignError(f"'{design.name}' is an {design.role}, not an encoding; load it with role='encoding'")
        if self.scaling and design.whole:
            raise DesignError(f"'{design.name}' encodes by itself, which scaling does not reach; use scaling = false")
        if self.scaling and (takes.integer or takes.range is not None):
            raise DesignError(
                f"encoding '{design.name}' takes {self._taken()}, which a trained scaling leaves; use scaling = false"
            )

    @classmethod
    def load(cls, name: str | Path | Design, *, uploads: int = 1, scaling: bool = False, values: int | None = None) -> Encoding:
        """The encoding of a name, or of a path that ends in .toml."""
        return cls(_design(name, "encoding"), uploads, scaling, values)

    @classmethod
    def of(
        cls, encoding: str | Design, ansatz: str | Design, *, uploads: int = 1, scaling: bool = False, values: int | None = None
    ) -> Encoding:
        """What makes the inputs of the two put together: the encoding, or the ansatz where it is a whole circuit.

        Raises:
            DesignError: both encode, and the encoding is not just the one that stands where none is named.
        """
        second = _design(ansatz, "ansatz")
        named = encoding.name if isinstance(encoding, Design) else encoding
        if second.whole and named != UNSAID:
            raise DesignError(
                f"ansatz '{second.name}' reads features itself, so no encoding stands before it; leave out encoding = {shown(named)}"
            )
        return cls(second if second.whole else _design(encoding, "encoding"), uploads, scaling, values)

    def features(self, wires: int) -> int:
        """How many features so many wires hold."""
        return _capacity(self.design, wires)

    def wires_for(self, features: int) -> int:
        """The least wires that hold so many features, and `values` different integers where that is given.

        Raises:
            DesignError: no width does.
        """
        for wires in range(1, MAX_WIRES + 1) if features >= 1 else ():
            if self._holds(features, wires):
                return wires
        many = "" if self.values is None else f" of {self.values} values"
        raise DesignError(f"encoding '{self.design.name}' holds {features} features{many} on no width from 1 to {MAX_WIRES} wires")

    def _holds(self, features: int, wires: int) -> bool:
        try:
            limits = self.limits(wires)
            fits = self.values is None or limits is None or limits[1] >= self.values - 1
            return fits and self.features(wires) >= features and (self.design.needs is None or _needs_met(self.design, wires))
        except DesignError:  # too narrow, or an expression beyond its bounds
            return False

    def limits(self, wires: int) -> tuple[float, float] | None:
        """The lowest and highest value of a feature; none where every number is taken (angles repeat after their period)."""
        if self.design.takes.range is None:
            return None
        scope = {"wires": wires} | ({} if self.values is None else {"values": self.values})
        try:
            low, high = (expression.angle(text, scope).shift for text in self.design.takes.range)
        except DesignError as error:
            fix = "; say how many values there are: Encoding(..., values=V)" if self.values is None else ""
            raise DesignError(f"{_called(self.design)}: takes.range: {error}{fix}") from None
        return low, high

    def circuit(self, features: int, wires: int | None = None) -> Circuit:
        """One upload of so many features, on the least wires that hold them unless said otherwise; reads <Z> on every wire."""
        builder = _Builder(self.wires_for(features) if wires is None else wires, 1)
        self._check_count(features, builder.wires)
        builder.whole(self.design)
        return builder.circuit(None)

    def plain(self, wires: int) -> bool:
        """Whether the inputs are the features as they are."""
        return (
            not self.weights(wires)
            and self.limits(wires) is None
            and _encoded(self.design, wires).slots == _raw(self.features(wires))
        )

    def scales(self, wires: int) -> int:
        """How many weights of its own scale features."""
        return self.uploads * self.features(wires) if self.scaling else 0

    def weights(self, wires: int) -> int:
        """How many weights of its own it has: first those that scale features, then the angle tables."""
        return self.scales(wires) + self._tables(wires) * (self.values or 0)

    def _tables(self, wires: int) -> int:
        tables = sum("w[" in slot for slot in _encoded(self.design, wires).slots)
        if tables and self.values is None:
            raise DesignError(
                f"encoding '{self.design.name}' has a weight for each event id; say how many: Encoding(..., values=V)"
            )
        return tables

    def inputs(self, x_ND: Any, wires: int | None = None, weights_GE: Any = None) -> Any:
        """The circuit's inputs (..., N, I) for features (..., N, D), numpy or torch; in torch differentiable.

        Args:
            x_ND: one row per circuit run.
            wires: of the circuit; the least that hold D features unless said otherwise.
            weights_GE: (G, `weights(wires)`), its own weights for G circuits; then the inputs are (G, N, I).

        Raises:
            DesignError: the features do not fit, or a value is not taken.
        """
        if x_ND.ndim < 2:
            raise DesignError(f"encoding '{self.design.name}' takes rows of features (N, D), got shape {tuple(x_ND.shape)}")
        wires = self.wires_for(x_ND.shape[-1]) if wires is None else wires
        self._check_count(x_ND.shape[-1], wires)
        self._check_values(x_ND, wires)
        x_ND = _padded(x_ND, self.features(wires))
        if not self.weights(wires):
            return self._upload(x_ND, wires, None)
        if weights_GE is None or weights_GE.ndim != 2 or weights_GE.shape[1] != self.weights(wires):
            got = None if weights_GE is None else tuple(weights_GE.shape)
            raise DesignError(f"encoding '{self.design.name}' needs its weights, of shape (G, {self.weights(wires)}), got {got}")
        x_GND, features = x_ND.reshape(math.prod(x_ND.shape[:-2]), *x_ND.shape[-2:]), self.features(wires)
        tables_GT = weights_GE[:, self.scales(wires) :]
        if not self.scaling:
            return self._upload(x_GND, wires, tables_GT)
        parts = [x_GND * weights_GE[:, None, u * features : (u + 1) * features] for u in range(self.uploads)]
        return expression.namespace(x_ND).concatenate([self._upload(part, wires, tables_GT) for part in parts], -1)

    def _upload(self, x_ND: Any, wires: int, tables_GT: Any) -> Any:
        if self.design.prepare:
            return amplitude.angles(amplitude.amplitudes(x_ND, wires))
        slots = _encoded(self.design, wires).slots
        features = [x_ND[..., d] for d in range(x_ND.shape[-1])]
        if slots == _raw(len(features)):
            return x_ND

        def lookup(table: int, entries_GN: Any) -> Any:
            return _looked_up(tables_GT[:, table * (self.values or 0) :], entries_GN)

        like = features[0] * 0 if tables_GT is None or not tables_GT.shape[1] else features[0] * 0 + tables_GT[:, :1] * 0
        return expression.namespace(x_ND).stack([expression.feature(slot, features, lookup) + like for slot in slots], -1)

    def aliases(self, x_ND: Any, wires: int | None = None, *, tolerance: float = 0.1) -> str:
        """One line on the features with values that the circuit cannot tell apart, for training data in numpy; "" where none has.

        Two values of a feature alias when they lie at least pi apart in every angle, and within `tolerance` (radians) of each other
        modulo 2 pi. A feature that enters through a function or a product is left out: it does not enter as an angle.
        """
        wires = self.wires_for(x_ND.shape[-1]) if wires is None else wires
        encoded = _encoded(self.design, wires)
        found = {}
        for d in range(x_ND.shape[-1]):
            scales = {angle.scale for gate in encoded.gates for angle in gate.angles if _reads(angle, encoded.slots, f"x[{d}]")}
            if scales and not any(f"x[{d}]" in slot and slot != f"x[{d}]" for slot in encoded.slots):
                found[d] = _aliasing(np.unique(x_ND[:, d]), sorted(scales, key=abs), tolerance)
        pairs = {d: pair for d, pair in found.items() if pair is not None}
        if not pairs:
            return ""
        d, (one, two) = next(iter(pairs.items()))
        return (
            f"encoding '{self.design.name}': {len(pairs)} of {x_ND.shape[-1]} features alias modulo 2 pi on this data, for example "
            f"{one:g} and {two:g} of feature {d}; scale the features into [-pi, pi] or use another encoding"
        )

    def _check_count(self, features: int, wires: int) -> None:
        room = self.features(wires)
        if not 1 <= features <= room:
            raise DesignError(f"encoding '{self.design.name}' holds 1 to {room} features on {wires} wires, got {features}")

    def _check_values(self, x_ND: Any, wires: int) -> None:
        limits = self.limits(wires)
        if limits is None and not self.design.takes.integer:
            return
        good = x_ND == x_ND
        if limits is not None:
            good = good & (x_ND >= limits[0]) & (x_ND <= limits[1])
        if self.design.takes.integer:
            good = good & (x_ND == expression.namespace(x_ND).floor(x_ND))
        if not good.all():
            taken = self._taken() if limits is None else self._taken(f"{limits[0]:g}", f"{limits[1]:g}")
            bad = float(x_ND[~good].reshape(-1)[0])
            raise DesignError(f"encoding '{self.design.name}' takes {taken}, got {bad:g}; scale or map the features first")

    def _taken(self, *limits: str) -> str:
        """The valid values in words."""
        takes = self.design.takes
        low, high = limits or takes.range or ("-inf", "inf")
        return f"{'integers' if takes.integer else 'numbers'} from {one_line(low, 40)} to {one_line(high, 40)}"


def assemble(
    encoding: str | Design,
    ansatz: str | Design,
    wires: int,
    depth: int,
    *,
    reupload: bool = False,
    scaling: bool = False,
    readout: str | Sequence[str] = "z",
    init: Init | None = None,
    dephased: bool = False,
) -> Circuit:
    """An encoding, then an ansatz, on the same wires.

    Args:
        encoding: its name or path, or a design; `Encoding.inputs` makes the circuit's inputs of features.
        ansatz: its name or path, or a design; one that reads features itself stands alone.
        wires: the width of both.
        depth: layers of the ansatz; 0 is the encoding with the ansatz's `before` and `after`.
        reupload: encode again before every layer (encoding, layer, encoding, layer, ...), after `before`.
        scaling: every upload reads inputs of its own, which `Encoding(scaling=True)` makes with weights of its own.
        readout: a name such as "z" or "probabilities", or words; see qlogad.circuit.readout.
        init: how the weights start, in place of what the ansatz says.
        dephased: every wire loses its phases after each encoding and between the layers, so that the state there is a
            probability vector: a classical stochastic process of the same wiring.

    >>> assemble("angle-y", "strongly-entangling", wires=4, depth=2).weights
    24

    Raises:
        DesignError: a design does not fit the width, re-uploading has no layer, or there is no such readout.
    """
    if reupload and depth == 0:
        raise DesignError("reupload = true encodes before every layer, so it needs depth >= 1")
    second = _design(ansatz, "ansatz")
    first = Encoding.of(encoding, second, uploads=depth if reupload else 1, scaling=scaling).design
    if second.whole and reupload:
        raise DesignError(f"ansatz '{second.name}' reads features itself, in every layer; use reupload = false")
    builder = _Builder(wires, depth)
    builder.init = init or second.init
    if not reupload and not second.whole:
        builder.whole(first)
    builder.add(second, "before")
    for layer in range(depth):
        if reupload:
            builder.whole(first, fresh=scaling)
        builder.add(second, "layer", layer)
    builder.add(second, "after")
    circuit = builder.circuit(words_of(readout, wires))
    between = set(builder.ends) - {len(circuit.gates)}  # phases lost right before the readout would silence every X and Y
    return replace(circuit, dephased=tuple(sorted(between))) if dephased else circuit


def role_of(content: Mapping[str, Any]) -> Role | None:
    """What a design's table says of its role: encodings say what they take or read features, ansaetze count or name weights.

    >>> role_of({"layer": [{"gate": "ry", "on": "each", "angle": "pi * x[i]"}]})
    'encoding'

    Returns:
        None where the table would do as either.
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
    """Every angle that is written as text, in rows that may be of any kind."""
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, dict):
            angle = row.get("angle")
            yield from (text for text in (angle if isinstance(angle, list) else [angle]) if isinstance(text, str))
            yield from _angles(row.get("rows"))


def _weighted(text: str) -> bool:
    """Whether it names a weight that is trained with the circuit, and no table of an encoding."""
    try:
        return expression.numbered(text) is not None or (expression.uses(text, "w") and not expression.uses(text, "x"))
    except DesignError:  # loading says what is wrong with it
        return False


def _mentions(text: str, name: str) -> bool:
    try:
        return expression.uses(text, name)
    except DesignError:  # loading says what is wrong with it
        return False


def _design(named: str | Path | Design, role: Role) -> Design:
    if not isinstance(named, Design):
        return Design.load(named, role)
    if named.role != role:
        raise DesignError(f"'{named.name}' is an {named.role}, not an {role}; make it with role = '{role}'")
    return named


def _explicit(circuit: Circuit, role: Role, name: str) -> Design:
    """The design whose rows are the gates of a circuit."""
    if role == "encoding" and circuit.weights:
        raise DesignError(f"an encoding has features and no weights, and '{name}' has {circuit.weights}; read it as an ansatz")
    if role == "encoding" and not circuit.inputs:
        raise DesignError(f"an encoding reads features, and '{name}' has no parameters; read it as an ansatz")
    if circuit.dephased:
        raise DesignError("a dephased circuit is no unitary and no design; use the circuit it was made from")
    slots = circuit.computed or _raw(circuit.inputs)
    features = sum(slot in _raw(len(slots)) for slot in slots)
    rows = tuple(
        Row(gate.name, (gate.wires,), angle=tuple(_worded(angle, slots) for angle in gate.angles)) for gate in circuit.gates
    )
    takes = Takes(features) if circuit.inputs else Takes()
    return Design(name=_name(name or "circuit", "a circuit"), role=role, layer=rows, needs=f"wires == {circuit.wires}", takes=takes)


def _worded(angle: Angle, slots: Sequence[str]) -> float | str:
    """An angle as a file writes it."""
    if angle.source is None:
        return angle.shift
    text = f"w[{angle.index}]" if angle.source == "weight" else slots[angle.index]
    scaled = text if angle.scale == 1 else f"{angle.scale!r} * ({text})"
    return scaled if angle.shift == 0 else f"{scaled} + {angle.shift!r}"


def inputs_of(circuit: Circuit, x_ND: Any) -> Any:
    """The inputs (..., I) of a circuit that computes them from features (..., D), numpy or torch; in torch differentiable.

    >>> angle = Angle("input", 1)
    >>> circuit = Circuit(1, (Gate("ry", (0,), (angle,)),), ("Z",), 2, 0, computed=("x[0]", "x[0] ** 2"))
    >>> inputs_of(circuit, np.array([[3.0]])).tolist()
    [[3.0, 9.0]]

    Raises:
        DesignError: there are more or fewer features than it reads.
    """
    slots = circuit.computed or _raw(circuit.inputs)
    wanted = sum(slot in _raw(len(slots)) for slot in slots)
    if x_ND.shape[-1] != wanted:
        raise DesignError(f"the circuit reads {wanted} features, got {x_ND.shape[-1]}")
    features = [x_ND[..., d] for d in range(wanted)]
    return expression.namespace(x_ND).stack([expression.feature(slot, features) for slot in slots], -1) if slots else x_ND


@dataclass(frozen=True)
class _Encoded:
    """One upload: its gates, and what each of its inputs is: a feature "x[0]", or an expression in features."""

    gates: tuple[Gate, ...]
    slots: tuple[str, ...]


@lru_cache(maxsize=256)
def _encoded(design: Design, wires: int) -> _Encoded:
    builder = _Builder(wires, design.repeat)
    builder.add(design, "before")
    for layer in range(design.repeat):
        builder.add(design, "layer", layer)
    builder.add(design, "after")
    circuit, slots = builder.circuit(None), builder.inputs_in_order()
    missing = [d for d in range(_capacity(design, wires)) if not design.prepare and not any(f"x[{d}]" in slot for slot in slots)]
    if missing:
        raise DesignError(f"{_called(design)}: no row reads x[{missing[0]}] on {wires} wires; add one, or correct takes.features")
    return _Encoded(circuit.gates, slots)


def _capacity(design: Design, wires: int) -> int:
    """How many features an encoding holds."""
    try:
        room = expression.integer(design.takes.features, {"wires": wires})
    except DesignError as error:
        raise WidthError(f"{_called(design)}: takes.features: {error}; it needs fewer wires, got {wires}") from None
    if room > MAX_GATES:
        raise DesignError(
            f"{_called(design)}: takes.features gives {room} features on {wires} wires, more than {MAX_GATES}; correct it"
        )
    if room < 1:
        raise WidthError(
            f"{_called(design)}: takes.features = {one_line(design.takes.features, _NAME)} needs more than {wires} wires"
        )
    return room


def _raw(features: int) -> tuple[str, ...]:
    return tuple(f"x[{d}]" for d in range(features))


def _called(design: Design) -> str:
    return design.where or design.name


def _padded(x_ND: Any, features: int) -> Any:
    missing = features - x_ND.shape[-1]
    return expression.namespace(x_ND).concatenate([x_ND, *[x_ND[..., :1] * 0] * missing], -1) if missing else x_ND


def _looked_up(table_GV: Any, ids_GN: Any) -> Any:
    """Entry ids[g, n] of row g, (G, N)."""
    array = expression.namespace(table_GV)
    ids_GN = ids_GN.astype(int) if isinstance(ids_GN, np.ndarray) else ids_GN.long()
    rows_G = array.arange(table_GV.shape[0])
    return table_GV[rows_G[:, None], array.broadcast_to(ids_GN, (table_GV.shape[0], ids_GN.shape[-1]))]


def _reads(angle: Angle, slots: tuple[str, ...], slot: str) -> bool:
    return angle.source == "input" and slots[angle.index] == slot


def _aliasing(values_U: NDArray[np.float64], scales: Sequence[float], tolerance: float) -> tuple[float, float] | None:
    """Two of some rising values that alias in every angle, where there are such; neighbours on the circle are looked at."""
    order_U = np.argsort(np.mod(values_U * scales[0], 2 * np.pi))
    one_U, two_U = values_U[order_U], values_U[np.roll(order_U, -1)]
    alias_U = np.ones(len(values_U), dtype=bool)
    for scale in scales:
        gap_U = np.abs(scale * (one_U - two_U))
        alias_U &= (gap_U >= np.pi) & (np.abs(np.mod(gap_U + np.pi, 2 * np.pi) - np.pi) <= tolerance)
    found = np.flatnonzero(alias_U)
    return (float(one_U[found[0]]), float(two_U[found[0]])) if len(found) else None


@dataclass(frozen=True)
class _Place:
    """Where an angle stands in a design; angles of one place share a weight."""

    layer: int | None  # None: outside the layers, or shared by all of them
    path: tuple[object, ...]

    def at(self, number: int) -> _Place:
        return replace(self, path=(*self.path, number))

    def inside(self, row: Row, number: int) -> _Place:
        """In the gate or group of that number of a row; what is shared does not tell them apart."""
        layer = None if row.share in ("layers", "all") else self.layer
        return _Place(layer, (*self.path, None if row.share in ("wires", "all") else number))


def _needs_met(design: Design, wires: int) -> bool:
    try:
        return expression.truth(design.needs or "", {"wires": wires})
    except DesignError as error:
        raise DesignError(f"{_called(design)}: needs: {error}") from None


class _Builder:
    """Collects gates and hands out weights."""

    def __init__(self, wires: int, depth: int) -> None:
        if not 1 <= wires <= MAX_WIRES:
            raise DesignError(f"a circuit has 1 to {MAX_WIRES} wires, got {wires}")
        if not 0 <= depth <= MAX_DEPTH:
            raise DesignError(f"a circuit has a depth of 0 to {MAX_DEPTH}, got {depth}")
        self.wires, self.weights, self.inputs, self.features = wires, 0, 0, 0
        self.slots: dict[str, int] = {}  # what the inputs of an encoding's rows are, and their numbers so far
        self.layer: int | None = None
        self.steps = 0
        self.init: Init = "uniform"
        self.gates: list[Gate] = []
        self.block = 0  # the weight that a part names as w[0]
        self.owned: dict[_Place, int] = {}  # the weight of each place that has one
        self.twins: dict[int, int] = {}  # weights of an undone layer, which start as those of the layer
        self.ends: list[int] = []  # how many gates there are after each encoding and each layer

    def whole(self, encoding: Design, *, fresh: bool = False) -> None:
        """One upload; it reads the inputs of the uploads before it, unless they are to be fresh."""
        if encoding.needs is not None and not _needs_met(encoding, self.wires):
            raise WidthError(f"{_called(encoding)} needs {one_line(encoding.needs, _NAME)}, got wires = {self.wires}")
        one = _encoded(encoding, self.wires)
        begin = self.inputs if fresh else 0
        self.inputs = begin + len(one.slots)
        self.gates += [_shifted(gate, begin) for gate in one.gates] if begin else one.gates
        self._check_size()
        self.ends.append(len(self.gates))

    def add(self, design: Design, part: Literal["before", "layer", "after"], layer: int | None = None) -> None:
        """The rows of one part; errors say where."""
        before, begin, self.layer = self.weights, len(self.gates), layer
        if design.role == "encoding" or design.whole:
            self.features = _capacity(design, self.wires)
        numbers = [expression.numbered(text) for row in getattr(design, part) for text in row.texts()]
        self.block = self.weights
        self.weights += max((number + 1 for number in numbers if number is not None), default=0)
        if design.needs is not None and not _needs_met(design, self.wires):
            raise WidthError(f"{_called(design)} needs {one_line(design.needs, _NAME)}, got wires = {self.wires}")
        if design.prepare and part == "layer":
            self.gates += [_through(gate, lambda k: self._input(f"amplitude[{k}]")) for gate in amplitude.gates(self.wires)]
            self._check_size()
        for number, row in enumerate(getattr(design, part), start=1):
            try:
                self._row(design, row, range(self.wires), _Place(layer, (design.name, part, number)))
            except DesignError as error:
                raise type(error)(f"{_called(design)}, row {number} of {part}: {error}") from None
        if part == "layer" and layer == 0:
            stated = dict(design.check.weights).get(self.wires)
            if stated is not None and stated != self.weights - before:
                found = self.weights - before
                raise DesignError(
                    f"{_called(design)}: check.weights says {stated} weights per layer on {self.wires} wires, "
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
        """A row on a group of wires; `wires` of its expressions is the group's size, `i` and `j` are wires of the circuit."""
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
        """Affine in a feature as it is; of anything else, the value is an input."""
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
        """The number of an input, until `circuit` sorts them; equal expressions are one input."""
        return self.slots.setdefault(slot, len(self.slots))

    def inputs_in_order(self) -> tuple[str, ...]:
        """Features as they are first, by number, then expressions as they came."""
        raw = {slot: int(slot[2:-1]) for slot in self.slots if slot[2:-1].isdigit() and slot[:2] == "x["}
        return (*sorted(raw, key=raw.__getitem__), *(slot for slot in self.slots if slot not in raw))

    def _undo(self, gates: Sequence[Gate]) -> None:
        """The gates undone, with weights of their own that start equal."""
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
    """The gate with its inputs renumbered."""
    angles = [replace(angle, index=place(angle.index)) if angle.source == "input" else angle for angle in gate.angles]
    return replace(gate, angles=tuple(angles))


_ENCODING = ["takes", "repeat", "prepare"]  # keys of an encoding's file only


_TYPES: dict[str, tuple[tuple[type, ...], str]] = {  # a row's keys, the types they take, and how to write one
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


def _rows(content: Mapping[str, Any], part: str, where: str) -> tuple[Row, ...]:
    rows = _typed(content, part, list, where, [])
    return tuple(_row(row, f"{where}, row {number} of {part}") for number, row in enumerate(rows, start=1))


def _row(content: Any, where: str, nesting: int = 0) -> Row:
    if nesting > MAX_NESTING:
        raise DesignError(f"{where}: rows hold rows at most {MAX_NESTING} deep; write them flatter")
    if not isinstance(content, dict):
        raise DesignError(f"{where}: a row is a table such as {{ gate = 'ry', on = 'each' }}, got {shown(content)}")
    known = [f.name for f in fields(Row)]
    for key, value in content.items():
        if key not in known:
            raise DesignError(f"{where}: unknown key {shown(key)}{did_you_mean(key, known)}; known: {', '.join(known)}")
        types, example = _TYPES[key]
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types) or _is_out_of_bounds(value):
            raise DesignError(f"{where}: {key} = {shown(value)} is not of a kind that fits; write {example}")
    for key in ("on",) if "rows" in content else ("gate", "on"):
        if key not in content:
            raise DesignError(f"{where}: '{key}' is missing; write {_TYPES[key][1]}")
    values = dict(content)
    values["on"] = content["on"] if isinstance(content["on"], str) else tuple(_wires(item, where) for item in content["on"])
    if "rows" in values:
        inner = enumerate(content["rows"], start=1)
        values["rows"] = tuple(_row(row, f"{where}, row {number} of its rows", nesting + 1) for number, row in inner)
        if not values["rows"]:
            raise DesignError(f"{where}: rows = [] is empty; write {_TYPES['rows'][1]}")
    if "angle" in values:
        angle = values["angle"]
        values["angle"] = tuple(angle) if isinstance(angle, list) else (angle,)
        if not all(map(_is_angle, values["angle"])):
            raise DesignError(f"{where}: angle = {shown(angle)} is not of a kind that fits; write {_TYPES['angle'][1]}")
    try:
        return Row(**values)
    except DesignError as error:
        raise DesignError(f"{where}: {error}") from None


def _wires(item: Any, where: str) -> Wires:
    wires = item if isinstance(item, list) else [item]
    if not wires or not all(isinstance(wire, int) and not isinstance(wire, bool) and 0 <= wire < MAX_WIRES for wire in wires):
        raise DesignError(f"{where}: on lists wires from 0 to {MAX_WIRES - 1}, got {shown(item)}")
    if len(set(wires)) != len(wires):
        raise DesignError(f"{where}: on names the same wire twice in {shown(item)}")
    return tuple(wires)


def _check(content: dict[str, Any], where: str) -> Check:
    known = [f.name for f in fields(Check)]
    for key in content:
        if key not in known:
            raise DesignError(f"{where}: unknown key {shown('check.' + key)}{did_you_mean(key, known)}; known: {', '.join(known)}")
    counts = {key: _counts(_typed(content, key, dict, where, {}), f"{where}: check.{key}") for key in ("weights", "live_weights")}
    return Check(**counts, encoding=_typed(content, "encoding", str, where, Check.encoding))


def _takes(content: dict[str, Any], where: str) -> Takes:
    known = [f.name for f in fields(Takes)]
    for key in content:
        if key not in known:
            raise DesignError(f"{where}: unknown key {shown(key)}{did_you_mean(key, known)}; known: {', '.join(known)}")
    features, limits, integer = content.get("features", "wires"), content.get("range"), content.get("integer", False)
    if isinstance(features, float) or not _is_angle(features):
        raise DesignError(f"{where}: features = {shown(features)} is not of a kind that fits; write features = '2 * wires'")
    if not isinstance(integer, bool):
        raise DesignError(f"{where}: integer = {shown(integer)} is not of a kind that fits; write integer = true")
    if limits is not None and not (isinstance(limits, list) and len(limits) == 2 and all(map(_is_angle, limits))):
        raise DesignError(f"{where}: range = {shown(limits)} is not of a kind that fits; write range = [0, 1]")
    return Takes(features, None if limits is None else (limits[0], limits[1]), integer)


def _is_angle(value: object) -> bool:
    return isinstance(value, (int, float, str)) and not isinstance(value, bool) and not _is_out_of_bounds(value)


def _is_out_of_bounds(value: object) -> bool:
    return isinstance(value, (int, float)) and not abs(value) <= _LARGEST  # `not <=` catches NaN too


def _name(name: str, where: str) -> str:
    if name != one_line(name, _NAME):
        raise DesignError(f"{where}: name is one line of at most {_NAME} characters, got {shown(name)}")
    return name


def _repeat(value: object, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MAX_DEPTH:
        raise DesignError(f"{where}: repeat is a number from 1 to {MAX_DEPTH}, got {shown(value)}")
    return value


def _prepare(name: str, where: str) -> str:
    if name not in ("", "amplitude"):
        raise DesignError(f"{where}: prepare = {shown(name)}{did_you_mean(name, ['amplitude'])}; known: amplitude")
    return name


def _init(name: str, where: str) -> Init:
    for known in get_args(Init):
        if name == known:
            return cast(Init, known)
    raise DesignError(f"{where}: init = {shown(name)}{did_you_mean(name, get_args(Init))}; known: {', '.join(get_args(Init))}")


def _counts(table: dict[str, Any], where: str) -> tuple[tuple[int, int], ...]:
    widths = {str(wires): wires for wires in range(1, MAX_WIRES + 1)}
    for wires, count in table.items():
        if wires not in widths or not isinstance(count, int) or isinstance(count, bool) or not 0 <= count <= _LARGEST:
            raise DesignError(
                f"{where} says how many weights each width from 1 to {MAX_WIRES} has, such as {{ 4 = 16 }}, "
                f"got {one_line(wires, 20)} = {shown(count)}"
            )
    return tuple(sorted((widths[wires], count) for wires, count in table.items()))


def _typed(content: Mapping[str, Any], key: str, kind: type[T], where: str, default: T) -> T:
    value = content.get(key, default)
    if not isinstance(value, kind):
        called = {str: "text", list: "a list of rows", dict: "a table"}[kind]  # type: ignore[index]
        raise DesignError(f"{where}: {key} is {called}, got {shown(value)}")
    return value


def _row_table(row: Row) -> dict[str, Any]:
    given = {f.name: getattr(row, f.name) for f in fields(Row) if getattr(row, f.name) != f.default}
    if row.rows:
        given["rows"] = [_row_table(inner) for inner in row.rows]
    if "angle" in given and len(row.angle) == 1:
        given["angle"] = row.angle[0]
    return given
