"""State vectors through Kronecker blocks, permutations and diagonals, with a hand-written derivative.

    psi_l = V_l psi_(l-1),    mean_k = <psi_L| O_k |psi_L>

Backwards, lam is the gradient of psi: lam_L = 2 sum_k slope_k O_k psi_L and lam_(l-1) = V_l^+ lam_l. A block M has the gradient
M Tr_rest(lam psi^+), with the states before its layer; a Z word in a diagonal's phase has sum_b sign_b Im(lam_b psi_b*).

`blocks` keeps the states before each layer; `adjoint` (adjoint.py) undoes the layers instead.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce
from itertools import compress
from typing import Any, ClassVar, cast

import numpy as np
import torch
from torch import Tensor

from qlogad.arrays import Floats
from qlogad.backend.exact.method import Effort, Evaluator, Method, Task
from qlogad.backend.exact.parts.fused import (
    NARROW,
    Locals,
    chain,
    columns_pair,
    columns_slopes,
    kron_tree,
    matrix_pair,
    pieces,
    source,
    stretches,
    through,
    touched,
    turn,
)
from qlogad.backend.exact.parts.layers import Kind, Layer, block_sizes, in_layers, operations
from qlogad.backend.exact.parts.product import Product, after_start
from qlogad.backend.exact.parts.signs import Measurement, Signs
from qlogad.backend.exact.parts.wire_starts import Start, starts
from qlogad.circuit.circuit import Circuit, Gate
from qlogad.circuit.gates import matrix
from qlogad.circuit.readout import bases
from qlogad.errors import BackendError

__all__ = ["Blocks", "effort", "program_of"]

INDEXED = 14  # wires: up to this width a permutation stores its indices, beyond it recomputes them
PART = 64  # upper basis states: indices are built and used while they are in cache


class Blocks(Method):
    """Layer by layer on the states of all rows; weight-only work is done once for all calls. Any circuit, differentiable to any order;
    higher derivatives use autograd."""

    name = "blocks"

    def unfit(self, circuit: Circuit) -> str:
        return ""

    def effort(self, task: Task) -> Effort:
        return effort(task, keep=True)

    def bind(self, circuit: Circuit, weights_GP: Tensor) -> Evaluator:
        return program_of(circuit, weights_GP).bind(weights_GP, keep=True)


def effort(task: Task, *, keep: bool) -> Effort:
    """The cost, whether states before each layer are kept, which takes memory, or layers are undone, which takes another pass."""
    circuit = task.circuit
    kinds, turns = _outline(circuit)
    size = 2**circuit.wires
    amplitudes = task.calls * task.groups * task.rows * size
    passes = (3 if keep else 4) if task.gradient else 1
    blocks = len(block_sizes(circuit.wires))
    moved = sum(blocks if kind == "local" else 3 for kind in kinds) + 4 + 4 * turns  # states read and written
    kept = 1 + (len(kinds) - kinds.count("permutation") if keep else 0)
    held = 3 + (task.calls * kept if task.gradient else 0)
    built = 16 * task.groups * sum(4**wires for wires in block_sizes(circuit.wires)) * (1 + kinds.count("local"))
    return Effort(
        operations=2 * passes * (amplitudes / size * operations(kinds, circuit.wires) + amplitudes * 2 * len(circuit.readout))
        + 3 * built,
        traffic=2 * task.itemsize * (2.4 * passes * amplitudes * moved + 2 * built),
        dispatches=min(3, passes) * (30 + task.calls * (16 + 6 * len(kinds) + 8 * turns)),
        memory=2 * task.itemsize * (held * amplitudes / task.calls + built),
    )


@lru_cache(maxsize=256)
def _outline(circuit: Circuit) -> tuple[tuple[Kind, ...], int]:
    """The kinds of the layers after the first, and the number of measurement bases."""
    segments = in_layers(circuit, _gates(circuit)).kinds()
    kinds = [kind for segment in segments for kind in segment]
    uploads: list[Kind] = ["upload"] * (len(segments) - 1)
    return (*kinds, *uploads), len(bases(circuit.readout))


@lru_cache(maxsize=128)
@torch.inference_mode(False)  # cached tensors are used in training too
def _program(circuit: Circuit, dtype: torch.dtype, device: torch.device) -> _Program:
    return _Program(circuit, torch.empty(0, dtype=dtype, device=device))


def program_of(circuit: Circuit, like: Tensor) -> _Program:
    """The circuit-only data, cached for each precision and device."""
    return _program(circuit, like.dtype, like.device)


def _gates(circuit: Circuit) -> tuple[Gate, ...]:
    """The gates after the product-state start; all gates if the start is |0...0>."""
    return circuit.gates if starts(circuit) is None else after_start(circuit)


class _Program:
    """A circuit's steps after its start, and its measurement."""

    def __init__(self, circuit: Circuit, like: Tensor) -> None:
        wires, sizes = circuit.wires, block_sizes(circuit.wires)
        parts = in_layers(circuit, _gates(circuit))
        found = starts(circuit) or [Start(None, np.array([[1.0 + 0j], [0]]))] * wires
        self.product = Product(found, circuit.inputs, like)
        self._sizes = sizes
        self._locals = Locals(
            [one for one in parts.layers if one.kind == "local"], wires, circuit.weights, self.product.columns, like
        )
        self._needed = [touched(one.gates, sizes) for one in parts.layers[1:] if one.kind == "local"]
        self._of_weights = _Coefficients([one for one in parts.layers if one.kind == "diagonal"], wires, circuit.weights, like)
        self._of_inputs = _Coefficients([one for one in parts.layers if one.kind == "upload"], wires, circuit.inputs, like)
        self.measurement = Measurement(circuit, parts, like)
        self.steps = list(self._steps(parts.layers[1:], wires, like))

    def _steps(self, layers: Sequence[Layer], wires: int, like: Tensor) -> Iterator[_Step]:
        """Each step with the positions of its tensors: blocks first, then coefficients of weights, then those of inputs."""
        end = sum(map(sum, self._needed))
        needed, block = iter(self._needed), 0
        weights = ((end + place, signs) for place, signs in self._of_weights.used)
        inputs = ((end + len(self._of_weights) + place, signs) for place, signs in self._of_inputs.used)
        for layer in layers:
            if layer.kind == "local":
                places: list[int | None] = []
                for one in next(needed):
                    places.append(block if one else None)
                    block += one
                yield _Local(tuple(places), self._sizes)
            elif layer.kind == "permutation":
                yield _Permutation(layer.gates, wires, like.device)
            else:
                yield _Diagonal(*next(weights if layer.kind == "diagonal" else inputs))

    def bind(self, weights_GP: Tensor, *, keep: bool) -> Evaluator:
        """Do the weight-only work."""
        matrices_LWG22 = self._locals(weights_GP)
        later = torch.split(matrices_LWG22[1:].transpose(0, 1), self._sizes)
        each = [kron_tree(part, matrix_pair).unbind(0) for part in later] if self._needed else []
        layers = zip(zip(*each, strict=True), self._needed, strict=True)
        blocks = [block for parts, needed in layers for block in compress(parts, needed)]
        tensors = [*blocks, *self._of_weights(weights_GP[:, None])]

        def run(inputs_GNI: Tensor) -> Tensor:
            given = (self.product.halves(inputs_GNI), matrices_LWG22[0], *tensors, *self._of_inputs(inputs_GNI))
            if not torch.is_grad_enabled():
                return self.measurement.means(self.through(*given))
            return cast(Tensor, _Pass.apply(self, keep, *given))  # type: ignore[no-untyped-call]

        return run

    def through(self, halves_WGN: Tensor, wires_WG22: Tensor, *tensors: Tensor) -> Tensor:
        """The states (G, D, N) after all steps."""
        start = kron_tree(wires_WG22 @ _trig(halves_WGN).to(wires_WG22.dtype), columns_pair)
        return reduce(lambda states, step: step(states, tensors), self.steps, start)


