"""Laws of experiment documents: what is inherited, what is refused, and that every shipped file loads."""

from typing import Any

import pytest

from qlogad import names
from qlogad.errors import InputError
from qlogad.experiment import Experiment
from qlogad.nn.core import Quantum

QUANTUM = {"kind": "quantum", "wires": 3, "hidden": 8}


def document(**changes: Any) -> dict[str, Any]:
    contenders = [
        {"name": "lstm", "detector": "deeplog", "epochs": 3, "core": {"kind": "classical", "hidden": 8}},
        {"name": "quantum", "like": "lstm", "core": QUANTUM},
        {"name": "control", "like": "quantum", "control": "frozen"},
    ]
    return {"data": {"dataset": "synthetic"}, "contender": contenders, "judge": {"seeds": 2}, **changes}


def test_like_copies_every_key_that_is_not_said_again() -> None:
    lstm, quantum, control = Experiment.from_document(document()).contenders
    assert quantum.params["epochs"] == lstm.params["epochs"] == control.params["epochs"]
    assert control.params["core"] == quantum.params["core"] != lstm.params["core"]
    assert control.detector == "deeplog"


def test_like_a_control_is_a_control() -> None:
    content = document()
    content["contender"].append({"name": "copy", "like": "control", "epochs": 5})
    *_, control, copy = Experiment.from_document(content).contenders
    assert copy.build().core == control.build().core
    assert copy.build().core.frozen


def test_a_copy_with_keys_replaced_is_the_document_with_keys_replaced() -> None:
    changed = Experiment.from_document(document()).replace(judge__seeds=7, contender__lstm__epochs=9)
    assert changed.judge.seeds == 7
    assert [contender.params["epochs"] for contender in changed.contenders] == [9, 9, 9]
    assert changed.data == Experiment.from_document(document()).data


@pytest.mark.parametrize("name", names.known("control"))
def test_a_twin_and_its_controls_differ_in_the_core_alone(name: str) -> None:
    content = document()
    content["contender"][2]["control"] = name
    _, quantum, control = (contender.build() for contender in Experiment.from_document(content).contenders)
    mine, its = quantum.get_params(deep=False), control.get_params(deep=False)
    assert {key for key in mine if mine[key] != its[key]} == {"core"}
    assert isinstance(mine["core"], Quantum)


@pytest.mark.parametrize("path", names.documents("experiment").values(), ids=lambda path: path.stem)
def test_every_shipped_experiment_loads_and_asks_a_question(path: Any) -> None:
    experiment = Experiment.load(path)
    assert experiment.question.endswith("?")
    assert experiment.judge.contrasts


BAD = {
    "a key of the top": ({"judges": {}}, "did you mean 'judge'"),
    "a dataset": ({"data": {"dataset": "syntetic"}}, "did you mean 'synthetic'"),
    "a key of the judge": ({"judge": {"seeds": 2, "metrics": "f1"}}, "did you mean 'metric'"),
    "no seed": ({"judge": {"seeds": 0}}, "seeds must be from 1"),
    "no resample": ({"judge": {"resamples": -3}}, "resamples must be from 1"),
    "a judge that is no table": ({"judge": 3}, "must be a table"),
    "data that are no table": ({"data": 3}, "must be a table"),
    "a contender that is no table": ({"contender": ["lstm"]}, "must be a table"),
    "a contender that is no list": ({"contender": "lstm"}, "no [[contender]]"),
    "a name that leaves the folder": ({"name": "../evil"}, "cannot be the name of a folder"),
    "an ansatz": (
        {"contender": [{"name": "a", "detector": "deeplog", "core": {**QUANTUM, "ansatz": "qulgo"}}]},
        "did you mean 'qulog'",
    ),
    "a backend": (
        {"contender": [{"name": "a", "detector": "deeplog", "core": {**QUANTUM, "backend": "exat"}}]},
        "did you mean 'exact'",
    ),
    "a rate": ({"contender": [{"name": "a", "detector": "length", "fpr": 1.5}]}, "[0, 1)"),
    "no epochs": ({"contender": [{"name": "a", "detector": "deeplog", "epochs": 0}]}, "epochs must be from 1"),
    "a step": ({"contender": [{"name": "a", "detector": "deeplog", "lr": -1}]}, "lr must be above 0"),
    "a device": ({"contender": [{"name": "a", "detector": "deeplog", "device": "cudo"}]}, "torch device"),
    "a control that is no name": (
        {"contender": [{"name": "a", "detector": "deeplog", "core": QUANTUM, "control": 3}]},
        "control must be a name",
    ),
    "a contrast of nobody": ({"judge": {"contrasts": [["lstm", "quantom"]]}}, "did you mean 'quantum'"),
    "six contrasts": ({"judge": {"contrasts": [["lstm", "quantum"]] * 6}}, "at most five"),
    "a control misspelt": (
        {"contender": [{"name": "a", "detector": "deeplog", "core": QUANTUM, "contrl": "frozen"}]},
        "did you mean 'control'",
    ),
    "an encoding of integers": (
        {"contender": [{"name": "a", "detector": "deeplog", "core": {**QUANTUM, "encoding": "basis"}}]},
        "angle-y",
    ),
    "too many wires": ({"contender": [{"name": "a", "detector": "deeplog", "core": {**QUANTUM, "wires": 30}}]}, "wires"),
    "a backend misspelt": (
        {"contender": [{"name": "a", "detector": "deeplog", "core": {**QUANTUM, "backend": "aer:shots=no"}}]},
        "shots=1024",
    ),
    "nobody": ({"contender": []}, "no [[contender]]"),
    "a detector": ({"contender": [{"name": "a", "detector": "deplog"}]}, "did you mean 'deeplog'"),
    "a key of a detector": ({"contender": [{"name": "a", "detector": "deeplog", "epoch": 3}]}, "did you mean 'epochs'"),
    "a key of a core": (
        {"contender": [{"name": "a", "detector": "deeplog", "core": {"kind": "quantum", "wire": 3}}]},
        "did you mean 'wires'",
    ),
    "a kind of core": ({"contender": [{"name": "a", "detector": "deeplog", "core": {"kind": "quantun"}}]}, "quantum"),
    "like nobody": ({"contender": [{"name": "a", "like": "b"}]}, "not defined above"),
    "twice": ({"contender": [{"name": "a", "detector": "length"}, {"name": "a", "detector": "length"}]}, "two contenders"),
    "control of a floor": ({"contender": [{"name": "a", "detector": "length", "control": "frozen"}]}, "quantum core"),
    "control": (
        {"contender": [{"name": "a", "detector": "deeplog", "core": QUANTUM, "control": "frosen"}]},
        "did you mean 'frozen'",
    ),
}


@pytest.mark.parametrize(("changes", "says"), BAD.values(), ids=BAD.keys())
def test_what_does_not_fit_is_refused_in_one_line_with_the_next_step(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError) as caught:
        Experiment.from_document(document(**changes)).data.open()
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_contrast_never_mixes_two_tracks() -> None:
    content = document()
    content["contender"][1]["threshold"] = "f1"
    content["contender"][2]["threshold"] = "fpr"
    content["judge"]["contrasts"] = [["quantum", "lstm"]]
    with pytest.raises(InputError, match="compares two tracks"):
        Experiment.from_document(content)


def test_the_track_is_decided_by_what_was_given() -> None:
    content = document()
    content["contender"][1]["threshold"] = "f1"
    lstm, quantum, _ = Experiment.from_document(content).contenders
    assert lstm.track("normals") == "normal-only"
    assert lstm.track("all") == "unsupervised"
    assert "labelled" in quantum.track("normals")
