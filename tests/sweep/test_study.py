"""Laws of study files: what is shipped loads; a test objective is refused; every mistake is one line that names the place and a way out."""

import pickle
from typing import Any

import pytest

from qlogad import names
from qlogad.errors import InputError
from qlogad.sweep.objectives import OBJECTIVES, objective
from qlogad.sweep.study import Study


@pytest.mark.parametrize("name", names.documents("study"))
def test_every_shipped_study_loads_asks_a_question_and_can_be_sent_to_workers(name: str) -> None:
    study = Study.load(name)
    assert study.question.endswith("?")
    assert pickle.loads(pickle.dumps(study)) == study
    assert not any(one.labelled for one in study.objectives)


@pytest.mark.parametrize("name", ["test-f1", "test-average-precision", "f1", "pr_auc", "recall", "test", "mcc"])
def test_a_test_objective_is_refused_in_one_line(make: Any, name: str) -> None:
    with pytest.raises(InputError, match="measured on test windows") as caught:
        make(objectives=[name])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_an_objective_that_reads_labels_changes_the_track_and_no_other_does(make: Any, name: str) -> None:
    study = make(objectives=[name], device="ibm:fake_manila")
    (entrant,) = study.entrants
    assert (
        (study.track(entrant) == "normal-only, labelled validation")
        == objective(name).labelled
        == name.startswith("validation-") * (name != "validation-loss")
    )


