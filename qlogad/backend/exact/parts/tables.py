"""The weight-only matrices of a circuit that starts with a product state, from which forms are built.

    psi = matrix_0 r,  r real;   then, for every later upload:   psi <- matrix_l (exp(i phase_l) psi)

Small ones are computed by compiled functions if numba works, forward and backward (tables_numba.py); otherwise by torch operations
(fused.py), with the same result up to rounding.
"""

from __future__ import annotations

from functools import lru_cache, reduce
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from qlogad.backend.exact.parts.fused import Fused, Locals, Phases, source
from qlogad.backend.exact.parts.layers import Layer, LayeredCircuit, in_layers
from qlogad.backend.exact.parts.product import Product, after_start
from qlogad.backend.exact.parts.wire_starts import Start, starts
from qlogad.backend.form import Form, Later
from qlogad.circuit.circuit import Circuit
from qlogad.jit import works

__all__ = ["form_of"]

COMPILE_UP_TO = 5  # wires: beyond, products of large blocks are faster than going wire by wire


def form_of(circuit: Circuit, weights_GP: Tensor) -> Form:
    """The tables of any circuit; see `Form`."""
    return _tables(circuit, weights_GP.dtype, weights_GP.device, _compiles(circuit, weights_GP)).form(weights_GP)


def _compiles(circuit: Circuit, like: Tensor) -> bool:
    return like.device.type == "cpu" and circuit.wires <= COMPILE_UP_TO and circuit.weights > 0 and works()


class _Tables:
    """The circuit-only data, for one precision and device."""

    def __init__(self, circuit: Circuit, like: Tensor, compiles: bool) -> None:
        found = starts(circuit)
        gates = circuit.gates if found is None else after_start(circuit)
        self._product = Product(found or [Start(None, np.array([[1], [0]]))] * circuit.wires, circuit.inputs, like)
        self._fused = Fused(circuit, gates, self._product.columns, like)
        self._signs_DK = torch.cat([self._fused.signs_DK, self._fused.signs_DK])  # for real parts, then imaginary parts
        self._eye_1DD = torch.eye(2**circuit.wires, dtype=self._fused.complex, device=like.device)[None]
        uploads, begun = self._fused.uploads, self._product.angles
        self._angles = (*begun, *(angle for angle in uploads.read if angle not in begun))
        energy_LDE, self._fixed_LD = uploads.tables()
        self._energy_LDA = energy_LDE.new_zeros(*energy_LDE.shape[:2], len(self._angles))
        self._energy_LDA[..., [self._angles.index(angle) for angle in uploads.read]] = energy_LDE
        self._program = _program(circuit, in_layers(circuit, gates), self._product) if compiles else None

    def form(self, weights_GP: Tensor) -> Form:
        if self._program is None:
            first_G2DR, later_LG2MD = self.matrices(weights_GP)
        else:
            first_G2DR, later_LG2MD = cast(tuple[Tensor, Tensor], _Compiled.apply(self, weights_GP))  # type: ignore[no-untyped-call]
        table_GRD = first_G2DR.flatten(1, 2).mT
        if not len(self._fixed_LD):
            return Form("real", self._angles, table_GRD, self._signs_DK)
        unitary_LGMD, states = _joined(later_LG2MD), len(self._eye_1DD[0])
        if later_LG2MD.shape[3] > states:
            inner_LGDD = _joined(later_LG2MD[:-1, :, :, :states])
            padded = torch.nn.functional.pad(inner_LGDD, (0, 0, 0, unitary_LGMD.shape[2] - 2 * states))
            unitary_LGMD = torch.cat([padded, unitary_LGMD[-1:]])
        return Form("real", self._angles, table_GRD, self._signs_DK, Later(self._energy_LDA, self._fixed_LD, unitary_LGMD))

    def matrices(self, weights_GP: Tensor) -> tuple[Tensor, Tensor]:
        """Real and imaginary parts: of the first matrix (G, 2, D, R), and of the later ones (L, G, 2, M, D).

        M: the basis states of all measurement bases in turn. They are the rows of the last matrix, even if it is the first; the other
        matrices are padded with zeros to as many rows.
        """
        weighted = self._fused(weights_GP)
        first_GDR = self._product.matrix(weighted)
        first_G2DR = first_GDR.view(len(first_GDR), 2, -1, first_GDR.shape[2])
        found, size = [], len(self._fused.signs_DK)
        for steps in weighted.segments[1:]:
            start_GDD = self._eye_1DD.expand(len(weights_GP), -1, -1)
            state_GMD = reduce(lambda state, step: step(state), steps, start_GDD)
            parts_G2MD = torch.stack([state_GMD.real, state_GMD.imag], dim=1)
            found.append(torch.nn.functional.pad(parts_G2MD, (0, 0, 0, size - parts_G2MD.shape[2])))
        none = first_G2DR.new_zeros(0, len(weights_GP), 2, size, len(self._eye_1DD[0]))
        return first_G2DR, torch.stack(found) if found else none

    def blank(self, groups: int) -> tuple[Any, Any]:
        """Allocate the compiled matrices."""
        states, uploads, seen = len(self._eye_1DD[0]), len(self._fixed_LD), len(self._fused.signs_DK)
        columns = self._program.start.shape[2] if self._program is not None else 0
        first = np.zeros((groups, 2, states if uploads else seen, columns))
        return first, np.zeros((uploads, groups, 2, seen, states))

    @property
    def program(self) -> Any:
        """The argument of the compiled functions."""
        return self._program


