"""Laws of detectors trained in one place and scored in another: with noise or shots, and elsewhere without, with more, or on a device."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from qlogad import seeds
from qlogad.detect.detector import Detector
from qlogad.detect.sequences.deeplog import DeepLog
from qlogad.detect.windows.vqc import VQC
from qlogad.evaluate.metrics import measure
from qlogad.experiment import Experiment
from qlogad.features.features import Features
from qlogad.hardware.campaign import submit
from qlogad.hardware.forecast import forecast
from qlogad.hardware.windows import trained
from qlogad.nn.core import Classical, Quantum
from qlogad.run import run

NOISE = "depolarizing=0.02,amplitude_damping=0.05,readout=0.03"
KINDS = 4


def sessions(count, name):
    """Windows, and whether an event type is missing in them."""
    random = seeds.generator(0, "elsewhere", name)
    windows = [random.integers(KINDS, size=int(random.integers(3, 8))).tolist() for _ in range(count)]
    return windows, [int(0 not in window) for window in windows]


def fitted(kind, backend, **settings):
    core = Quantum(wires=2, depth=1, hidden=4, backend=backend)
    windows, labels = sessions(50, "train")
    if kind is VQC:
        return VQC(core=core, view="presence", **{"epochs": 2, **settings}).fit(windows, labels, validation=windows)
    return DeepLog(core=core, history=2, embedding=4, score="nll", **{"epochs": 2, **settings}).fit(windows, validation=windows)


@pytest.mark.sample(1)
@pytest.mark.parametrize("kind", [VQC, DeepLog])
def test_noise_is_part_of_training_and_means_the_same_on_every_simulator(kind, tmp_path):
    windows, _ = sessions(8, "test")
    noisy, clean = fitted(kind, f"exact:{NOISE}"), fitted(kind, "exact")
    noisy.save(tmp_path / "noisy")
    clean.save(tmp_path / "clean")
    expected_N = noisy.score_samples(windows)
    assert Detector.load(tmp_path / "noisy").score_samples(windows).tobytes() == expected_N.tobytes()
    elsewhere = Detector.load(tmp_path / "noisy", backend=f"aer:{NOISE}")
    np.testing.assert_allclose(elsewhere.score_samples(windows), expected_N, rtol=1e-5, atol=1e-5)
    assert elsewhere.threshold_ == noisy.threshold_
    for name, found in (("noisy", noisy), ("clean", clean)):
        other = Detector.load(tmp_path / name, backend="exact" if name == "noisy" else f"exact:{NOISE}")
        assert np.abs(other.score_samples(windows) - found.score_samples(windows)).max() > 1e-3
    crossed = Detector.load(tmp_path / "clean", backend=f"exact:{NOISE}").score_samples(windows)
    assert np.abs(crossed - expected_N).max() > 1e-4, "trained with noise, it has other weights than trained without"


@pytest.mark.parametrize(
    ("backend", "epochs"), [("aer:shots=200,gradient=shift", 20), ("pennylane:default.qubit,shots=200,gradient=spsa", 60)]
)
def test_a_detector_learns_from_shots(backend, epochs):
    """It ranks unseen windows, the same each time; another seed has other shots."""
    windows, labels = sessions(60, "test")
    first, second, other = (fitted(VQC, backend, epochs=epochs, seed=seed) for seed in (0, 0, 1))
    assert first.score_samples(windows).tobytes() == second.score_samples(windows).tobytes()
    scores_N = first.score_samples(windows)
    found = measure(scores_N, scores_N > 0, np.array(labels), np.ones(len(labels)))
    assert found.roc_auc > 0.9
    assert scores_N.tobytes() != other.score_samples(windows).tobytes()


def test_where_it_was_trained_changes_no_plan(tmp_path):
    """A plan rehearses without noise, wherever the detector came from."""
    fitted(VQC, "exact").save(tmp_path)
    features = Features.from_sequences(sessions(20, "test")[0], size=KINDS)
    plans = [
        forecast(Detector.load(tmp_path, backend=name), features, "aer:shots=50")
        for name in ("exact", f"exact:{NOISE}", "aer:shots=9")
    ]
    assert plans[0] == plans[1] == plans[2]


MACHINES = {
    "AVX2, two threads": {
        "OPENBLAS_CORETYPE": "Haswell",
        "MKL_CBWR": "AVX2",
        "ATEN_CPU_CAPABILITY": "avx2",
        "OMP_NUM_THREADS": "2",
    },
    "old": {"OPENBLAS_CORETYPE": "Prescott", "MKL_CBWR": "COMPATIBLE", "ATEN_CPU_CAPABILITY": "default", "OMP_NUM_THREADS": "1"},
}
SCORE = """
import json, sys
from qlogad.detect.detector import Detector
folders, windows = json.loads(sys.stdin.read())
print(json.dumps([Detector.load(folder).score_samples(windows).tolist() for folder in folders]))
"""


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Saved detectors and their scores of some windows here."""
    windows, _ = sessions(30, "test")
    core = Classical(hidden=6)
    classical = DeepLog(core=core, history=2, embedding=4, score="nll", epochs=3)
    made = [fitted(DeepLog, "exact"), fitted(VQC, "exact"), classical.fit(sessions(50, "train")[0], validation=windows)]
    found = {}
    for number, detector in enumerate(made):
        folder = tmp_path_factory.mktemp(f"saved{number}")
        detector.save(folder)
        found[str(folder)] = Detector.load(folder).score_samples(windows)
    return windows, found


@pytest.mark.parametrize("machine", MACHINES.values(), ids=MACHINES)
def test_a_saved_detector_scores_the_same_within_rounding_on_other_processors_and_threads(machine, saved):
    windows, here = saved
    given = json.dumps([list(here), windows])
    done = subprocess.run([sys.executable, "-c", SCORE], input=given, capture_output=True, text=True, env=os.environ | machine)
    assert done.returncode == 0, done.stderr
    for there, expected_N in zip(json.loads(done.stdout), here.values(), strict=True):
        np.testing.assert_allclose(there, expected_N, rtol=1e-6, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["exact:depolarizing=0.01", "aer:shots=64,gradient=spsa"])
def test_a_run_with_noise_or_shots_goes_to_another_backend(backend, tmp_path):
    """On the synthetic log: run, kept detector, campaign; the exact scores beside it are exact."""
    names = ("lstm", "quantum")
    changes = ["data.lines=3000", "data.split.cuts=[0.6]", "judge.seeds=1", f"contender.quantum.core.backend={backend}"]
    changes += [f"contender.{name}.{key}" for name in names for key in ("epochs=1", "history=3")]
    experiment = Experiment.load("quickstart", changes)
    contenders = tuple(contender for contender in experiment.contenders if contender.name in names)
    small = replace(experiment, contenders=contenders, judge=replace(experiment.judge, contrasts=()))
    assert not run(small, tmp_path, workers=1).failed
    result = tmp_path / "quickstart"
    for to in ("aer:depolarizing=0.01,shots=256", "pennylane:lightning.qubit,shots=64"):
        assert submit(result, "quantum", to, windows=10, repeats=2).state == "done"
    found = submit(result, "quantum", "aer", windows=10, repeats=1)
    np.testing.assert_allclose(found.scores_RN[0], found.exact_N, rtol=1e-4)
    assert trained(result, "quantum").folder.is_dir()
