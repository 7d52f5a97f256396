"""Observables pulled back through a circuit in the Pauli basis, once for all rows and calls (the Heisenberg picture).

A circuit without re-uploading is a product state followed by gates that read weights only. Its readouts, pulled back through those
gates, are real vectors over the 4^W Pauli words; of each wire of a product state only 1, cos a and sin a vary with its angle a.

    angles of a row ── (1, cos a, sin a) of every wire, Kronecker product ── @ weight-only table (3^W, K) ── means

Gates on single wires are real 4x4 matrices, fixed two-wire gates signed permutations of the words, others real 16x16 matrices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache, reduce
from itertools import product
from math import prod

import numpy as np
import torch
from torch import Tensor

from qlogad.arrays import Floats
from qlogad.backend.exact.method import Effort, Evaluator, Method, Task
from qlogad.backend.exact.parts.matrices import kron_vectors
from qlogad.backend.exact.parts.split import split
from qlogad.backend.exact.parts.transfer import (
    LETTERS,
    ZERO,
    AngleFeatures,
    Chain,
    Chains,
    kron,
    mean_of,
    pulled,
    transfer_of_kraus,
)
from qlogad.backend.exact.parts.wire_starts import starts
from qlogad.backend.form import Form
from qlogad.circuit.circuit import Circuit, Gate
from qlogad.circuit.gates import matrix

__all__ = ["MOST_WIRES", "Pauli"]

MOST_WIRES = 9  # 4^9 numbers per readout and circuit: 1 MB in single precision, and as much for every layer with a gradient


class Pauli(Method):
    """Readouts as weight-only tables over Pauli words; a call is one matrix product. Differentiable to any order.

    For few wires without re-uploading; the cost of a call does not depend on depth.
    """

    name = "pauli"

    def unfit(self, circuit: Circuit) -> str:
        if circuit.wires > MOST_WIRES:
            return f"it needs 4^wires numbers per readout, for at most {MOST_WIRES} wires, and the circuit has {circuit.wires}"
        if any(section.inputs for section in split(circuit).sections):
            return "inputs enter after other gates, as by re-uploading"
        return ""

    def effort(self, task: Task) -> Effort:
        layout = _layout(task.circuit)
        back = 3 if task.gradient else 1
        readouts, rows = len(task.circuit.readout), task.groups * task.rows
        sizes = [readouts * step.size for step in layout.steps]
        first, second = prod(layout.varying[: layout.cut]), prod(layout.varying[layout.cut :])
        built = sum(2 * size * step.matrix for size, step in zip(sizes, layout.steps, strict=True))
        held = task.groups * (sum(sizes) + 2 * readouts * first * second)
        moved = rows * (first + second + 2 * readouts * second)  # features, products, means
        kept = task.calls if task.gradient else 1
        return Effort(
            operations=2 * back * (task.groups * built + task.calls * (rows * 2 * readouts * first * second + moved)),
            traffic=back * task.itemsize * (2 * held + 10 * task.calls * moved),
            dispatches=back
            * (16 + 2 * task.circuit.wires + 4.5 * len(layout.steps) + task.calls * (4.5 + 2 * len(layout.varying))),
            memory=task.itemsize * (held + kept * moved),
        )

    def bind(self, circuit: Circuit, weights_GP: Tensor) -> Evaluator:
        return _program(circuit, weights_GP.dtype, weights_GP.device).bind(weights_GP)

    def form(self, circuit: Circuit, weights_GP: Tensor) -> Form | None:
        begun = starts(circuit)
        if begun is None or self.unfit(circuit):
            return None
        angles = tuple(start.angle for start in begun if start.angle is not None)
        return Form("trig", angles, _program(circuit, weights_GP.dtype, weights_GP.device).table(weights_GP))


@dataclass(frozen=True)
class _Moment:
    """Gates applied at once: matrices on disjoint blocks of wires, or fixed two-wire gates that permute words."""

    permutes: bool
    gates: dict[tuple[int, ...], list[Gate]]  # by block; permutations all under ()

    def takes(self, gate: Gate) -> bool:
        """Whether a gate can be added after the gates of this moment."""
        if self.permutes or _permutes(gate):
            return (self.permutes and _permutes(gate)) or tuple(sorted(gate.wires)) in self.gates
        wide = {wire for block in self.gates if len(block) == 2 for wire in block}
        return len(gate.wires) == 1 or tuple(sorted(gate.wires)) in self.gates or not wide & set(gate.wires)

    def add(self, gate: Gate) -> None:
        """Add a gate after the gates of this moment; a two-wire block absorbs blocks on its wires."""
        own = tuple(sorted(gate.wires))
        block = () if self.permutes else next((block for block in self.gates if set(own) <= set(block)), own)
        if block not in self.gates:
            self.gates[block] = [one for wire in block for one in self.gates.pop((wire,), [])]
        self.gates[block].append(gate)

    def fill(self, wires: int) -> None:
        """Give every wire a block, without gates if it has none."""
        there = {wire for block in self.gates for wire in block}
        self.gates.update({(wire,): [] for wire in range(wires) if wire not in there})


def _permutes(gate: Gate) -> bool:
    return len(gate.wires) == 2 and not gate.angles and _is_permutation(gate.name)


@cache
def _is_permutation(name: str) -> bool:
    """Whether a fixed two-wire gate maps Pauli words to Pauli words and basis states to basis states."""
    words = ["".join(letters) for alphabet in (LETTERS, "01") for letters in product(alphabet, repeat=2)]
    return all(pulled(word, Gate(name, (0, 1))) for word in words)


def _moments(gates: Sequence[Gate]) -> list[_Moment]:
    """As few moments as the order of the gates on each wire allows, greedily."""
    found: list[_Moment] = []
    last: dict[int, int] = {}  # wire -> the moment of its last gate
    for gate in gates:
        begin = max(last.get(wire, 0) for wire in gate.wires)
        place = next((at for at in range(begin, len(found)) if found[at].takes(gate)), len(found))
        if place == len(found):
            found.append(_Moment(_permutes(gate), {}))
        found[place].add(gate)
        last.update(dict.fromkeys(gate.wires, place))
    return found


_READOUTS = -1  # the axis of the readouts, next to those of the wires


@dataclass(frozen=True, eq=False)
class _Move:
    """A permutation of axes."""

    sizes: tuple[int, ...]
    order: tuple[int, ...]

    def __call__(self, x: Tensor) -> Tensor:
        """(G, ...) -> (G, the permuted axes)."""
        return x.reshape(len(x), *self.sizes).permute(0, *(1 + axis for axis in self.order))


@dataclass(frozen=True, eq=False)
class _Contract:
    """Contract one or two blocks of a moment with the last axes of the observables, and put the result at the front."""

    move: _Move | None  # moves their axes to the end
    chains: tuple[int, ...]
    size: int  # numbers in the observables before
    matrix: int  # columns of the matrix that the blocks are multiplied by


@dataclass(frozen=True, eq=False)
class _Permute:
    """A moment of gates that permute words, on observables whose readout axis comes first or last."""

    move: _Move | None
    gates: tuple[Gate, ...]
    order: tuple[int, ...]  # of the wires before; afterwards they are in ascending order
    front: bool
    size: int
    matrix: int = 1


class _Layout:
    """How to compute a circuit's table, as far as the circuit alone determines it.

    Observables have an axis for each wire and one for the readouts; the axes are tracked here, so that few permutations are needed.
    """

    def __init__(self, circuit: Circuit) -> None:
        parts = split(circuit)
        self.begun = starts(circuit)
        self.bloch = [_Bloch(gates, circuit.inputs) for gates in parts.start] if self.begun is None else []
        columns = [start.bloch() for start in self.begun] if self.begun else [bloch.columns for bloch in self.bloch]
        self.widths = tuple(column.shape[1] for column in columns)
        self.varying = [width for width in self.widths if width > 1]
        self.cut = _cut(self.varying, len(circuit.readout))
        moments = _moments([gate for section in parts.sections for gate in section.gates])
        last = moments.pop().gates[()] if moments and moments[-1].permutes else []
        if not moments or moments[0].permutes:
            moments.insert(0, _Moment(False, {}))
        for moment in (moments[0], moments[-1]):
            moment.fill(circuit.wires)
        self.chains: list[Chain] = []
        self.steps: list[_Contract | _Permute] = []
        # the last moment applied to the readouts: a product over its blocks, which needs no contraction
        only = len(moments) == 1
        rows = _rows(circuit, last)
        for block, gates in moments[-1].gates.items():
            chain = Chain(block, tuple(gates), _together([rows[wire] for wire in block]), _begin(block, columns) if only else None)
            self.chains.append(chain)
        self._sizes = {_READOUTS: len(circuit.readout), **dict.fromkeys(range(circuit.wires), 4)}
        if only:
            self._sizes.update(enumerate(self.widths))
        self._axes = [_READOUTS, *(wire for block in moments[-1].gates for wire in block)]
        self.read = len(self.chains)  # the number of chains of the last moment
        for moment in reversed(moments[:-1]):
            if moment.permutes:
                self._permute(moment)
            else:
                self._contract(moment, columns if moment is moments[0] else None)
        self.final = self._move([*range(circuit.wires), _READOUTS])

    def _move(self, axes: list[int]) -> _Move | None:
        """Permute the axes into another order."""
        if axes == self._axes:
            return None
        move = _Move(tuple(self._sizes[axis] for axis in self._axes), tuple(self._axes.index(axis) for axis in axes))
        self._axes = axes
        return move

    def _size(self) -> int:
        return prod(self._sizes.values())

    def _permute(self, moment: _Moment) -> None:
        ends = _READOUTS in (self._axes[0], self._axes[-1])
        wires = [axis for axis in self._axes if axis != _READOUTS]
        move = None if ends else self._move([_READOUTS, *wires])
        front = self._axes[0] == _READOUTS
        self.steps.append(_Permute(move, tuple(moment.gates[()]), tuple(wires), front, self._size()))
        wires.sort()
        self._axes = [_READOUTS, *wires] if front else [*wires, _READOUTS]

    def _contract(self, moment: _Moment, columns: Sequence[Floats] | None) -> None:
        """Contract block by block, those on the last axes first; two single wires there at once."""
        left = dict(moment.gates)
        while left:
            together = next((blocks for blocks in self._at_end() if all(block in left for block in blocks)), None)
            blocks = together or (next(iter(left)),)
            wires = [wire for block in blocks for wire in block]
            others = [axis for axis in self._axes if axis not in wires]
            move, size = self._move([*others, *wires]), self._size()
            chains = [
                Chain(block, tuple(left.pop(block)), None, None if columns is None else _begin(block, columns)) for block in blocks
            ]
            if columns is not None:
                self._sizes.update({wire: self.widths[wire] for wire in wires})
            numbers = tuple(range(len(self.chains), len(self.chains) + len(chains)))
            self.steps.append(_Contract(move, numbers, size, prod(self._sizes[wire] for wire in wires)))
            self.chains += chains
            self._axes = [*wires, *others]

    def _at_end(self) -> list[tuple[tuple[int, ...], ...]]:
        """The candidate blocks on the last axes, best first."""
        *_, one, two = self._axes
        return [((one, two),), ((one,), (two,)), ((two,),)]


@lru_cache(maxsize=128)
def _layout(circuit: Circuit) -> _Layout:
    return _Layout(circuit)


class _Bloch:
    """A wire whose start depends on several angles: its means of I, X, Y, Z, without those that are always 0."""

    def __init__(self, gates: tuple[Gate, ...], inputs: int) -> None:
        whole = Chain((0,), tuple(Gate(gate.name, (0,), gate.angles) for gate in gates), columns=ZERO)
        anywhere = torch.from_numpy(np.random.default_rng(0).uniform(-np.pi, np.pi, (3, max(1, inputs))))
        (means,) = Chains([whole], anywhere)(anywhere)
        seen = [letter for letter in range(4) if means[:, letter].abs().max() > 1e-9]
        reads = any(gate.reads("input") for gate in gates)
        self.columns = np.eye(4)[:, seen] if reads else means[0].numpy()
        self.chain = replace(whole, rows=np.eye(4)[seen]) if reads else None


def _cut(widths: Sequence[int], readouts: int) -> int:
    """The wire at which to split a call's product in two, so that the intermediate result is smallest."""
    most = max(1, len(widths))

    def between(cut: int) -> int:
        first, second = prod(widths[:cut]), prod(widths[cut:])
        return first if cut == most else first + second + 2 * readouts * second

    return min(range(1, most + 1), key=between)


