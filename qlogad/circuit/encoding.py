"""Encodings: how features enter a circuit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from qlogad.arrays import Floats
from qlogad.circuit import amplitude, expression
from qlogad.circuit.circuit import MAX_WIRES, Angle, Circuit, Init
from qlogad.circuit.design import UNSAID, Builder, Design, called, capacity, design_of, encoded_by, needs_met
from qlogad.circuit.readout import readout as words_of
from qlogad.circuit.row import raw_slots
from qlogad.errors import DesignError, one_line, shown

__all__ = ["Encoding", "assemble"]


@dataclass(frozen=True)
class Encoding:
    """An encoding: the design that puts features into a circuit, and the computation of the circuit's inputs.

    An angle that is affine in one feature stays in the circuit, whose input is that feature. Any other expression (an arctan, a
    product) is computed here, in numpy or torch, and is a separate input. Missing features are 0; more features than
    the wires hold raise an error.

    Args:
        design: a design with the role "encoding", see `Design.load`.
        uploads: the number of times the circuit encodes; used only with `scaling`.
        scaling: every upload first multiplies each feature by its own weight (Perez-Salinas et al. 2020, arXiv:1907.02085).
        values: the number of distinct values of integer features; event ids are 0 to values - 1.

    >>> encoding = Encoding.load("chen")
    >>> encoding.circuit(1).inputs, encoding.inputs(np.array([[1.0]])).round(3).tolist()
    (2, [[0.785, 0.785]])

    Raises:
        DesignError: the design is not an encoding, or cannot be scaled.
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
            raise DesignError(f"'{design.name}' prepares its state itself and cannot be scaled; use scaling = false")
        if self.scaling and (takes.integer or takes.range is not None):
            raise DesignError(
                f"encoding '{design.name}' takes {self._taken()}, and trained scaling would leave that range; use scaling = false"
            )

    @classmethod
    def load(cls, name: str | Path | Design, *, uploads: int = 1, scaling: bool = False, values: int | None = None) -> Encoding:
        """Load an encoding by name, or from a path that ends in .toml."""
        return cls(design_of(name, "encoding"), uploads, scaling, values)

    @classmethod
    def of(
        cls, encoding: str | Design, ansatz: str | Design, *, uploads: int = 1, scaling: bool = False, values: int | None = None
    ) -> Encoding:
        """The encoding of a pair of designs: the first, or the ansatz if it reads features itself.

        Raises:
            DesignError: both read features, and the encoding is not the default.
        """
        second = design_of(ansatz, "ansatz")
        named = encoding.name if isinstance(encoding, Design) else encoding
        if second.whole and named != UNSAID:
            raise DesignError(
                f"ansatz '{second.name}' reads features itself, so it takes no encoding; remove encoding = {shown(named)}"
            )
        return cls(second if second.whole else design_of(encoding, "encoding"), uploads, scaling, values)

    def features(self, wires: int) -> int:
        """The number of features that fit on a number of wires."""
        return capacity(self.design, wires)

    def wires_for(self, features: int) -> int:
        """The smallest width that holds the features, and `values` distinct integers if given.

        Raises:
            DesignError: there is no such width.
        """
        for wires in range(1, MAX_WIRES + 1) if features >= 1 else ():
            if self._holds(features, wires):
                return wires
        many = "" if self.values is None else f" of {self.values} values"
        raise DesignError(
            f"encoding '{self.design.name}' cannot hold {features} features{many} on any width from 1 to {MAX_WIRES} wires"
        )

    def _holds(self, features: int, wires: int) -> bool:
        try:
            limits = self.limits(wires)
            fits = self.values is None or limits is None or limits[1] >= self.values - 1
            return fits and self.features(wires) >= features and (self.design.needs is None or needs_met(self.design, wires))
        except DesignError:  # too narrow, or an expression beyond its bounds
            return False

    def limits(self, wires: int) -> tuple[float, float] | None:
        """The lowest and highest valid value of a feature; None if all numbers are valid (angles are periodic)."""
        if self.design.takes.range is None:
            return None
        scope = {"wires": wires} | ({} if self.values is None else {"values": self.values})
        try:
            low, high = (expression.angle(text, scope).shift for text in self.design.takes.range)
        except DesignError as error:
            fix = "; give the number of values: Encoding(..., values=V)" if self.values is None else ""
            raise DesignError(f"{called(self.design)}: takes.range: {error}{fix}") from None
        return low, high

    def circuit(self, features: int, wires: int | None = None) -> Circuit:
        """The circuit of one upload, by default on the smallest width that holds the features; reads <Z> on every wire."""
        builder = Builder(self.wires_for(features) if wires is None else wires, 1)
        self._check_count(features, builder.wires)
        builder.whole(self.design)
        return builder.circuit(None)

    def plain(self, wires: int) -> bool:
        """Whether the inputs are the unchanged features."""
        return (
            not self.weights(wires)
            and self.limits(wires) is None
            and encoded_by(self.design, wires).slots == raw_slots(self.features(wires))
        )

    def scales(self, wires: int) -> int:
        """The number of its own weights that scale features."""
        return self.uploads * self.features(wires) if self.scaling else 0

    def weights(self, wires: int) -> int:
        """The number of its own weights: first those that scale features, then the angle tables."""
        return self.scales(wires) + self._tables(wires) * (self.values or 0)

    def _tables(self, wires: int) -> int:
        tables = sum("w[" in slot for slot in encoded_by(self.design, wires).slots)
        if tables and self.values is None:
            raise DesignError(
                f"encoding '{self.design.name}' has a weight for each event id; give their number: Encoding(..., values=V)"
            )
        return tables

    def inputs(self, x_ND: Any, wires: int | None = None, weights_GE: Any = None) -> Any:
        """The circuit's inputs (..., N, I) for features (..., N, D), numpy or torch; differentiable in torch.

        Args:
            x_ND: one row per circuit run.
            wires: width of the circuit; default: the smallest that holds D features.
            weights_GE: (G, `weights(wires)`), its own weights for G circuits; the inputs are then (G, N, I).

        Raises:
            DesignError: the features do not fit, or a value is out of range.
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
        slots = encoded_by(self.design, wires).slots
        features = [x_ND[..., d] for d in range(x_ND.shape[-1])]
        if slots == raw_slots(len(features)):
            return x_ND

        def lookup(table: int, entries_GN: Any) -> Any:
            return _looked_up(tables_GT[:, table * (self.values or 0) :], entries_GN)

        like = features[0] * 0 if tables_GT is None or not tables_GT.shape[1] else features[0] * 0 + tables_GT[:, :1] * 0
        return expression.namespace(x_ND).stack([expression.feature(slot, features, lookup) + like for slot in slots], -1)

    def aliases(self, x_ND: Any, wires: int | None = None, *, tolerance: float = 0.1) -> str:
        """A one-line warning about features with values that the circuit cannot tell apart, for training data in numpy; "" if none.

        Two values of a feature alias when they lie at least pi apart in every angle, and within `tolerance` (radians) of each other
        modulo 2 pi. A feature that enters through a function or a product is not checked: it is not an angle.
        """
        wires = self.wires_for(x_ND.shape[-1]) if wires is None else wires
        encoded = encoded_by(self.design, wires)
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
        """The valid values, for messages."""
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
    """Build the circuit of an encoding followed by an ansatz on the same wires.

    Args:
        encoding: its name or path, or a design; `Encoding.inputs` computes the circuit's inputs from features.
        ansatz: its name or path, or a design; one that reads features itself is used alone.
        wires: the width of both.
        depth: layers of the ansatz; 0 is the encoding with the ansatz's `before` and `after`.
        reupload: encode again before every layer (encoding, layer, encoding, layer, ...), after `before`.
        scaling: every upload reads separate inputs, which `Encoding(scaling=True)` computes with trained weights.
        readout: a name such as "z" or "probabilities", or words; see qlogad.circuit.readout.
        init: how weights are initialized, overriding the ansatz.
        dephased: dephase all wires after each encoding and between layers, so that the state there is a probability
            vector: a classical stochastic process with the same wiring.

    >>> assemble("angle-y", "strongly-entangling", wires=4, depth=2).weights
    24

    Raises:
        DesignError: a design does not fit the width, re-uploading has no layer, or there is no such readout.
    """
    if reupload and depth == 0:
        raise DesignError("reupload = true encodes before every layer, so it needs depth >= 1")
    second = design_of(ansatz, "ansatz")
    first = Encoding.of(encoding, second, uploads=depth if reupload else 1, scaling=scaling).design
    if second.whole and reupload:
        raise DesignError(f"ansatz '{second.name}' reads features itself, in every layer; use reupload = false")
    builder = Builder(wires, depth)
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
    between = set(builder.ends) - {len(circuit.gates)}  # dephasing right before the readout would make every <X> and <Y> zero
    return replace(circuit, dephased=tuple(sorted(between))) if dephased else circuit


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


def _aliasing(values_U: Floats, scales: Sequence[float], tolerance: float) -> tuple[float, float] | None:
    """Two of the ascending values that alias in every angle, if any; compares neighbours on the circle."""
    order_U = np.argsort(np.mod(values_U * scales[0], 2 * np.pi))
    one_U, two_U = values_U[order_U], values_U[np.roll(order_U, -1)]
    alias_U = np.ones(len(values_U), dtype=bool)
    for scale in scales:
        gap_U = np.abs(scale * (one_U - two_U))
        alias_U &= (gap_U >= np.pi) & (np.abs(np.mod(gap_U + np.pi, 2 * np.pi) - np.pi) <= tolerance)
    found = np.flatnonzero(alias_U)
    return (float(one_U[found[0]]), float(two_U[found[0]])) if len(found) else None
