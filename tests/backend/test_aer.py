"""Aer: the exact simulator's numbers with and without noise, Aer's own noise of a device, and a detector that moves between them."""

import sys

import numpy as np
import pytest
import torch
from qiskit import transpile
from qiskit_aer import AerSimulator
from qiskit_ibm_runtime.fake_provider import FakeManilaV2

from qlogad.backend import aer
from qlogad.backend.abilities import Key
from qlogad.backend.backend import open_backend
from qlogad.backend.parameter_shift import lift
from qlogad.backend.qiskit import to_qiskit
from qlogad.circuit.encoding import assemble
from qlogad.detect.detector import Detector
from qlogad.detect.floors.length import Length
from qlogad.detect.sequences.deeplog import DeepLog
from qlogad.errors import BackendError, MissingExtra, ResultError
from qlogad.nn.core import Quantum
from qlogad.testing.circuits import random_circuit

RATES = "depolarizing=0.02,depolarizing2=0.07,amplitude_damping=0.03,phase_damping=0.05,bit_flip=0.02,readout=0.03"


def values(circuit, seed, *, groups=2, rows=3):
    random = np.random.default_rng(seed)
    weights_GP, inputs_GNI = random.normal(size=(groups, circuit.weights)), random.normal(size=(1, rows, circuit.inputs))
    return torch.from_numpy(weights_GP).requires_grad_(), torch.from_numpy(inputs_GNI).requires_grad_()


@pytest.mark.parametrize(
    ("spec", "same"),
    [
        ("aer", "exact"),
        ("aer:density_matrix", "exact"),
        ("aer:mps", "exact"),
        (f"aer:{RATES}", f"exact:{RATES}"),
    ],
)
@pytest.mark.parametrize("seed", range(4))
def test_readouts_and_gradients_are_those_of_the_exact_simulator(spec, same, seed):
    circuit = random_circuit(np.random.default_rng(seed), wires=1 + seed, gates=12)
    found = []
    for name in (spec, same):
        weights_GP, inputs_GNI = values(circuit, seed)
        mean_GNK = open_backend(name).bind(circuit, weights_GP)(inputs_GNI)
        slopes = torch.autograd.grad(mean_GNK.square().sum(), (weights_GP, inputs_GNI), materialize_grads=True)
        found.append([mean_GNK.detach(), *slopes])
    for one, two in zip(*found, strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=1e-8)


def test_the_noise_of_a_device_is_that_of_aer_s_own_model_of_it():
    """Aer's simulator of the device, sampling trajectories and reading errors by itself, on the same translated circuit."""
    device, shots, rows = FakeManilaV2(), 20_000, 6
    circuit = assemble("angle-y", "strongly-entangling", 3, 1)
    weights_GP, inputs_GNI = (tensor.detach() for tensor in values(circuit, 1, groups=1, rows=rows))
    found_NK = open_backend("aer:fake_manila").bind(circuit, weights_GP)(inputs_GNI)[0].numpy()
    drawn = to_qiskit(lift(circuit).circuit)
    drawn.measure_all()
    whole = transpile(drawn, target=device.target, optimization_level=3, seed_transpiler=0)
    angles_MA = lift(circuit).values(weights_GP, inputs_GNI).numpy()
    bound = [whole.assign_parameters({one: angles_A[one.index] for one in whole.parameters}) for angles_A in angles_MA]
    result = AerSimulator.from_backend(device, seed_simulator=7).run(bound, shots=shots).result()
    for n in range(rows):
        counts = result.get_counts(n)
        for wire in range(circuit.wires):
            mean = sum(times * (-1) ** int(bits[::-1][wire]) for bits, times in counts.items()) / shots
            assert abs(mean - found_NK[n, wire]) < 5 / shots**0.5


def test_a_circuit_is_translated_once_for_all_bindings(monkeypatch):
    count = []
    translate = aer.transpile
    monkeypatch.setattr(aer, "transpile", lambda *given, **options: count.append(1) or translate(*given, **options))
    circuit = assemble("angle-y", "strongly-entangling", 2, 1)
    backend = open_backend("aer:shots=10")
    for seed in range(3):
        weights_GP, inputs_GNI = values(circuit, seed)
        torch.autograd.backward(backend.bind(circuit, weights_GP, key=Key(seed))(inputs_GNI).sum())
    assert len(count) == 1
    assert (backend.tally.calls, backend.tally.jobs) == (6, 6)


def test_a_long_call_goes_in_parts_and_gives_the_same(monkeypatch):
    circuit = assemble("angle-y", "strongly-entangling", 3, 1, readout="x+z")
    weights_GP, inputs_GNI = (tensor.detach() for tensor in values(circuit, 0, rows=10))
    for spec in ("aer", "aer:shots=20"):
        whole = open_backend(spec).bind(circuit, weights_GP)(inputs_GNI)
        with monkeypatch.context() as patched:
            patched.setattr(aer, "ENTRIES", 40)
            backend = open_backend(spec)
            torch.testing.assert_close(backend.bind(circuit, weights_GP)(inputs_GNI), whole, rtol=0, atol=1e-12)
        assert backend.tally.jobs > 1
        assert backend.tally.calls == 1


