"""Detectors of whole windows against scikit-learn and their definitions written out, and tasks that only some of them can solve."""

from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn import ensemble, feature_extraction, linear_model, neighbors, svm, tree

from qlogad import seeds
from qlogad.detect.detector import Detector
from qlogad.detect.floors import edit_distance
from qlogad.detect.floors.count_vector import CountVector
from qlogad.detect.floors.edit_distance import EditDistance
from qlogad.detect.floors.length import Length
from qlogad.detect.parts.linear import examples
from qlogad.detect.parts.rows import labelled_rows
from qlogad.detect.parts.trees import Trees
from qlogad.detect.windows import knn, lof, logcluster, one_class_svm
from qlogad.detect.windows.autoencoder import Autoencoder
from qlogad.detect.windows.decision_tree import DecisionTree
from qlogad.detect.windows.gradient_boosting import GradientBoosting
from qlogad.detect.windows.invariant_mining import InvariantMining
from qlogad.detect.windows.isolation_forest import IsolationForest
from qlogad.detect.windows.knn import KNN
from qlogad.detect.windows.linear_svm import LinearSVM
from qlogad.detect.windows.lof import LOF
from qlogad.detect.windows.logcluster import LogCluster
from qlogad.detect.windows.logistic_regression import LogisticRegression
from qlogad.detect.windows.one_class_svm import OneClassSVM
from qlogad.detect.windows.pca import PCA
from qlogad.detect.windows.vqc import VQC
from qlogad.errors import DataError
from qlogad.evaluate.metrics import roc_auc
from qlogad.features.features import Features, Labels
from qlogad.nn.core import Classical, Quantum

SIZE = 4
VIEWS = ("ids", "counts", "tf-idf")
Windows = list[list[int]]
any_seed = given(st.integers(0, 2**32 - 1))
some = settings(max_examples=20)


def of_counts(counts_NV: np.ndarray) -> Windows:
    """Windows with these counts of each event type."""
    return [[event for event, many in enumerate(row) for _ in range(many)] for row in counts_NV.tolist()]


def drawn(seed: int, most: int = 5) -> tuple[Features, Features, np.ndarray, np.ndarray]:
    """Training and test windows, with multiplicities and labels of the training windows that are not alone what counts say."""
    random = np.random.default_rng(seed)
    train = of_counts(random.integers(0, most, size=(30, SIZE)))
    test = [*of_counts(random.integers(0, 2 * most, size=(20, SIZE + 1))), [], train[0]]
    weight_N = random.integers(1, 4, size=30).astype(float)
    fitted = Features.from_sequences(train, size=SIZE, weight=weight_N, views=VIEWS)
    label_N = (fitted.view("counts")[:, 0] > fitted.view("counts")[:, 1]) ^ (random.random(30) < 0.2)
    label_N[:2] = 0, 1
    return fitted, Features.from_sequences(test, size=SIZE, views=fitted.views), weight_N, label_N.astype(int)


def repeated(train: Features, view: str) -> np.ndarray:
    return np.repeat(train.view(view), train.weight_N.astype(int), axis=0)


@some
@any_seed
def test_tf_idf_is_scikit_learns_without_norm(seed: int) -> None:
    train, test, _, _ = drawn(seed)
    theirs = feature_extraction.text.TfidfTransformer(norm=None).fit(repeated(train, "counts"))
    np.testing.assert_allclose(test.view("tf-idf"), theirs.transform(test.view("counts")).toarray(), rtol=1e-12)


# ---------------------------------------------------------------- scores are scikit-learn's

views = st.sampled_from(["counts", "tf-idf"])