def _trig(halves_WGN: Tensor) -> Tensor:
    """(cos, sin) of every wire, (W, G, 2, N)."""
    return torch.stack([torch.cos(halves_WGN), torch.sin(halves_WGN)], dim=2)


class _Pass(torch.autograd.Function):
    """All steps and the measurement as one autograd function."""

    @staticmethod
    def forward(ctx: Any, program: _Program, keep: bool, *given: Tensor) -> Tensor:
        halves_WGN, wires_WG22, *tensors = given
        trig_WG2N = _trig(halves_WGN)
        vectors_WG2N = wires_WG22 @ trig_WG2N.to(wires_WG22.dtype)
        states = kron_tree(vectors_WG2N, columns_pair)
        before: list[Tensor] = []
        room: list[Tensor] | None = None if keep else []
        for step in program.steps:
            if keep and step.reads_states:
                before.append(states)
            states = step(states, tensors, room)
        ctx.program, ctx.keep, ctx.count = program, keep, len(given)
        ctx.save_for_backward(*given, trig_WG2N, vectors_WG2N, *before, states)
        return program.measurement.means(states)

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, ...]:
        saved = ctx.saved_tensors  # only once: a recomputed piece cannot unpack them again
        given, (trig_WG2N, vectors_WG2N, *before, states) = saved[: ctx.count], saved[ctx.count :]
        program: _Program = ctx.program
        if torch.is_grad_enabled():  # a second derivative is requested
            if not ctx.keep:
                raise BackendError("method 'adjoint' has first derivatives only; use method 'blocks', or Exact(second=True)")
            return None, None, *_by_autograd(program, given, slopes[0])
        halves_WGN, wires_WG22, *tensors = given
        wanted = ctx.needs_input_grad[2:]
        found: list[Tensor | None] = [None] * len(tensors)
        lam = program.measurement.slope(states, slopes[0])
        states = states if ctx.keep else states.clone()
        room: list[Tensor] = []
        for step in reversed(program.steps):
            if ctx.keep and step.reads_states:
                states = before.pop()
            lam, states, slopes_of = step.back(lam, states, tensors, wanted[2:], room, undo=not ctx.keep)
            for place, slope in slopes_of:
                known = found[place]
                found[place] = slope if known is None else known + slope
        if not any(wanted[:2]):
            return None, None, None, None, *found
        slope_WG2N = columns_slopes(vectors_WG2N, lam)
        halves = wires = None
        if wanted[0]:
            (cosine, sine), (of_cosine, of_sine) = trig_WG2N.unbind(2), (wires_WG22.mH @ slope_WG2N).real.unbind(2)
            halves = (of_sine * cosine - of_cosine * sine).sum_to_size(halves_WGN.shape)
        if wanted[1]:
            wires = slope_WG2N @ trig_WG2N.mT.to(slope_WG2N.dtype)
        return None, None, halves, wires, *found


