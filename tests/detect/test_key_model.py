"""Laws of DeepLog's key model: layers and inputs are torch's; what is predicted at the start and the end of a window is what is written."""

from functools import cache
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from torch import nn

from qlogad import seeds
from qlogad.detect.next_event import NEVER, UNSEEN
from qlogad.detect.sequences.deeplog import DeepLog, Network
from qlogad.features.features import Features
from qlogad.nn.core import Classical, Core, Quantum
from qlogad.nn.core.same_total import SameTotal
from qlogad.nn.core.same_wrapper import SameWrapper
from qlogad.testing.detectors import check_detector

SIZE = 5
PADDINGS = ("left", "right", "skip")
INPUTS = ("embedding", "one-hot", "index")
WORST = {"rank": lambda classes: classes + 1, "nll": lambda classes: np.inf}


def small(**fields: Any) -> DeepLog:
    return DeepLog(**{"core": Classical(hidden=6), "history": 3, "embedding": 4, "epochs": 2, **fields})


def random_rows(rows: int, seed: int, size: int = SIZE, longest: int = 9) -> list[list[int]]:
    generator = seeds.generator(seed, "rows")
    return [generator.integers(size, size=generator.integers(longest + 1)).tolist() for _ in range(rows)]


# ---------------------------------------------------------------- layers and inputs


def torch_logits(network: Network, histories_NT: torch.Tensor) -> torch.Tensor:
    """The logits by torch's own stacked LSTM, with the weights copied in, on inputs made one by one."""
    cells = [network.cell, *network.above]
    lstm = nn.LSTM(network.cell.width, network.core.hidden, num_layers=len(cells), batch_first=True)
    for number, cell in enumerate(cells):
        weight_FI = torch.cat([weight_IO.T for weight_IO in cell.map.linear.weight_GIO])
        for name, value in {
            "weight_ih": weight_FI[:, : cell.width],
            "weight_hh": weight_FI[:, cell.width :],
            "bias_ih": cell.map.linear.bias_G1O.flatten(),
            "bias_hh": torch.zeros(4 * network.core.hidden),
        }.items():
            getattr(lstm, f"{name}_l{number}").data.copy_(value.detach())
    x_NTI = torch.tensor([[seen_by(network, int(event)) for event in row] for row in histories_NT])
    return lstm(x_NTI)[0][:, -1] @ network.head_HV + network.bias_V


def seen_by(network: Network, event: int) -> list[float]:
    size = network.size
    if network.inputs == "index":
        return [-1.0 if event == size + 1 else float(event)]
    if network.inputs == "one-hot":
        return [float(event == number) for number in range(size)]
    if event == size:
        return [0.0] * network.cell.width
    return network.embedding_VD[min(event, size)].tolist()


@pytest.mark.parametrize(("layers", "inputs"), list(product((1, 2, 3), INPUTS)))
def test_stacked_layers_are_those_of_torch(layers: int, inputs: str) -> None:
    detector = small(layers=layers, inputs=inputs).fit(random_rows(30, 0))
    detector._restore({name: 3 * value for name, value in detector._state().items()})  # so that every layer bends what it gets
    histories_NT = torch.from_numpy(seeds.generator(layers, "histories").integers(SIZE + 2, size=(40, 3)))
    with torch.no_grad():
        found_NV, wanted_NV = detector.network_(histories_NT), torch_logits(detector.network_, histories_NT)
    assert found_NV.std(dim=0).min() > 1e-3  # a hundred times the tolerance
    assert_allclose(found_NV, wanted_NV, atol=1e-5)


@pytest.mark.parametrize("inputs", INPUTS[1:])
def test_only_an_embedding_has_weights(inputs: str) -> None:
    plain, other = (small(inputs=one).fit(random_rows(30, 0)) for one in ("embedding", inputs))
    assert {"embedding_VD"} == set(plain._state()) - set(other._state())
    width = {"one-hot": SIZE, "index": 1}[inputs]
    assert other.weights_["total"] == 4 * 6 * (width + 6 + 1) + (6 + 1) * SIZE


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_the_first_layers_weights_do_not_depend_on_how_many_follow(cell: str) -> None:
    one, two, three = (Network(SIZE, 4, Classical(hidden=6), 7, cell, layers) for layers in (1, 2, 3))
    assert not any("above" in name for name in one.state_dict())
    for name, value in one.state_dict().items():
        assert_array_equal(value, two.state_dict()[name])
    assert set(two.state_dict()) < set(three.state_dict())
    for name, value in two.state_dict().items():
        assert_array_equal(value, three.state_dict()[name])
    maps = [layer.map.linear.weight_GIO[:, -6:] for layer in [three.cell, *three.above]]
    assert all((maps[a] != maps[b]).any() for a, b in ((0, 1), (0, 2), (1, 2)))