@settings(max_examples=5)
@any_seed
def test_isolation_forest_is_scikit_learns(seed: int) -> None:
    train, test, _, _ = drawn(seed)
    ours = IsolationForest(seed=seed, samples=16, trees=20).fit(train)
    state = int(seeds.generator(seed, "trees").integers(2**31))
    rows_ND = repeated(train, "counts")
    theirs = ensemble.IsolationForest(n_estimators=20, max_samples=16, random_state=state)
    theirs.fit(rows_ND[np.lexsort(rows_ND.T[::-1])])
    np.testing.assert_allclose(ours.anomaly_score(test), -theirs.score_samples(test.view("counts")), rtol=1e-9)


@some
@given(st.integers(0, 2**32 - 1), views, st.sampled_from([0.05, 0.3]))
def test_one_class_svm_is_scikit_learns(seed: int, view: str, nu: float) -> None:
    train, test, _, _ = drawn(seed)
    theirs = svm.OneClassSVM(nu=nu, tol=1e-6).fit(repeated(train, view))  # gamma = "scale"
    found_N = OneClassSVM(nu=nu, view=view).fit(train).anomaly_score(test)  # type: ignore[arg-type]
    np.testing.assert_allclose(
        found_N, -theirs.decision_function(test.view(view)), rtol=1e-3, atol=1e-3 * train.weight_N.sum() * nu
    )


@some
@given(st.integers(0, 2**32 - 1), st.integers(1, 40))
def test_lof_is_scikit_learns_where_neighbours_have_different_distances(seed: int, k: int) -> None:
    random = np.random.default_rng(seed)
    rows_ND, test_ND = (random.integers(0, 400, size=(size, 3)) for size in (25, 20))
    rows_ND = np.unique(rows_ND, axis=0)
    apart_NN = np.sort(np.linalg.norm(rows_ND[:, None] - rows_ND, axis=2), axis=1)
    near_NN = np.sort(np.linalg.norm(test_ND[:, None] - rows_ND, axis=2), axis=1)
    if min(np.diff(apart_NN, axis=1).min(), np.diff(near_NN, axis=1).min()) == 0:
        return  # scikit-learn then takes one of several
    k = min(k, len(rows_ND) - 1)
    theirs = neighbors.LocalOutlierFactor(n_neighbors=k, novelty=True, algorithm="kd_tree").fit(rows_ND.astype(float))
    ours = LOF(neighbours=k).fit(Features.from_sequences(of_counts(rows_ND), size=3, views=VIEWS))
    found_N = ours.anomaly_score(Features.from_sequences(of_counts(test_ND), size=3))
    np.testing.assert_allclose(found_N, -theirs.score_samples(test_ND.astype(float)), rtol=1e-9)


def weighted(train: Features, view: str, label_N: np.ndarray) -> dict[str, np.ndarray]:
    return {"X": train.view(view), "y": label_N, "sample_weight": train.weight_N}


@some
@given(st.integers(0, 2**32 - 1), views, st.sampled_from([0.1, 1.0, 10.0]))
def test_linear_classifiers_are_scikit_learns_and_the_sums_of_their_events(seed: int, view: str, c: float) -> None:
    train, test, _, label_N = drawn(seed)
    for ours, theirs, near in (
        (LogisticRegression(view=view, c=c), linear_model.LogisticRegression(C=c, tol=1e-9, max_iter=10_000), 1e-4),  # type: ignore[arg-type]
        (LinearSVM(view=view, c=c), svm.LinearSVC(C=c, dual=False, tol=1e-9, max_iter=100_000), 1e-4),  # type: ignore[arg-type]
    ):
        theirs.fit(**weighted(train, view, label_N))
        found_N = ours.fit(train, Labels(label_N)).anomaly_score(test)
        np.testing.assert_allclose(found_N, theirs.decision_function(test.view(view)), rtol=near, atol=near * 10)
        rest_N = found_N - np.bincount(test.row_E, weights=ours.event_score(test), minlength=len(test))
        np.testing.assert_allclose(rest_N, rest_N[test.lengths_N == 0][0], rtol=1e-6, atol=1e-9)