def _by_autograd(program: _Program, given: Sequence[Tensor], slope_GNK: Tensor) -> list[Tensor | None]:
    """The gradients of the given tensors, computed by autograd so that they can be differentiated again."""
    reading = [one for one in given if one.requires_grad]
    means = program.measurement.means(program.through(*given))
    found = iter(torch.autograd.grad(means, reading, slope_GNK, create_graph=True, allow_unused=True))
    return [next(found) if one.requires_grad else None for one in given]


Slopes = Sequence[tuple[int, Tensor]]  # the positions of a step's tensors, with their gradients


class _Step(ABC):
    """A unitary on states (G, D, N); it takes its tensors from those of a call.

    With `room`, a list of tensors no longer needed, states are overwritten in place or added to the list for the next step:
    allocating memory costs more than the computation.
    """

    reads_states: ClassVar[bool] = True  # the gradients of its tensors need the states before it

    @abstractmethod
    def __call__(self, states: Tensor, tensors: Sequence[Tensor], room: list[Tensor] | None = None) -> Tensor: ...

    @abstractmethod
    def back(
        self, lam: Tensor, states: Tensor, tensors: Sequence[Tensor], wanted: Sequence[bool], room: list[Tensor], *, undo: bool
    ) -> tuple[Tensor, Tensor, Slopes]:
        """The gradient of the states before it, those states, and the gradients of its tensors.

        Args:
            lam: the gradient of the states after it; overwritten.
            states: the states before it, if it reads them; with `undo` those after it, overwritten.
            tensors: of the call.
            wanted: which tensors need gradients.
            room: as in a call.
            undo: recompute the states before it.
        """


