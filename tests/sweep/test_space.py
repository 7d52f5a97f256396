"""Laws of spaces: every point is a contender that builds, conditions hold, and known designs are points."""

from typing import Any

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import create_trial

from qlogad import names
from qlogad.circuit.canonical import canonical
from qlogad.circuit.design import Design
from qlogad.circuit.gates import GATES, MACROS
from qlogad.circuit.wiring import PATTERNS, arity
from qlogad.errors import DocumentError
from qlogad.sweep.space import ChoiceAxis, DesignSpace, FloatAxis, IntAxis, Space

WHOLE = DesignSpace((1, 4), (*GATES, *MACROS), tuple(p for p in PATTERNS if arity(p)), True, True)


@given(st.integers(0, 10**6))
def test_every_point_of_a_design_space_is_a_design(seed: int) -> None:
    trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed)).ask()
    document = WHOLE.suggest(trial)
    circuit = Design.from_mapping(document, "ansatz").build(4, depth=2)
    assert len(document["layer"]) == trial.params["design.rows"]
    rows = {name.split(".")[1] for name in trial.params if name.count(".") == 2}
    assert rows == {str(number + 1) for number in range(trial.params["design.rows"])}
    assert canonical(circuit).weights == circuit.weights


def test_known_designs_are_points_or_are_refused_with_a_reason() -> None:
    found, refused = [], []
    for name in names.designs("ansatz"):
        design = Design.load(name, "ansatz")
        try:
            params = WHOLE.locate(name)
        except DocumentError as error:
            refused.append((name, str(error)))
            continue
        found.append(name)
        document = WHOLE.suggest(optuna.trial.FixedTrial(params))
        assert Design.from_mapping(document, "ansatz").build(4, 2) == design.build(4, 2)
    assert {"sim2", "sim9", "qulog"} <= set(found)
    assert all(f"'{name}'" in text and "\n" not in text for name, text in refused)


@given(st.integers(0, 10**6))
def test_a_conditional_axis_is_there_exactly_when_its_condition_holds(seed: int) -> None:
    space = Space({"cell": ChoiceAxis(("lstm", "gru")), "history": IntAxis((2, 4), when={"cell": "gru"})})
    chosen, document = space.suggest(optuna.create_study(sampler=optuna.samplers.RandomSampler(seed)).ask())
    assert document is None
    assert ("history" in chosen) == (chosen["cell"] == "gru")


def test_what_an_axis_suggests_it_holds(make: Any) -> None:
    study = make(
        space={
            "lr": {"float": [0.01, 0.1], "log": True},
            "history": {"int": [2, 9], "step": 3},
            "cell": {"choice": ["lstm", "gru"]},
        }
    )
    (entrant,) = study.entrants
    for seed in range(20):
        chosen, _ = entrant.space.suggest(optuna.create_study(sampler=optuna.samplers.RandomSampler(seed)).ask())
        assert all(entrant.space.axes[key].holds(value) for key, value in chosen.items())
        assert dict(entrant.space.assignment(chosen, "here")) == chosen
        params = entrant.at(chosen).build().get_params(deep=False)
        assert {key: params[key] for key in chosen} == chosen


GRIDS = {
    "axes": Space(
        {
            "n": IntAxis((2, 11), step=3),
            "x": FloatAxis((0.1, 0.45), step=0.1),
            "y": FloatAxis((0.7, 0.8), step=0.1),
            "cell": ChoiceAxis(("lstm", "gru")),
            "depth": IntAxis((1, 3), when={"cell": "gru"}),
        }
    ),
    "designs": Space({"wires": IntAxis((2, 3))}, DesignSpace((1, 2), ("ry", "cx"), ("each", "ring", "linear"))),
}


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize("name", GRIDS)
def test_a_grid_is_every_point_once_as_optuna_finds_them(name: str) -> None:
    space, study = GRIDS[name], optuna.create_study(sampler=optuna.samplers.BruteForceSampler())
    study.optimize(lambda trial: float(len(space.suggest(trial))))
    points = [tuple(point.items()) for point in space.points()]
    assert len(set(points)) == len(points)
    assert set(points) == {tuple(trial.params.items()) for trial in study.trials}
    for trial in study.trials:  # what is proposed can be recorded
        create_trial(value=0.0, params=trial.params, distributions=trial.distributions)


def test_steps_are_held_and_what_lies_between_is_not() -> None:
    axis = FloatAxis((0.1, 0.5), step=0.1)
    assert [axis.holds(value) for value in (0.1, 0.2, 0.30000000000000004, 0.5)] == [True] * 4
    assert [axis.holds(value) for value in (0.15, 0.55, 0.0)] == [False] * 3
    assert list(Space({"x": FloatAxis((0.5, 0.5))}).points()) == [{"x": 0.5}]
    assert Space({"x": axis}).assignment({"x": 0.30000000000000004}, "here") == {"x": 0.3}


@pytest.mark.parametrize("gate", ["rx", "cx"])
def test_a_gate_takes_the_patterns_of_its_width_only(gate: str) -> None:
    space = DesignSpace((1, 1), (gate,), tuple(p for p in PATTERNS if arity(p)))
    for seed in range(20):
        (row,) = space.suggest(optuna.create_study(sampler=optuna.samplers.RandomSampler(seed)).ask())["layer"]
        assert arity(row["on"]) == GATES[gate].wires