@some
@given(st.integers(0, 2**32 - 1), st.integers(1, 6))
def test_trees_are_scikit_learns(seed: int, depth: int) -> None:
    train, test, _, label_N = drawn(seed)
    rows_UD, label_U, weight_U = examples(*labelled_rows(train, Labels(label_N), "counts"))
    theirs = tree.DecisionTreeClassifier(max_depth=depth, random_state=0).fit(rows_UD, label_U, sample_weight=weight_U)
    found_N = DecisionTree(depth=depth).fit(train, Labels(label_N)).anomaly_score(test)
    np.testing.assert_allclose(found_N, theirs.predict_proba(test.view("counts"))[:, 1], rtol=1e-9, atol=1e-12)


@settings(max_examples=8)
@any_seed
def test_boosting_is_scikit_learns(seed: int) -> None:
    train, test, _, label_N = drawn(seed, most=9)
    rows_UD, label_U, weight_U = examples(*labelled_rows(train, Labels(label_N), "counts"))
    theirs = ensemble.GradientBoostingClassifier(n_estimators=15, random_state=0).fit(rows_UD, label_U, sample_weight=weight_U)
    found_N = GradientBoosting(trees=15).fit(train, Labels(label_N)).anomaly_score(test)
    np.testing.assert_allclose(found_N, theirs.decision_function(test.view("counts")), rtol=1e-9, atol=1e-9)


@some
@any_seed
def test_trees_survive_as_arrays_and_loops_in_them_are_refused(seed: int) -> None:
    train, test, _, label_N = drawn(seed)
    detector = DecisionTree().fit(train, Labels(label_N))
    state = detector._state()
    rows_ND = test.view("counts")
    assert np.array_equal(Trees.from_state(state, SIZE + 1).sums(rows_ND), detector.anomaly_score(test))
    for name in ("left_M", "right_M"):
        other = {key: array.copy() for key, array in state.items()}
        inner = int(np.flatnonzero(other["column_M"] >= 0)[-1])
        other[name][inner] = np.random.default_rng(seed).integers(0, inner + 1)
        with pytest.raises(ValueError, match=name):
            Trees.from_state(other, SIZE + 1)


@some
@given(st.integers(0, 2**32 - 1), st.integers(1, 50), st.sampled_from(["euclidean", "cityblock"]))
def test_knn_votes_by_distance_and_by_majority_where_counts_are_known(seed: int, k: int, metric: str) -> None:
    train, test, weight_N, label_N = drawn(seed)
    found_N = KNN(neighbours=k, metric=metric).fit(train, Labels(label_N)).anomaly_score(test)  # type: ignore[arg-type]
    votes: dict[tuple[float, ...], list[float]] = {}
    for row, weight, label in zip(train.view("counts").tolist(), weight_N, label_N, strict=True):
        votes.setdefault(tuple(row), [0.0, 0.0])[label] += weight
    for row, score in zip(test.view("counts"), found_N, strict=True):
        if tuple(row) in votes:
            normal, bad = votes[tuple(row)]
            assert score == bad / (normal + bad)
            continue
        power = 2 if metric == "euclidean" else 1
        apart = sorted(
            (float(np.linalg.norm(row - other, ord=power)), bad / (normal + bad)) for other, (normal, bad) in votes.items()
        )
        near = [(d, vote) for d, vote in apart if d <= apart[min(k, len(apart)) - 1][0] * (1 + 1e-12)]
        assert score == pytest.approx(sum(vote / d for d, vote in near) / sum(1 / d for d, _ in near), rel=1e-9)


# ---------------------------------------------------------------- definitions