def _begin(block: tuple[int, ...], columns: Sequence[Floats]) -> Floats:
    """(4^wires, features) of the wires of a block, from those of each wire."""
    return reduce(kron, [columns[wire] for wire in block])


def _rows(circuit: Circuit, last: Sequence[Gate]) -> list[Floats]:
    """The letters of every readout on each wire after pulling it back through the last gates, (K, 4) each; wire 0 has the sign."""
    words, signs = list(circuit.readout), [1] * len(circuit.readout)
    for gate in reversed(last):
        for place, word in enumerate(words):
            if found := pulled(word, gate):
                words[place], signs[place] = found[0], found[1] * signs[place]
    rows = [np.array([mean_of(word[wire]) for word in words]) for wire in range(circuit.wires)]
    return [rows[0] * np.array(signs)[:, None], *rows[1:]]


def _together(rows: Sequence[Floats]) -> Floats:
    """(K, 4) of each wire -> (K, 4^wires)."""
    together = rows[0]
    for row in rows[1:]:
        together = (together[:, :, None] * row[:, None, :]).reshape(len(row), -1)
    return together


class _Program:
    """The constants of a layout, for one precision and device."""

    def __init__(self, circuit: Circuit, like: Tensor) -> None:
        self._layout = layout = _layout(circuit)
        self._readouts = len(circuit.readout)
        self._chains = Chains(layout.chains, like)
        self._words = [_Words(step, like) if isinstance(step, _Permute) else None for step in layout.steps]
        self._angles = AngleFeatures([start.angle for start in layout.begun or () if start.angle], like)
        self._bloch = Chains([bloch.chain for bloch in layout.bloch if bloch.chain], like)

    def table(self, weights_GP: Tensor) -> Tensor:
        """The table (G, F, K) of the readouts, by the features of all wires."""
        layout = self._layout
        blocks = self._chains(weights_GP)
        x = kron_vectors(blocks[: layout.read])  # (1 or G, K, ...), 1 while nothing depends on weights
        for step, words in zip(layout.steps, self._words, strict=True):
            moved = x if step.move is None else step.move(x)
            if isinstance(step, _Contract):
                matrix = _pair([blocks[place] for place in step.chains])
                x = matrix.mT @ moved.reshape(len(moved), -1, matrix.shape[1]).mT
            elif words is not None:
                x = words(moved.reshape(len(moved), *((self._readouts, -1) if step.front else (-1, self._readouts))))
        moved = x if layout.final is None else layout.final(x)
        return moved.reshape(len(moved), -1, self._readouts).expand(len(weights_GP), -1, -1)

    def bind(self, weights_GP: Tensor) -> Evaluator:
        """The evaluator for these weights: a product with the first wires' features A, then with the other wires' B, F = A B."""
        groups, cut = len(weights_GP), self._layout.cut
        others = prod(self._layout.varying[cut:])
        table_GABK = self.table(weights_GP).view(groups, -1, others, self._readouts)
        table_GAM = table_GABK.transpose(2, 3).flatten(2)  # M = K B

        def call(inputs_GNI: Tensor) -> Tensor:
            rows = inputs_GNI.shape[1]
            vectors = self._vectors(inputs_GNI)
            mean_GNM = torch.bmm(kron_vectors(vectors[:cut]).expand(groups, rows, -1), table_GAM)
            if cut == len(vectors):
                return mean_GNM
            return (mean_GNM.view(groups, rows, self._readouts, others) * kron_vectors(vectors[cut:])[..., None, :]).sum(-1)

        return call

    def _vectors(self, inputs_GNI: Tensor) -> Sequence[Tensor]:
        """The features of the start of every wire that varies, (1 or G, N, features)."""
        if not self._layout.varying:
            return [inputs_GNI.new_ones(1, 1, 1)]
        if self._layout.begun is None:
            return [means[..., 0] for means in self._bloch(inputs_GNI)]
        return self._angles(inputs_GNI).unbind(-2)