RING = [{"name": "quantum", "space": {"core.ansatz": {"choice": ["sim14", "sim19"]}}}]
BAD: dict[str, tuple[dict[str, Any], str]] = {
    "a key": ({"samplers": "tpe"}, "did you mean 'sampler'"),
    "a sampler": ({"sampler": "tpi"}, "did you mean 'tpe'"),
    "no base": ({"base": None}, "there is no base"),
    "a base": ({"base": "quickstrat"}, "did you mean 'quickstart'"),
    "a contender": ({"contender": [{"name": "lstn"}]}, "did you mean 'lstm'"),
    "a contender twice": ({"contender": [{"name": "lstm"}] * 2}, "listed twice"),
    "no contender": ({"contender": []}, "no \\[\\[contender\\]\\]"),
    "a key of a contender": ({"contender": [{"name": "lstm", "spaces": {}}]}, "did you mean 'space'"),
    "an objective": ({"objectives": ["validation-los"]}, "did you mean 'validation-loss'"),
    "no objective": ({"objectives": []}, "one or more"),
    "no trials": ({"trials": None}, "trials is missing"),
    "an axis": ({"space": {"lr": {"flot": [0.1, 1.0]}}}, "did you mean 'float'"),
    "an axis of no table": ({"space": {"lr": 3}}, "an axis must be a table"),
    "two axes in one": ({"space": {"lr": {"int": [1, 2], "choice": [1]}}}, "one of int, float and choice"),
    "an empty range": ({"space": {"lr": {"float": [1.0, 0.1]}}}, "lowest, highest"),
    "an axis over nothing": ({"space": {"lrr": {"float": [0.1, 1.0]}}}, "did you mean 'lr'"),
    "a value that does not fit": ({"space": {"lr": {"choice": ["fast"]}}}, "lr"),
    "an axis over the seed": ({"space": {"seed": {"int": [1, 3]}}}, "'seed' cannot be searched"),
    "an axis over the threshold": ({"space": {"threshold": {"choice": ["f1"]}}}, "'threshold' cannot be searched"),
    "an axis shared and owned": ({"contender": [{"name": "lstm", "space": {"lr": {"float": [0.1, 1.0]}}}]}, "shared"),
    "no space": ({"space": {}}, "its space is empty"),
    "a condition on nothing": ({"space": {"lr": {"float": [0.1, 1.0], "when": {"cell": "gru"}}}}, "not an axis above it"),
    "a known value outside": ({"contender": [{"name": "lstm", "known": [{"lr": 5.0}]}]}, "outside its axis"),
    "a known key": ({"contender": [{"name": "lstm", "known": [{"lrr": 0.01}]}]}, "did you mean 'lr'"),
    "a design without a circuit": ({"contender": [{"name": "lstm", "design": {}}]}, "core takes none"),
    "a gate": ({"contender": [{"name": "quantum", "design": {"gates": ["ryy", "cq"]}}]}, "cq"),
    "a gate without a pattern": ({"contender": [{"name": "quantum", "design": {"on": ["ring"]}}]}, "add 'each'"),
    "a design twice": ({"contender": [{**RING[0], "design": {}}]}, "by name"),
    "a known design outside": ({"contender": [{"name": "quantum", "design": {}, "known": [{"design": "sim14"}]}]}, "sim14"),
    "a pruner of many": ({"objectives": ["validation-loss", "weights"], "pruner": "median"}, "compares one number"),
    "a pruner of another loss": ({"objectives": ["validation-f1"], "pruner": "hyperband"}, "use 'wilcoxon'"),
    "wilcoxon without folds": ({"pruner": "wilcoxon"}, "3 or more"),
    "cma-es of many": ({"objectives": ["validation-loss", "weights"], "sampler": "cma-es"}, "one objective"),
    "cma-es under constraints": ({"constraints": {"weights": 9}, "sampler": "cma-es"}, "ignores constraints"),
    "a value misspelt": (
        {"contender": [{"name": "quantum", "space": {"core.ansatz": {"choice": ["sim1", "sim41"]}}}]},
        "there is no ansatz 'sim41'",
    ),
    "a value misspelt that waits": (
        {
            "contender": [
                {
                    "name": "lstm",
                    "space": {
                        "core.kind": {"choice": ["classical", "quantum"]},
                        "core.ansatz": {"choice": ["sim1", "sim41"], "when": {"core.kind": "quantum"}},
                    },
                }
            ]
        },
        "there is no ansatz 'sim41'",
    ),
    "a device for seconds misspelt": ({"objectives": ["device-seconds"], "device": "ibm:fake_torinoo"}, "fake_torinoo"),
    "a constraint below nothing": ({"constraints": {"two_qubit_depth": -1}}, "from 0 to"),
    "a device misspelt": ({"constraints": {"device": "fake_torinoo"}}, "write a device as in 'ibm:fake_torino'"),
    "a word for a list": ({"objectives": "validation-loss"}, "a list in brackets is expected"),
    "a base that is not there": ({"base": "nosuch.toml"}, "there is no base .*nosuch.toml"),
    "an experiment": ({"base": None, "data": {"dataset": "synthetic"}}, "qlogad run"),
    "a step too small": ({"space": {"lr": {"float": [0.0, 1.0], "step": 1e-19}}}, "too many values"),
    "a known key that waits": (
        {
            "space": {"cell": {"choice": ["lstm", "gru"]}, "history": {"int": [2, 4], "when": {"cell": "gru"}}},
            "contender": [{"name": "lstm", "known": [{"cell": "lstm", "history": 3}]}],
        },
        "history exists only if cell = 'gru'",
    ),
    "cma-es of names": ({"contender": RING, "sampler": "cma-es"}, "numeric axes in every trial"),
    "an endless grid": ({"sampler": "grid"}, "infinitely many"),
    "a grid too large": ({"sampler": "grid", "space": {"window": {"int": [1, 200_000]}}}, "more than 100,000 points"),
    "a later cut": ({"folds": {"cuts": [0.7]}}, "the experiment tests windows after"),
    "device seconds of none": ({"objectives": ["device-seconds"]}, "needs a device"),
    "a rung": ({"rung": [{"proxy": "variance"}]}, "gradient-variance"),
    "a share": ({"rung": [{"proxy": "loss", "keep": 1.5}]}, "between 0 and 1"),
    "a loss of none": (
        {"contender": [{"name": "2-gram", "space": {"n": {"int": [2, 3]}}}], "space": {}},
        "does not train in epochs",
    ),
    "an injection": ({"inject": "swop:3"}, "swap:3"),
    "the name of its base": ({"name": "small"}, "another name"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_mistake_is_one_line_with_a_way_out(make: Any, what: str) -> None:
    keys, says = BAD[what]
    with pytest.raises(InputError, match=says) as caught:
        make(**keys)
    assert "\n" not in str(caught.value)


def test_an_axis_may_wait_for_a_kind_of_core(make: Any) -> None:
    space = {"core.kind": {"choice": ["classical", "quantum"]}, "core.depth": {"int": [1, 3], "when": {"core.kind": "quantum"}}}
    (entrant,) = make(sampler="grid", trials=None, space={}, contender=[{"name": "lstm", "space": space}]).entrants
    cores = [entrant.at(point).build().core for point in entrant.space.points()]
    assert [(type(core).__name__, getattr(core, "depth", None)) for core in cores] == [
        ("Classical", None),
        *(("Quantum", depth) for depth in (1, 2, 3)),
    ]


def test_budgets_and_wording_do_not_change_a_study_but_anything_else_does(make: Any) -> None:
    one = make()
    assert make(trials=9, seconds=3.0, question="Else?", name="other").identity() == one.identity()
    others = [make(**keys).identity() for keys in ({"seed": 1}, {"sampler": "tpe"}, {"space": {"lr": {"float": [0.003, 0.2]}}})]
    assert len({one.identity(), *others}) == 4