@some
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.05, 0.3, 0.8]))
def test_representatives_of_logcluster_stand_for_all_training_windows(seed: int, distance: float) -> None:
    train, test, weight_N, _ = drawn(seed)
    holding_V = weight_N @ (train.view("counts") > 0)
    weight_V = [0.5 * expit(np.log(weight_N.sum() / held)) if held else 1.0 for held in holding_V]

    def directions(rows_NV: np.ndarray) -> np.ndarray:
        lengths = np.linalg.norm(rows_NV * weight_V, axis=1, keepdims=True)
        return np.asarray(rows_NV * weight_V / np.where(lengths > 0, lengths, 1))

    def cosine(one_NV: np.ndarray, two_KV: np.ndarray) -> np.ndarray:
        both_empty = ~one_NV.any(axis=1)[:, None] & ~two_KV.any(axis=1)
        return np.where(both_empty, 0.0, 1 - one_NV @ two_KV.T)

    detector = LogCluster(distance=distance).fit(train)
    known_KV = detector._state()["known"]
    own_NV = directions(train.view("counts"))
    assert np.abs(known_KV[:, None] - own_NV).max(axis=2).min(axis=1).max() < 1e-12  # a representative is a training vector
    assert detector.anomaly_score(train).max() <= distance + 1e-9  # and every training vector has one near it
    np.testing.assert_allclose(
        detector.anomaly_score(test), cosine(directions(test.view("counts")), known_KV).min(axis=1), atol=1e-9, rtol=1e-9
    )
    if detector.clusters_ > 1:
        assert (cosine(known_KV, known_KV) + np.eye(len(known_KV))).min() > 0


known_sequences = st.lists(st.lists(st.integers(0, SIZE - 1), max_size=7), min_size=1, max_size=8)
judged_sequences = st.lists(st.lists(st.integers(0, SIZE), max_size=7), min_size=1, max_size=8)


@given(known_sequences, judged_sequences)
def test_edit_distance_is_the_share_of_changes(train: Windows, test: Windows) -> None:
    def levenshtein(x: list[int], y: list[int]) -> int:
        table = {(i, j): i + j for i, j in product(range(len(x) + 1), range(len(y) + 1)) if not i * j}
        for i, j in product(range(len(x)), range(len(y))):
            swap = table[i, j] + (x[i] != y[j])
            table[i + 1, j + 1] = min(swap, table[i, j + 1] + 1, table[i + 1, j] + 1)
        return table[len(x), len(y)]

    expected = [min(levenshtein(x, y) / max(len(x), len(y), 1) for y in train) for x in test]
    detector = EditDistance().fit(Features.from_sequences(train, size=SIZE))
    assert detector.score_samples(test) == pytest.approx(expected)


@some
@any_seed
def test_mined_invariants_hold_are_independent_and_imply_what_was_planted(seed: int) -> None:
    random = np.random.default_rng(seed)
    free_NV = random.integers(0, 6, size=(200, 3))
    a, b, c = free_NV.T
    counts_NV = np.column_stack([a, b, a + b, 2 * c, c, c, np.ones_like(a)])
    support = float(random.choice([0.98, 0.9]))
    broken_B = random.choice(200, size=3, replace=False)
    counts_NV[broken_B] = random.integers(0, 9, size=(3, 7))
    train = Features.from_sequences(of_counts(counts_NV), size=7, views=VIEWS)
    detector = InvariantMining(support=support).fit(train)
    found_IV = detector.invariants_
    held_I = (train.view("counts") @ found_IV.T == 0).mean(axis=0)
    assert held_I.min() >= support
    assert np.linalg.matrix_rank(found_IV) == len(found_IV)
    assert (np.gcd.reduce(found_IV, axis=1) == 1).all()
    planted_PV = np.zeros((4, 8))
    planted_PV[[0, 0, 0], [0, 1, 2]] = 1, 1, -1
    planted_PV[[1, 1, 2, 2], [3, 4, 4, 5]] = 1, -2, 1, -1
    planted_PV[3, 7] = 1  # no event that training lacks
    assert np.linalg.matrix_rank(np.concatenate([found_IV, planted_PV])) == len(found_IV)

    test = Features.from_sequences([[0, 2, 6], [0, 2, 5, 3, 3, 4, 6], [0, 2, 5, 3, 4, 6], [0, 6, 9], []], size=7)
    counts = test.view("counts")
    broken_NI = counts @ found_IV.T != 0
    assert detector.anomaly_score(test).tolist() == broken_NI.sum(axis=1).tolist()
    events = [float((broken_NI[row] & (found_IV[:, event] != 0)).sum()) for row, event in zip(test.row_E, test.ids_E, strict=True)]
    assert detector.event_score(test).tolist() == events


