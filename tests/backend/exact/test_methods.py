"""Laws of every simulation method: it gives the numbers of `gates`, with gradients, for whatever it says it can run."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from qlogad import names
from qlogad.backend.exact import METHODS, Exact
from qlogad.backend.exact.method import Method, Task
from qlogad.circuit.circuit import Angle, Circuit, Gate
from qlogad.circuit.encoding import assemble
from qlogad.circuit.readout import readout
from qlogad.errors import BackendError, DesignError
from qlogad.seeds import torch_generator
from qlogad.testing.circuits import random_circuit

READOUTS = ["z", "x+z", "xyz", "zz+x", "parity", "probabilities", "zeros", "y:0+zeros"]
CASES = [(groups, copies, rows) for groups, copies in ((1, 1), (2, 2), (3, 1)) for rows in (0, 1, 5)]

methods = pytest.mark.parametrize("name", [name for name in METHODS if name != "gates"])


def built(encoding: str, ansatz: str, wires: int, depth: int, **settings) -> Circuit | None:
    """None where the designs do not exist at this width."""
    try:
        return assemble(encoding, ansatz, wires, depth, **settings)
    except DesignError:
        return None


RANDOM = [random_circuit(np.random.default_rng(seed), wires=1 + seed % 5, gates=20) for seed in range(10)]
ENCODED = [
    circuit
    for number, name in enumerate(names.designs("encoding"))
    for reupload in (False, True)
    if (circuit := built(name, ("strongly-entangling", "sim14", "qulog")[number % 3], 2 + number % 3, 2, reupload=reupload))
]
ANSAETZE = [circuit for name in names.designs("ansatz") if (circuit := built("angle-y", name, 4, 1))]
READ = [replace(assemble("angle-y", "sim14", 3, 1), readout=readout(words, 3)) for words in READOUTS]
WIDE = [assemble("angle-y", "strongly-entangling", wires, 1, reupload=again) for wires in (7, 9) for again in (False, True)]
CIRCUITS = {
    **{f"random {number}": circuit for number, circuit in enumerate(RANDOM)},
    **{f"encoding {number}": circuit for number, circuit in enumerate(ENCODED)},
    **{f"ansatz {number}": circuit for number, circuit in enumerate(ANSAETZE)},
    **{f"readout {words}": circuit for words, circuit in zip(READOUTS, READ, strict=True)},
    **{f"wide {number}": circuit for number, circuit in enumerate(WIDE)},
    "nothing": Circuit(2, (), ("ZI", "XX", "01"), 1, 0),
}


def fitting(method: Method) -> dict[str, Circuit]:
    return {name: circuit for name, circuit in CIRCUITS.items() if not method.unfit(circuit)}


def values(circuit, groups=2, copies=2, rows=3, dtype=torch.float64):
    generator = torch_generator(0, "methods", circuit.digest(), rows)
    weights_GP = math.pi * torch.randn(groups, circuit.weights, generator=generator, dtype=torch.float64)
    inputs_GNI = 2 * torch.randn(copies, rows, circuit.inputs, generator=generator, dtype=torch.float64)
    return weights_GP.to(dtype).requires_grad_(), inputs_GNI.to(dtype).requires_grad_()


def found(method, circuit, weights_GP, inputs_GNI):
    """Readouts of two calls of one bind, and the gradients of both together."""
    run = method.bind(circuit, weights_GP)
    mean_GNK = torch.cat([run(inputs_GNI), run(0.5 * inputs_GNI)], dim=1)
    costs = torch.linspace(-1, 2, mean_GNK.numel(), dtype=mean_GNK.dtype).reshape(mean_GNK.shape)
    if not mean_GNK.requires_grad:
        return [mean_GNK, torch.zeros_like(weights_GP), torch.zeros_like(inputs_GNI)]
    slopes = torch.autograd.grad((costs * mean_GNK).sum(), (weights_GP, inputs_GNI), materialize_grads=True)
    return [mean_GNK.detach(), *slopes]


@methods
@pytest.mark.parametrize("all_of_them", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["some", "all"])
def test_it_is_gate_by_gate(name, all_of_them, drawn):
    """Values and gradients, over the whole gate table, all encodings, ansaetze and readouts, with shared and own inputs, any rows."""
    circuits = list(fitting(METHODS[name]).items())
    assert circuits, "a method runs something"
    for number, (what, circuit) in enumerate(circuits if all_of_them else drawn.sample(circuits, min(30, len(circuits)))):
        given = values(circuit, *CASES[number % len(CASES)])
        for one, two in zip(*(found(METHODS[chosen], circuit, *given) for chosen in (name, "gates")), strict=True):
            assert one.dtype == two.dtype
            torch.testing.assert_close(one, two, rtol=0, atol=1e-9, msg=lambda text, what=what: f"{what}: {text}")


@methods
def test_single_precision_lies_near_double(name):
    for what, circuit in list(fitting(METHODS[name]).items())[::3]:
        double = found(METHODS[name], circuit, *values(circuit))
        single = found(METHODS[name], circuit, *values(circuit, dtype=torch.float32))
        for one, two in zip(single, double, strict=True):
            assert one.dtype == torch.float32, what
            torch.testing.assert_close(one.double(), two, rtol=1e-3, atol=1e-3, msg=lambda text, what=what: f"{what}: {text}")


@methods
def test_again_is_the_same_to_the_last_bit(name):
    for circuit in list(fitting(METHODS[name]).values())[::2]:
        given = values(circuit, dtype=torch.float32)
        for one, two in zip(*(found(METHODS[name], circuit, *given) for _ in range(2)), strict=True):
            assert torch.equal(one, two)


@pytest.mark.parametrize("name", [name for name in METHODS if METHODS[name].second and name != "gates"])
def test_second_derivatives_are_gate_by_gate(name):
    for circuit in [one for one in fitting(METHODS[name]).values() if one.weights and one.inputs and one.wires <= 4][::3]:
        weights_GP, inputs_GNI = values(circuit, rows=2)

        def curvature(method, circuit=circuit, weights_GP=weights_GP, inputs_GNI=inputs_GNI):
            mean_GNK = method.bind(circuit, weights_GP)(inputs_GNI)
            given = (weights_GP, inputs_GNI)
            slopes = torch.autograd.grad(mean_GNK.square().sum(), given, create_graph=True, materialize_grads=True)
            total = sum((slope * torch.cos(slope)).sum() for slope in slopes)
            return torch.autograd.grad(total, given, materialize_grads=True)

        for one, two in zip(curvature(METHODS[name]), curvature(METHODS["gates"]), strict=True):
            torch.testing.assert_close(one, two, rtol=0, atol=1e-8)


@pytest.mark.parametrize("name", names.known("method"))
def test_a_method_is_found_by_the_name_of_its_file(name: str) -> None:
    method = names.find("method", name)
    assert method.name == name
    assert (name in METHODS) != method.dephased


@pytest.mark.parametrize("name", METHODS)
def test_what_it_cannot_run_is_refused_in_one_line(name):
    for circuit in CIRCUITS.values():
        if METHODS[name].unfit(circuit):
            with pytest.raises(BackendError, match=f"method '{name}' cannot run this circuit: .+; use method 'auto'") as refusal:
                Exact(name).bind(circuit, values(circuit)[0])(values(circuit)[1])
            assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", METHODS)
def test_a_cost_is_of_the_circuit_and_needs_no_tensor(name):
    """Costs are finite, positive, and told for widths that could never be run here."""
    wide = [assemble("angle-y", ansatz, 20, 2) for ansatz in ("strongly-entangling", "qulog")]
    for circuit in [*CIRCUITS.values(), *wide]:
        if not METHODS[name].unfit(circuit):
            effort = METHODS[name].effort(Task(circuit, 4, 64, 10))
            assert all(0 <= value < math.inf for value in (effort.operations, effort.traffic, effort.dispatches, effort.memory))
            assert effort.dispatches > 0


@methods
def test_a_form_is_the_circuit_as_tables(name):
    """mean = f @ table with f the Kronecker product over the angles, or (r @ table)^2 @ signs, after later uploads: the definition."""
    for what, circuit in fitting(METHODS[name]).items():
        weights_GP, inputs_GNI = (tensor.detach() for tensor in values(circuit, rows=4))
        form = METHODS[name].form(circuit, weights_GP)
        if form is None:
            continue
        features = inputs_GNI.new_ones(2, 4, 1)
        angles = [angle.scale * inputs_GNI[..., angle.index] + angle.shift for angle in form.angles]
        for a in angles if form.kind == "trig" else angles[: form.table.shape[1].bit_length() - 1]:
            each = [torch.ones_like(a), a.cos(), a.sin()] if form.kind == "trig" else [(a / 2).cos(), (a / 2).sin()]
            features = (features[..., None] * torch.stack(each, dim=-1)[..., None, :]).flatten(-2)
        mean_GNK = features @ form.table
        for energy_DA, fixed_D, unitary_GMD in zip(*form.later, strict=True) if form.later else ():
            phase_GND = sum((a[..., None] * energy_D for a, energy_D in zip(angles, energy_DA.T, strict=True)), fixed_D)
            psi_GND = torch.complex(*mean_GNK[..., : 2 * len(fixed_D)].chunk(2, dim=-1)) * torch.exp(1j * phase_GND)
            mean_GNK = torch.cat([psi_GND.real, psi_GND.imag], dim=-1) @ unitary_GMD.mT
        if form.kind == "real":
            assert form.signs_DK is not None
            mean_GNK = mean_GNK.square() @ form.signs_DK
        expected = METHODS["gates"].bind(circuit, weights_GP)(inputs_GNI)
        torch.testing.assert_close(mean_GNK, expected, rtol=0, atol=1e-9, msg=lambda text, what=what: f"{what}: {text}")


def test_every_encoding_and_width_is_tried():
    assert {circuit.wires for circuit in CIRCUITS.values()} >= {1, 2, 3, 4, 5, 7, 9}
    assert len(ENCODED) > len(names.designs("encoding"))


@pytest.mark.parametrize("name", sorted(METHODS))
def test_a_first_call_for_inference_does_not_stand_in_the_way_of_training(name):
    circuit = Circuit(2, (Gate("ry", (0,), (Angle("input", 0),)), Gate("ry", (1,), (Angle("weight", 0),))), ("ZZ", "IZ"), 1, 1)
    circuit = replace(
        circuit, gates=(*circuit.gates, Gate("rz", (1,), (Angle("weight", 0, 2.0, float(len(name))),)), Gate("cx", (0, 1)))
    )
    weights_GP, inputs_GNI = torch.ones(1, 1, requires_grad=True), torch.ones(1, 2, 1)
    with torch.inference_mode():
        Exact(name).bind(circuit, weights_GP)(inputs_GNI)
    Exact(name).bind(circuit, weights_GP)(inputs_GNI).sum().backward()
    assert weights_GP.grad is not None
