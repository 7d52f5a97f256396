"""Laws of the recurrent cell: with the linear map it is torch's, and every way to run a sequence gives the same."""

from functools import partial

import pytest
import torch

from qlogad import seeds
from qlogad.nn.core import Cell, Classical, Quantum, SameWrapper
from qlogad.nn.recurrent import LSTM, step_loop

CORES = [
    Classical(),
    Quantum(wires=3, depth=2),
    Quantum(wires=2, ansatz="qulog", encoding="angle-x", shared=True),
    Quantum(wires=2, depth=2, reupload=True),
    Quantum(wires=2, depth=2, encoding="chen", reupload=True, scaling=True, readout="x+z"),
    Quantum(wires=2, encoding="chebyshev", readout="probabilities"),
    SameWrapper(of=Quantum(wires=3)),
    SameWrapper(of=Quantum(wires=3, shared=True)),
]


def cell(core: Cell, width: int = 3, hidden: int = 5, seed: int = 0) -> LSTM:
    return LSTM(width, hidden, make=partial(core.map, generator=seeds.torch_generator(seed, "cell")))


@pytest.mark.parametrize(("rows", "steps", "width", "hidden"), [(1, 1, 1, 1), (7, 10, 3, 5), (4, 3, 8, 2)])
def test_with_the_linear_map_it_is_torchs_lstm(rows: int, steps: int, width: int, hidden: int) -> None:
    ours, theirs = cell(Classical(), width, hidden), torch.nn.LSTM(width, hidden, batch_first=True)
    weight_FI = ours.map.linear.weight_GIO.transpose(1, 2).reshape(4 * hidden, -1)
    split_F = torch.rand(4 * hidden)  # any way to split the bias in two is the same cell
    with torch.no_grad():
        theirs.weight_ih_l0.copy_(weight_FI[:, :width])
        theirs.weight_hh_l0.copy_(weight_FI[:, width:])
        theirs.bias_ih_l0.copy_(split_F)
        theirs.bias_hh_l0.copy_(ours.map.linear.bias_G1O.flatten() - split_F)
    x_NTI, y_NTI = (torch.randn(rows, steps, width, generator=seeds.torch_generator(1)).requires_grad_() for _ in range(2))
    results = []
    for module, inputs in ((ours, x_NTI), (theirs, y_NTI)):
        outputs, (h, c) = module(inputs)
        (outputs.sin().sum() + h.square().sum() + c.cos().sum()).backward()
        results.append((outputs, h.reshape(rows, hidden), c.reshape(rows, hidden), inputs.grad))
    for mine, other in zip(*results, strict=True):
        assert torch.allclose(mine, other, atol=1e-5)
    grad_FI = ours.map.linear.weight_GIO.grad.transpose(1, 2).reshape(4 * hidden, -1)
    assert torch.allclose(grad_FI, torch.cat([theirs.weight_ih_l0.grad, theirs.weight_hh_l0.grad], dim=1), atol=1e-4)
    assert torch.allclose(ours.map.linear.bias_G1O.grad.flatten(), theirs.bias_ih_l0.grad, atol=1e-4)


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize(("rows", "steps"), [(1, 1), (6, 5)])
def test_the_sequence_kernel_is_the_step_loop(core: Cell, rows: int, steps: int) -> None:
    module = cell(core).double()
    x_NTI = torch.randn(rows, steps, 3, dtype=torch.float64, generator=seeds.torch_generator(2))
    zero_NH = torch.zeros(rows, 5, dtype=torch.float64)
    found = []
    for run in (module, lambda x: step_loop(module.map, x, zero_NH)):
        module.zero_grad()
        outputs, (h, c) = run(x_NTI)
        (outputs.sin().sum() + h.square().sum() + c.cos().sum()).backward()
        found.append([outputs, h, c, *(p.grad.clone() for p in module.parameters())])
    for fast, plain in zip(*found, strict=True):
        assert torch.allclose(fast, plain, atol=1e-10)


@pytest.mark.parametrize("core", CORES)
def test_no_state_leaks_between_calls_or_rows(core: Cell) -> None:
    module = cell(core)
    x_NTI = torch.randn(6, 4, 3, generator=seeds.torch_generator(3))
    with torch.no_grad():
        first = module(x_NTI)[0]
        module(x_NTI + 1)
        assert torch.equal(first, module(x_NTI)[0])
        for n in range(6):
            assert torch.allclose(first[n], module(x_NTI[n : n + 1])[0][0], atol=1e-5)


@pytest.mark.parametrize("core", CORES)
def test_outputs_do_not_depend_on_later_steps(core: Cell) -> None:
    module = cell(core)
    x_NTI = torch.randn(4, 6, 3, generator=seeds.torch_generator(4))
    with torch.no_grad():
        assert torch.allclose(module(x_NTI)[0][:, :3], module(x_NTI[:, :3])[0], atol=1e-5)