# ---------------------------------------------------------------- planted tasks: what a method is for


def correlated(random: np.random.Generator, rows: int, off: int) -> np.ndarray:
    """Counts that go together, `off` apart."""
    level_N = random.integers(4, 12, size=rows)
    return np.column_stack([level_N + off, level_N, level_N + random.integers(0, 2, size=rows)])


def two_regions(random: np.random.Generator, rows: int) -> np.ndarray:
    """A dense region of small counts and a sparse one of large counts."""
    dense, sparse = random.integers(0, 4, size=(rows, 2)), random.integers(60, 160, size=(rows, 2))
    return np.where(np.arange(rows)[:, None] % 2 == 0, dense, sparse)


def around(random: np.random.Generator, rows: int, *middles: int) -> np.ndarray:
    """Counts around one of these."""
    return random.choice(middles, size=(rows, 1)) + random.integers(0, 3, size=(rows, 2))


def scaled(random: np.random.Generator, rows: int, ratio: tuple[int, int, int], lengths: tuple[int, int] = (1, 40)) -> np.ndarray:
    """The same shares of event types in windows of many lengths."""
    return np.asarray(ratio) * random.integers(*lengths, size=(rows, 1))


Plant = Callable[[np.random.Generator], tuple[np.ndarray, np.ndarray, np.ndarray]]  # training, normal and anomalous counts
PLANTED: dict[str, tuple[Plant, list[Detector], list[Detector]]] = {
    "counts that must go together, each of them usual": (
        lambda r: (correlated(r, 300, 0), correlated(r, 60, 0), correlated(r, 60, 3)),
        [InvariantMining(), Autoencoder(core=Classical(hidden=1), epochs=100), OneClassSVM(), PCA(weighting="none", variance=0.9)],
        [Length()],
    ),
    "a gap that is wide only where rows are dense": (
        lambda r: (two_regions(r, 400), two_regions(r, 60), around(r, 20, 10, 12)),
        [LOF(neighbours=5)],
        [OneClassSVM(), PCA(weighting="none", variance=0.9), Length()],
    ),
    "between two kinds of window": (
        lambda r: (around(r, 300, 10, 30), around(r, 60, 10, 30), around(r, 60, 20)),
        [OneClassSVM(gamma=0.1), LOF(neighbours=3), CountVector()],
        [OneClassSVM(), IsolationForest(), Length(), PCA(weighting="none", variance=0.9)],
    ),
    "other shares of event types, at any length": (
        lambda r: (scaled(r, 100, (1, 2, 1)), scaled(r, 60, (1, 2, 1), (40, 80)), scaled(r, 60, (2, 1, 1))),
        [LogCluster(distance=0.01), CountVector(normalise=True), InvariantMining()],
        [Length(), CountVector()],
    ),
    "far from everything": (
        lambda r: (r.poisson(5, size=(300, 4)), r.poisson(5, size=(60, 4)), r.poisson(5, size=(60, 4)) + 25),
        [IsolationForest(), OneClassSVM(), LOF(), Autoencoder(core=Classical(hidden=2), epochs=50), CountVector(), Length()],
        [LogCluster()],
    ),
}


def area(detector: Detector, normal: Features, bad: Features) -> float:
    label_N = np.repeat([0, 1], [len(normal), len(bad)])
    return roc_auc(np.concatenate([detector.anomaly_score(normal), detector.anomaly_score(bad)]), label_N)


