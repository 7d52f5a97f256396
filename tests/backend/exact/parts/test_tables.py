"""Laws of the weight-only tables: compiled or in torch they are the same, and they are the circuit."""

import math
from contextlib import suppress
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor

from qlogad.backend.exact import Exact
from qlogad.backend.exact.methods.gates import Gates
from qlogad.backend.exact.parts import tables
from qlogad.backend.exact.parts.tables import form_of
from qlogad.circuit.circuit import Circuit
from qlogad.circuit.encoding import assemble
from qlogad.circuit.readout import readout
from qlogad.errors import BackendError
from qlogad.seeds import torch_generator
from qlogad.testing.circuits import random_circuit

READOUTS = ["z", "x+z", "xyz", "parity", "probabilities", "z+zeros"]


def circuits() -> list[Circuit]:
    """Random ones over the whole gate table, and designs with inputs that are read once and again."""
    found = [random_circuit(np.random.default_rng(seed), wires=1 + seed % 5, gates=20) for seed in range(20)]
    for number, (encoding, ansatz) in enumerate([("angle-y", "strongly-entangling"), ("su2", "sim14"), ("trotter", "sim7")]):
        for wires in (2, 4):
            for again in (False, True):
                words = readout(READOUTS[(2 * number + again) % len(READOUTS)], wires)
                found.append(replace(assemble(encoding, ansatz, wires, 2, reupload=again), readout=words))
    return found


def values(circuit: Circuit, copies: int = 3, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch_generator(0, "tables", circuit.digest())
    weights_GP = math.pi * torch.randn(3, circuit.weights, generator=generator, dtype=torch.float64)
    inputs_GNI = 2 * torch.randn(copies, 5, circuit.inputs, generator=generator, dtype=torch.float64)
    return weights_GP.to(dtype).requires_grad_(), inputs_GNI.to(dtype).requires_grad_()


def means(circuit: Circuit, weights_GP: Tensor, inputs_GNI: Tensor) -> Tensor:
    """The readouts (G, N, K) by the formulas in the docstring of `Form`."""
    form = form_of(circuit, weights_GP)
    assert form.signs_DK is not None
    columns = [angle.scale * inputs_GNI[..., angle.index] + angle.shift for angle in form.angles]
    angles_GNA = torch.stack(columns, dim=-1) if columns else inputs_GNI[..., :0]
    r_GNR = inputs_GNI.new_ones(*inputs_GNI.shape[:2], 1)
    for half_GN in (angles_GNA[..., : form.table.shape[1].bit_length() - 1] / 2).unbind(-1):
        r_GNR = (r_GNR[..., :, None] * torch.stack([torch.cos(half_GN), torch.sin(half_GN)], dim=-1)[..., None, :]).flatten(-2)
    psi_GND = r_GNR @ form.table
    for energy_DA, fixed_D, unitary_GMD in zip(*form.later, strict=True) if form.later else ():
        phase_GND = angles_GNA @ energy_DA.mT + fixed_D
        real, imaginary = psi_GND[..., : 2 * len(fixed_D)].chunk(2, dim=-1)
        cosine, sine = torch.cos(phase_GND), torch.sin(phase_GND)
        psi_GND = torch.cat([real * cosine - imaginary * sine, real * sine + imaginary * cosine], dim=-1) @ unitary_GMD.mT
    return psi_GND.square() @ form.signs_DK


@pytest.mark.parametrize("copies", [1, 3])
def test_tables_are_the_circuit_in_values_and_derivatives(copies: int) -> None:
    for circuit in circuits():
        given = values(circuit, copies)
        found, expected = means(circuit, *given), Gates().bind(circuit, given[0])(given[1])
        torch.testing.assert_close(found, expected.expand_as(found), rtol=0, atol=1e-12)
        costs = torch.linspace(-1, 2, found.numel(), dtype=found.dtype).view_as(found)
        for one, other in zip(
            *(torch.autograd.grad((costs * mean).sum(), given, materialize_grads=True) for mean in (found, expected)), strict=True
        ):
            torch.testing.assert_close(one, other, rtol=0, atol=1e-10)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_compiled_or_in_torch_they_are_the_same(dtype: torch.dtype) -> None:
    tolerance, compared = (1e-5 if dtype == torch.float32 else 1e-12), 0
    for circuit in circuits():
        weights_GP, _ = values(circuit, dtype=dtype)
        made = tables._tables(circuit, dtype, weights_GP.device, True)
        if made.program is None:  # it has no weights
            continue
        compiled, plain = tables._Compiled.apply(made, weights_GP), made.matrices(weights_GP)
        costs = [torch.linspace(-1, 2, one.numel()).view_as(one).cos().to(dtype) for one in plain]
        losses = [sum((cost * one).sum() for cost, one in zip(costs, found, strict=True)) for found in (compiled, plain)]
        slopes = [torch.autograd.grad(loss, weights_GP, materialize_grads=True)[0] for loss in losses]
        for one, other in zip((*compiled, slopes[0]), (*plain, slopes[1]), strict=True):
            assert one.dtype == dtype
            torch.testing.assert_close(one, other, rtol=tolerance, atol=10 * tolerance)
        compared += 1
    assert compared > 20


def test_gradients_of_gradients() -> None:
    for circuit in (assemble("angle-y", "strongly-entangling", 2, 1, readout="x+z"), assemble("su2", "sim14", 2, 1, reupload=True)):
        weights_GP, inputs_GNI = values(circuit, 1)
        given = (weights_GP[:1].detach().requires_grad_(), inputs_GNI[:, :1].detach().requires_grad_())
        assert torch.autograd.gradcheck(partial(means, circuit), given)
        assert torch.autograd.gradgradcheck(partial(means, circuit), given)


def test_again_is_the_same_to_the_last_bit() -> None:
    for circuit in circuits():
        weights_GP, _ = values(circuit, dtype=torch.float32)
        one, two = (form_of(circuit, weights_GP) for _ in range(2))
        assert torch.equal(one.table, two.table)
        assert one.later is None or torch.equal(one.later.unitary_LGMD, two.later.unitary_LGMD)


@pytest.mark.parametrize("encoding", ["angle-y", "exponential", "su2", "zz"])
@pytest.mark.parametrize("method", ["phase", "blocks", "gates"])
def test_angles_beyond_measure_give_finite_readouts_or_an_error(encoding: str, method: str) -> None:
    circuit = assemble(encoding, "sim14", 3, 2, reupload=method != "gates")
    for size in (1e30, 3e38, -3e38):
        weights_GP, inputs_GNI = values(circuit, dtype=torch.float32)
        inputs_GNI = torch.full_like(inputs_GNI, size).requires_grad_()
        with suppress(BackendError):  # where they are not, a mean is not finite either, and refused
            mean_GNK = Exact(method).bind(circuit, weights_GP)(inputs_GNI)
            slopes = torch.autograd.grad(mean_GNK.square().sum(), (weights_GP, inputs_GNI))
            assert all(torch.isfinite(one).all() for one in (mean_GNK, *slopes))


def test_angles_that_overflow_are_refused_in_one_line() -> None:
    circuit = assemble("exponential", "sim14", 3, 1)  # 4 x on its last wire
    with pytest.raises(BackendError, match=r"^angles exceed the range of torch.float32; scale the inputs"):
        Exact().bind(circuit, torch.zeros(1, circuit.weights))(torch.full((1, 2, 1), 3e38))
