"""The readouts pushed back to the inputs as sums of Pauli words: the Heisenberg picture, in real numbers.

Single-wire gates are real 4 x 4 matrices on (I, X, Y, Z) of their wire, fixed two-wire gates send words to words with a sign,
rotations of two wires are real 16 x 16 matrices (Greenbaum (2015), arXiv:1509.02921). What arrives at the start meets a product state,
of whose wires only (1, cos a, sin a) can be seen: a readout is linear in the 3^W products of these (Schreiber, Eisert, Meyer (2023),
arXiv:2206.11740).

    mean = f @ table        f the Kronecker product of (1, cos a, sin a), table from weights alone, once for all calls
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache, reduce
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from qlogad.backend.exact.fused import Affine, kron_tree, matrix_pair, vector_pair
from qlogad.backend.exact.gates import apply
from qlogad.backend.exact.method import Cost, Form, Method, Run, Task
from qlogad.backend.exact.noisy import readout_vectors, transfer
from qlogad.backend.exact.start import Start, starts
from qlogad.backend.exact.unitary import split
from qlogad.circuit.circuit import Angle, Circuit, Gate
from qlogad.circuit.gates import GATES, matrix
from qlogad.circuit.noise import Noise

__all__ = ["Block", "Locals", "Pauli", "blocks", "features", "moved", "moved_word"]

MAX_WIRES = 8  # every readout of every circuit is 4^W numbers, and the features are 3^W
ROTATIONS = 3  # that a local block holds on a wire: any single-wire unitary
PAIR = 2  # wires that a local block acts on at a time

Floats = NDArray[np.float64]


class Pauli(Method):
    """Observables pushed back once, trigonometric features a call; differentiable to any order."""

    name = "pauli"

    def unfit(self, circuit: Circuit) -> str:
        if circuit.wires > MAX_WIRES:
            return f"it has {circuit.wires} wires, and 4^wires Pauli words are kept up to {MAX_WIRES}"
        if starts(circuit) is None:
            return "a wire's state begins with two angles that read inputs"
        return "it reads inputs again after the start" if any(run.inputs for run in split(circuit).runs) else ""

    def cost(self, task: Task) -> Cost:
        wires, readouts = task.circuit.wires, len(task.circuit.readout)
        kinds = [block.kind for block in blocks(task.circuit)]
        pushed = task.groups * readouts * 4**wires  # numbers that a block acts on
        features = 3 ** sum(start.angle is not None for start in starts(task.circuit) or ())
        rows = task.groups * task.rows
        back, kept = (3, task.calls) if task.gradient else (1, 1)
        local, pairs = kinds.count("local"), kinds.count("pair")
        return Cost(
            operations=back
            * (pushed * (32 * -(-wires // PAIR) * local + 32 * pairs) + task.calls * rows * features * (2 + 2 * readouts)),
            traffic=back * task.itemsize * (2 * pushed * (2 * local + len(kinds)) + task.calls * rows * features * 3),
            dispatches=back
            * (20 + 5 * wires // PAIR * local + 12 * pairs + 3 * kinds.count("clifford") + task.calls * (6 + wires)),
            memory=task.itemsize * (pushed * (2 + 2 * len(kinds) * task.gradient) + kept * rows * features * 2),
        )

    def bind(self, circuit: Circuit, weights_GP: Tensor) -> Run:
        plan = _plan(circuit, weights_GP.dtype, weights_GP.device)
        table_GFK = plan.table(weights_GP)
        return lambda inputs_GNI: plan.features(inputs_GNI) @ table_GFK

    def form(self, circuit: Circuit, weights_GP: Tensor) -> Form | None:
        plan = _plan(circuit, weights_GP.dtype, weights_GP.device)
        return Form("trig", plan.angles, plan.table(weights_GP))


@dataclass(frozen=True)
class Block:
    """Neighbouring gates that are pushed through at once.

    local: single-wire gates, at most ROTATIONS with an angle on each wire.
    clifford: fixed two-wire gates.
    pair: one rotation of two wires.
    """

    kind: Literal["local", "clifford", "pair"]
    gates: tuple[Gate, ...]


@lru_cache(maxsize=256)
def blocks(circuit: Circuit) -> tuple[Block, ...]:
    """What follows the start of a circuit, each gate in the earliest block that can hold it; the first is local, maybe empty.

    >>> from qlogad.circuit.design import assemble
    >>> [block.kind for block in blocks(assemble("angle-y", "strongly-entangling", wires=4, depth=2))]
    ['local', 'clifford', 'local', 'clifford']
    """
    found: list[tuple[str, list[Gate]]] = [("local", [])]
    last = [0] * circuit.wires  # the last block on each wire
    for gate in (gate for run in split(circuit).runs for gate in run.gates):
        kind = "local" if len(gate.wires) == 1 else "pair" if gate.angles else "clifford"
        begin = max(last[wire] for wire in gate.wires)
        options = range(begin, len(found)) if kind != "pair" else ()
        place = next((one for one in options if found[one][0] == kind and _holds(found[one][1], gate)), len(found))
        if place == len(found):
            found.append((kind, []))
        found[place][1].append(gate)
        for wire in gate.wires:
            last[wire] = place
    return tuple(Block(kind, tuple(gates)) for kind, gates in found)  # type: ignore[arg-type]


def _holds(held: Sequence[Gate], gate: Gate) -> bool:
    return not gate.angles or sum(bool(one.angles) for one in held if one.wires == gate.wires) < ROTATIONS


class Locals:
    """The matrices of local blocks, (G, P) -> (L, W, G, 4, 4): a chain of rotations is multilinear in their (1, cos a, sin a).

    Args:
        local: the blocks, the first of them with each wire's start before it: its matrices are (4, s), s the start's features,
            padded with zero columns.
        begun: every wire's start.
    """

    def __init__(self, local: Sequence[Block], begun: Sequence[Start], weights: int, like: Tensor) -> None:
        wires = len(begun)
        self._shape = (len(local), wires)
        chains = [[gate for gate in block.gates if gate.wires == (wire,)] for block in local for wire in range(wires)]
        reading = [[gate for gate in chain if gate.angles] for chain in chains]
        self._rotations = max(map(len, reading))
        padded = [[gate.angles[0] for gate in gates] + [Angle(None)] * (self._rotations - len(gates)) for gates in reading]
        self._angles = Affine([angles[place] for place in range(self._rotations) for angles in padded], weights, like)
        before = [np.hstack([bloch, np.zeros((4, 4 - bloch.shape[1]))]) for bloch in (start.bloch() for start in begun)]
        before += [np.eye(4)] * (len(chains) - wires)
        tables = [_chain(chain, first, self._rotations) for chain, first in zip(chains, before, strict=True)]
        self._table = torch.from_numpy(np.stack(tables)).flatten(2).to(like)  # (L W, 3^S, 16)

    def __call__(self, weights_GP: Tensor) -> Tensor:
        groups, chains = len(weights_GP), len(self._table)
        angle_SAG = self._angles(weights_GP).view(self._rotations, chains, groups)
        trig_SAG3 = torch.stack([torch.ones_like(angle_SAG), torch.cos(angle_SAG), torch.sin(angle_SAG)], dim=-1)
        found_AGF = kron_tree(trig_SAG3, vector_pair) if self._rotations else weights_GP.new_ones(chains, groups, 1)
        return torch.bmm(found_AGF, self._table).view(*self._shape, groups, 4, 4)


def _chain(gates: Sequence[Gate], before: Floats, rotations: int) -> Floats:
    """A chain as a multilinear function of (1, cos a, sin a): (3^S, 4, 4), the first rotation the most significant digit."""
    found = [before]
    for gate in gates:
        found = [kind @ one for one in found for kind in _parts(gate.name)]
    padded = np.zeros((3**rotations, 4, 4))
    padded[:: 3**rotations // len(found)] = found
    return padded


@cache
def _parts(name: str) -> tuple[Floats, ...]:
    """The transfer matrix of a single-wire gate as parts that go with 1, cos a and sin a; a fixed gate is one part."""
    if not GATES[name].angles:
        return (_transfer(name),)
    zero, half, quarter = _transfer(name), _transfer(name, np.pi), _transfer(name, np.pi / 2)
    constant = (zero + half) / 2
    return constant, (zero - half) / 2, quarter - constant


@cache
def _pair_parts(name: str) -> Floats:
    """The transfer matrix of a two-wire rotation as parts (5, 16, 16) that go with 1, cos a/2, sin a/2, cos a and sin a."""
    angles = np.linspace(0, 4 * np.pi, 9, endpoint=False)
    waves = np.stack([np.ones(9), np.cos(angles / 2), np.sin(angles / 2), np.cos(angles), np.sin(angles)], axis=1)
    found = np.stack([_transfer(name, angle) for angle in angles]).reshape(9, -1)
    return np.asarray(np.linalg.lstsq(waves, found)[0].reshape(5, 16, 16))


def _transfer(name: str, angle: float = 0.0) -> Floats:
    return np.asarray(transfer(torch.from_numpy(matrix(name, angle))).numpy())


def moved(gates: Sequence[Gate], wires: int) -> tuple[NDArray[np.int64], Floats]:
    """Where fixed gates send every Pauli word, word -> sign * word: (4^W,) places and signs; letters I, X, Y, Z are digits 0 to 3."""
    place = np.arange(4**wires)
    sign = np.ones(4**wires)
    for gate in gates:
        found = _transfer(gate.name)
        to, signs = np.abs(found).argmax(axis=0), found.sum(axis=0).round()
        weight = 4 ** (wires - 1 - np.array(gate.wires))
        digits = place[:, None] // weight % 4
        word = reduce(lambda one, two: 4 * one + two, digits.T)
        sign = sign * signs[word]
        new = np.stack([to[word] // 4**power % 4 for power in reversed(range(len(weight)))], axis=1)
        place = place + ((new - digits) * weight).sum(axis=1)
    return place, sign


def moved_word(word: str, gates: Sequence[Gate]) -> tuple[str, float]:
    """The word that fixed gates send to this one, and the sign: U^+ word U.

    >>> moved_word("IZ", [Gate("cx", (0, 1))])
    ('ZZ', 1.0)
    """
    letters, sign = ["IXYZ".index(letter) for letter in word], 1.0
    for gate in reversed(gates):
        row = _transfer(gate.name)[reduce(lambda one, two: 4 * one + two, (letters[wire] for wire in gate.wires))]
        found = int(np.abs(row).argmax())
        sign *= float(row[found].round())
        for wire in reversed(gate.wires):
            letters[wire], found = found % 4, found // 4
    return "".join("IXYZ"[letter] for letter in letters), sign


def features(angles: Affine, inputs_GNI: Tensor) -> Tensor:
    """(1, cos a, sin a) of angles: (A, M, 3), M the rows of all groups."""
    angle_AM = angles(inputs_GNI.reshape(-1, inputs_GNI.shape[2]))
    return torch.stack([torch.ones_like(angle_AM), torch.cos(angle_AM), torch.sin(angle_AM)], dim=-1)


class _Plan:
    """What depends on the circuit alone, for one precision and device."""

    def __init__(self, circuit: Circuit, like: Tensor) -> None:
        begun = starts(circuit)
        assert begun is not None, "unfit says so"
        self._circuit, self._blocks = circuit, list(blocks(circuit))
        self.angles = tuple(start.angle for start in begun if start.angle is not None)
        self._sizes = [1 if start.angle is None else 3 for start in begun]
        self._affine = Affine(self.angles, circuit.inputs, like)
        self._locals = Locals([block for block in self._blocks if block.kind == "local"], begun, circuit.weights, like)
        seen_KM = readout_vectors(circuit.readout, Noise(), like)
        if self._blocks[-1].kind == "clifford":  # words to words: no work for the weights
            place, sign = moved(self._blocks.pop().gates, circuit.wires)
            seen_KM = seen_KM[:, torch.from_numpy(place).to(like.device)] * torch.from_numpy(sign).to(like)
        self._seen_1KM = seen_KM[None]
        self._moves = [_signed(block.gates, circuit.wires, like) for block in self._blocks if block.kind == "clifford"]
        pairs = [block.gates[0] for block in self._blocks if block.kind == "pair"]
        self._pairs = _Pairs(pairs, circuit.weights, like) if pairs else None

    def features(self, inputs_GNI: Tensor) -> Tensor:
        """The Kronecker product of all (1, cos a, sin a), (1 or G, N, F)."""
        groups, rows, _ = inputs_GNI.shape
        if not self.angles:
            return inputs_GNI.new_ones(groups, rows, 1)
        return kron_tree(features(self._affine, inputs_GNI), vector_pair).view(groups, rows, 3 ** len(self.angles))

    def table(self, weights_GP: Tensor) -> Tensor:
        """The readouts as linear maps of the features, (G, F, K)."""
        local = iter(self._locals(weights_GP).flip(0).unbind(0))
        pairs = iter(() if self._pairs is None else self._pairs(weights_GP).flip(0).unbind(0))
        moves = reversed(self._moves)
        seen_GKM = self._seen_1KM
        for place, block in reversed(list(enumerate(self._blocks))):
            if block.kind == "local":
                seen_GKM = _pushed(seen_GKM, next(local), self._sizes if place == 0 else None)
            elif block.kind == "pair":
                seen_GKM = apply(seen_GKM, next(pairs).mT[:, None], block.gates[0].wires, self._circuit.wires, base=4)
            else:
                source, sign = next(moves)
                seen_GKM = seen_GKM.index_select(2, source) * sign
        return seen_GKM.expand(len(weights_GP), -1, -1).mT


def _signed(gates: Sequence[Gate], wires: int, like: Tensor) -> tuple[Tensor, Tensor]:
    place, sign = moved(gates, wires)
    return torch.from_numpy(place).to(like.device), torch.from_numpy(sign).to(like)


def _pushed(seen_GKM: Tensor, matrices_WG44: Tensor, sizes: Sequence[int] | None) -> Tensor:
    """Words (G, K, 4^W) pushed back through a local block; through the first one to the features of the starts."""
    wires, groups = matrices_WG44.shape[:2]
    readouts, left = seen_GKM.shape[1], 1
    for first in range(0, wires, PAIR):
        parts = matrices_WG44[first : first + PAIR]
        shown = [4] * len(parts) if sizes is None else sizes[first : first + PAIR]
        block = reduce(matrix_pair, [part[..., :size] for part, size in zip(parts.unbind(0), shown, strict=True)])  # (G, 4^k, s)
        seen = seen_GKM.reshape(len(seen_GKM), readouts * left, block.shape[1], -1)
        seen_GKM = block.mT[:, None] @ seen
        left *= block.shape[2]
    return seen_GKM.reshape(groups, readouts, -1)


class _Pairs:
    """The transfer matrices of two-wire rotations, (G, P) -> (R, G, 16, 16)."""

    def __init__(self, gates: Sequence[Gate], weights: int, like: Tensor) -> None:
        self._angles = Affine([gate.angles[0] for gate in gates], weights, like)
        self._parts = torch.from_numpy(np.stack([_pair_parts(gate.name) for gate in gates])).flatten(2).to(like)

    def __call__(self, weights_GP: Tensor) -> Tensor:
        angle_RG = self._angles(weights_GP)
        half_RG = angle_RG / 2
        waves = [torch.ones_like(angle_RG), torch.cos(half_RG), torch.sin(half_RG), torch.cos(angle_RG), torch.sin(angle_RG)]
        return torch.bmm(torch.stack(waves, dim=-1), self._parts).view(*angle_RG.shape, 16, 16)


@lru_cache(maxsize=128)
def _plan(circuit: Circuit, dtype: torch.dtype, device: torch.device) -> _Plan:
    return _Plan(circuit, torch.empty(0, dtype=dtype, device=device))
