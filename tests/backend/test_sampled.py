"""Targets as backends: lifted circuits, shift rules and SPSA, one evaluation per call, samples that know their row."""

import math

import numpy as np
import pytest
import torch

from qlogad.backend.abilities import Abilities, Key
from qlogad.backend.backend import Backend, open_backend
from qlogad.backend.parameter_shift import lift
from qlogad.backend.readings import read_chances, read_counts
from qlogad.backend.sampled import SampledBackend
from qlogad.backend.spec import options
from qlogad.backend.target import Answer, Target
from qlogad.circuit.circuit import Angle, Circuit, Gate, z_each
from qlogad.circuit.encoding import assemble
from qlogad.circuit.gates import GATES
from qlogad.circuit.readout import bases, readout
from qlogad.errors import BackendError
from qlogad.nn.core import Quantum
from qlogad.nn.recurrent import LSTM
from qlogad.seeds import torch_generator
from qlogad.testing.circuits import random_circuit, reference_means


class Definition(Target):
    """The definition of the gates as a target; keeps what it was asked."""

    name = "definition"
    abilities = Abilities(max_wires=5)

    def __init__(self):
        self.asked = []

    def evaluate(self, lifted, angles_MA, *, rows):
        self.asked.append((angles_MA, list(rows)))
        mean_GMK = reference_means(lifted.circuit, np.zeros((1, 0)), angles_MA[None])
        return Answer(mean_GMK[0], None, len(rows) * len(bases(lifted.circuit.readout)))


class Defined(SampledBackend, Backend):
    name = "defined"

    def __init__(self, gradient="shift"):
        super().__init__(Definition(), gradient=gradient)


def values(circuit, seed, *, groups=2, rows=3):
    random = np.random.default_rng(seed)
    weights_GP = torch.from_numpy(random.normal(size=(groups, circuit.weights)))
    inputs_GNI = torch.from_numpy(random.normal(size=(1 if seed % 2 else groups, rows, circuit.inputs)))
    return weights_GP.requires_grad_(), inputs_GNI.requires_grad_()


def slopes(backend, circuit, seed, **shape):
    weights_GP, inputs_GNI = values(circuit, seed, **shape)
    mean_GNK = backend.bind(circuit, weights_GP, key=Key(seed))(inputs_GNI)
    cost_GNK = torch.from_numpy(np.random.default_rng(seed).normal(size=tuple(mean_GNK.shape)))
    found = torch.autograd.grad((cost_GNK * mean_GNK).sum(), (weights_GP, inputs_GNI), materialize_grads=True)
    return [mean_GNK.detach(), *found]


@pytest.mark.parametrize("seed", range(16))
def test_shift_rules_give_the_gradients_of_the_exact_simulator(seed):
    circuit = random_circuit(np.random.default_rng(seed), wires=1 + seed % 4, gates=16)
    for one, two in zip(slopes(Defined(), circuit, seed), slopes(open_backend("exact"), circuit, seed), strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=1e-8)


@pytest.mark.parametrize("name", [name for name, kind in GATES.items() if kind.angles])
def test_the_shift_rule_of_every_gate(name):
    wires = tuple(range(GATES[name].wires))
    start = tuple(Gate("ry", (wire,), (Angle(None, shift=0.4 + wire),)) for wire in (0, 1))
    twice = tuple(Gate(name, wires, (Angle(source, 0, scale, 0.3),)) for source, scale in (("weight", 1.7), ("input", -0.6)))
    circuit = Circuit(2, start + twice + start + twice, readout("xyz+xx+zeros", 2), 1, 1)
    for one, two in zip(slopes(Defined(), circuit, 0), slopes(open_backend("exact"), circuit, 0), strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=1e-10)


@pytest.mark.parametrize("seed", range(8))
def test_a_lifted_circuit_given_its_angles_is_the_circuit(seed):
    circuit = random_circuit(np.random.default_rng(seed), wires=3, gates=20)
    weights_GP, inputs_GNI = (tensor.detach() for tensor in values(circuit, seed))
    lifted = lift(circuit)
    angles_MA = lifted.values(weights_GP, inputs_GNI)
    assert lifted.circuit.inputs == sum(angle.source is not None for gate in circuit.gates for angle in gate.angles)
    found = reference_means(lifted.circuit, np.zeros((1, 0)), angles_MA[None].numpy())[0]
    expected = reference_means(circuit, weights_GP.numpy(), inputs_GNI.numpy())
    np.testing.assert_allclose(found, expected.reshape(found.shape), rtol=0, atol=1e-12)


