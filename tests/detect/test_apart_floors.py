"""Laws of the floors that read what events say beside their ids: each finds what is planted in its part, and no other part shows it."""

from dataclasses import fields
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qlogad import names
from qlogad.errors import DataError
from qlogad.evaluate.metrics import roc_auc
from qlogad.experiment.data import Data
from qlogad.experiment.ground import Ground, ground, open_source
from qlogad.features.features import Features
from qlogad.features.view import any_apart
from qlogad.logs.split import SplitBy

PARTS = {"gap": "times", "level": "levels", "value": "values"}  # floor -> what of the events it reads
FLOORS = [name for name in names.known("detector") if "epochs" not in {f.name for f in fields(names.find("detector", name))}]
BLIND = [name for name in FLOORS if not names.find("detector", name).supervised]
VIEWS = ("ids", "counts", "tf-idf", "gaps", "levels", "values")


def normals(seed, rows=60):
    """Windows whose gaps, levels and numbers have a range for each event type."""
    rng = np.random.default_rng(seed)
    ids = [rng.integers(0, 4, size=rng.integers(2, 9)).tolist() for _ in range(rows)]
    return ids, {
        "times": [np.cumsum([2.0**v * rng.uniform(1, 2) for v in row]).tolist() for row in ids],
        "levels": [["WARN" if v == 3 else "INFO" for v in row] for row in ids],
        "values": [[[f"n{rng.integers(9)}", str(10**v * rng.integers(1, 9))] for v in row] for row in ids],
    }


def of_normals(seed):
    ids, said = normals(seed)
    return Features.from_sequences(ids, size=4, **said, views=VIEWS)


def planted(ids, said, part, row, place):
    """The same windows, one event of which is late, of another level, or with a number out of range."""
    changed = {name: [list(own) for own in rows] for name, rows in said.items()}
    if part == "times":
        changed[part][row][place:] = [time + 600 for time in changed[part][row][place:]]
    elif part == "levels":
        changed[part][row][place] = "INFO" if ids[row][place] == 3 else "FATAL"
    else:
        changed[part][row][place] = [changed[part][row][place][0], "-12345"]
    return changed


@cache
def fitted(name, seed):
    """A floor and the windows that it was fitted on."""
    train = of_normals(seed)
    return names.find("detector", name)().fit(train), train


@pytest.mark.parametrize("name", BLIND)
@settings(max_examples=25)
@given(seed=st.integers(0, 3), data=st.data())
def test_what_is_planted_is_seen_by_who_reads_it_and_by_nobody_else(name, seed, data):
    detector, train = fitted(name, seed)
    ids, said = normals(data.draw(st.integers(1000, 1099)), 10)
    row = data.draw(st.integers(0, len(ids) - 1))
    place = data.draw(st.integers(1, len(ids[row]) - 1))
    before = Features.from_sequences(ids, size=4, **said, views=train.views)
    for part in PARTS.values():
        after = Features.from_sequences(ids, size=4, **planted(ids, said, part, row, place), views=train.views)
        one_N, two_N = detector.anomaly_score(before), detector.anomaly_score(after)
        if PARTS.get(name) == part:
            assert two_N[row] > one_N[row]
            found = detector.event_score(after)[after.offsets_N1[row] : after.offsets_N1[row + 1]]
            assert found.argmax() == place
            assert np.array_equal(np.delete(one_N, row), np.delete(two_N, row))
        else:
            assert np.array_equal(one_N, two_N)


def made(inject=None):
    source = {"lines": 16_000, "workflows": 3, "drift": 0.0, "noise": 0.0, "rate": 0.2, "kinds": ["latency", "parameter"]}
    data = Data(source=source, split=SplitBy(cuts=(0.5,)), inject=inject)
    return ground(data, open_source(data), VIEWS, cut=0)


def area(name, whole, kind):
    """ROC-AUC of a floor on normal windows and anomalies of one kind, judged on windows."""
    detector = names.find("detector", name)()
    own = whole.of(detector.reads)
    part = own.test
    detector.fit(own.train.features, own.train.labels if detector.supervised else None)
    score_W = detector.anomaly_score(part.features)[part.features.row_W]
    chosen_W = (part.label_W == 0) | (part.kind_W == kind)
    return roc_auc(score_W[chosen_W], part.label_W[chosen_W])


@pytest.fixture(scope="module")
def planted_log():
    return made()


@pytest.fixture(scope="module")
def delayed_log():
    return made("delay:60")


def test_a_floor_finds_the_kind_that_no_floor_of_ids_finds(planted_log):
    assert area("gap", planted_log, "latency") > 0.98
    assert area("value", planted_log, "parameter") > 0.98
    for name in BLIND:
        if not any_apart(names.find("detector", name).reads):
            for kind in ("latency", "parameter"):
                assert area(name, planted_log, kind) < 0.6, name


def test_a_delay_is_visible_to_who_reads_gaps_and_to_nobody_else(delayed_log):
    found = {name: area(name, delayed_log, "delay:60") for name in BLIND}
    seeing = {name for name in BLIND if "gaps" in names.find("detector", name).reads}
    assert min(found[name] for name in seeing) > 0.95
    assert all(0.4 < found[name] < 0.6 for name in set(BLIND) - seeing), found


def test_rows_apart_are_the_same_windows_on_the_same_base(planted_log, tmp_path):
    apart = planted_log.of(["gaps"])
    assert planted_log.of(["ids", "counts"]) is planted_log
    assert apart.base == planted_log.base
    for name in ("train", "validation", "test", "in_flight"):
        one, other = getattr(planted_log, name), getattr(apart, name)
        assert one.windows_W.tolist() == other.windows_W.tolist()
        assert one.label_W.tolist() == other.label_W.tolist()
        assert len(other.features) == len(other.label_W)
    row_W = planted_log.test.features.row_W
    assert apart.sequence_N.tolist() == planted_log.sequence_N[row_W].tolist()
    assert apart.stratum_N.tolist() == planted_log.stratum_N[row_W].tolist()
    planted_log.save(tmp_path)
    for reads in (["ids"], ["counts"], ["gaps"], ["levels", "values"]):
        assert Ground.load(tmp_path, apart.cut, reads).digest(reads) == planted_log.of(reads).digest(reads)


def test_who_reads_ids_has_the_ground_that_was_there_before_anybody_read_more(planted_log):
    source = {"lines": 16_000, "workflows": 3, "drift": 0.0, "noise": 0.0, "rate": 0.2, "kinds": ["latency", "parameter"]}
    data = Data(source=source, split=SplitBy(cuts=(0.5,)))
    alone = ground(data, open_source(data), ["ids"], cut=0)
    assert alone.digest(["ids"]) == planted_log.digest(["ids"])
    with pytest.raises(DataError, match="merged rows only"):
        alone.of(["gaps"])


@pytest.mark.parametrize("name", sorted(PARTS))
def test_a_saved_floor_keeps_the_view_that_it_was_fitted_with(name, tmp_path):
    ids, _ = normals(0)
    detector = names.find("detector", name)().fit(of_normals(0))
    detector.save(tmp_path)
    again = type(detector).load(tmp_path)
    assert again.views_ == detector.views_
    assert np.array_equal(again.score_samples(ids), detector.score_samples(ids))