CORES: list[Core] = [
    Classical(hidden=6),
    Quantum(wires=2, hidden=4),
    SameWrapper(of=Quantum(wires=2, hidden=4)),
    SameTotal(of=Quantum(wires=2, hidden=4)),
]


@pytest.mark.parametrize("core", CORES, ids=lambda core: core.kind)
def test_every_layer_has_maps_of_the_core_and_every_weight_is_trained(core: Core) -> None:
    for cell, inputs in product(("lstm", "gru"), INPUTS):
        many = [small(core=core, cell=cell, inputs=inputs, layers=layers).fit(random_rows(9, 0)) for layers in (1, 2, 3)]
        circuits, quantum = ([len(one.circuits()) for one in many], [one.weights_["quantum"] for one in many])
        assert circuits == [circuits[0] * layers for layers in (1, 2, 3)]
        assert quantum == [quantum[0] * layers for layers in (1, 2, 3)]
        start = many[2].built(many[2].network).arrays()
        moved = {name: (value != start[name]).any() for name, value in many[2]._state().items()}
        assert all(moved.values()), moved


# ---------------------------------------------------------------- the start and the end of a window


def slid(row: list[int], history: int, padding: str, end: bool) -> list[tuple[list[int] | None, int, int]]:
    """(history, what came, the event it counts for), for all that is predicted in a window, in the words of the common code."""
    line = [min(event, SIZE) for event in row]
    if not line:
        return []
    came = [event if event < SIZE else UNSEEN for event in line] + [SIZE] * end
    line = line + [-9] * end
    if padding == "left":
        line, came = [SIZE + 1] * history + line, [NEVER] * history + came
    missing = max(0, history + 1 - len(line)) if padding == "right" else 0
    line, came = line + [SIZE + 1] * missing, came + [NEVER] * missing
    last = len(row) - 1
    shift = 0 if padding == "left" else history
    return [
        (None if came[start + history] == NEVER else line[start : start + history], came[start + history], min(start + shift, last))
        for start in range(len(line) - history)
    ]


@cache
def fitted(padding: str, end: bool, score: str, unseen: str = "anomaly") -> DeepLog:
    return small(padding=padding, end=end, score=score, unseen=unseen).fit(random_rows(40, 0))


WAYS = list(product(PADDINGS, (False, True), ("rank", "nll"), ("anomaly", "ignore")))


@settings(max_examples=20, deadline=None)
@given(st.lists(st.lists(st.integers(0, SIZE + 1), max_size=8), max_size=5))
def test_events_score_as_a_window_slid_by_hand_says(rows: list[list[int]]) -> None:
    features = Features.from_sequences(rows, size=SIZE)
    for padding, end, score, unseen in WAYS:
        detector = fitted(padding, end, score, unseen)
        wanted, passes, classes = [], [], SIZE + end
        for row in rows:
            made, own = slid(row, 3, padding, end), [np.nan] * len(row)
            passes.append(sum(came >= 0 for _, came, _ in made))
            for before, came, event in made:
                if came == UNSEEN and unseen == "ignore":
                    continue
                worth = WORST[score](classes)
                if came >= 0:
                    with torch.no_grad():
                        logits_V = detector.network_(torch.tensor([before]))[0].double()
                    assert len(logits_V) == classes
                    rank, nll = (logits_V >= logits_V[came] - 1e-9).sum(), torch.logsumexp(logits_V, 0) - logits_V[came]
                    worth = float(rank if score == "rank" else nll)
                own[event] = np.nanmax([own[event], worth])
            wanted += own
        assert_allclose(detector.event_score(features), wanted, rtol=1e-5)
        assert_array_equal(detector.passes(features), passes)
        tops = [np.nanmax([0, *part]) for part in np.split(np.asarray(wanted), features.offsets_N1[1:-1])] if rows else []
        assert_allclose(detector.anomaly_score(features), tops, rtol=1e-5)


