"""Laws of the classifier: what each core and feed can tell apart by construction, what it says of aliases, and that only windows matter."""

import json
import warnings
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone

from qlogad import documents, names, seeds
from qlogad.circuit.design import Design
from qlogad.circuit.encoding import Encoding
from qlogad.detect.detector import Detector
from qlogad.detect.windows.vqc import VQC
from qlogad.errors import DataError, DesignError, DocumentError, InputError, QlogadWarning
from qlogad.experiment import Experiment
from qlogad.features.features import Features, Labels
from qlogad.nn.controls.control import control
from qlogad.nn.core import Classical, Core, Quantum
from qlogad.nn.core.same_total import SameTotal
from qlogad.report.table import summary
from qlogad.run import run
from qlogad.testing.circuits import reference_means

QUANTUM = Quantum(wires=3, depth=3, reupload=True)
CORES: list[Core] = [Classical(hidden=8), QUANTUM, *(control(name, QUANTUM) for name in names.known("control"))]
cores = pytest.mark.parametrize("core", CORES, ids=str)
SETTINGS = [
    {"feed": "linear"},
    {"feed": "scaled"},
    {"feed": "direct"},
    {"view": "presence", "core": replace(QUANTUM, encoding="basis"), "feed": "direct"},
    {"view": "last", "core": replace(QUANTUM, encoding="binary"), "feed": "direct"},
    {"view": "last", "core": replace(QUANTUM, encoding="table"), "feed": "direct"},
    {"view": "last", "feed": "linear"},
    {"view": "presence", "core": replace(QUANTUM, encoding="dense-angle"), "feed": "scaled"},
]
ROUNDS = {"epochs": 3}
FED = [name for name in names.designs("encoding") if not Design.load(name, "encoding").takes.integer]


def random_windows(rows: int, seed: int, size: int = 3, longest: int = 9) -> list[list[int]]:
    generator = seeds.generator(seed, "windows")
    return [generator.integers(size, size=generator.integers(longest + 1)).tolist() for _ in range(rows)]


def parity() -> tuple[list[list[int]], list[int]]:
    """Every pair of counts of two events, each 0 or 1, with any number of a third; an anomaly has exactly one of the two."""
    cells = list(product((0, 1), (0, 1), range(4)))
    return [[0] * a + [1] * b + [2] * c for a, b, c in cells], [a ^ b for a, b, _ in cells]


def agreement(core: Core, feed: str = "linear", **fields: object) -> float:
    """The share of the parity windows that a score above 0 tells rightly, the best of three seeds."""
    windows, labels = parity()
    found = [VQC(core=core, feed=feed, seed=seed, **{"epochs": 150, **fields}).fit(windows, labels) for seed in range(3)]
    return max(float(((detector.score_samples(windows) > 0) == np.asarray(labels)).mean()) for detector in found)


@pytest.mark.parametrize("feed", ["linear", "scaled", "direct"])
def test_a_circuit_learns_the_parity_of_two_counts(feed: str) -> None:
    assert agreement(QUANTUM, feed) == 1


def test_so_does_a_hidden_layer_and_no_linear_classifier() -> None:
    """A line tells at most three of the four pairs of counts rightly."""
    assert agreement(Classical(hidden=8)) == 1
    assert agreement(Classical(hidden=1), epochs=600) <= 0.75


@pytest.mark.parametrize("name", ["no-entanglement", "same-wrapper"])
@pytest.mark.parametrize("feed", ["scaled", "direct"])
def test_fed_without_a_linear_map_parity_needs_entanglement(name: str, feed: str) -> None:
    """Their logit is then a sum of functions of single counts: f(0, 0) + f(1, 1) = f(0, 1) + f(1, 0), so at most three are right."""
    assert agreement(control(name, QUANTUM), feed) <= 0.75


def fitted(**fields: object) -> VQC:
    windows = random_windows(60, 0)
    labels = [int(window[:1] == window[-1:]) for window in windows]
    return VQC(**{"core": QUANTUM, **ROUNDS, **fields}).fit(windows, labels, validation=random_windows(20, 1))


