"""Closed forms by light cones: each readout is pulled back to one Pauli word, whose mean is a product over independent wires.

Fixed Clifford gates take a Pauli word to one Pauli word (Gottesman (1998), quant-ph/9807006), and gates outside its support leave it
unchanged. The remaining circuit falls into clusters of wires; a mean is the product of the clusters' means, at any width.

    RX(x) RY(a) RX(b) ── CNOT ring ── <Z_1>    =    <Z_0 Z_1> before the ring    =    z_0 z_1,   one rotation of a vector each
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from qlogad.backend.exact.method import Effort, Evaluator, Method, Task
from qlogad.backend.exact.methods.pauli import Pauli
from qlogad.backend.exact.parts.transfer import PIECE, ZERO, Chain, Chains, Monomials, mean_of, pulled
from qlogad.circuit.circuit import Circuit, Gate
from qlogad.circuit.readout import is_projector

__all__ = ["WIDEST", "Closed"]

WIDEST = 6  # wires of a cluster: its table has up to 3^6 rows
PROJECTORS = 64  # each takes its own product over all wires

_pauli = Pauli()


class Closed(Method):
    """Products over clusters of wires: rotations and a CNOT ring, separable circuits, shallow circuits of any width.

    Clusters of one wire may read inputs anywhere; wider clusters are computed by the method `pauli`. Differentiable to any order.
    It has no tables for whole sequences: a product over clusters is cheap at any width, while a table over the angles of all wires
    would be that of `pauli` and `real`, exponential in the width.
    """

    name = "closed"

    def unfit(self, circuit: Circuit) -> str:
        if (count := sum(map(is_projector, circuit.readout))) > PROJECTORS:
            return f"it reads {count} separate basis states, more than {PROJECTORS}"
        for word, factored in zip(circuit.readout, _factored(circuit), strict=True):
            for cluster in factored.clusters:
                if cluster.wires > WIDEST:
                    return f"readout '{word:.40}' depends on {cluster.wires} entangled wires, more than {WIDEST}"
                if cluster.wires > 1 and (reason := _pauli.unfit(cluster)):
                    return f"readout '{word:.40}' depends on entangled wires, and {reason}"
        return ""

    def effort(self, task: Task) -> Effort:
        layout = _layout(task.circuit)
        back = 3 if task.gradient else 1
        wires, segments = len(layout.single), len(layout.segments)
        rows, readouts = task.groups * task.rows, len(task.circuit.readout)
        features = sum(3 ** max(sum(gate.reads("input") for gate in inputs) for inputs, _ in parts) for parts in layout.segments)
        factors = rows * readouts * 2**layout.levels
        turned = rows * wires * (features + 20 * (segments - 1) + 1)  # each segment after the first builds a matrix and a vector
        kept = task.calls if task.gradient else 1
        own = Effort(
            operations=back * (task.calls * (factors + 32 * turned) + 128 * task.groups * wires * (features + 27 * segments)),
            traffic=back * task.itemsize * task.calls * (2 * factors + 3 * turned),
            dispatches=back * (12 * segments + task.calls * (4 + 2 * layout.levels + 9 * segments)),
            memory=task.itemsize * kept * (2 * factors + 2 * turned),
        )
        others = [_pauli.effort(replace(task, circuit=cluster)) for cluster in layout.wide]
        return Effort(*(sum(getattr(one, name) for one in (own, *others)) for name in Effort.__dataclass_fields__))

    def bind(self, circuit: Circuit, weights_GP: Tensor) -> Evaluator:
        program = _program(circuit, weights_GP.dtype, weights_GP.device)
        runs = [_pauli.bind(cluster, weights_GP) for cluster in program.layout.wide]
        wires = program.wires.bind(weights_GP) if program.wires else None

        def call(inputs_GNI: Tensor) -> Tensor:
            shape = len(weights_GP), inputs_GNI.shape[1]
            found = [inputs_GNI.new_ones(1, *shape)]
            found += [] if wires is None else [wires(inputs_GNI).expand(-1, *shape)]
            found += [run(inputs_GNI).movedim(-1, 0) for run in runs]
            return program.product(torch.cat(found))

        return call


@dataclass(frozen=True)
class _Factored:
    """A readout as a product: its sign, and a one-readout circuit for each cluster of wires."""

    sign: int
    clusters: tuple[Circuit, ...]


@lru_cache(maxsize=128)
def _factored(circuit: Circuit) -> tuple[_Factored, ...]:
    return tuple(_factor(circuit, word) for word in circuit.readout)


def _factor(circuit: Circuit, word: str) -> _Factored:
    """Pull a readout back gate by gate while it stays one word, and keep the earlier gates that it then depends on."""
    sign = 1
    kept: list[Gate] = []
    held: set[int] = set()  # wires of the gates kept
    for gate in reversed(circuit.gates):
        if not any(wire in held or word[wire] != "I" for wire in gate.wires):
            continue
        found = pulled(word, gate) if held.isdisjoint(gate.wires) else None
        if found:
            word, sign = found[0], sign * found[1]
        else:
            kept.insert(0, gate)
            held.update(gate.wires)
    seen = held | {wire for wire in range(circuit.wires) if word[wire] != "I"}
    return _Factored(sign, tuple(_cluster(circuit, wires, kept, word) for wires in _connected(seen, kept)))


def _connected(wires: set[int], gates: Sequence[Gate]) -> list[list[int]]:
    """The groups of wires connected by gates, in order."""
    clusters = [{wire} for wire in sorted(wires)]
    for gate in gates:
        joined = [cluster for cluster in clusters if not cluster.isdisjoint(gate.wires)]
        clusters = [cluster for cluster in clusters if cluster.isdisjoint(gate.wires)] + [set().union(*joined)]
    return sorted(sorted(cluster) for cluster in clusters)


def _cluster(circuit: Circuit, wires: list[int], gates: Sequence[Gate], word: str) -> Circuit:
    own = tuple(replace(gate, wires=tuple(map(wires.index, gate.wires))) for gate in gates if gate.wires[0] in wires)
    return Circuit(len(wires), own, ("".join(word[wire] for wire in wires),), circuit.inputs, circuit.weights)


class _Layout:
    """The factors of all readouts, each computed once: those of single wires first, then those of wider clusters."""

    def __init__(self, circuit: Circuit) -> None:
        factored = _factored(circuit)
        clusters = list(dict.fromkeys(cluster for one in factored for cluster in one.clusters))
        self.single = [cluster for cluster in clusters if cluster.wires == 1]
        cut = [_segments(cluster.gates) for cluster in self.single]
        most = max(map(len, cut), default=0)
        self.segments = [
            *zip(*([*[_NONE] * (most - len(own)), *own] for own in cut), strict=True)
        ]  # all single wires, first to last
        words: dict[Circuit, list[str]] = {}  # clusters that differ only in their readout share a circuit
        for cluster in clusters:
            if cluster.wires > 1:
                words.setdefault(replace(cluster, readout=("I" * cluster.wires,)), []).extend(cluster.readout)
        self.wide = [replace(cluster, readout=tuple(read)) for cluster, read in words.items()]
        factors = [*self.single, *(replace(cluster, readout=(word,)) for cluster in self.wide for word in cluster.readout)]
        place = {factor: 1 + at for at, factor in enumerate(factors)}  # index 0 is the constant factor one
        self.levels = (max(len(one.clusters) for one in factored) - 1).bit_length() if any(one.clusters for one in factored) else 0
        lists = [[place[cluster] for cluster in one.clusters] for one in factored]
        self.places = [[*own, *[0] * (2**self.levels - len(own))] for own in lists]
        self.signs = [one.sign for one in factored]


@lru_cache(maxsize=128)
def _layout(circuit: Circuit) -> _Layout:
    return _Layout(circuit)


class _Program:
    """The constants of a layout, for one precision and device."""

    def __init__(self, circuit: Circuit, like: Tensor) -> None:
        self.layout = layout = _layout(circuit)
        self.wires = _Wires(layout, like) if layout.single else None
        self._places = torch.tensor(layout.places, device=like.device).T.flatten()  # first factors of all readouts, then second
        self._signs = like.new_tensor(layout.signs)[:, None, None]

    def product(self, factors_FGN: Tensor) -> Tensor:
        """The readouts (G, N, K): a tree of products over the factors of each."""
        found = factors_FGN.index_select(0, self._places)
        for _ in range(self.layout.levels):
            one, two = found.chunk(2)
            found = one * two
        return (found * self._signs).movedim(0, -1)


@lru_cache(maxsize=128)
@torch.inference_mode(False)  # cached tensors are used in training too
def _program(circuit: Circuit, dtype: torch.dtype, device: torch.device) -> _Program:
    return _Program(circuit, torch.empty(0, dtype=dtype, device=device))


class _Wires:
    """The means of independent wires, each a vector of (I, X, Y, Z) that gates rotate.

    A wire's gates are cut into segments: up to PIECE angles of inputs, then weights. A segment holds one weight-only matrix for every
    monomial of the inputs' features.
    """

    def __init__(self, layout: _Layout, like: Tensor) -> None:
        reads = [mean_of(cluster.readout[0])[None] for cluster in layout.single]
        self._monomials: list[Monomials] = []
        self._tables: list[Tensor] = []  # (wires, 4, 3^m c)
        self._chains: list[Chains] = []
        for place, parts in enumerate(layout.segments):
            first, last = place == 0, place == len(layout.segments) - 1
            begun = [Chain((0,), inputs, columns=ZERO if first else None).pieces() for inputs, _ in parts]
            monomials = Monomials([piece.angles for (piece,) in begun], like)
            tables = np.array([monomials.table(piece) for (piece,) in begun]).swapaxes(1, 2)
            self._monomials.append(monomials)
            self._tables.append(torch.from_numpy(tables.reshape(*tables.shape[:2], -1)).to(like))
            self._chains.append(
                Chains(
                    [Chain((0,), weights, read if last else None) for (_, weights), read in zip(parts, reads, strict=True)], like
                )
            )

    def bind(self, weights_GP: Tensor) -> Evaluator:
        """The evaluator for these weights: inputs (1|G, N, I) -> (wires, G, N), with N = 1 if nothing depends on inputs."""
        steps = []
        for monomials, table, chains in zip(self._monomials, self._tables, self._chains, strict=True):
            matrices_UGR4 = torch.stack(chains(weights_GP))
            units, groups, rows, _ = matrices_UGR4.shape
            step = torch.bmm(matrices_UGR4.flatten(1, 2), table).view(units, groups, rows, 3**monomials.most, -1)
            steps.append((monomials, step.transpose(2, 3).flatten(3), rows))

        def call(inputs_GNI: Tensor) -> Tensor:
            vector = inputs_GNI.new_ones(1)
            for monomials, step, rows in steps:
                rotation = torch.matmul(monomials(inputs_GNI), step)
                vector = (rotation.view(*rotation.shape[:-1], rows, rotation.shape[-1] // rows) * vector[..., None, :]).sum(-1)
            return vector[..., 0]

        return call


_Segment = tuple[tuple[Gate, ...], tuple[Gate, ...]]  # gates that read inputs, then those that read weights; fixed ones with either
_NONE: _Segment = ((), ())


def _segments(gates: Sequence[Gate]) -> list[_Segment]:
    found: list[_Segment] = [_NONE]
    for gate in gates:
        inputs, weights = found[-1]
        if not gate.reads("input") and (weights or gate.reads("weight")):
            found[-1] = inputs, (*weights, gate)
        elif gate.reads("input") and (weights or sum(one.reads("input") for one in inputs) == PIECE):
            found.append(((gate,), ()))
        else:
            found[-1] = (*inputs, gate), ()
    return found
