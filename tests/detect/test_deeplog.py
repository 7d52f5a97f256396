"""Laws of DeepLog: it learns order, its scores are ranks, and they depend on nothing but the window."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from sklearn.base import clone

from qlogad import documents, seeds
from qlogad.detect.detector import Detector
from qlogad.detect.next_event import histories
from qlogad.detect.sequences.deeplog import DeepLog
from qlogad.errors import DataError, DocumentError, ResultError
from qlogad.features.features import Features, Labels
from qlogad.nn.core import Classical, Core, Quantum
from qlogad.nn.core.same_total import SameTotal
from qlogad.nn.core.same_wrapper import SameWrapper

CORES: list[Core] = [
    Classical(hidden=8),
    Quantum(wires=3, hidden=8),
    Quantum(wires=3, hidden=8, ansatz="qulog", encoding="angle-x", shared=True, depth=2),
    SameWrapper(of=Quantum(wires=3, hidden=8)),
    SameTotal(of=Quantum(wires=3, hidden=8)),
]
cores = pytest.mark.parametrize("core", CORES, ids=lambda core: core.kind)


def grammar(rows: int, seed: int, names: int = 12) -> list[list[int]]:
    """Two cycles over the same events: what follows an event depends on what came before it, so a memory of one event fails."""
    generator = seeds.generator(seed, "grammar")
    cycles = [list(range(names)), [*range(0, names, 2), *range(1, names, 2)]]
    lengths = generator.integers(2 * names, 4 * names, size=rows)
    return [[cycles[n % 2][k % names] for k in range(length)] for n, length in enumerate(lengths)]


def swapped(rows: list[list[int]], seed: int) -> list[list[int]]:
    """The same events, two of them three places apart exchanged."""
    generator = seeds.generator(seed, "swap")
    result = []
    for row in rows:
        place = int(generator.integers(4, len(row) - 4))
        changed = list(row)
        changed[place], changed[place + 3] = changed[place + 3], changed[place]
        result.append(changed)
    return result


def random_rows(rows: int, size: int, seed: int, longest: int = 12) -> list[list[int]]:
    generator = seeds.generator(seed, "rows")
    return [generator.integers(size, size=generator.integers(longest + 1)).tolist() for _ in range(rows)]


def small(core: Core = CORES[0], **fields: object) -> DeepLog:
    return DeepLog(**{"core": core, "history": 4, "embedding": 6, "epochs": 3, **fields})


def trained(core: Core = CORES[0], **fields: object) -> DeepLog:
    return small(core, **fields).fit(grammar(20, 0), validation=grammar(10, 1))


@pytest.mark.sample(2)
@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("core", [Classical(), Quantum(wires=4), Quantum(wires=4, shared=True)], ids=lambda core: str(core.kind))
def test_it_learns_an_order_that_counts_and_keys_cannot_see(core: Core, cell: str) -> None:
    normal, held, test = (grammar(60, seed) for seed in (0, 1, 2))
    detector = DeepLog(core=core, cell=cell, history=4, epochs=60, patience=60).fit(normal, validation=held)
    assert detector.predict(test).mean() <= 0.01
    assert detector.predict(swapped(test, 3)).mean() >= 0.95


@pytest.mark.parametrize("core", [*CORES, Classical(hidden=33), Quantum(wires=4, hidden=33)], ids=lambda core: core.kind)
@pytest.mark.parametrize("size", [7, 12])
def test_a_score_depends_on_the_window_alone_to_the_last_bit(core: Core, size: int) -> None:
    """Odd sizes matter: there, products round differently from row to row."""
    detector = small(core, score="nll").fit(grammar(20, 0, size), validation=grammar(10, 1, size))
    rows = random_rows(40, size, seed=5)
    together = detector.score_samples(rows)
    assert len(np.unique(together)) > 20
    assert_array_equal(together, [detector.score_samples([row])[0] for row in rows])
    assert_array_equal(together[::-1], detector.score_samples(rows[::-1]))
    crowd = grammar(50, 6, size) + rows + random_rows(300, size, seed=7)
    assert_array_equal(together, detector.score_samples(crowd)[50:90])


@cores
def test_shuffled_training_windows_give_the_same_detector(core: Core) -> None:
    rows, held = random_rows(30, 9, seed=0), random_rows(20, 9, seed=1)
    order = seeds.generator(0, "order").permutation(30)
    straight = small(core).fit(rows, validation=Features.from_sequences(held, size=9))
    mixed = small(core).fit([rows[n] for n in order], validation=Features.from_sequences(held[::-1], size=9))
    test = random_rows(20, 9, seed=2)
    assert_array_equal(straight.event_score(straight._known(test)), mixed.event_score(mixed._known(test)))
    assert straight.threshold_ == mixed.threshold_


def test_multiplicities_stand_for_repeated_windows() -> None:
    rows = random_rows(12, 6, seed=0)
    times = [1 + n % 3 for n in range(12)]
    weighted = small(score="nll").fit(Features.from_sequences(rows, size=6, weight=times))
    copies = [row for row, k in zip(rows, times, strict=True) for _ in range(k)]
    repeated = small(score="nll").fit(Features.from_sequences(copies, size=6))
    assert_array_equal(weighted.score_samples(rows), repeated.score_samples(rows))


@cores
@pytest.mark.parametrize(("score", "cell"), [("rank", "lstm"), ("nll", "lstm"), ("nll", "gru")])
def test_a_saved_detector_gives_the_same_scores_bit_for_bit(core: Core, score: str, cell: str, tmp_path: Path) -> None:
    detector = trained(core, score=score, cell=cell)
    detector.save(tmp_path)
    again = Detector.load(tmp_path)
    rows = random_rows(50, 14, seed=9)
    assert_array_equal(detector.score_samples(rows), again.score_samples(rows))
    assert again.weights_ == detector.weights_
    assert again.get_params() == detector.get_params()
    assert_array_equal(detector.predict(rows), again.predict(rows))


def test_saved_weights_of_another_core_are_refused(tmp_path: Path) -> None:
    trained().save(tmp_path)
    path = tmp_path / "detector.toml"
    path.write_text(path.read_text().replace("hidden = 8", "hidden = 9"))
    with pytest.raises(ResultError, match="do not fit"):
        Detector.load(tmp_path)


@cores
def test_the_same_seed_gives_the_same_detector_and_another_one_another(core: Core) -> None:
    rows = random_rows(30, 12, seed=3)
    first, again, other = (trained(core, seed=seed, score="nll").score_samples(rows) for seed in (0, 0, 1))
    assert_array_equal(first, again)
    assert (first != other).any()


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.integers(0, 14), max_size=9), max_size=6))
def test_scores_are_ranks_and_a_window_is_its_worst_event(rows: list[list[int]]) -> None:
    detector = _FITTED
    features = Features.from_sequences(rows, size=12)
    events_E, windows_N = detector.event_score(features), detector.anomaly_score(features)
    assert_array_equal(events_E[features.ids_E == 12], 13)
    known_E = events_E[features.ids_E < 12]
    assert set(known_E) <= set(range(1, 13))
    parts = [events_E[a:b] for a, b in pairwise(features.offsets_N1)]
    assert_array_equal(windows_N, [max(part, default=0) for part in parts])


_FITTED = trained()


def test_ranks_and_likelihoods_tell_the_same_story() -> None:
    ranks, likelihoods = trained(score="rank"), trained(score="nll")
    history = [3, 4, 5]
    rows = [[*history, event] for event in range(12)]
    rank_V, nll_V = (d.event_score(d._known(rows))[3::4] for d in (ranks, likelihoods))
    assert sorted(rank_V) == list(range(1, 13))
    assert_array_equal(np.argsort(rank_V), np.argsort(nll_V))
    assert np.exp(-nll_V).sum() == pytest.approx(1, abs=1e-6)


def test_ties_count_against_the_event() -> None:
    detector = trained()
    detector._restore({name: np.zeros_like(array) for name, array in detector._state().items()})  # all events equally likely
    assert_array_equal(detector.score_samples([[event] for event in range(12)]), 12)


@pytest.mark.parametrize("score", ["rank", "nll"])
def test_unseen_events_are_the_worst_or_ignored(score: str) -> None:
    rows = [[12], [0, 1, 40], [0, 1, 2], []]
    strict, lenient = trained(score=score), trained(score=score, unseen="ignore")
    worst = 13 if score == "rank" else np.inf
    assert_array_equal(strict.score_samples(rows)[:2], worst)
    assert strict.score_samples(rows)[2] < worst
    assert_array_equal(lenient.score_samples(rows)[[0, 3]], 0)
    assert lenient.score_samples(rows)[1] == lenient.score_samples([[0, 1]])[0]
    assert np.isnan(lenient.event_score(lenient._known(rows))[[0, 3]]).all()
    assert_array_equal(strict.score_samples(rows)[2:], lenient.score_samples(rows)[2:])


def test_only_the_last_events_are_remembered() -> None:
    detector = trained(score="nll", history=3)
    tail = [4, 5, 6, 7, 8]
    scores = [detector.event_score(detector._known([[*head, *tail]]))[-2:] for head in ([], [1], [9, 9, 40])]
    assert_array_equal(scores[0], scores[1])
    assert_array_equal(scores[0], scores[2])


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.integers(0, 4), max_size=7), max_size=5), st.integers(1, 6))
def test_histories_are_the_events_before_padded_on_the_left(rows: list[list[int]], history: int) -> None:
    features = Features.from_sequences(rows, size=3)
    expected = [
        ([4] * history + [min(e, 3) for e in row[:place]])[-history:]  # 3 is unseen, 4 the padding
        for row in rows
        for place in range(len(row))
    ]
    found = histories(features, history)
    assert found.shape == (len(expected), history)
    assert found.tolist() == expected


def test_early_stopping_goes_by_validation_windows_labelled_normal() -> None:
    held = grammar(10, 1)
    noise = random_rows(10, 12, seed=4)
    rows = Features.from_sequences(held + noise, size=12)
    labels = Labels(np.asarray([0] * 10 + [1] * 10))
    plain, mixed = (small(epochs=5).fit(grammar(20, 0), validation=v) for v in (held, (rows, labels)))
    assert [e.validation for e in plain.history_.epochs] == [e.validation for e in mixed.history_.epochs]
    assert plain.threshold_ == mixed.threshold_
    unlabelled = small(epochs=5).fit(grammar(20, 0), validation=rows)
    assert unlabelled.history_.epochs[0].validation > plain.history_.epochs[0].validation


def test_without_validation_every_epoch_is_run() -> None:
    detector = small(epochs=4).fit(grammar(10, 0))
    assert len(detector.history_.epochs) == detector.history_.best == 4
    assert detector.threshold_ is None


@pytest.mark.parametrize("windows", [[[]], [[], []]])
def test_nothing_to_learn_from_is_an_error(windows: list[list[int]]) -> None:
    with pytest.raises(DataError, match="no known event"):
        small().fit(windows)


def test_a_history_of_nothing_is_refused() -> None:
    with pytest.raises(DataError, match="history is from 1 to 10,000"):
        small(history=0)


def test_it_is_a_document_and_a_scikit_learn_estimator() -> None:
    content = {"core": {"kind": "quantum", "wires": 3}, "history": 5, "score": "nll"}
    detector = documents.from_mapping(DeepLog, content)
    assert detector == DeepLog(core=Quantum(wires=3), history=5, score="nll")
    assert clone(detector) == detector
    assert replace(detector, history=6).history == 6
    with pytest.raises(DocumentError, match="score"):
        documents.from_mapping(DeepLog, {"score": "best"})
