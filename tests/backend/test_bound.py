"""Laws of whatever the exact simulator binds: each method, dephased circuits, noise. Weights that change, rows, bad input."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from qlogad.backend.backend import check_inputs
from qlogad.backend.exact import METHODS, Exact
from qlogad.circuit.circuit import Circuit
from qlogad.circuit.encoding import assemble
from qlogad.circuit.noise import Noise
from qlogad.errors import BackendError, DesignError
from qlogad.seeds import torch_generator
from qlogad.testing.circuits import random_circuit

ENGINES = {
    **{name: Exact(name) for name in METHODS},
    "auto": Exact(),
    "second": Exact(second=True),
    "dephased": Exact(),
    "noisy": Exact(noise=Noise.parse("depolarizing=0.01,readout=0.02")),
    "noisy, dephased": Exact(noise=Noise.parse("phase_damping=0.1")),
}
engines = pytest.mark.parametrize("name", ENGINES)
gone_bad = pytest.mark.parametrize("wrong", [torch.nan, torch.inf, -torch.inf])


def circuit_for(name: str, wires: int = 3, depth: int = 2) -> Circuit:
    """One with entanglement, and with re-uploading where the method has it."""
    candidates = [
        *(random_circuit(np.random.default_rng(seed), wires=wires, gates=12 * depth) for seed in range(3)),
        *(assemble("angle-y", "strongly-entangling", wires, depth, reupload=again) for again in (True, False)),
        assemble("angle-x", "qulog", wires, 1),
    ]
    circuit = next(one for one in candidates if name not in METHODS or not METHODS[name].unfit(one))
    return replace(circuit, dephased=(len(circuit.gates) // 2,)) if "dephased" in name else circuit


def values(circuit, *, groups=2, rows=3, seed=0, dtype=torch.float64):
    generator = torch_generator(seed, "bound")
    weights_GP = 3 * torch.randn(groups, circuit.weights, generator=generator, dtype=torch.float64)
    inputs_GNI = 2 * torch.randn(groups, rows, circuit.inputs, generator=generator, dtype=torch.float64)
    return weights_GP.to(dtype).requires_grad_(), inputs_GNI.to(dtype).requires_grad_()


def slopes(bound, weights_GP, inputs_GNI):
    mean_GNK = bound(inputs_GNI)
    found = torch.autograd.grad(mean_GNK.square().sum(), (weights_GP, inputs_GNI), materialize_grads=True)
    return [mean_GNK.detach(), *found]


def one_line(refusal: pytest.ExceptionInfo[BackendError]) -> bool:
    return "\n" not in str(refusal.value)


@engines
def test_weights_changed_in_place_are_seen(name):
    """By hand and by optimizers, with gradients and without; what is kept never outlives the weights it was made of."""
    circuit = circuit_for(name)
    weights_GP, inputs_GNI = values(circuit)
    bound = ENGINES[name].bind(circuit, weights_GP)
    before = bound(inputs_GNI).detach()
    makers = (torch.optim.SGD, torch.optim.Adam, lambda weights, lr: torch.optim.Adam(weights, lr=lr, foreach=True))
    for optimizer in [make([weights_GP], lr=0.3) for make in makers]:
        optimizer.zero_grad()
        bound(inputs_GNI).sin().sum().backward()
        optimizer.step()
        with torch.no_grad():
            assert torch.equal(bound(inputs_GNI), ENGINES[name].bind(circuit, weights_GP)(inputs_GNI))
        fresh = slopes(ENGINES[name].bind(circuit, weights_GP), weights_GP, inputs_GNI)
        assert all(map(torch.equal, slopes(bound, weights_GP, inputs_GNI), fresh))
    assert not torch.allclose(before, bound(inputs_GNI).detach())
    with torch.no_grad():
        weights_GP[0, 0] = torch.nan
    with pytest.raises(BackendError, match="weights are not all finite") as refusal:
        bound(inputs_GNI)
    assert one_line(refusal)


@engines
def test_weights_made_in_inference_mode_are_seen_changing_too(name):
    circuit = circuit_for(name)
    with torch.inference_mode():
        weights_GP, inputs_GNI = (tensor * 1 for tensor in values(circuit))
        bound = ENGINES[name].bind(circuit, weights_GP)
        bound(inputs_GNI)
        weights_GP += 1
        assert torch.equal(bound(inputs_GNI), ENGINES[name].bind(circuit, weights_GP)(inputs_GNI))


@engines
def test_a_first_call_without_gradients_does_not_take_them_from_later_ones(name):
    circuit = circuit_for(name)
    weights_GP, inputs_GNI = values(circuit)
    with torch.no_grad():
        bound = ENGINES[name].bind(circuit, weights_GP)
        bound(inputs_GNI)
    fresh = slopes(ENGINES[name].bind(circuit, weights_GP), weights_GP, inputs_GNI)
    assert all(map(torch.equal, slopes(bound, weights_GP, inputs_GNI), fresh))
    assert fresh[1].abs().max() > 1e-3


@engines
def test_backward_passes_may_follow_each_other(name):
    """As when gradients of micro-batches add up: one bound circuit, the same weights, a backward pass for each."""
    circuit = circuit_for(name)
    weights_GP, inputs_GNI = values(circuit, rows=4)
    bound = ENGINES[name].bind(circuit, weights_GP)
    for part_GNI in inputs_GNI.split(2, dim=1):
        bound(part_GNI).sin().sum().backward()
    added = weights_GP.grad.clone()
    (whole,) = torch.autograd.grad(bound(inputs_GNI).sin().sum(), weights_GP)
    torch.testing.assert_close(added, whole, rtol=0, atol=1e-12)


@engines
def test_no_rows_give_no_readouts_and_gradients_of_zero(name):
    circuit = circuit_for(name)
    weights_GP, inputs_GNI = values(circuit, rows=0)
    mean_GNK, weight_slopes, input_slopes = slopes(ENGINES[name].bind(circuit, weights_GP), weights_GP, inputs_GNI)
    assert mean_GNK.shape == (2, 0, len(circuit.readout))
    assert torch.equal(weight_slopes, torch.zeros_like(weights_GP))
    assert torch.equal(input_slopes, torch.zeros_like(inputs_GNI))
    estimate = ENGINES[name].bind(circuit, weights_GP).estimate(inputs_GNI)
    assert (estimate.mean_GNK.shape, estimate.executions) == (mean_GNK.shape, 0)


@engines
def test_second_derivatives_are_right_or_refused_by_name(name):
    """Where they are refused, the error names a method that has them, and `Exact(second=True)`, which finds one."""
    circuit = circuit_for(name, wires=2, depth=1)
    weights_GP, inputs_GNI = values(circuit, groups=1, rows=1)

    def run(*given):
        return ENGINES[name].bind(circuit, given[0])(given[1])

    assert torch.autograd.gradcheck(run, (weights_GP, inputs_GNI))
    if name not in METHODS or METHODS[name].second:
        assert torch.autograd.gradgradcheck(run, (weights_GP, inputs_GNI))
        return
    with pytest.raises(BackendError, match=r"first derivatives only; use method 'blocks', or Exact\(second=True\)") as refusal:
        torch.autograd.grad(run(weights_GP, inputs_GNI).sum(), weights_GP, create_graph=True)
    assert one_line(refusal)
    with pytest.raises(BackendError, match=f"method '{name}' has first derivatives only; use method 'blocks'"):
        Exact(name, second=True)


@pytest.mark.parametrize("wires", [4, 16])
def test_second_derivatives_leave_out_methods_and_kernels_without_them(wires):
    circuit = assemble("angle-y", "strongly-entangling", wires, 4)
    weights_GP, inputs_GNI = values(circuit, groups=1, rows=1)
    engine = Exact(second=True)
    bound = engine.bind(circuit, weights_GP)
    assert bound.form(10, lambda form: (0.0, 0.0)) is None
    (slope,) = torch.autograd.grad(bound(inputs_GNI).sum(), inputs_GNI, create_graph=True)
    assert slope.requires_grad
    assert all(METHODS[plan["method"]].second for plan in engine.plans())
    adjoint = {**engine.plans()[0], "method": "adjoint"}
    engine.adopt([adjoint])
    assert engine.plan(circuit, weights_GP, rows=1, gradient=True).method != "adjoint", "nor are they adopted"


@engines
@gone_bad
def test_angles_that_are_not_finite_are_refused(name, wrong):
    """One line that says whose they are: of weights, or of inputs, which weights before the circuit may have spoilt."""
    circuit = circuit_for(name)
    weights_GP, inputs_GNI = (tensor.detach() for tensor in values(circuit))
    bad_GNI, bad_GP = inputs_GNI.clone(), weights_GP.clone()
    bad_GNI[1, 2, 0] = bad_GP[1, 1] = wrong
    with pytest.raises(BackendError, match=r"^inputs are not all finite; .* in the weights of the layers before") as of_inputs:
        ENGINES[name].bind(circuit, weights_GP)(bad_GNI)
    with pytest.raises(BackendError, match=r"^weights are not all finite; .* lower learning rate") as of_weights:
        ENGINES[name].bind(circuit, bad_GP)
    assert one_line(of_inputs)
    assert one_line(of_weights)


@engines
def test_what_does_not_fit_the_circuit_is_refused(name):
    """Shapes, precisions, devices and types, of weights and inputs: one line that says what was expected, and got."""
    circuit = circuit_for(name)
    weights_GP, inputs_GNI = (tensor.detach() for tensor in values(circuit))
    bound = ENGINES[name].bind(circuit, weights_GP)
    bad_inputs = {
        r"inputs of shape \(1 or 2, N, \d+\) expected, got": (inputs_GNI[0], inputs_GNI[..., :-1], inputs_GNI[[0, 0, 0]]),
        r"inputs are torch.float32 on cpu but weights are torch.float64 on cpu; use .to\(weights\)": (inputs_GNI.float(),),
        r"inputs are torch.int64 on cpu but weights are": (inputs_GNI.long(),),
        r"inputs are torch.float64 on meta but weights are torch.float64 on cpu": (inputs_GNI.to("meta"),),
        r"inputs must be a torch tensor, got ndarray; use torch.as_tensor": (inputs_GNI.numpy(),),
        r"inputs must be a torch tensor, got list": (inputs_GNI.tolist(),),
    }
    bad_weights = {
        r"weights of shape \(G, \d+\) with G >= 1 expected": (weights_GP[0], weights_GP[:, :-1], weights_GP[:0]),
        r"weights must be float32 or float64, got torch.float16; call .float\(\) or .double\(\)": (weights_GP.half(),),
        r"weights must be float32 or float64, got torch.complex128": (weights_GP.to(torch.complex128),),
        r"weights must be a torch tensor, got ndarray": (weights_GP.numpy(),),
    }
    for run, cases in ((bound, bad_inputs), (lambda bad: ENGINES[name].bind(circuit, bad), bad_weights)):
        for message, wrongs in cases.items():
            for wrong in wrongs:
                with pytest.raises(BackendError, match=message) as refusal:
                    run(wrong)
                assert one_line(refusal)
    with pytest.raises(BackendError, match="called at least once, got calls=0"):
        ENGINES[name].bind(circuit, weights_GP, calls=0)


@pytest.mark.parametrize("name", [name for name in ENGINES if name != "second"])
def test_what_is_too_wide_is_refused_with_a_width_that_fits(name):
    """Before anything is made: the bytes, and the largest width; that width then runs."""
    ansatz, wires = ("qulog", 26) if name == "closed" else ("strongly-entangling", 9 if name == "pauli" else 13)

    def circuit_of(width):
        circuit = assemble("angle-y", ansatz, width, 1 if name == "closed" else 2)
        return replace(circuit, dephased=(width,)) if "dephased" in name else circuit

    narrow = Exact(ENGINES[name].method, memory=5e-6 if name == "closed" else 2e-4, noise=ENGINES[name].noise)

    def run(width):
        weights_GP, inputs_GNI = values(circuit_of(width), groups=1, rows=1)
        return narrow.bind(circuit_of(width), weights_GP)(inputs_GNI)

    with pytest.raises(BackendError, match=r"needs about \S+ GB, and \S+ GB are allowed; up to \d+ wires? fit") as refusal:
        run(wires)
    assert one_line(refusal)
    widest = int(re.search(r"up to (\d+)", str(refusal.value))[1])
    assert run(max(widest, 2)).shape[1] == 1 if widest > 1 else widest == 1


def test_a_circuit_has_wires_and_memory_is_a_size():
    with pytest.raises(DesignError, match=r"a circuit must have 1 to .* wires, got 0"):
        Circuit(0, (), (), 0, 0)
    for memory in (0, -1, torch.nan, torch.inf):
        with pytest.raises(BackendError, match="memory must be a number of gigabytes above 0"):
            Exact(memory=memory)


def test_finite_values_whose_sum_is_not_are_taken():
    circuit = assemble("angle-y", "strongly-entangling", 3, 1)
    weights_GP, inputs_GNI = values(circuit, dtype=torch.float32)
    check_inputs(circuit, weights_GP, torch.full_like(inputs_GNI, 3e38))
