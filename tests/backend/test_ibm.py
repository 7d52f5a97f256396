"""Laws of IBM's devices and their stand-ins: calibration, translation, jobs within the limits, mitigation, accounts."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qlogad import seeds
from qlogad.backend import ibm
from qlogad.backend.abilities import Key
from qlogad.backend.backend import open_backend
from qlogad.backend.exact import Exact
from qlogad.backend.ibm import IBM, Reduced, snapshot
from qlogad.backend.parameter_shift import lift
from qlogad.circuit.circuit import Angle, Circuit, Gate
from qlogad.circuit.encoding import assemble
from qlogad.errors import BackendError, QlogadWarning
from qlogad.testing.circuits import random_circuit


def values(circuit, rows, *name):
    random = seeds.generator(0, "test_ibm", *name)
    weights = torch.from_numpy(random.uniform(-3, 3, size=(2, circuit.weights)))
    return weights, torch.from_numpy(random.uniform(-3, 3, size=(1, rows, circuit.inputs)))


def slope(spec, circuit, rows):
    """Of the readouts on the exact ones: 1 without errors."""
    weights, inputs = values(circuit, rows, "slope")
    ideal = Exact().bind(circuit, weights)(inputs)
    mean = open_backend(spec).bind(circuit, weights, key=Key(3)).estimate(inputs).mean_GNK
    return float((mean * ideal).sum() / (ideal * ideal).sum())


@given(st.sampled_from(["fake_manila", "fake_torino", "fake_sherbrooke"]), st.data())
@settings(deadline=None, max_examples=12)
def test_a_reduced_device_keeps_its_calibration(name, data):
    whole = snapshot(name)
    qubits = data.draw(st.lists(st.integers(0, whole.num_qubits - 1), min_size=1, max_size=5, unique=True))
    reduced = Reduced(whole, qubits).target
    assert reduced.num_qubits == len(qubits)
    for operation in reduced.operation_names:
        for on, facts in reduced[operation].items():
            assert facts == whole.target[operation][tuple(qubits[place] for place in on)]
    kept = {on for operation in reduced.operation_names for on in reduced[operation]}
    for operation in whole.target.operation_names:
        for on in whole.target[operation] or ():
            if on is not None and set(on) <= set(qubits):
                assert tuple(qubits.index(qubit) for qubit in on) in kept


@pytest.mark.parametrize("spec", ["ibm:fake_manila,shots=4000", "ibm:fake_torino,shots=4000"])
def test_drawing_by_row_is_what_the_runtime_simulates(spec, monkeypatch):
    """The same job with the runtime's own sampling, which goes by the place of a row, gives the same means."""
    random = seeds.generator(0, "test_ibm", "own")
    circuit = random_circuit(random, wires=3)
    weights, inputs = values(circuit, 12, "own")
    ours = IBM(spec.removeprefix("ibm:")).bind(circuit, weights).estimate(inputs)
    monkeypatch.setattr(ibm.IBMTarget, "_by_row", False)
    theirs = IBM(spec.removeprefix("ibm:")).bind(circuit, weights).estimate(inputs)
    off = (ours.mean_GNK - theirs.mean_GNK) / (ours.error_GNK**2 + theirs.error_GNK**2).sqrt().clamp(min=1e-9)
    assert off.abs().max() < 5
    assert off.pow(2).mean() < 2
    assert not torch.equal(ours.mean_GNK, theirs.mean_GNK)


