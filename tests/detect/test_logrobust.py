"""Laws of LogRobust: it is torch's bidirectional LSTM with a pool, and its attention finds what a mean dilutes."""

import numpy as np
import pytest
import torch
from torch import nn

from qlogad import seeds
from qlogad.detect.sequences.logrobust import LogRobust
from qlogad.features.features import Features
from qlogad.nn.core import Classical


@pytest.mark.parametrize("pool", ["attention", "mean"])
def test_it_is_torchs_bidirectional_lstm_with_a_pool(pool: str) -> None:
    """An independent forward pass, window by window, from the trained weights."""
    windows, labels = [[0, 1, 2, 1, 3], [2, 2, 0], [3, 1, 4, 0, 0, 1], [4]], [0, 1, 0, 1]
    detector = LogRobust(core=Classical(hidden=5), pool=pool, longest=5, epochs=3).fit(windows, labels)
    state = {name: torch.from_numpy(array) for name, array in detector._state().items()}
    vectors = torch.cat([state["vectors_VD"], torch.zeros(1, state["vectors_VD"].shape[1])])
    own = nn.LSTM(vectors.shape[1], 5, batch_first=True, bidirectional=True)
    weights = {}
    for name, end in (("forwards", ""), ("backwards", "_reverse")):
        weight_FI = state[f"{name}.map.linear.weight_GIO"].transpose(1, 2).flatten(0, 1)
        weights[f"weight_ih_l0{end}"], weights[f"weight_hh_l0{end}"] = weight_FI.split([vectors.shape[1], 5], dim=1)
        weights[f"bias_ih_l0{end}"] = state[f"{name}.map.linear.bias_G1O"].flatten()
        weights[f"bias_hh_l0{end}"] = torch.zeros(20)
    own.load_state_dict(weights)
    later = [[0, 3, 9, 1], [], [2] * 9, [4, 1], [1, 4]]
    wanted = []
    for window in later:
        pooled = torch.zeros(10)
        if window:
            with torch.no_grad():
                h_TH = own(vectors[[min(event, 5) for event in window[:5]]][None])[0][0]
            share_T = torch.tanh(h_TH @ state["attention_H"]) if pool == "attention" else torch.full((len(h_TH),), 1 / len(h_TH))
            pooled = (share_T[:, None] * h_TH).sum(0)
        wanted.append((pooled @ state["head.weight"][0] + state["head.bias"][0]).item())
    np.testing.assert_allclose(detector.score_samples(later), wanted, rtol=1e-4, atol=1e-6)


def test_one_decisive_event_in_fifty_is_found_where_the_mean_dilutes_it() -> None:
    """Windows of 50 events; those with one event of type 0 are anomalies."""
    random = seeds.generator(0, "decisive")
    windows = random.integers(1, 8, size=(200, 50))
    labels = np.arange(200) % 2
    windows[labels == 1, random.integers(50, size=100)] = 0
    later = random.integers(1, 8, size=(40, 50))
    later[::2, random.integers(50, size=20)] = 0
    margin = {}
    for pool in ("attention", "mean"):
        detector = LogRobust(core=Classical(hidden=8), pool=pool, epochs=30, lr=0.02, batch=64, seed=1).fit(
            windows.tolist(), labels.tolist()
        )
        scores = detector.score_samples(later.tolist())
        margin[pool] = scores[::2].min() - scores[1::2].max()
    assert margin["attention"] > 0
    assert margin["attention"] > margin["mean"]


def test_order_alone_is_learnt_in_both_directions() -> None:
    windows, labels = [[0, 1, 2], [0, 2, 1]] * 20, [0, 1] * 20
    detector = LogRobust(core=Classical(hidden=8), epochs=60, lr=0.02).fit(windows, labels)
    scores = detector.score_samples([[0, 1, 2], [0, 2, 1]])
    assert scores[0] < 0 < scores[1]


def test_events_beyond_the_longest_are_not_read() -> None:
    detector = LogRobust(longest=3, epochs=1).fit([[0, 1, 2], [2, 1]], [0, 1])
    one, other = detector.score_samples([[0, 1, 2, 2, 2], [0, 1, 2, 0]])
    assert one == other
    features = Features.from_sequences([[0, 1, 2], [0]], size=3, views=detector.views_)
    assert detector.anomaly_score(features)[0] == one
