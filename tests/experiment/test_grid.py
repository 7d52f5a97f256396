"""Laws of grids: their contenders are those that one would write out, under names that tell them apart, or nothing is trained."""

import json
import math
from itertools import product

import pytest

from qlogad import documents, seeds
from qlogad.catalogue.data import describe
from qlogad.errors import DocumentError
from qlogad.experiment import Experiment
from qlogad.experiment.cell import Cell
from qlogad.experiment.grid import MAX_MADE, combinations, made_name
from qlogad.run import run

FILE = """
[data]
dataset = "synthetic"
lines = 3000
rate = 0.2
split = { by = "time", cuts = [0.5] }
[[contender]]
name = "lstm"
detector = "deeplog"
core = { kind = "classical", hidden = 4 }
[[contender]]
name = "quantum"
like = "lstm"
core = { kind = "quantum", wires = 3, hidden = 4 }
[[contender]]
name = "2-gram"
detector = "ngram"
n = 2
"""
VALUES = {
    "core.encoding": ["angle-y", "chen", "angle-x"],
    "core.ansatz": ["sim14", "sim9", "qulog"],
    "core.depth": [1, 2, 3],
    "core.reupload": [False, True],
    "lr": [0.01, 1e-3],
    "score": ["rank", "nll"],
    "control": ["none", "frozen", "same-total"],
    "core": [{"kind": "quantum", "wires": 2, "depth": 2}, {"kind": "classical", "hidden": 3}],
}


def loaded(more="", *overrides):
    content = documents.parse(FILE + more)
    for one in overrides:
        content = documents.override(content, one)
    return Experiment.from_document(content)


def made(experiment):
    return [contender for contender in experiment.contenders if contender.grid is not None]


def built(contender):
    return contender.build().get_params(deep=False)


def random_axes(number):
    random = seeds.generator(number, "grids")
    keys = random.permutation([key for key in VALUES if key != "core"])[: int(random.integers(1, 4))].tolist()
    return {key: VALUES[key][: int(random.integers(1, len(VALUES[key]) + 1))] for key in keys}


@pytest.mark.parametrize("number", range(8))
def test_a_grid_is_the_contenders_that_one_would_write_out(number):
    axes = random_axes(number)
    found = made(Experiment.from_document({**documents.parse(FILE), "grid": {"quantum": axes}}))
    assert len(found) == math.prod(map(len, axes.values())) == len({contender.name for contender in found})
    for contender, values in zip(found, product(*axes.values()), strict=True):
        assert contender.grid == dict(zip(axes, values, strict=True))
        assert contender.name.startswith("quantum")
        assert len(contender.name) <= 80
        table = {"name": contender.name, "like": "quantum"}
        by_hand = documents.parse(FILE)
        by_hand["contender"] += [table | {"core": dict(by_hand["contender"][1]["core"])}]
        for key, value in contender.grid.items():
            by_hand = documents.override_value(by_hand, f"contender.3.{key}", value)
        assert built(contender) == built(Experiment.from_document(by_hand).contenders[-1])


def test_every_way_to_write_a_grid_is_the_same_grid():
    ways = [
        loaded("[grid.quantum]\ncore.encoding = ['angle-y', 'chen']\ncore.depth = [1, 2]"),
        loaded("[grid.quantum]\n'core.encoding' = ['angle-y', 'chen']\n'core.depth' = [1, 2]"),
        loaded("[grid]\nquantum.core = { encoding = ['angle-y', 'chen'], depth = [1, 2] }"),
        loaded("[grid]\n'quantum.core.encoding' = ['angle-y', 'chen']\n'quantum.core.depth' = [1, 2]"),
        loaded("", "grid.quantum.core.encoding=['angle-y', 'chen']", "grid.quantum.core.depth=[1, 2]"),
        loaded("[grid.quantum]\n'core.encoding' = ['angle-y', 'chen']\n'core.depth' = [1]").replace(
            grid__quantum__core__depth=[1, 2]
        ),
    ]
    assert all(way.contenders == ways[0].contenders for way in ways)
    names = ["quantum angle-y depth=1", "quantum angle-y depth=2", "quantum chen depth=1", "quantum chen depth=2"]
    assert [contender.name for contender in ways[0].contenders] == ["lstm", "quantum", *names, "2-gram"]
    several = loaded("[[grid.quantum]]\ncore.depth = [1, 2]\n[[grid.quantum]]\ncontrol = ['frozen']\n[grid.2-gram]\nn = [3]")
    assert [one.name for one in made(several)] == ["quantum depth=1", "quantum depth=2", "quantum frozen", "2-gram n=3"]


