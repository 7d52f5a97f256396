"""Laws of the recurrent cell: with the linear map it is torch's, and every way to run a sequence gives the same."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial

import pytest
import torch

from qlogad import seeds
from qlogad.backend.backend import open_backend
from qlogad.errors import BackendError, InputError
from qlogad.nn.core import Classical, Core, Quantum
from qlogad.nn.core.same_wrapper import SameWrapper
from qlogad.nn.recurrent import GRU, LSTM, gru_step_loop, step_loop

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


def cell(core: Core, width: int = 3, hidden: int = 5, seed: int = 0) -> LSTM:
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
def test_the_sequence_kernel_is_the_step_loop(core: Core, rows: int, steps: int) -> None:
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
def test_no_state_leaks_between_calls_or_rows(core: Core) -> None:
    module = cell(core)
    x_NTI = torch.randn(6, 4, 3, generator=seeds.torch_generator(3))
    with torch.no_grad():
        first = module(x_NTI)[0]
        module(x_NTI + 1)
        assert torch.equal(first, module(x_NTI)[0])
        for n in range(6):
            assert torch.allclose(first[n], module(x_NTI[n : n + 1])[0][0], atol=1e-5)


@pytest.mark.parametrize("core", CORES)
def test_outputs_do_not_depend_on_later_steps(core: Core) -> None:
    module = cell(core)
    x_NTI = torch.randn(4, 6, 3, generator=seeds.torch_generator(4))
    with torch.no_grad():
        assert torch.allclose(module(x_NTI)[0][:, :3], module(x_NTI[:, :3])[0], atol=1e-5)


def gru(core: Core, width: int = 3, hidden: int = 5, seed: int = 0) -> GRU:
    return GRU(width, hidden, make=partial(core.map, generator=seeds.torch_generator(seed, "cell")))


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("make", [cell, gru])
@pytest.mark.parametrize("lengths", [[4, 1, 0, 6, 6, 2], [0, 1], [6, 6, 6], [3]])
def test_rows_of_different_lengths_are_each_run_as_if_alone(
    make: Callable[[Core], LSTM | GRU], core: Core, lengths: list[int]
) -> None:
    module = make(core).double()
    x_NTI = torch.randn(len(lengths), 6, 3, dtype=torch.float64, generator=seeds.torch_generator(5)).requires_grad_()
    outputs, last = module(x_NTI, torch.tensor(lengths))
    for n, length in enumerate(lengths):
        torch.testing.assert_close(outputs[n, length:], last[0][n].expand(6 - length, -1), rtol=0, atol=0)
        if length == 0:
            assert not any(state[n].any() for state in last)
            continue
        alone, states = module(x_NTI[n : n + 1, :length])
        torch.testing.assert_close(outputs[n, :length], alone[0], rtol=0, atol=1e-12)
        for state, lone in zip(last, states, strict=True):
            torch.testing.assert_close(state[n], lone[0], rtol=0, atol=1e-12)
    (slope_NTI,) = torch.autograd.grad(outputs.sin().sum() + sum(state.cos().sum() for state in last), x_NTI)
    for n, length in enumerate(lengths):
        assert not slope_NTI[n, length:].any()
        assert slope_NTI[n, :length].any(dim=1).all()


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("make", [cell, gru])
def test_rows_without_steps_stay_at_zero(make: Callable[[Core], LSTM | GRU], core: Core) -> None:
    outputs, last = make(core)(torch.randn(2, 3, 3), torch.tensor([0, 0]))
    assert torch.equal(outputs, torch.zeros(2, 3, 5))
    assert not any(state.any() for state in last)


@pytest.mark.parametrize("core", [Classical(), Quantum(wires=2), Quantum(wires=2, encoding="chebyshev")])
@pytest.mark.parametrize("make", [cell, gru])
def test_padding_is_never_run(make: Callable[[Core], LSTM | GRU], core: Core) -> None:
    module = make(core)
    x_NTI = torch.randn(3, 4, 3, generator=seeds.torch_generator(6))
    lengths_N = torch.tensor([2, 4, 1])

    def outputs_and_slopes() -> list[torch.Tensor]:
        x_NTI.grad = None
        outputs = module(x_NTI.requires_grad_(), lengths_N)[0]
        return [outputs, *torch.autograd.grad(outputs.sin().sum(), [x_NTI, *module.parameters()])]

    expected = outputs_and_slopes()
    counted = [one.executions for one in module.modules() if hasattr(one, "executions")]
    for n, length in enumerate(lengths_N):
        x_NTI.data[n, length:] = torch.nan
    for found, wanted in zip(outputs_and_slopes(), expected, strict=True):
        assert torch.equal(found, wanted)
    assert counted == [one.gates * 7 for one in module.modules() if hasattr(one, "executions")]


def test_circuits_are_counted_once_where_one_map_of_a_cell_has_no_table() -> None:
    module = gru(Quantum(wires=2))
    module.candidate.middle.backend = open_backend("pennylane")
    module(torch.randn(2, 3, 3))
    assert [one.executions for one in module.modules() if hasattr(one, "executions")] == [2 * 2 * 3, 2 * 3]


@pytest.mark.parametrize(
    "lengths", [torch.tensor([1, 2]), torch.tensor([1, 2, 5]), torch.tensor([-1, 2, 3]), torch.tensor([1.0, 2, 3])]
)
@pytest.mark.parametrize("make", [cell, gru])
def test_lengths_that_do_not_fit_are_refused(make: Callable[[Core], LSTM | GRU], lengths: torch.Tensor) -> None:
    with pytest.raises(InputError, match="lengths must be 3 integers from 0 to 4, one for each row"):
        make(Classical())(torch.randn(3, 4, 3), lengths)


def test_a_gru_that_resets_nothing_is_torchs() -> None:
    """torch.nn.GRU resets what the linear map made of the state, this one the state itself: the same where r is 1."""
    width, hidden = 3, 5
    ours, theirs = gru(Classical()).double(), torch.nn.GRU(width, hidden, batch_first=True).double()
    with torch.no_grad():
        ours.map.linear.bias_G1O[0] = 60
        weight_FI = torch.cat([ours.map.linear.weight_GIO, ours.candidate.linear.weight_GIO]).mT.reshape(3 * hidden, -1)
        theirs.weight_ih_l0.copy_(weight_FI[:, :width])
        theirs.weight_hh_l0.copy_(weight_FI[:, width:])
        theirs.bias_ih_l0.copy_(torch.cat([ours.map.linear.bias_G1O, ours.candidate.linear.bias_G1O]).flatten())
        theirs.bias_hh_l0.zero_()
    x_NTI = torch.randn(7, 6, width, dtype=torch.float64, generator=seeds.torch_generator(7))
    (outputs, (last,)), (expected, state) = ours(x_NTI), theirs(x_NTI)
    torch.testing.assert_close(outputs, expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(last, state[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("core", CORES)
def test_a_gru_is_between_its_candidate_and_its_state(core: Core) -> None:
    module = gru(core).double()
    x_NTI = torch.randn(6, 5, 3, dtype=torch.float64, generator=seeds.torch_generator(8))
    outputs, (last,) = module(x_NTI)
    expected, (final,) = gru_step_loop(module.map, module.candidate, x_NTI, torch.zeros(6, 5, dtype=torch.float64))
    torch.testing.assert_close(outputs, expected, rtol=0, atol=1e-10)
    torch.testing.assert_close(last, final, rtol=0, atol=1e-10)
    h_NH = torch.zeros(6, 5, dtype=torch.float64)
    for x_NI, after_NH in zip(x_NTI.unbind(1), outputs.unbind(1), strict=True):
        r_NH = torch.sigmoid(module.map(torch.cat([x_NI, h_NH], dim=1)))[0]
        n_NH = torch.tanh(module.candidate(torch.cat([x_NI, r_NH * h_NH], dim=1)))[0]
        low_NH, high_NH = torch.minimum(n_NH, h_NH), torch.maximum(n_NH, h_NH)
        assert ((after_NH >= low_NH - 1e-12) & (after_NH <= high_NH + 1e-12)).all()
        h_NH = after_NH


NOISY = Quantum(wires=2, backend="exact:depolarizing=0.01")


@pytest.mark.parametrize("core", [*CORES, NOISY])
@pytest.mark.parametrize("make", [cell, gru])
@pytest.mark.parametrize("lengths", [None, [], [0, 0, 0]])
def test_where_no_row_takes_a_step_states_and_gradients_are_zero(
    make: Callable[[Core], LSTM | GRU], core: Core, lengths: list[int] | None
) -> None:
    module, rows = make(core), len(lengths or [])
    x_NTI = torch.full((rows, 4, 3), torch.nan, requires_grad=True)  # padding is not read
    every, last = module(x_NTI, None if lengths is None else torch.tensor(lengths, dtype=torch.long))
    assert every.shape == (rows, 4, 5)
    assert all(one.shape == (rows, 5) for one in last)
    (every.sum() + sum(one.sum() for one in last)).backward()
    for one in (every, *last, x_NTI.grad, *(parameter.grad for parameter in module.parameters())):
        assert one is not None
        assert not one.any()


@pytest.mark.parametrize("core", [*CORES, NOISY])
@pytest.mark.parametrize("make", [cell, gru])
def test_inputs_that_do_not_fit_are_refused_in_one_line(make: Callable[[Core], LSTM | GRU], core: Core) -> None:
    module = make(core)
    for shape in ((2, 4, 2), (2, 4, 4), (2, 0, 3), (4, 3), (3,), (1, 2, 4, 3)):
        with pytest.raises(InputError, match=r"^inputs must have shape \(N, T, 3\) with T of at least 1, got \([^\n]*$"):
            module(torch.zeros(shape))
    for wrong in (
        torch.zeros(2, 4, 3, dtype=torch.float64),
        torch.zeros(2, 4, 3, dtype=torch.long),
        torch.zeros(2, 4, 3).to("meta"),
    ):
        with pytest.raises(
            InputError, match=r"^the inputs are torch[^\n]* but the cell's weights are torch.float32 on cpu; use x.to"
        ):
            module(wrong)


@pytest.mark.parametrize("core", [*CORES[1:], NOISY])
@pytest.mark.parametrize("make", [cell, gru])
@pytest.mark.parametrize("size", [1e10, 1e30, 3e38])
def test_inputs_beyond_measure_give_finite_states_or_an_error(make: Callable[[Core], LSTM | GRU], core: Core, size: float) -> None:
    module = make(core)
    x_NTI = size * torch.sign(torch.randn(4, 3, 3, generator=seeds.torch_generator(9)))
    with suppress(BackendError):  # it says so where angles overflow
        assert torch.isfinite(module(x_NTI)[0]).all()