@cores
@pytest.mark.parametrize("feed", ["linear", "scaled", "direct"])
def test_every_control_is_trained_and_counted(core: Core, feed: str) -> None:
    detector = fitted(core=core, feed=feed)
    start = fitted(core=core, feed=feed, epochs=1, lr=1e-12)
    moved = {name: not np.allclose(value, start._state()[name], atol=1e-6) for name, value in detector._state().items()}
    frozen = isinstance(core, Quantum) and core.frozen
    assert {name for name, change in moved.items() if not change} <= {"columns_D", "scale_D", "shift_D"} | (
        {"map.middle.weights_GP"} if frozen else set()
    )
    found = detector.weights_
    assert found["quantum"] + found["classical"] == found["total"] == sum(p.numel() for p in detector.network_.parameters())
    assert (found["live"] > 0) == (found["quantum"] > 0) == (detector.executions > 0)


@pytest.mark.parametrize("feed", ["linear", "scaled", "direct"])
def test_same_total_is_as_large_as_fits(feed: str) -> None:
    def total(core: Core) -> int:
        return fitted(core=core, feed=feed).weights_["total"]

    least = total(SameTotal(of=QUANTUM))
    per_unit = total(Classical(hidden=2)) - total(Classical(hidden=1))
    assert least <= total(QUANTUM) < least + per_unit


@cores
@pytest.mark.parametrize("view", ["counts", "presence", "last"])
def test_controls_keep_what_is_around_the_circuit(core: Core, view: str) -> None:
    """Twin and control start from the same linear maps and read the same columns on the same scale."""
    twin, other = (fitted(core=one, view=view, epochs=1, lr=1e-12)._state() for one in (QUANTUM, core))
    assert all(np.array_equal(twin[name], other[name]) for name in ("columns_D", "scale_D", "shift_D"))
    around = [name for name in twin if name.startswith(("map.reduce", "map.expand"))]
    assert len(around) == 4
    for name in around if not isinstance(core, Classical | SameTotal) else ():
        assert_allclose(other[name], twin[name], atol=1e-9)


@pytest.mark.parametrize("fields", [s for s in SETTINGS if s.get("feed") == "direct"], ids=str)
def test_fed_directly_the_score_is_a_linear_map_of_the_readouts_of_the_view(fields: dict[str, object]) -> None:
    """By the definition of the circuit: whole matrices, one window at a time."""
    detector = fitted(**fields)
    core, state, windows = detector.core, detector._state(), random_windows(12, 4)
    rows = detector._rows(Features.from_sequences(windows, size=3))
    x_ND = rows.argmax(axis=1)[:, None] if detector.view == "last" else rows[:, :3]
    encoding = core.encoder(4 if detector.view == "last" else 2)
    own_GE = state.get("map.middle.encoding_GE")
    inputs_GNI = encoding.inputs(x_ND.astype(float), core.wires, None if own_GE is None else own_GE.astype(float))
    mean_GNK = reference_means(core.circuit(), state["map.middle.weights_GP"].astype(float), inputs_GNI.reshape(1, 12, -1))
    expected_N = mean_GNK[0] @ state["map.expand.weight_GIO"][0, :, 0] + state["map.expand.bias_G1O"][0, 0, 0]
    assert_allclose(detector.score_samples(windows), expected_N, atol=1e-5)


@pytest.mark.parametrize("fields", SETTINGS, ids=str)
def test_a_score_depends_on_the_view_of_the_window_alone_to_the_last_bit(fields: dict[str, object]) -> None:
    detector = fitted(**fields)
    windows = random_windows(300, 2, size=5, longest=40)
    together = detector.score_samples(windows)
    assert np.isfinite(together).all()
    assert_array_equal(together[:30], [detector.score_samples([window])[0] for window in windows[:30]])
    assert_array_equal(together[::-1], detector.score_samples(windows[::-1]))
    shuffled = [sorted(window[:-1]) + window[-1:] for window in windows]
    assert_array_equal(together, detector.score_samples(shuffled))