class _Compiled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tables: _Tables, weights_GP: Tensor) -> tuple[Tensor, Tensor]:
        from qlogad.backend.exact.parts import tables_numba

        ctx.tables = tables
        ctx.save_for_backward(weights_GP)
        first, later = tables.blank(len(weights_GP))
        tables_numba.forward(tables.program, _doubles(weights_GP), first, later)
        return torch.from_numpy(first).to(weights_GP.dtype), torch.from_numpy(later).to(weights_GP.dtype)

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[None, Tensor]:
        from qlogad.backend.exact.parts import tables_numba

        (weights_GP,) = ctx.saved_tensors
        if not torch.is_grad_enabled():
            found = tables_numba.backward(ctx.tables.program, _doubles(weights_GP), *map(_doubles, slopes))
            return None, torch.from_numpy(found).to(weights_GP.dtype)
        kept = [(one, slope) for one, slope in zip(ctx.tables.matrices(weights_GP), slopes, strict=True) if one.numel()]
        one, slope = zip(*kept, strict=True)  # a second derivative is requested
        return None, torch.autograd.grad(one, weights_GP, slope, create_graph=True)[0]


def _joined(parts_LG2MD: Tensor) -> Tensor:
    """Complex matrices as real ones on stacked real and imaginary parts, (L, G, 2 M, 2 D)."""
    real, imaginary = parts_LG2MD.unbind(2)
    return torch.cat([torch.cat([real, -imaginary], dim=3), torch.cat([imaginary, real], dim=3)], dim=2)


def _doubles(values: Tensor) -> Any:
    return values.detach().to(torch.float64).contiguous().numpy()


def _program(circuit: Circuit, layered: LayeredCircuit, product: Product) -> Any:
    """Build the argument of the compiled functions."""
    from qlogad.backend.exact.parts.tables_numba import DIAGONAL, LOCAL, PERMUTATION, CircuitArrays

    wires, like = circuit.wires, torch.empty(0, dtype=torch.float64)
    kinds = {"local": LOCAL, "permutation": PERMUTATION, "diagonal": DIAGONAL}
    kept: dict[str, list[Layer]] = {kind: [] for kind in kinds}
    layers: list[tuple[int, int]] = []
    cuts = [0]
    for layer in layered.layers:
        if layer.kind == "upload":
            cuts.append(len(layers))
            continue
        layers.append((kinds[layer.kind], len(kept[layer.kind])))
        kept[layer.kind].append(layer)
    local = [*kept["local"], *layered.ends]
    chains = Locals(local, wires, circuit.weights, [np.eye(2, dtype=complex)] * wires, like)
    diagonals = Phases(kept["diagonal"], wires, circuit.weights, like)
    basis = np.arange(2**wires)
    begin_DR: NDArray[Any] = np.ones((1, 1))
    for column in product.reached():
        begin_DR = np.kron(begin_DR, column)
    return CircuitArrays(
        wires,
        np.array(layers, dtype=np.int64).reshape(-1, 2),
        np.array([*cuts, len(layers)]),
        np.array([len(kept["local"]) + place for place in range(len(layered.ends))] or [-1]),
        np.stack([begin_DR.real, begin_DR.imag]),
        np.array([any(gate.wires == (wire,) for gate in layer.gates) for layer in local for wire in range(wires)]),
        chains.angles.slope_AI.numpy(),
        chains.angles.shift_A1.flatten().numpy(),
        chains.table.contiguous().numpy(),
        np.array([source(layer.gates, wires, basis) for layer in kept["permutation"]], dtype=np.int64).reshape(-1, 2**wires),
        diagonals.angles.slope_AI.numpy(),
        diagonals.angles.shift_A1.flatten().numpy(),
        *(one.contiguous().numpy() for one in diagonals.tables()),
    )


@lru_cache(maxsize=128)
@torch.inference_mode(False)  # cached tensors are used in training too
def _tables(circuit: Circuit, dtype: torch.dtype, device: torch.device, compiles: bool) -> _Tables:
    return _Tables(circuit, torch.empty(0, dtype=dtype, device=device), compiles)