class _Words:
    """A signed permutation of the words, as a gather."""

    def __init__(self, step: _Permute, like: Tensor) -> None:
        wires = len(step.order)
        letters = list(np.indices((4,) * wires).reshape(wires, -1))  # of every word before, in the order of the wires
        signs = np.ones(4**wires)
        for gate in step.gates:  # pull every word back
            one, two = gate.wires
            images = transfer_of_kraus([matrix(gate.name)])[:, 4 * letters[one] + letters[two]]
            place = np.abs(images).argmax(axis=0)
            signs *= np.take_along_axis(images, place[None], axis=0)[0].round()
            letters[one], letters[two] = place // 4, place % 4
        number = reduce(lambda number, wire: 4 * number + letters[wire], step.order, np.zeros(4**wires, dtype=np.int64))
        self._dim = 2 if step.front else 1
        self._index = torch.from_numpy(number).to(like.device)
        self._signs = torch.from_numpy(signs).to(like) if step.front else torch.from_numpy(signs[:, None]).to(like)

    def __call__(self, x: Tensor) -> Tensor:
        return x.index_select(self._dim, self._index) * self._signs


def _pair(blocks: Sequence[Tensor]) -> Tensor:
    """The Kronecker product of one or two matrices (1 or G, 4^wires, c)."""
    if len(blocks) == 1:
        return blocks[0]
    one, two = blocks
    return (one[:, :, None, :, None] * two[:, None, :, None, :]).flatten(3).flatten(1, 2)


@lru_cache(maxsize=128)
@torch.inference_mode(False)  # cached tensors are used in training too
def _program(circuit: Circuit, dtype: torch.dtype, device: torch.device) -> _Program:
    return _Program(circuit, torch.empty(0, dtype=dtype, device=device))
