"""Laws of families: what a study finds is tried first by its relatives, as far as their spaces hold it."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.samplers import RandomSampler
from optuna.study import create_study
from optuna.trial import FixedTrial

from qlogad import names
from qlogad.errors import DocumentError, InputError
from qlogad.sweep.objectives import objective
from qlogad.sweep.space import ChoiceAxis, DesignSpace, FloatAxis, IntAxis, Space
from qlogad.sweep.warm_start import carry, ranked, relatives

WIDE = Space(
    {
        "core.depth": IntAxis((1, 4)),
        "lr": FloatAxis((1e-3, 1e-1), log=True),
        "cell": ChoiceAxis(("lstm", "gru")),
        "core.hidden": IntAxis((4, 32), when={"cell": "gru"}),
        "core.reupload": ChoiceAxis((False, True)),
        "epochs": ChoiceAxis((1, 2.5, 3)),
    },
    DesignSpace(rows=(1, 3), reverse=True),
)
NARROW = Space(
    {"core.depth": IntAxis((2, 3)), "core.reupload": ChoiceAxis((True,)), "core.wires": IntAxis((3, 5))},
    DesignSpace(rows=(1, 2), gates=("ry", "cx"), flip=False),
)
LOSS, COUNT = objective("validation-loss"), objective("injected-average-precision")


def drawn(space: Space, seed: int) -> dict[str, Any]:
    trial = create_study(sampler=RandomSampler(seed)).ask()
    space.suggest(trial)
    return dict(trial.params)


def texts(params: dict[str, Any]) -> dict[str, str]:
    """As a table holds them: beside missing cells whole numbers are written with a point."""
    return {key: str(float(value)) if type(value) is int else str(value) for key, value in params.items()}


@given(st.integers(0, 2**32 - 1))
def test_a_space_holds_all_of_its_own_points(seed: int) -> None:
    params = drawn(WIDE, seed)
    assert carry(texts(params), WIDE) == params


@given(st.integers(0, 2**32 - 1))
def test_what_is_carried_over_is_of_both_and_the_new_space_takes_it(seed: int) -> None:
    params = drawn(WIDE, seed)
    point = carry(texts(params), NARROW)
    assert all(params[key] == value for key, value in point.items())
    assert "core.wires" not in point
    assert ("core.depth" in point) == (params["core.depth"] in (2, 3))
    assert ("core.reupload" in point) == params["core.reupload"]
    rows = range(1, params["design.rows"] + 1)
    held = len(rows) <= 2 and all(
        params[f"design.{row}.gate"] in ("ry", "cx")
        and not params.get(f"design.{row}.flip")
        and not params.get(f"design.{row}.reverse")
        for row in rows
    )
    assert ("design.rows" in point) == held
    NARROW.suggest(FixedTrial({"core.depth": 2, "core.reupload": True, "core.wires": 3, **(point or {}), **(designed(point))}))


def designed(point: dict[str, Any]) -> dict[str, Any]:
    return {} if "design.rows" in point else {"design.rows": 1, "design.1.gate": "ry", "design.1.wires": "each"}


@pytest.mark.parametrize("name", [*names.designs("ansatz"), "no such ansatz"])
def test_named_designs_are_taken_apart_where_the_space_holds_them(name: str) -> None:
    rows = DesignSpace(rows=(1, 3), gates=("rx", "ry", "rz", "cx"))
    try:
        held: dict[str, Any] = rows.locate(name)
    except InputError:
        held = {}
    assert carry({"core.ansatz": name}, Space({}, rows)) == held


def table(folder: Path, values: list[float], **columns: list[Any]) -> Path:
    folder.mkdir()
    count = len(values)
    frame = pd.DataFrame(
        {
            "contender": ["quantum"] * count,
            "state": ["complete"] * count,
            "validation-loss": values,
            "injected-average-precision": values,
            "param core.depth": list(range(1, count + 1)),
            "reused from": [None] * count,
        }
        | columns
    )
    frame.to_csv(folder / "trials.csv", index=False)
    return folder


@settings(max_examples=15)
@given(st.data(), st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=6))
def test_the_best_come_first_and_studies_take_turns(tmp_path_factory: Any, data: Any, values: list[float]) -> None:
    root = tmp_path_factory.mktemp("warm")
    one = table(root / "one", values)
    two = table(root / "two", data.draw(st.permutations(values)))
    space = Space({"core.depth": IntAxis((1, 6))})
    for aim, sign in ((LOSS, 1), (COUNT, -1)):
        order = [values[int(params["core.depth"]) - 1] for params in ranked(one, "quantum", aim)]
        assert order == sorted(values, key=lambda value: sign * value)
        best = [ranked(folder, "quantum", aim)[0]["core.depth"] for folder in (one, two)]
        points = relatives(space, "quantum", [one, two], aim, 2)
        assert points[0] == {"core.depth": int(best[0])}
        if best[0] != best[1]:
            assert points[1] == {"core.depth": int(best[1])}
        assert len(points) == min(2, len(values))
        assert relatives(space, "quantum", [one, two], aim, 0) == ()


def test_trials_that_did_not_end_or_were_reused_do_not_count(tmp_path: Path) -> None:
    folder = table(tmp_path / "one", [3.0, 1.0, 2.0], state=["complete", "pruned", "complete"], **{"reused from": [None, None, 0]})
    assert [params["core.depth"] for params in ranked(folder, "quantum", LOSS)] == ["1"]


def test_a_folder_without_such_trials_is_refused(tmp_path: Path) -> None:
    folder = table(tmp_path / "one", [1.0])
    for where, contender, aim, said in (
        (tmp_path, "quantum", LOSS, "trials.csv"),
        (folder, "lstm", LOSS, "it has: quantum"),
        (folder, "quantum", objective("weights"), "did not measure"),
    ):
        with pytest.raises(DocumentError, match=said):
            ranked(where, contender, aim)


def test_a_study_tries_the_best_of_its_relatives_first_and_at_most_the_share(make: Any, tmp_path: Path) -> None:
    folder = table(tmp_path / "one", [3.0, 1.0, 2.0, 4.0])
    contender = {"name": "quantum", "space": {"core.depth": {"int": [1, 3]}}, "known": [{"core.depth": 3}]}
    keys: dict[str, Any] = {"contender": [contender], "sampler": "tpe", "trials": 8, "warm": [str(folder)]}
    for share, depths in ((0.1, [3]), (0.25, [3, 2]), (1.0, [3, 2, 1])):
        study = make(**keys, warm_share=share)
        (entrant,) = study.entrants
        assert [point["core.depth"] for point in entrant.first] == depths
    assert make(**keys).identity() == make(**(keys | {"trials": 16})).identity()  # a larger budget goes on with the same study
    cold = make(**(keys | {"warm": None}))
    assert len({cold.identity(), make(**keys).identity(), make(**keys, warm_share=1.0).identity()}) == 3
    for wrong in ({"warm_share": 0}, {"warm_share": 1.5}, {"sampler": "grid", "space": {}}, {"warm": [str(tmp_path)]}):
        with pytest.raises(DocumentError, match="warm"):
            make(**(keys | wrong))