@pytest.mark.parametrize("fields", SETTINGS, ids=str)
def test_a_saved_detector_gives_the_same_scores_bit_for_bit(fields: dict[str, object], tmp_path: Path) -> None:
    detector = fitted(**fields)
    detector.save(tmp_path)
    again = Detector.load(tmp_path)
    windows = random_windows(100, 3, size=5)
    assert again.score_samples(windows).tobytes() == detector.score_samples(windows).tobytes()
    assert (again.weights_, again.get_params()) == (detector.weights_, detector.get_params())
    assert_array_equal(again.predict(windows), detector.predict(windows))


def test_the_view_is_what_it_says() -> None:
    rows = Features.from_sequences([[0, 1, 1, 7], [], [1, 0]], size=2)
    assert VQC(view="counts")._rows(rows).tolist() == [[1, 2, 1], [0, 0, 0], [1, 1, 0]]
    assert VQC(view="presence")._rows(rows).tolist() == [[1, 1, 1], [0, 0, 0], [1, 1, 0]]
    assert VQC(view="last")._rows(rows).tolist() == [[0, 0, 1], [0, 0, 1], [1, 0, 0]]


def test_what_does_not_vary_in_training_has_no_part() -> None:
    windows = [[*window, 3] for window in random_windows(40, 0)]  # event 3 once in each
    detector = VQC(core=QUANTUM, **ROUNDS).fit(windows, [n % 2 for n in range(40)])
    assert_array_equal(detector._state()["columns_D"], [0, 1, 2])
    plain = [window[:-1] for window in windows]
    assert_array_equal(detector.score_samples(windows), detector.score_samples(plain))
    assert_array_equal(detector.score_samples(windows), detector.score_samples([[*window, 99] for window in windows]))
    runs = []
    for given in (plain, [*windows, *plain]):
        before = detector.executions
        detector.score_samples(given)
        runs.append(detector.executions - before)
    assert runs[0] == runs[1] > 0, "a circuit is run for what differs where it is read"


