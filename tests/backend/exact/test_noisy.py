"""Noise is what other simulators of density matrices say it is, it takes effect, and it can be trained through."""

import math
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from qiskit import QuantumCircuit
from qiskit.circuit.library import UnitaryGate
from qiskit.quantum_info import SparsePauliOp
from qiskit_aer import AerSimulator
from qiskit_aer.noise import (
    NoiseModel,
    amplitude_damping_error,
    depolarizing_error,
    pauli_error,
    phase_damping_error,
)

from qlogad import names
from qlogad.backend.backend import open_backend
from qlogad.backend.exact import Exact
from qlogad.backend.exact.noisy import NoisyBound, transfer_of_unitaries
from qlogad.backend.exact.parts.matrices import Matrices
from qlogad.backend.qiskit import to_qiskit
from qlogad.circuit.circuit import Circuit
from qlogad.circuit.encoding import assemble
from qlogad.circuit.gates import GATES
from qlogad.circuit.noise import Noise
from qlogad.circuit.readout import readout
from qlogad.errors import BackendError
from qlogad.seeds import torch_generator
from qlogad.testing.circuits import random_circuit

RATES = [field.name for field in fields(Noise)]


def values(circuit, *, groups=2, rows=2, seed=0):
    generator = torch_generator(seed, "noise")
    weights_GP = math.pi * torch.randn(groups, circuit.weights, generator=generator, dtype=torch.float64)
    inputs_GNI = 2 * torch.randn(groups, rows, circuit.inputs, generator=generator, dtype=torch.float64)
    return weights_GP.requires_grad_(), inputs_GNI.requires_grad_()


def random_noise(seed):
    rates = np.random.default_rng(seed).uniform(0, 0.3, len(RATES))
    return Noise(**dict(zip(RATES, rates.tolist(), strict=True)))


def aer_means(circuit: Circuit, noise: Noise, weights_P: np.ndarray, inputs_I: np.ndarray) -> np.ndarray:
    """The density matrix of Aer's simulator, its own channels after every gate; reading errors by Pauli weight."""
    single = amplitude_damping_error(noise.amplitude_damping).compose(phase_damping_error(noise.phase_damping))
    single = single.compose(pauli_error([("X", noise.bit_flip), ("I", 1 - noise.bit_flip)]))
    model = NoiseModel(basis_gates=["unitary"])
    model.add_all_qubit_quantum_error(depolarizing_error(noise.depolarizing, 1).compose(single), "gate1")
    both = depolarizing_error(noise.depolarizing2, 2).compose(single.tensor(single))
    model.add_all_qubit_quantum_error(both, "gate2")
    drawn = to_qiskit(circuit)
    given = {"x": inputs_I, "w": weights_P}
    drawn = drawn.assign_parameters({one: float(given[one.vector.name][one.index]) for one in drawn.parameters})
    bound = QuantumCircuit(circuit.wires)
    for item in drawn.data:  # as matrices: its density matrices know no controlled rotations
        bound.append(UnitaryGate(np.array(item.operation.to_matrix(), order="C"), label=f"gate{len(item.qubits)}"), item.qubits)
    bound.save_density_matrix()
    simulator = AerSimulator(method="density_matrix", noise_model=model)
    state = simulator.run(bound, optimization_level=0).result().data()["density_matrix"]
    found = []
    for word in circuit.readout:
        letters = {"0": [("I", 0.5), ("Z", 0.5)], "1": [("I", 0.5), ("Z", -0.5)]}
        terms = [("", 1.0)]
        for letter in word:
            choices = letters.get(letter, [(letter, 1.0)])
            shrunk = [(one, size * (1 if one == "I" else 1 - 2 * noise.readout)) for one, size in choices]
            terms = [(text + one, factor * size) for text, factor in terms for one, size in shrunk]
        operator = SparsePauliOp.from_list([(text[::-1], factor) for text, factor in terms])
        found.append(float(np.real(state.expectation_value(operator))))
    return np.array(found)