def test_a_skipped_start_has_no_score_and_teaches_nothing() -> None:
    detector = fitted("skip", False, "nll")
    rows = [[0, 1], [9, 9, 9], [9, 9, 9, 1], []]
    assert_array_equal(detector.score_samples(rows)[[0, 1, 3]], 0)
    assert np.isfinite(detector.score_samples(rows)[2])
    long = [row for row in random_rows(40, 0) if len(row) > 3]
    assert len(long) < 40
    assert_array_equal(small(padding="skip", score="nll").fit(long).score_samples(rows), detector.score_samples(rows))


@pytest.mark.parametrize("end", [False, True])
def test_common_code_finds_every_short_session_anomalous(end: bool) -> None:
    detector = fitted("right", end, "rank", "ignore")
    lengths = range(8)
    scores = detector.score_samples([[0, 1, 2, 3, 4, 0, 1][:length] for length in lengths])
    worst_N = scores == SIZE + end + 1
    assert_array_equal(worst_N, [0 < length <= 3 - end for length in lengths])


@pytest.mark.parametrize(("padding", "end"), list(product(PADDINGS, (False, True))))
def test_g_by_hand_is_the_top_g_of_the_paper(padding: str, end: bool) -> None:
    """A window is an alarm iff something that came is not among the g likeliest; common code sorts and looks for it there."""
    rows = random_rows(60, 4, SIZE)
    for g in range(1, SIZE + 1):
        detector = small(padding=padding, end=end, threshold=g).fit(random_rows(40, 0))
        wanted = []
        for row in rows:
            tops = []
            for before, came, _ in slid(row, 3, padding, end):
                with torch.no_grad():
                    logits_V = torch.zeros(SIZE) if before is None else detector.network_(torch.tensor([before]))[0]
                tops.append(came in torch.argsort(logits_V)[-g:].tolist())
            wanted.append(not all(tops))
        assert_array_equal(detector.predict(rows), wanted)


# ---------------------------------------------------------------- truncated sessions


def sessions(rows: int, seed: int) -> list[list[int]]:
    """A start, three to five rounds of two steps, an end of two steps."""
    rounds_N = seeds.generator(seed, "rounds").integers(3, 6, size=rows)
    return [[0, *[1, 2] * int(rounds), 3, 4] for rounds in rounds_N]


@pytest.mark.parametrize("core", [Classical(hidden=16), Quantum(wires=3, hidden=8)], ids=lambda core: core.kind)
def test_truncated_sessions_are_seen_by_their_end_and_by_nothing_else(core: Core) -> None:
    normal, held, test = (sessions(40, seed) for seed in (0, 1, 2))
    cut = [row[: 5 + n % (len(row) - 5)] for n, row in enumerate(test)]
    assert min(map(len, cut)) > 4
    for padding, end in product(PADDINGS, (False, True)):
        detector = DeepLog(core=core, history=4, embedding=8, padding=padding, end=end, epochs=60, lr=0.02, score="nll")
        detector.fit(normal, validation=held)
        assert not detector.predict(test).any(), (padding, end)
        assert detector.predict(cut).mean() == end, (padding, end)
        if end:
            features = Features.from_sequences(cut, size=SIZE)
            event_N = detector.raised_by(features, detector.anomaly_score(features))
            assert_array_equal(event_N, features.offsets_N1[1:] - 1)  # an end's alarm points to the last event
            assert detector.expected(features, event_N) == [[]] * len(cut)  # which is itself as expected


# ---------------------------------------------------------------- the contract


@pytest.mark.parametrize(
    "fields",
    [
        {"padding": "right", "end": True, "inputs": "one-hot", "layers": 2},
        {"padding": "skip", "inputs": "index", "cell": "gru", "layers": 2},
        {"padding": "left", "end": True, "core": Quantum(wires=2, hidden=4), "layers": 2, "unseen": "ignore"},
    ],
    ids=lambda fields: fields["padding"],
)
def test_every_way_keeps_the_contract(fields: dict[str, Any]) -> None:
    check_detector(DeepLog, **{"core": Classical(hidden=5), "history": 3, "embedding": 4} | fields)
