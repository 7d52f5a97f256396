"""Laws of LogAnomaly: its counts are of the events before, and each of its branches sees what it is there for."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from torch import nn

from qlogad.detect.sequences.deeplog import DeepLog
from qlogad.detect.sequences.loganomaly import LogAnomaly
from qlogad.features.features import Features
from qlogad.nn.core import Classical, Core, Quantum

CORES = {"classical": Classical(hidden=8), "quantum": Quantum(wires=3, hidden=8)}
VIEW = ["template-vectors"]


def rounds(*many: int) -> list[list[int]]:
    return [[0, *[1, 2] * each, 3] for each in many]


@settings(max_examples=40)
@given(st.lists(st.lists(st.integers(0, 5), max_size=9), min_size=1, max_size=5), st.integers(1, 4))
def test_counts_are_of_the_events_before_the_history(rows: list[list[int]], history: int) -> None:
    features = Features.from_sequences(rows, size=5, views=VIEW)
    found = LogAnomaly(history=history).before(features)
    event = 0
    for row in rows:
        for place in range(len(row)):
            before = row[: max(place - history, 0)]
            assert found[event, history:].tolist() == [before.count(kind) for kind in range(6)]
            event += 1


@pytest.mark.parametrize("core", CORES)
def test_quantities_need_the_branch_of_counts(core: str) -> None:
    """A session is three rounds of two events: with one too few or too many, every history of three is as usual."""
    normal = rounds(*[3] * 20)
    given = {"core": CORES[core], "history": 3, "epochs": 60, "lr": 0.02}
    assert LogAnomaly(**given).fit(normal, validation=normal).predict(rounds(2, 3, 4)).tolist() == [1, 0, 1]
    for without in (LogAnomaly(**given, counted="none"), LogAnomaly(**given, counted="history"), DeepLog(**given)):
        assert not without.fit(normal, validation=normal).predict(rounds(2, 3, 4)).any()


@pytest.mark.parametrize("counted", ["window", "history", "none"])
def test_it_is_torchs_lstms_over_vectors_and_counts(counted: str) -> None:
    """An independent forward pass, event by event, from the trained weights."""
    windows = [[0, 1, 2, 1, 3], [2, 2, 0], [3, 1, 4, 0, 0, 1]]
    detector = LogAnomaly(core=Classical(hidden=5), history=3, counted=counted, epochs=3, score="nll").fit(windows)
    state = {name: torch.from_numpy(array) for name, array in detector._state().items()}
    size = detector.size_

    def cell(name: str) -> nn.LSTM:
        weight_4IO, bias_4O = state[f"{name}.map.linear.weight_GIO"], state[f"{name}.map.linear.bias_G1O"]
        hidden = weight_4IO.shape[2]
        width = weight_4IO.shape[1] - hidden
        own = nn.LSTM(width, hidden, batch_first=True)
        weight_FI = weight_4IO.transpose(1, 2).flatten(0, 1)
        own.load_state_dict(
            {
                "weight_ih_l0": weight_FI[:, :width],
                "weight_hh_l0": weight_FI[:, width:],
                "bias_ih_l0": bias_4O.flatten(),
                "bias_hh_l0": torch.zeros(4 * hidden),
            }
        )
        return own

    later = [[0, 1, 9, 1, 3, 2], [4]]
    scores = []
    for window in later:
        for place, event in enumerate(window):
            if event >= size:
                scores.append(np.inf)
                continue
            vectors, counts = [], []
            for back in range(3, 0, -1):
                there = place - back
                known = there >= 0 and window[there] < size
                vectors.append(
                    state["padding_D"] if there < 0 else state["vectors_VD"][window[there]] if known else 0 * state["padding_D"]
                )
                first = 0 if counted == "window" else max(place - 3, 0)
                own = [min(one, size) for one in window[first : max(there + 1, 0)]]
                counts.append(torch.tensor([float(own.count(kind)) for kind in range(size + 1)]))
            with torch.no_grad():
                last = [cell("events")(torch.stack(vectors)[None])[0][0, -1]]
                if counted != "none":
                    last.append(cell("counts")(torch.log1p(torch.stack(counts))[None])[0][0, -1])
                logits = torch.cat(last) @ state["head.weight"].T + state["head.bias"]
            scores.append(float(torch.logsumexp(logits, 0) - logits[event]))
    found = detector.event_score(Features.from_sequences(later, size=size, views=detector.views_))
    np.testing.assert_allclose(found, scores, rtol=1e-4)


def test_events_that_say_the_same_are_taken_for_each_other() -> None:
    """Two templates of one wording have one vector, so a history with either gives one prediction."""
    features = Features.from_sequences([[0, 2, 1, 3, 4]] * 8, views=VIEW)
    vectors = np.array(features.view("template-vectors"))
    vectors[1] = vectors[0]
    features._made["template-vectors"] = vectors
    detector = LogAnomaly(history=2, epochs=2, counted="none", score="nll").fit(features)
    rows = Features.from_sequences([[0, 2], [1, 2]], size=5, views=features.views)
    found = detector.event_score(rows)
    assert_array_equal(found[1], found[3])


def test_the_core_makes_both_cells() -> None:
    core: Core = CORES["quantum"]
    detector = LogAnomaly(core=core, history=2, epochs=1).fit([[0, 1, 2]] * 4)
    assert len(detector.circuits()) == 2
    assert detector.weights()["quantum"] == 2 * 4 * core.circuits()[0].weights