@pytest.mark.parametrize("encoding", FED)
def test_scaled_features_lie_in_the_range_of_the_encoding_whatever_the_counts(encoding: str) -> None:
    if Design.load(encoding, "encoding").prepare:
        with pytest.raises(DesignError, match="feed = 'linear'"):
            fitted(core=replace(QUANTUM, encoding=encoding), feed="scaled")
        return
    loaded = Encoding.load(encoding)
    core = replace(QUANTUM, encoding=encoding, wires=loaded.wires_for(1))
    windows = [[0] * count for count in range(0, 40, 7)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", QlogadWarning)
        detector = VQC(core=core, feed="scaled", **ROUNDS).fit(windows, [n % 2 for n in range(len(windows))])
    rows = detector._rows(Features.from_sequences([*windows, [0] * 1000], size=1))
    given_N = detector.network_.features(torch.from_numpy(rows)).numpy()[:, 0]
    low, high = loaded.limits(core.wires) or (0.0, np.pi)
    assert low <= given_N.min()
    assert given_N.max() <= high + 1e-6
    assert (np.diff(given_N[:-1]) > 0).all()
    assert given_N[-1] == given_N[-2]  # beyond training: its end
    assert np.isfinite(detector.score_samples([*windows, [0] * 1000])).all()


def alias_note(counts: list[int], encoding: str, feed: str, **core: object) -> list[str]:
    windows = [[0] * count for count in counts]
    detector = VQC(core=Quantum(encoding=encoding, wires=2, depth=2, reupload=True, **core), feed=feed, **ROUNDS)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        detector.fit(windows, [n % 2 for n in range(len(counts))])
    assert all(warning.category is QlogadWarning for warning in caught)
    return [str(warning.message) for warning in caught]


@pytest.mark.parametrize("start", range(3))
@pytest.mark.parametrize("encoding", ["angle-x", "angle-y", "angle-z"])
def test_counts_that_an_angle_cannot_tell_apart_are_reported(encoding: str, start: int) -> None:
    """44 is seven turns and .018 radians; 6 is .28 radians short of a turn, which training can still use."""
    (note,) = alias_note([start, start + 1, start + 44], encoding, "direct")
    assert f"{start} and {start + 44}" in note or f"{start + 44} and {start}" in note
    assert not alias_note([start, start + 1, start + 6], encoding, "direct")


@pytest.mark.parametrize("encoding", ["angle-y", "chebyshev", "chen"])
def test_scaled_counts_do_not_alias_nor_what_a_trained_map_can_part(encoding: str) -> None:
    counts = [0, 1, 44]
    assert not alias_note(counts, encoding, "scaled")
    assert not alias_note(counts, encoding, "linear")
    if encoding == "angle-y":
        assert not alias_note(counts, encoding, "direct", scaling=True)
    if encoding == "chen":  # an arctan of the count
        assert not alias_note(counts, encoding, "direct")


def test_a_run_lists_aliases_in_its_table_and_manifest(tmp_path: Path) -> None:
    generator = seeds.generator(0, "turns")
    counts = generator.choice([1, 2, 45], size=(80, 2))
    lines = [f"{n},{int(a == b)},{' '.join(['1'] * a + ['2'] * b)}" for n, (a, b) in enumerate(counts.tolist())]
    log = tmp_path / "windows.csv"
    log.write_text("\n".join(["id,label,keys", *lines]) + "\n")
    core = {"kind": "quantum", "encoding": "angle-y", "wires": 2}
    content = {
        "data": {"dataset": "sequences", "path": str(log), "training": "all", "split": {"by": "order", "cuts": [0.6]}},
        "contender": [
            {"name": "as they are", "detector": "vqc", "feed": "direct", "core": core, "epochs": 1},
            {"name": "scaled", "like": "as they are", "feed": "scaled"},
        ],
        "judge": {"seeds": 2, "resamples": 20},
    }
    record = run(Experiment.from_document(content, name="aliases"), tmp_path, workers=1)
    assert not record.failed
    manifest = json.loads((tmp_path / "aliases" / "manifest.json").read_text())
    (note,) = [note for note in manifest["notes"] if "alias" in note]
    assert "as they are: encoding 'angle-y': 2 of 2 features alias" in note
    assert note in (tmp_path / "aliases" / "table.md").read_text()
    assert note in summary(record)


def test_no_wires_are_too_few_in_silence() -> None:
    windows, labels = random_windows(40, 0, size=5), [n % 2 for n in range(40)]
    for feed, wires in product(("direct", "scaled"), (1, 4)):
        with pytest.raises(DesignError, match="use wires = 5"):
            VQC(core=replace(QUANTUM, wires=wires), feed=feed).fit(windows, labels)
    with pytest.raises(DesignError, match="of 6 values on 2 wires; use wires = 3"):
        VQC(core=Quantum(encoding="binary", wires=2), feed="direct", view="last").fit(windows, labels)


@pytest.mark.parametrize(
    ("fields", "fix"),
    [
        ({"core": Quantum(encoding="basis")}, "takes integers"),
        ({"core": Quantum(encoding="basis"), "feed": "scaled"}, "feed = 'direct'"),
        ({"core": Quantum(encoding="basis"), "feed": "direct"}, "view = 'presence'"),
        ({"core": Quantum(encoding="angle-y"), "feed": "direct", "view": "last"}, "'table'"),
        ({"core": Quantum(encoding="chebyshev"), "feed": "direct"}, "feed = 'scaled'"),
        ({"core": Quantum(encoding="amplitude"), "feed": "direct"}, "feed = 'linear'"),
        (
            {"core": control("same-wrapper", Quantum(encoding="binary", depth=2)), "feed": "direct", "view": "last"},
            "feed = 'linear'",
        ),
    ],
    ids=str,
)
def test_what_an_encoding_cannot_be_fed_is_refused_in_one_line(fields: dict[str, object], fix: str) -> None:
    with pytest.raises(DesignError, match=fix) as caught:
        VQC(**fields).fit(random_windows(20, 0), [n % 2 for n in range(20)])
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    "change", [{"data": {"dataset": "synthetic"}}, {"feed": "direct", "core": {"kind": "quantum", "encoding": "chebyshev"}}]
)
def test_an_experiment_that_cannot_run_is_refused_when_it_is_read(change: dict[str, object]) -> None:
    change = dict(change)
    data = change.pop("data", {"dataset": "synthetic", "training": "all"})
    with pytest.raises(DocumentError, match=r"training = 'all'|feed = 'scaled'"):
        Experiment.from_document({"data": data, "contender": [{"name": "c", "detector": "vqc", **change}]})


