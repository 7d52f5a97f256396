"""Laws of the mixins: they are public and enough for a detector of one's own, and what such a detector does not say, they see to."""

import ast
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated

import pytest
import torch
from torch import Tensor, nn

from qlogad import names, seeds
from qlogad.arrays import Floats
from qlogad.bounds import Between
from qlogad.detect.detector import Detector
from qlogad.detect.next_event import NextEvent, histories
from qlogad.detect.sequences.deeplog import DeepLog
from qlogad.detect.trained import Trained
from qlogad.features.features import Features
from qlogad.nn.core import Classical, Core, Quantum
from qlogad.nn.network import CoreNetwork
from qlogad.nn.schedule import Schedule
from qlogad.testing.detectors import check_detector
from tests.detect import counting_gru
from tests.detect.counting_gru import CountingGRU


@dataclass(kw_only=True)
class NextCNN(NextEvent, Trained, Detector):
    """A convolution over the last events, its map made by the core, and dropout; whatever it could leave out is left out."""

    core: Core = Classical(hidden=8)
    history: Annotated[int, Between(3, 100)] = 5
    seed: int = 0

    def before(self, features: Features) -> Floats:
        return histories(features, self.history) / (features.size + 1)  # rows of numbers, as of an event view

    def network(self, core: Core) -> CoreNetwork:
        return _Convolution(core, self.size_, self.seed)


class _Convolution(CoreNetwork):
    def __init__(self, core: Core, size: int, seed: int) -> None:
        super().__init__(core)
        self.embedding = nn.Linear(1, 4)
        self.map = core.map(3 * 4, 8, 1, seeds.torch_generator(seed, "core"))
        self.head = nn.Sequential(nn.Dropout(0.2), nn.Linear(8, size))

    def forward(self, rows_NT: Tensor) -> Tensor:
        x_NTDk = torch.tanh(self.embedding(rows_NT[..., None].float())).unfold(1, 3, 1)
        return self.head(torch.relu(self.map(x_NTDk.flatten(2))[0]).amax(dim=1))


def test_a_detector_of_ones_own_is_short_and_imports_nothing_private() -> None:
    source = Path(counting_gru.__file__).read_text()
    tree = ast.parse(source)
    said = [node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    said += [alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names]
    said += [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    private = {name for name in said if name.startswith("_") or "._" in name}
    assert private == {"__init__"}
    assert len(source.splitlines()) < 60


@pytest.mark.parametrize(("cls", "core"), [(CountingGRU, Classical(hidden=6)), (NextCNN, Quantum(wires=2, hidden=4))])
def test_a_detector_of_ones_own_keeps_the_contract(cls: type[Detector], core: Core) -> None:
    check_detector(cls, core=core)


def test_no_mixin_is_a_detector_of_that_name() -> None:
    assert {"deeplog", "vqc"} <= set(names.known("detector"))
    assert not {"trained", "next-event"} & set(names.known("detector"))


TRAINED = [cls for cls in (names.find("detector", name) for name in names.known("detector")) if issubclass(cls, Trained)]


@pytest.mark.parametrize("cls", [*TRAINED, CountingGRU, NextCNN])
def test_every_detector_that_trains_has_the_keys_of_the_schedule_and_trains_by_them(cls: type[Trained]) -> None:
    windows, labels = [[0, 1, 2], [0, 2, 1], [1], [2, 2]] * 3, [0, 1, 0, 1] * 3
    weights = []
    for given in (
        {"epochs": 2},
        {"epochs": 2, "optimizer": "sgd", "momentum": 0.5},
        {"epochs": 2, "warmup": 2, "anneal": "cosine"},
    ):
        detector = cls(**given)
        assert all(getattr(detector, key) == value for key, value in given.items())
        assert {field.name for field in fields(Schedule)} <= set(detector.get_params())
        weights.append(detector.fit(windows, labels)._state())
        assert len(detector.history_.epochs) == 2
    for one, other in zip(weights, weights[1:] + weights[:1], strict=True):
        assert any((one[name] != other[name]).any() for name in one)


def rounds(*many: int) -> list[list[int]]:
    return [[0, *[1, 2] * each, 3] for each in many]


def test_it_learns_an_order_that_no_history_of_its_length_shows() -> None:
    """A session is three rounds of two events; with a round too few or too many, all events in a row are as usual, only not there."""
    normal = rounds(*[3] * 20)
    short = DeepLog(core=Classical(hidden=16), history=3, epochs=60, lr=0.02).fit(normal, validation=normal)
    assert not short.predict(rounds(2, 3, 4)).any()
    own = CountingGRU().fit(normal, validation=normal)
    assert own.predict(rounds(2, 3, 4)).tolist() == [1, 0, 1]
    features = Features.from_sequences(rounds(2, 4), size=4)
    event_N = own.raised_by(features, own.anomaly_score(features))
    assert event_N.tolist() == [5, 13]  # the end that comes too early, and the round after the last one
    assert [likeliest for likeliest, *_ in own.expected(features, event_N)] == [1, 3]