@pytest.mark.parametrize("task", PLANTED)
def test_a_task_is_solved_by_the_methods_that_are_for_it_and_by_no_other(task: str) -> None:
    plant, seeing, blind = PLANTED[task]
    train, *parts = (of_counts(counts) for counts in plant(np.random.default_rng(0)))
    size = 1 + max(event for row in train for event in row)
    fitted = Features.from_sequences(train, size=size, views=VIEWS)
    normal, bad = (Features.from_sequences(part, size=size, views=fitted.views) for part in parts)
    found = {str(detector): area(detector.fit(fitted), normal, bad) for detector in [*seeing, *blind]}
    assert min(found[str(detector)] for detector in seeing) > 0.9, found
    assert max(found[str(detector)] for detector in blind) < 0.9, found


SUPERVISED = [KNN(), DecisionTree(), GradientBoosting(), LogisticRegression(), LinearSVM(), VQC(core=Classical(hidden=8))]


@pytest.mark.parametrize("interaction", [False, True])
def test_a_rule_of_one_event_is_learnt_by_all_and_one_of_two_events_by_who_is_not_linear(interaction: bool) -> None:
    random = np.random.default_rng(0)
    train_NV, test_NV = (random.integers(0, 2, size=(400, 4)) * 3 for _ in range(2))

    def labels(rows: np.ndarray) -> np.ndarray:
        return np.asarray((rows[:, 0] > 0) ^ (rows[:, 1] > 0 if interaction else False), dtype=int)

    train = Features.from_sequences(of_counts(train_NV), size=SIZE, views=VIEWS)
    test = Features.from_sequences(of_counts(test_NV), size=SIZE, views=train.views)
    for detector in SUPERVISED:
        found = roc_auc(detector.fit(train, Labels(labels(train_NV))).anomaly_score(test), labels(test_NV))
        linear = isinstance(detector, (LogisticRegression, LinearSVM))
        assert (found < 0.7) if linear and interaction else (found > 0.99), (detector, found)


def test_the_core_of_an_autoencoder_is_one_field() -> None:
    random = np.random.default_rng(0)
    train, normal, bad = (
        Features.from_sequences(of_counts(correlated(random, n, off)), size=3, views=VIEWS)
        for n, off in ((200, 0), (60, 0), (60, 3))
    )
    core = Quantum(wires=2, depth=1, hidden=1)
    detector = Autoencoder(core=core, epochs=60, lr=0.05).fit(train)
    assert detector.weights_["quantum"] > 0
    assert area(detector, normal, bad) > 0.9


# ---------------------------------------------------------------- bounds


def test_what_costs_the_square_of_the_rows_says_how_many_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    windows = [[0] * n for n in range(1, 30)]
    for module, detector in ((lof, LOF()), (one_class_svm, OneClassSVM()), (logcluster, LogCluster())):
        monkeypatch.setattr(module, "MOST", 20)
        with pytest.raises(DataError, match="compares every pair of at most 20 distinct training rows, but there are 29; choose"):
            detector.fit(windows)
    monkeypatch.setattr(edit_distance, "MOST", 1000)
    with pytest.raises(DataError, match="pairs of events"):
        EditDistance().fit(windows).score_samples(windows)
    with pytest.raises(DataError, match="lower terms"):
        InvariantMining(terms=10).fit([list(range(60)), list(range(30))])


def test_rows_are_scored_in_parts_of_bounded_size(monkeypatch: pytest.MonkeyPatch) -> None:
    train, test, _, label_N = drawn(0)
    detectors = [KNN(), LOF(), OneClassSVM(), LogCluster(), CountVector()]
    whole = [detector.fit(train, label_N).anomaly_score(test) for detector in detectors]
    for module in (knn, lof):
        monkeypatch.setattr(module, "CELLS", 64, raising=False)
    monkeypatch.setattr("qlogad.detect.parts.rows.CELLS", 64)
    parts = [detector.fit(train, label_N).anomaly_score(test) for detector in detectors]
    assert all(np.array_equal(one, two) for one, two in zip(whole, parts, strict=True))