@dataclass(frozen=True)
class _Local(_Step):
    """Kronecker blocks."""

    places: tuple[int | None, ...]
    sizes: Sequence[int]

    def __call__(self, states: Tensor, tensors: Sequence[Tensor], room: list[Tensor] | None = None) -> Tensor:
        blocks = [None if place is None else tensors[place] for place in self.places]
        return through(blocks, self.sizes, states, own=room is not None)

    def back(
        self, lam: Tensor, states: Tensor, tensors: Sequence[Tensor], wanted: Sequence[bool], room: list[Tensor], *, undo: bool
    ) -> tuple[Tensor, Tensor, Slopes]:
        inverse = [None if place is None else tensors[place].mH.resolve_conj() for place in self.places]
        if not undo:
            lam = through(inverse, self.sizes, lam, own=True)
        traces: dict[int, Tensor] = {}
        for left, part in stretches(self.sizes, lam.shape[2]):
            if all(block is None for block in inverse[part]):
                continue
            wires = sum(self.sizes[part])
            for pair in zip(pieces(lam, left, wires), pieces(states, left, wires), strict=True):
                if undo:
                    for piece in pair:
                        piece.copy_(chain(inverse[part], self.sizes[part], piece))
                self._trace(part, *pair, wanted, traces)
        return lam, states, [(place, tensors[place] @ trace) for place, trace in traces.items()]

    def _trace(self, part: slice, lam: Tensor, states: Tensor, wanted: Sequence[bool], traces: dict[int, Tensor]) -> None:
        """Add the traces over one piece; other blocks of the layer, undone or not, do not change them."""
        if not any(place is not None and wanted[place] for place in self.places[part]):
            return
        groups, left, size, right = lam.shape
        right *= size
        conjugate = states.conj().resolve_conj()
        for place, wires in zip(self.places[part], self.sizes[part], strict=True):
            right //= 2**wires
            if place is not None and wanted[place]:
                shape = groups, left, 2**wires, right
                trace = _overlaps(lam.reshape(shape), conjugate.reshape(shape))
                traces[place] = traces[place] + trace if place in traces else trace
            left *= 2**wires


def _overlaps(lam_GLdR: Tensor, conjugate_GLdR: Tensor) -> Tensor:
    """The trace of lam psi^+ over all wires except those of d, (G, d, d)."""
    groups, left, side, right = lam_GLdR.shape
    if right >= NARROW:
        return (lam_GLdR @ conjugate_GLdR.mT).sum(1)
    rows = groups, left * right, side  # one long product instead of many short ones
    return lam_GLdR.mT.reshape(rows).mT @ conjugate_GLdR.mT.reshape(rows)


class _Permutation(_Step):
    """x, cx and swap are affine in the bits of a basis state, so indices are sums of those of the upper and lower wires."""

    reads_states = False

    def __init__(self, gates: Sequence[Gate], wires: int, device: torch.device) -> None:
        low = wires // 2
        halves = np.arange(2 ** (wires - low)) << low, np.arange(2**low)
        self._sides = []
        for order in (gates, gates[::-1]):
            upper, lower = (source(order, wires, half) for half in halves)
            kind = torch.int64 if wires <= INDEXED else torch.int32
            self._sides.append((torch.from_numpy(upper ^ lower[0]).to(device, kind), torch.from_numpy(lower).to(device, kind)))
        self._known = [_index(*side) for side in self._sides] if wires <= INDEXED else None

    def __call__(self, states: Tensor, tensors: Sequence[Tensor], room: list[Tensor] | None = None) -> Tensor:
        return self._gather(0, states, room)

    def back(
        self, lam: Tensor, states: Tensor, tensors: Sequence[Tensor], wanted: Sequence[bool], room: list[Tensor], *, undo: bool
    ) -> tuple[Tensor, Tensor, Slopes]:
        return self._gather(1, lam, room), self._gather(1, states, room) if undo else states, ()

    def _gather(self, side: int, states: Tensor, room: list[Tensor] | None) -> Tensor:
        if self._known is not None:
            return states.index_select(1, self._known[side])
        upper, lower = self._sides[side]
        if torch.is_grad_enabled() and states.requires_grad:  # for second derivatives
            return states.index_select(1, _index(upper, lower))
        found = room.pop() if room else torch.empty_like(states)
        flat = len(states) * states.shape[2] == 1  # one vector: torch is several times faster
        for part, target in zip(torch.split(upper, PART), torch.split(found, PART * len(lower), dim=1), strict=True):
            index = _index(part, lower)
            if flat:
                torch.index_select(states.view(-1), 0, index, out=target.view(-1))
            else:
                torch.index_select(states, 1, index, out=target)
        if room is not None:
            room.append(states)
        return found