def test_one_call_is_one_evaluation_and_all_gradients_are_another():
    circuit = assemble("angle-y", "strongly-entangling", 2, 1)
    backend = Defined()
    weights_GP, inputs_GNI = values(circuit, 0, groups=3, rows=4)
    mean_GNK = backend.bind(circuit, weights_GP)(inputs_GNI)
    assert (backend.tally.calls, backend.tally.jobs, backend.tally.executions) == (1, 1, 12)
    torch.autograd.backward(mean_GNK.sum())
    angles = lift(circuit).circuit.inputs
    assert (backend.tally.calls, backend.tally.executions) == (2, 12 + 12 * 2 * angles)
    backend.bind(circuit, weights_GP.detach())(inputs_GNI)[:, :, 0].sum().backward()  # only inputs are shifted
    assert backend.tally.executions == 12 + 12 * 2 * angles + 12 + 12 * 2 * circuit.inputs


@pytest.mark.parametrize("steps", [1, 4, 7])
def test_a_recurrent_network_makes_a_round_for_each_step_whatever_the_batch(steps):
    counts = {}
    for batch in (1, 5):
        network = LSTM(3, 4, make=lambda *sizes: Quantum(wires=2, hidden=4).map(*sizes, torch_generator(0, "core")))
        backend = network.map.middle.backend = Defined()
        h_NTH, _ = network(torch.randn(batch, steps, 3, generator=torch_generator(0, "x")))
        assert backend.tally.jobs == backend.tally.calls == steps
        torch.autograd.backward(h_NTH.sum())
        counts[batch] = backend.tally.calls
    assert counts == {1: 2 * steps, 5: 2 * steps}


def test_equal_rows_are_run_once_and_everyone_gets_the_answer():
    circuit = assemble("angle-y", "basic-entangler", 2, 1)
    backend = Defined()
    weights_GP, inputs_GNI = (tensor.detach() for tensor in values(circuit, 1, groups=1, rows=3))
    again = [0, 1, 0, 2, 1, 0]
    found = backend.bind(circuit, weights_GP)(inputs_GNI[:, again])
    assert backend.tally.executions == 3
    torch.testing.assert_close(found, backend.bind(circuit, weights_GP)(inputs_GNI)[:, again], rtol=0, atol=0)


def test_with_shots_equal_rows_of_different_names_are_different_experiments():
    circuit = assemble("angle-y", "basic-entangler", 2, 1)
    backend = open_backend("aer:shots=50")
    inputs_GNI = torch.full((1, 6, 2), 0.7, dtype=torch.float64)
    bound = backend.bind(circuit, torch.full((1, 2), 0.9, dtype=torch.float64))
    assert len(bound(inputs_GNI).unique(dim=1)[0]) == backend.tally.executions == 1
    assert len(bound(inputs_GNI, [f"window {n}" for n in range(6)])[0].unique(dim=0)) > 3
    assert backend.tally.executions == 7


def test_a_second_call_samples_anew_and_a_second_binding_repeats():
    circuit = assemble("angle-y", "strongly-entangling", 3, 1)
    weights_GP, inputs_GNI = (tensor.detach() for tensor in values(circuit, 1))
    first, second = (open_backend("aer:shots=100").bind(circuit, weights_GP, key=Key(3).at("a")) for _ in range(2))
    one, two = first(inputs_GNI), first(inputs_GNI)
    assert not torch.equal(one, two)
    assert torch.equal(second(inputs_GNI), one)
    assert torch.equal(second(inputs_GNI), two)


def test_gradients_with_shots_are_right_on_average():
    circuit = assemble("angle-y", "sim14", 2, 1)  # it has controlled rotations, with four terms
    expected = slopes(open_backend("exact"), circuit, 1)
    seen = []
    for run in range(60):
        weights_GP, inputs_GNI = values(circuit, 1)
        mean_GNK = open_backend("aer:shots=400").bind(circuit, weights_GP, key=Key(run))(inputs_GNI)
        cost_GNK = torch.from_numpy(np.random.default_rng(1).normal(size=tuple(mean_GNK.shape)))
        seen.append(
            torch.cat([slope.flatten() for slope in torch.autograd.grad((cost_GNK * mean_GNK).sum(), (weights_GP, inputs_GNI))])
        )
    assert_unbiased(torch.stack(seen), torch.cat([slope.flatten() for slope in expected[1:]]))