def test_a_circuit_is_translated_once_and_fits_the_device(monkeypatch):
    calls = []
    made = ibm.generate_preset_pass_manager
    monkeypatch.setattr(ibm, "generate_preset_pass_manager", lambda *some, **more: calls.append(1) or made(*some, **more))
    circuit = assemble("angle-y", "sim14", 4, 1)
    backend = IBM("fake_torino,shots=64")
    for step in range(3):
        weights, inputs = values(circuit, 5, step)
        backend.bind(circuit, weights).estimate(inputs)
    assert (len(calls), backend.tally.jobs, backend.tally.executions) == (1, 3, 30)
    (prepared,) = backend.target._prepared.values()
    device = snapshot("fake_torino").target
    pairs = {frozenset(pair) for pair in device.build_coupling_map().get_edges()}
    used = [frozenset(prepared.circuits[0].find_bit(qubit).index for qubit in item.qubits) for item in prepared.circuits[0].data]
    assert prepared.two_qubit_gates == sum(len(qubits) == 2 for qubits in used)
    assert len(pairs) > prepared.device.num_qubits
    assert prepared.device.num_qubits <= 8, "cut down to the qubits in use"


@pytest.mark.parametrize("rows_per_job", [1, 3, 7, 100])
def test_rows_go_in_as_few_jobs_as_the_limit_allows(rows_per_job, monkeypatch):
    circuit = assemble("angle-y", "basic-entangler", 2, 1)
    weights, inputs = values(circuit, 10, "jobs")
    whole = IBM("fake_manila,shots=50").bind(circuit, weights).estimate(inputs)
    monkeypatch.setattr(ibm, "JOB_SHOTS", 50 * rows_per_job)
    backend = IBM("fake_manila,shots=50")
    assert torch.equal(backend.bind(circuit, weights).estimate(inputs).mean_GNK, whole.mean_GNK), "jobs do not change what is drawn"
    planned = backend.target.cost(lift(circuit), 20)
    assert backend.tally.jobs == planned.jobs == math.ceil(20 / rows_per_job)
    assert backend.tally.executions == planned.executions == 20


def test_every_stated_limit_holds(monkeypatch):
    """A tighter limit takes more jobs, and one that allows no row is an error with a way out."""
    lifted = lift(assemble("angle-y", "sim14", 4, 2))
    backend = IBM("fake_torino")
    before = backend.target.cost(lifted, 10**6).jobs
    tight = {"JOB_SHOTS": 20_000, "JOB_INSTRUCTIONS": 20_000, "JOB_TWO_QUBIT_GATES": 20_000, "JOB_SECONDS": 100.0}
    for name, limit in tight.items():
        with monkeypatch.context() as patch:
            patch.setattr(ibm, name, limit)
            assert backend.target.cost(lifted, 10**6).jobs > before, name
            patch.setattr(ibm, name, 2)
            with pytest.raises(BackendError, match="fewer shots"):
                backend.target.cost(lifted, 1)


@given(st.integers(1, 10**5), st.booleans(), st.booleans())
def test_twirled_shots_are_rounded_up_to_whole_variants(asked, twirling, measure):
    run = ibm.Mitigation(measure=measure, twirling=twirling).shots(asked)
    assert asked <= run < asked + max(64, asked / 32 + 1)
    assert run == asked or twirling or measure


def test_readout_mitigation_undoes_reading_errors():
    circuit = Circuit(2, tuple(Gate("ry", (wire,), (Angle("input", wire),)) for wire in range(2)), ("ZI", "IZ", "ZZ"), 2, 0)
    plain, mitigated = (slope(f"ibm:fake_manila,shots=2000,level={level}", circuit, 12) for level in (0, 1))
    assert plain < 0.96
    assert plain + 0.02 < mitigated < 1.06


def test_extrapolation_and_twirling_take_effect():
    flips = tuple(Gate("cx", (0, 1)) for _ in range(5))  # barriers of ry keep them apart
    turns = tuple(Gate("ry", (0,), (Angle("weight", place),)) for place in range(6))
    gates = tuple(gate for pair in zip(turns, (*flips, Gate("cx", (0, 1))), strict=True) for gate in pair)
    circuit = Circuit(2, (Gate("ry", (1,), (Angle("input", 0),)), *gates), ("IZ", "ZZ"), 1, 6)
    plain, extrapolated = (slope(f"ibm:fake_manila,shots=4000{more}", circuit, 6) for more in ("", ",measure=on,zne=on"))
    assert abs(extrapolated - 1) < abs(plain - 1)
    first, twirled = (
        IBM(f"fake_manila,shots=300{more}").bind(circuit, values(circuit, 3)[0]).estimate(values(circuit, 3)[1])
        for more in ("", ",twirling=on")
    )
    assert twirled.executions == first.executions
    assert not torch.equal(first.mean_GNK, twirled.mean_GNK)
    assert twirled.provenance["mitigation"] == "twirling"