def _index(upper: Tensor, lower: Tensor) -> Tensor:
    return (upper[:, None] ^ lower).flatten()


@dataclass(frozen=True)
class _Diagonal(_Step):
    """exp(i phase), the phase a sum of Z words with coefficients (1 or G, K, 1 or N)."""

    place: int
    signs: Signs

    def __call__(self, states: Tensor, tensors: Sequence[Tensor], room: list[Tensor] | None = None) -> Tensor:
        factor = self._factor(tensors)
        return states * factor if room is None else states.mul_(factor)

    def back(
        self, lam: Tensor, states: Tensor, tensors: Sequence[Tensor], wanted: Sequence[bool], room: list[Tensor], *, undo: bool
    ) -> tuple[Tensor, Tensor, Slopes]:
        inverse = self._factor(tensors).conj()
        lam.mul_(inverse)
        if undo:
            states.mul_(inverse)
        if not wanted[self.place]:
            return lam, states, ()
        phases = self.signs.sums((lam * states.conj()).imag)
        return lam, states, [(self.place, phases.sum_to_size(tensors[self.place].shape))]

    def _factor(self, tensors: Sequence[Tensor]) -> Tensor:
        return turn(self.signs.spread(tensors[self.place]))


class _Coefficients:
    """The coefficients of the Z words in the phases of diagonal layers, linear in inputs or weights; equal layers share them.

    They are reduced modulo 2 pi, their period: a phase that sums large ones would lose digits, or overflow.
    `used` gives, for each layer, the tensor it takes and its signs.
    """

    def __init__(self, diagonals: Sequence[Layer], wires: int, values: int, like: Tensor) -> None:
        found = [_words(layer.gates, wires, values) for layer in diagonals]
        keys = [(tuple(words), np.stack([*words.values(), np.zeros(values + 1)]).tobytes()) for words in found]
        firsts = [place for place, key in enumerate(keys) if keys.index(key) == place]
        signs = {keys[place]: Signs(list(found[place]), [1.0] * len(found[place]), wires, like) for place in firsts}
        self.used = [(list(signs).index(key), signs[key]) for key in keys]
        rows = [row for place in firsts for row in found[place].values()]
        table_KV = torch.from_numpy(np.reshape(rows, (len(rows), values + 1))).to(like)
        self._slope_KV, self._shift_K1 = table_KV[:, :-1], table_KV[:, -1:]
        self._sizes = [len(found[place]) for place in firsts]

    def __len__(self) -> int:
        return len(self._sizes)

    def __call__(self, values_GNV: Tensor) -> Sequence[Tensor]:
        """(1 or G, N, V) -> one (1 or G, K, N) per distinct layer."""
        if not self._sizes:
            return ()
        groups = len(values_GNV)
        slope_GKV = self._slope_KV.expand(groups, -1, -1)
        every_GKN = torch.baddbmm(self._shift_K1.expand(groups, -1, 1), slope_GKV, values_GNV.mT)
        return torch.split(torch.remainder(every_GKN, 2 * math.pi), self._sizes, dim=1)


def _words(gates: Sequence[Gate], wires: int, values: int) -> dict[int, Floats]:
    """The phase of diagonal gates as a sum of Z words, up to a global phase: mask -> slopes in the values, and a shift."""
    found: dict[int, Floats] = {}
    for gate in gates:
        phases = np.angle(matrix(gate.name, 1.0).diagonal())  # for one radian, or of a fixed gate
        basis = np.arange(len(phases))
        row = np.zeros(values + 1)
        row[-1] = sum(angle.shift for angle in gate.angles) if gate.angles else 1.0
        for angle in gate.angles:
            if angle.source is not None:
                row[angle.index] += angle.scale
        for word in basis[1:]:
            signs = 1.0 - 2.0 * (np.bitwise_count(basis & word) & 1)
            mask = sum((word >> place & 1) << (wires - 1 - wire) for place, wire in enumerate(reversed(gate.wires)))
            found[int(mask)] = found.get(int(mask), np.zeros(values + 1)) + (phases @ signs / len(phases)) * row
    return {mask: row for mask, row in found.items() if row.any()}