@pytest.mark.parametrize("seed", range(10))
def test_noise_is_that_of_aer_s_density_matrix(seed):
    circuit = random_circuit(np.random.default_rng(seed), wires=1 + seed % 5, gates=15)
    noise = random_noise(seed)
    weights_GP, inputs_GNI = values(circuit, seed=seed)
    mean_GNK = Exact(noise=noise).bind(circuit, weights_GP)(inputs_GNI).detach()
    for g in range(2):
        for n in range(2):
            expected = aer_means(circuit, noise, weights_GP[g].detach().numpy(), inputs_GNI[g, n].detach().numpy())
            np.testing.assert_allclose(mean_GNK[g, n], expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("encoding", names.designs("encoding"))
@pytest.mark.parametrize("reupload", [False, True])
def test_without_rates_the_means_are_the_ideal_ones(encoding, reupload):
    circuit = assemble(encoding, "sim14", 3, 2, reupload=reupload, readout="x+z+zeros")
    weights_GP, inputs_GNI = values(circuit)
    noisy, ideal = (backend.bind(circuit, weights_GP)(inputs_GNI) for backend in (Exact(noise=Noise()), Exact()))
    torch.testing.assert_close(noisy, ideal, rtol=0, atol=1e-11)
    slopes = [torch.autograd.grad(mean.square().sum(), (weights_GP, inputs_GNI), materialize_grads=True) for mean in (noisy, ideal)]
    for one, two in zip(*slopes, strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=1e-10)


@pytest.mark.parametrize("rate", RATES)
def test_every_rate_takes_effect_and_half_as_much_has_less(rate):
    circuit = assemble("angle-y", "strongly-entangling", 3, 2)
    weights_GP, inputs_GNI = values(circuit)

    def off(size):
        noisy = Exact(noise=Noise(**{rate: size})).bind(circuit, weights_GP)(inputs_GNI)
        return float((noisy - Exact().bind(circuit, weights_GP)(inputs_GNI)).abs().mean().detach())

    assert off(0.1) > off(0.05) > 1e-3


def test_full_depolarizing_leaves_nothing_and_full_damping_the_ground_state():
    circuit = assemble("angle-y", "strongly-entangling", 3, 1, readout="z+zeros")
    weights_GP, inputs_GNI = values(circuit)
    lost = Exact(noise=Noise(depolarizing=1, depolarizing2=1)).bind(circuit, weights_GP)(inputs_GNI)
    torch.testing.assert_close(lost[..., :3], torch.zeros(2, 2, 3, dtype=torch.float64), rtol=0, atol=1e-12)
    torch.testing.assert_close(lost[..., 3], torch.full((2, 2), 1 / 8, dtype=torch.float64), rtol=0, atol=1e-12)
    ground = Exact(noise=Noise(amplitude_damping=1)).bind(circuit, weights_GP)(inputs_GNI)
    torch.testing.assert_close(ground, torch.ones_like(ground), rtol=0, atol=1e-12)


def test_a_dephased_circuit_stays_dephased_under_noise():
    circuit = replace(assemble("angle-y", "sim14", 3, 2, reupload=True, readout="x+z"), dephased=(3, 7, 11))
    weights_GP, inputs_GNI = values(circuit)
    found = NoisyBound(circuit, weights_GP, Noise(), memory=1)(inputs_GNI)
    torch.testing.assert_close(found, Exact().bind(circuit, weights_GP)(inputs_GNI), rtol=0, atol=1e-12)


@pytest.mark.parametrize("reupload", [False, True])
def test_noise_can_be_trained_through(reupload):
    circuit = assemble("angle-y", "sim14", 2, 1, reupload=reupload, readout="x+z")
    noise = random_noise(1)
    weights_GP, inputs_GNI = values(circuit)
    assert torch.autograd.gradcheck(lambda w, x: Exact(noise=noise).bind(circuit, w)(x), (weights_GP, inputs_GNI))
    assert Exact(noise=noise).bind(circuit, weights_GP)(inputs_GNI[:, :0]).shape == (2, 0, 4)


@pytest.mark.parametrize("name", GATES)
def test_transfer_matrices_compose_as_unitaries_do(name):
    circuit = random_circuit(np.random.default_rng(0), wires=2, gates=40)
    weights_GP, _ = values(circuit)
    kind = GATES[name]
    pairs = [gate for gate in circuit.gates if GATES[gate.name].wires == kind.wires and gate.reads("weight")]
    first = Matrices(pairs[:1], weights_GP)(weights_GP)[0]
    second = Matrices([gate for gate in circuit.gates if gate.name == name][:1] or pairs[-1:], weights_GP)(weights_GP)[0]
    torch.testing.assert_close(
        transfer_of_unitaries(first @ second), transfer_of_unitaries(first) @ transfer_of_unitaries(second), rtol=0, atol=1e-12
    )
    one = transfer_of_unitaries(first)
    torch.testing.assert_close(one @ one.mT, torch.eye(one.shape[-1], dtype=one.dtype).expand_as(one), rtol=0, atol=1e-12)


def test_noise_by_its_name():
    backend = open_backend("exact:depolarizing=0.01,readout=0.02")
    assert backend.noise == Noise(depolarizing=0.01, readout=0.02)
    circuit = assemble("angle-y", "strongly-entangling", 3, 1, readout=readout("z", 3))
    weights_GP, inputs_GNI = values(circuit)
    estimate = backend.bind(circuit, weights_GP).estimate(inputs_GNI)
    assert "depolarizing=0.01" in estimate.provenance["noise"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("depolarising=0.1", "did you mean 'depolarizing'"),
        ("readout=much", "must be a number"),
        ("readout=1.5", "from 0 to 1"),
        ("readout=nan", "from 0 to 1"),
        ("readout=0.1,readout=0.2", "twice"),
        ("=", "no rate"),
    ],
)
def test_bad_noise_is_refused_with_a_hint(text, says):
    with pytest.raises(BackendError, match=says) as error:
        Noise.parse(text)
    assert "\n" not in str(error.value)


def test_what_does_not_fit_in_memory_is_refused():
    circuit = assemble("angle-y", "strongly-entangling", 12, 1)
    with pytest.raises(BackendError, match="GB"):
        Exact(noise=Noise(), memory=0.1).bind(circuit, torch.zeros(1, circuit.weights))