def test_an_override_of_a_file_finds_its_grid(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(FILE + "[grid.quantum]\n'core.depth' = [1]")
    found = Experiment.load(path, ["grid.quantum.core.depth=[2, 3]"])
    assert [one.name for one in made(found)] == ["quantum depth=2", "quantum depth=3"]


NAMES = {
    "words stand for themselves": ({"core.encoding": ["chen"], "control": ["frozen"]}, "x chen frozen"),
    "no control is no word": ({"core.depth": [2], "control": ["none", "frozen"]}, "x depth=2"),
    "what is no word has its key": ({"lr": [0.01], "core.reupload": [True]}, "x lr=0.01 reupload=true"),
    "words of two keys": ({"core.encoding": ["amplitude"], "core.ansatz": ["amplitude"]}, "x encoding=amplitude ansatz=amplitude"),
    "words and numbers": ({"threshold": ["fpr", 3]}, "x threshold=fpr"),
    "two keys of one name": ({"core.depth": [1], "other.depth": [2]}, "x core.depth=1 other.depth=2"),
    "a file": ({"core.ansatz": ["circuits/mine.toml", "b.qasm"]}, "x mine"),
    "two files of one name": ({"core.ansatz": ["a/mine.toml", "b/mine.toml"]}, "x a/mine.toml"),
    "a table": ({"core": [{"kind": "quantum", "wires": 2}]}, "x core=quantum,wires=2"),
}


@pytest.mark.parametrize(("axes", "name"), NAMES.values(), ids=NAMES.keys())
def test_names_say_what_was_varied(axes, name):
    found = [made_name("x", axes, values) for values in combinations(axes)]
    assert found[0] == name
    assert len(set(found)) == len(found)


BAD = {
    "a contender": ("[grid.quantm]\ncore.depth = [1]", "did you mean 'quantum'"),
    "no contender": ("[grid]\ncore.depth = [1]", "[grid.NAME]"),
    "a key": ("[grid.quantum]\nepoch = [1]", "did you mean 'epochs'"),
    "a key of the core": ("[grid.quantum]\ncore.dpth = [1]", "did you mean 'depth'"),
    "a key of the core by itself": ("[grid.quantum]\nencoding = ['chen']", "did you mean 'core.encoding'"),
    "a value": ("[grid.quantum]\ncore.encoding = ['angle-y', 'chn']", "did you mean 'chen'"),
    "a kind of value": ("[grid.quantum]\ncore.depth = [1, 'two']", "got 'two'"),
    "a width": ("[grid.quantum]\ncore.wires = [2, 99]", "wires=99"),
    "a control": ("[grid.quantum]\ncontrol = ['frosen']", "did you mean 'frozen'"),
    "a control of a floor": ("[grid.2-gram]\ncontrol = ['frozen']", "quantum core"),
    "a detector": ("[grid.quantum]\ndetector = ['deplog']", "did you mean 'deeplog'"),
    "no list": ("[grid.quantum]\ncore.depth = 2", "list of values"),
    "no value": ("[grid.quantum]\ncore.depth = []", "list of values"),
    "a value twice": ("[grid.quantum]\ncore.depth = [1, 1]", "twice"),
    "a key twice": ("[grid.quantum]\n'core.depth' = [1]\ncore.depth = [2]", "twice"),
    "a key inside a key": ("[grid.quantum]\ncore = [{ kind = 'quantum' }]\n'core.depth' = [2]", "inside another key"),
    "seeds": ("[grid.quantum]\nseed = [0, 1]", "[judge]"),
    "names": ("[grid.quantum]\nname = ['a']", "cannot be varied"),
    "no table": ("[grid]\nquantum = 3", "must be a table"),
    "an empty table": ("[grid.quantum]", "must be a table"),
    "a name that is taken": ("[[grid.quantum]]\ncore.depth = [1]\n[[grid.quantum]]\ncore.depth = [1, 2]", "second contender"),
    "a name too long": (f"[grid.quantum]\ncore.ansatz = ['{'x' * 90}']", "shorter"),
    "too many": (f"[grid.quantum]\nhistory = {list(range(1, 101))}\nepochs = {list(range(1, 101))}", f"at most {MAX_MADE}"),
    "a contrast": (
        "[grid.quantum]\ncore.depth = [1, 2]\n[judge]\ncontrasts = [['quantum depth 2', 'lstm']]",
        "'quantum depth=2' or 'quantum depth=1'",
    ),
}


@pytest.mark.parametrize(("more", "says"), BAD.values(), ids=BAD.keys())
def test_what_does_not_fit_is_refused_before_training_in_one_line(more, says):
    with pytest.raises(DocumentError) as caught:
        loaded(more)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "grid" in str(caught.value) or "contrast" in str(caught.value), "it names the place"


def test_no_control_takes_away_the_control_of_another():
    tables = "[[contender]]\nname = 'frozen'\nlike = 'quantum'\ncontrol = 'frozen'\n"
    _, quantum, _, _, freed = loaded(tables + "[[contender]]\nname = 'freed'\nlike = 'frozen'\ncontrol = 'none'").contenders
    assert built(freed) == built(quantum)


def identity(contender):
    return Cell(contender, 0, "0.5", "normals", "base", "ground", (1, 1), "grounds", "cells").identity


def test_contenders_that_differ_in_name_alone_share_their_cells():
    """Whether a default is said, left out, or comes from a grid."""
    found = loaded("[grid.quantum]\ncore.depth = [1, 2]\ncore.encoding = ['angle-y']")
    _, quantum, one, two, _ = found.contenders
    assert "depth" not in quantum.params["core"]
    assert identity(quantum) == identity(one) != identity(two)


def test_a_run_tells_what_its_grid_made(tmp_path):
    content = documents.parse(FILE + "[grid.2-gram]\nn = [2, 3]\n[judge]\ncontrasts = [['2-gram n=3', '2-gram n=2']]")
    content["contender"] = content["contender"][2:]
    path = tmp_path / "floors.toml"
    path.write_text(documents.dump(content))
    record = run(Experiment.load(path), tmp_path, workers=1)
    names = ["2-gram", "2-gram n=2", "2-gram n=3"]
    assert not record.failed
    assert list(dict.fromkeys(row["contender"] for row in record.rows)) == names
    assert len(list((tmp_path / "floors" / "cells").iterdir())) == 2, "equal cells are shared"
    table = (tmp_path / "floors" / "table.md").read_text()
    assert all(f"| {name} " in table for name in names)
    told = json.loads((tmp_path / "floors" / "manifest.json").read_text())["experiment"]["contenders"]
    assert [contender.get("grid") for contender in told] == [None, {"n": 2}, {"n": 3}]
    assert list(describe(str(path), (), lambda *_: None)["contenders"]) == names