def test_matrix_product_states_reach_beyond_state_vectors():
    circuit = assemble("angle-y", "separable", 40, 1)
    weights_GP, inputs_GNI = (tensor.detach() for tensor in values(circuit, 0, groups=1))
    found = open_backend("aer:mps").bind(circuit, weights_GP)(inputs_GNI)
    one = assemble("angle-y", "separable", 1, 1)
    per_wire = circuit.weights // 40
    weights_4GP = weights_GP.reshape(per_wire, 40).T if weights_GP.shape[1] == 40 else weights_GP.reshape(40, per_wire)
    expected = [
        open_backend("exact").bind(one, weights_4GP[k : k + 1].contiguous())(inputs_GNI[:, :, k : k + 1])[0, :, 0]
        for k in range(40)
    ]
    torch.testing.assert_close(found[0].T, torch.stack(expected), rtol=0, atol=1e-8)


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("aer:statevektor", "did you mean 'statevector'"),
        ("aer:fake_manilla", "did you mean 'fake_manila'"),
        ("aer:shot=10", "did you mean 'shots'"),
        ("aer:mps,readout=0.1", "noise needs density matrices"),
        ("aer:fake_manila,readout=0.1", "brings its own noise"),
        ("aer:depolarizing=2", "from 0 to 1"),
        ("aer:level=2", "needs a device"),
        ("aer:fake_manila,level=4", "an integer from 0 to 3"),
        ("aer:device=tpu", "finds no device 'tpu'"),
        ("aer:shots=5,gradient=adjoint", "'shift' or 'spsa'"),
    ],
)
def test_targets_that_are_none_are_refused_in_one_line(spec, told):
    with pytest.raises(BackendError, match=told) as caught:
        open_backend(spec)
    assert len(str(caught.value).splitlines()) == 1


def test_circuits_that_do_not_fit_are_refused():
    for spec, wires, readout in (("aer:fake_manila", 6, "z"), ("aer:mps", 30, "zeros"), ("aer:shots=1", 21, "z")):
        circuit = assemble("angle-y", "separable", wires, 0, readout=readout)
        with pytest.raises(BackendError, match="wires"):
            open_backend(spec).bind(circuit, torch.zeros(1, 0))(torch.zeros(1, 1, wires))


@pytest.mark.parametrize(
    ("package", "spec", "extra"), [("qiskit_aer", "aer", "aer"), ("qiskit_ibm_runtime", "aer:fake_manila", "ibm")]
)
def test_a_missing_package_is_named_with_its_extra(package, spec, extra, monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, "qlogad.backend.aer")
    monkeypatch.delitem(sys.modules, "qlogad.backend.ibm", raising=False)
    with pytest.raises(MissingExtra, match=rf"pip install 'qlogad\[{extra}\]'"):
        open_backend(spec)


# ---------------------------------------------------------------- a detector on the ladder


WINDOWS = [[0, 1, 2, 3] * 3, [0, 1, 2, 3, 0, 1], [2, 3, 0, 1] * 2] * 4
ODD = [*WINDOWS[:3], [0, 2, 1, 3] * 2, [3, 3, 3], [5], []]


def deeplog(backend, **settings):
    core = Quantum(wires=2, hidden=4, backend=backend)
    return DeepLog(core=core, history=3, embedding=4, score="nll", **{"epochs": 2, "batch": 16, **settings})


def test_a_detector_trains_and_scores_with_shots_and_the_seed_fixes_all():
    one, two, other = (
        deeplog("aer:shots=200", seed=seed).fit(WINDOWS, validation=WINDOWS).score_samples(ODD) for seed in (0, 0, 1)
    )
    assert one.tobytes() == two.tobytes()
    assert not np.array_equal(one, other)
    clean = deeplog("exact").fit(WINDOWS, validation=WINDOWS)
    assert np.abs(clean.score_samples(ODD)[:5] - one[:5]).max() < 1  # two epochs apart, by sampling noise only


def test_training_by_shift_rules_is_training_by_autograd():
    by_shift, by_autograd = (deeplog(name).fit(WINDOWS, validation=WINDOWS).score_samples(ODD) for name in ("aer", "exact"))
    np.testing.assert_allclose(by_shift, by_autograd, rtol=0, atol=1e-3)


def test_a_score_with_shots_is_that_of_the_window_alone():
    detector = deeplog("aer:shots=100").fit(WINDOWS, validation=WINDOWS)
    score_N = detector.score_samples(ODD)
    order = np.random.default_rng(0).permutation(len(ODD))
    assert np.array_equal(detector.score_samples([ODD[n] for n in order]), score_N[order])
    assert np.array_equal([detector.score_samples([window])[0] for window in ODD], score_N)


def test_trained_clean_and_tested_noisy(tmp_path):
    clean = deeplog("exact").fit(WINDOWS, validation=WINDOWS)
    clean.save(tmp_path / "clean")
    moved = {
        name: Detector.load(tmp_path / "clean", backend=name)
        for name in ("exact", "aer", f"aer:{RATES}", "aer:shots=100", "aer:fake_manila,shots=100")
    }
    off = {name: np.abs(detector.score_samples(ODD)[:5] - clean.score_samples(ODD)[:5]).max() for name, detector in moved.items()}
    assert off["exact"] == 0
    assert off["aer"] < 1e-4
    assert all(off[name] > 1e-3 for name in list(moved)[2:])
    for detector in moved.values():
        assert detector.threshold_ == clean.threshold_
        assert all(np.array_equal(array, clean._state()[name]) for name, array in detector._state().items())
    moved["aer:shots=100"].save(tmp_path / "moved")
    again = Detector.load(tmp_path / "moved")
    assert np.array_equal(again.score_samples(ODD), moved["aer:shots=100"].score_samples(ODD))


def test_a_detector_without_circuits_has_no_backend_to_change(tmp_path):
    Length().fit(WINDOWS).save(tmp_path)
    with pytest.raises(ResultError, match="runs no circuits"):
        Detector.load(tmp_path, backend="aer")