@pytest.mark.parametrize("spec", ["fake_manila,level=1,shots=128", "fake_manila,twirling=on,shots=128"])
def test_mitigated_samples_are_fixed_by_the_key_and_free_of_order(spec):
    circuit = assemble("angle-y", "basic-entangler", 2, 1)
    weights, inputs = values(circuit, 6, "fixed")
    order = [3, 1, 5, 0, 2, 4]
    first = IBM(spec).bind(circuit, weights, key=Key(1)).estimate(inputs)
    again = IBM(spec).bind(circuit, weights, key=Key(1)).estimate(inputs[:, order])
    other = IBM(spec).bind(circuit, weights, key=Key(2)).estimate(inputs)
    assert torch.equal(first.mean_GNK[:, order], again.mean_GNK)
    assert not torch.equal(first.mean_GNK, other.mean_GNK)
    assert (first.error_GNK > 0).all()
    assert torch.isfinite(first.error_GNK).all()


def test_rows_without_angles_are_rows_all_the_same():
    circuit = Circuit(2, (Gate("h", (0,)), Gate("cx", (0, 1))), ("ZZ", "XX", "ZI"), 0, 0)
    backend = IBM("fake_manila,shots=400")
    estimate = backend.bind(circuit, torch.zeros(1, 0)).estimate(torch.zeros(1, 5, 0), rows=list("abcde"))
    assert estimate.executions == 5 * 2
    assert (estimate.mean_GNK[..., :2] > 0.6).all()
    assert (estimate.mean_GNK[..., 2].abs() < 0.4).all()
    assert len(np.unique(estimate.mean_GNK[0, :, 2])) > 1, "named rows are experiments of their own"


@pytest.mark.parametrize(("option", "says"), [("dd=on", "pulses"), ("max_seconds=60", "no effect")])
def test_what_a_stand_in_does_not_do_is_said(option, says):
    with pytest.warns(QlogadWarning, match=says):
        backend = IBM(f"fake_manila,shots=64,{option}")
    circuit = assemble("angle-y", "basic-entangler", 2, 1)
    estimate = backend.bind(circuit, values(circuit, 2)[0]).estimate(values(circuit, 2)[1])
    assert says in estimate.provenance["stand-in"]


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("fake_manilla", "did you mean 'fake_manila'"),
        ("fake_manila,level=3", "level must be 0"),
        ("fake_manila,zne=yes", "on or off"),
        ("fake_manila,shot=3", "did you mean 'shots'"),
        ("fake_manila,shots=0", "must be an integer"),
    ],
)
def test_bad_targets_are_refused(target, says):
    with pytest.raises(BackendError, match=says) as caught:
        IBM(target)
    assert "\n" not in str(caught.value)


def test_projectors_are_not_mitigated():
    circuit = Circuit(1, (Gate("ry", (0,), (Angle("input", 0),)),), ("0",), 1, 0)
    with pytest.raises(BackendError, match="level=0"):
        IBM("fake_manila,level=1").bind(circuit, torch.zeros(1, 0)).estimate(torch.zeros(1, 1, 1))


def test_without_an_account_the_next_step_is_said(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("QISKIT_IBM_TOKEN", "QISKIT_IBM_INSTANCE", "QISKIT_IBM_CHANNEL", "QISKIT_IBM_URL"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(BackendError, match="save_account"):
        IBM("no_such_device_at_all")