def test_spsa_costs_two_evaluations_a_row_and_is_right_on_average():
    circuit = assemble("angle-y", "strongly-entangling", 2, 1)
    expected = slopes(open_backend("exact"), circuit, 1, rows=1)
    backend = Defined("spsa")
    seen = []
    for run in range(400):
        weights_GP, inputs_GNI = values(circuit, 1, rows=1)
        mean_GNK = backend.bind(circuit, weights_GP, key=Key(run))(inputs_GNI)
        cost_GNK = torch.from_numpy(np.random.default_rng(1).normal(size=tuple(mean_GNK.shape)))
        seen.append(
            torch.cat([slope.flatten() for slope in torch.autograd.grad((cost_GNK * mean_GNK).sum(), (weights_GP, inputs_GNI))])
        )
    assert backend.tally.executions == 400 * (2 + 2 * 2)
    assert_unbiased(torch.stack(seen), torch.cat([slope.flatten() for slope in expected[1:]]), slack=0.02)


def assert_unbiased(seen_RS, expected_S, slack=0.0):
    """Means of R runs lie within their own scatter of what is expected; `slack` for terms of the second order."""
    error_S = seen_RS.std(dim=0) / math.sqrt(len(seen_RS))
    assert (error_S > 0).any()
    assert ((seen_RS.mean(dim=0) - expected_S).abs() <= 4 * error_S + slack * (1 + expected_S.abs()) + 1e-9).all()


@pytest.mark.parametrize("seed", range(6))
def test_chances_and_counts_read_alike_and_as_the_state_says(seed):
    random = np.random.default_rng(seed)
    wires = 1 + seed % 3
    words = tuple(dict.fromkeys([*readout("z+zeros", wires), "Z" * wires]))
    counts = random.integers(0, 50, size=(4, 1, 2**wires))
    counts[..., 0] += 1
    tables = [[{f"{d:0{wires}b}": int(times) for d, times in enumerate(one) if times} for one in row] for row in counts]
    for m, row in enumerate(counts):
        shots = int(row.sum())
        mean_MK, error_MK = read_chances(words, row[None] / shots, shots)
        found_MK, wrong_MK = read_counts(words, tables[m : m + 1])
        np.testing.assert_allclose(mean_MK, found_MK, atol=1e-12)
        np.testing.assert_allclose(error_MK, wrong_MK, atol=1e-12)
        parity = sum(times * (-1) ** d.bit_count() for d, times in enumerate(row[0].tolist())) / shots
        np.testing.assert_allclose(mean_MK[0, words.index("Z" * wires)], parity, atol=1e-12)
        np.testing.assert_allclose(mean_MK[0, words.index("0" * wires)], row[0, 0] / shots, atol=1e-12)


def test_a_sure_outcome_is_no_certainty_and_the_identity_is():
    mean_MK, error_MK = read_chances(("ZI", "II"), np.eye(4)[None, :1], 100)
    assert mean_MK.tolist() == [[1, 1]]
    assert 0 < error_MK[0, 0] < 0.05
    assert error_MK[0, 1] == 0


class Broken(Definition):
    def evaluate(self, lifted, angles_MA, *, rows):
        return Answer(np.full((len(rows), len(lifted.circuit.readout)), np.nan), None, len(rows))


class Breaks(SampledBackend, Backend):
    name = "breaks"

    def __init__(self):
        super().__init__(Broken())


def test_what_cannot_be_is_refused_in_one_line():
    circuit = Circuit(1, (Gate("rx", (0,), (Angle("input", 0),)),), z_each(1), 1, 0)
    weights_10, inputs_1N1 = torch.zeros(1, 0), torch.zeros(1, 3, 1)
    with pytest.raises(BackendError, match=r"not all finite; run again"):
        Breaks().bind(circuit, weights_10)(inputs_1N1)
    with pytest.raises(BackendError, match="3 rows of inputs but 2 row names"):
        Defined().bind(circuit, weights_10)(inputs_1N1, ["a", "b"])
    with pytest.raises(BackendError, match="'shift' or 'spsa', got 'adjoint'"):
        Defined("adjoint")
    for text, told in {
        "shot=3": "did you mean 'shots'",
        "a,shots": "no option 'shots'",
        "a,shots=1,shots=2": "given twice",
    }.items():
        with pytest.raises(BackendError, match=told):
            options(text, ["shots"])
    for spec in ("aer:shots=0", "aer:shots=1e3", "pennylane:default.qubit,shots=-1"):
        with pytest.raises(BackendError, match="an integer from 1"):
            open_backend(spec)
