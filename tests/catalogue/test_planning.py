"""Laws of `show --plan`: what it predicts and measures, and of the plans that a run writes down."""

import json

import pytest
import torch

from qlogad import files
from qlogad.backend.exact import METHODS
from qlogad.catalogue import designs, planning
from qlogad.catalogue.planning import Peak
from qlogad.circuit.encoding import assemble
from qlogad.errors import InputError, UnknownName
from qlogad.experiment.experiment import Experiment
from qlogad.run import run

SMALL = {
    "data": {"dataset": "synthetic", "lines": 3000, "split": {"by": "time", "cuts": [0.6]}},
    "contender": [{"name": "quantum", "detector": "deeplog", "epochs": 1, "core": {"kind": "quantum", "wires": 2, "hidden": 4}}],
    "judge": {"seeds": 2},
}


@pytest.mark.parametrize("every", [False, True])
@pytest.mark.parametrize("reupload", [False, True])
def test_every_method_is_listed_and_one_is_chosen(every, reupload):
    shown = designs.plan("strongly-entangling", wires=3, depth=2, rows=4, calls=2, reupload=reupload, every=every)
    rows = shown.facts["plan"]
    assert {row["method"] for row in rows} == set(METHODS)
    assert [row["chosen"] for row in rows] == [True] + [False] * (len(rows) - 1)
    for row in rows:
        fits = not row["why not"]
        assert (row["predicted ms"] is not None) == fits
        assert (row["measured ms"] is not None) == (row["measured MB"] is not None) == (fits and (every or row["chosen"]))
        assert row["method"] in shown.text
        assert row["why not"] in shown.text
    predicted = [row["predicted ms"] for row in rows if row["predicted ms"] is not None]
    assert predicted == sorted(predicted)
    assert json.loads(json.dumps(shown.facts)) == shown.facts


def test_an_encoding_and_a_dephased_circuit_have_plans_too():
    assert "behind angle-y" in designs.plan("angle-y", wires=2, depth=1, rows=2, calls=1).text
    (row,) = planning.table(assemble("angle-y", "sim4", 2, 1, dephased=True), rows=2, calls=1)
    assert row["method"] == "dephased"
    assert row["measured ms"] > 0


def test_bad_plans_are_refused():
    with pytest.raises(UnknownName, match="did you mean 'strongly-entangling'"):
        designs.plan("strongly-entangled", wires=2, depth=1)
    with pytest.raises(InputError, match="1 row and 1 call"):
        designs.plan("sim14", wires=3, depth=1, rows=0)
    with pytest.raises(InputError, match="up to 26 wires"):
        designs.plan("separable", wires=27, depth=1)


@pytest.mark.parametrize("size", [1, 1000, 123_456])
def test_the_peak_is_what_tensors_hold(size):
    given = torch.ones(size, dtype=torch.float64, requires_grad=True)
    with Peak() as peak:
        one = given * 2
        two = one.exp()
        assert peak.size == 16 * size
        del one, two
        three = (given.detach() + 1).view(1, -1)
        assert peak.size == 16 * size, "what was freed is counted no more"
        assert three.shape == (1, size)
    assert given.grad is None


def test_a_run_writes_down_its_plans_and_a_worker_follows_its_parent(tmp_path):
    """All seeds run by one plan, the manifest names it with the rates behind it, and a second run reads those rates again."""
    experiment = Experiment.from_document(SMALL, name="planned")
    record = run(experiment, tmp_path, workers=1)
    assert not record.failed
    manifest = json.loads((tmp_path / "planned" / "manifest.json").read_text())
    plans = manifest["engine"]["plans"]
    assert {plan["method"] for plan in plans} <= set(METHODS)
    assert len({json.dumps(plan["purpose"], sort_keys=True) for plan in plans}) == len(plans), "one purpose, one plan"
    path = tmp_path / "planned" / "work" / "rates-cpu.json"
    changed = {**manifest["engine"]["rates"]["cpu"], "single": 1.0, "double": 1.0}
    files.write_facts(path, changed)
    run(experiment, tmp_path, workers=1)
    again = json.loads((tmp_path / "planned" / "manifest.json").read_text())["engine"]
    assert again["rates"] == {"cpu": changed}
    assert again["plans"] == plans, "finished cells stand as they are"