def test_it_has_a_track_of_its_own() -> None:
    experiment = Experiment.load("vqc-synthetic")
    tracks = {contender.name: contender.track("all") for contender in experiment.contenders}
    assert {name for name, track in tracks.items() if track == "supervised"} == {
        contender.name for contender in experiment.contenders if contender.detector == "vqc"
    }
    with pytest.raises(DocumentError, match="compares two tracks"):
        experiment.replace(judge__contrasts=[["quantum", "count-vector"]])


def test_labels_and_windows_that_teach_nothing_are_refused() -> None:
    with pytest.raises(DataError, match="the same counts"):
        VQC().fit([[0, 1]] * 4, [0, 1, 0, 1])
    with pytest.raises(DataError, match="3 training rows but 2 labels"):
        VQC().fit([[0], [1], [0]], [0, 1])
    with pytest.raises(InputError):
        VQC(lr=-1.0)


@pytest.mark.parametrize("balance", [True, False])
def test_the_loss_is_the_cross_entropy_of_windows_with_both_kinds_equal_where_balanced(balance: bool) -> None:
    generator = seeds.generator(0, "loss")
    windows, labels = random_windows(50, 0), [int(n % 7 == 0) for n in range(50)]
    weight_N = generator.integers(1, 5, size=50).astype(float)
    detector = VQC(core=Classical(hidden=3), balance=balance, epochs=1, batch=10_000, lr=1e-12)
    detector.fit(Features.from_sequences(windows, size=3, weight=weight_N), labels)
    score_N, label_N = detector.score_samples(windows), np.asarray(labels)
    if balance:
        weight_N = weight_N / np.where(label_N == 1, weight_N[label_N == 1].sum(), weight_N[label_N == 0].sum())
    surprise_N = np.logaddexp(0, np.where(label_N == 1, -score_N, score_N))
    assert_allclose(detector.history_.epochs[0].loss, np.average(surprise_N, weights=weight_N), rtol=1e-4)


def test_early_stopping_goes_by_labelled_validation_windows_of_both_kinds() -> None:
    windows, labels = random_windows(50, 0), [n % 2 for n in range(50)]
    held = Features.from_sequences(random_windows(30, 1), size=3)

    def epochs(known: list[int] | None) -> list[float | None]:
        detector = VQC(core=Classical(hidden=4), epochs=4)
        detector.fit(windows, labels, validation=(held, None if known is None else Labels(np.asarray(known))))
        return [epoch.validation for epoch in detector.history_.epochs]

    assert epochs(None) == epochs([0] * 30) == [None] * 4
    first, second = epochs([n % 2 for n in range(30)]), epochs([n % 3 % 2 for n in range(30)])
    assert None not in first + second
    assert first != second


def test_it_is_a_document_and_a_scikit_learn_estimator() -> None:
    content = {"core": {"kind": "quantum", "wires": 3, "reupload": True, "depth": 2}, "feed": "scaled", "view": "presence"}
    detector = documents.from_mapping(VQC, content)
    assert detector == VQC(core=Quantum(wires=3, reupload=True, depth=2), feed="scaled", view="presence")
    assert clone(detector) == detector
    for wrong in ({"feed": "best"}, {"view": "ids"}, {"epochs": 0}):
        with pytest.raises(DocumentError):
            documents.from_mapping(VQC, wrong)
