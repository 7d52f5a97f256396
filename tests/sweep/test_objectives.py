"""Laws of objectives: an entry of OBJECTIVES is all there is to one."""

from typing import Any

import pytest

from qlogad.catalogue import listing
from qlogad.errors import DocumentError
from qlogad.sweep.objectives import OBJECTIVES, Objective, objective


def test_a_new_objective_is_listed_and_can_be_aimed_at(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DocumentError, match="there is no objective 'idleness'"):
        make(objectives=["idleness"])
    monkeypatch.setitem(OBJECTIVES, "idleness", Objective("idleness", "minimize", "nothing", lambda fitted: 0.0))
    assert make(objectives=["idleness"]).objectives[0].name == "idleness"
    assert {"name": "idleness", "aim": "minimize", "what": "nothing"} in listing.rows("objectives")


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_goes_by_its_name_and_none_is_of_test_windows(name: str) -> None:
    assert objective(name).name == name
    with pytest.raises(DocumentError, match="no choice may use"):
        objective("test-" + name)
