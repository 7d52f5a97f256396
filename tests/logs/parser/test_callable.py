"""Laws of a parser that is a function of one's own: named by an installed package, never imported for a saved file."""

import json
import sys
from importlib import import_module
from pathlib import Path

import pytest

from qlogad.detect.floors.new_event import NewEvent
from qlogad.errors import DataError, InputError
from qlogad.experiment.data import Data
from qlogad.logs.lines import Lines
from qlogad.logs.parser.callable import CallableParser
from qlogad.logs.parser.parser import Steered, load_parser
from qlogad.model import Model
from tests.logs.parser.parsers import NEEDED

FACTORY = NEEDED["callable"]["factory"]
TEXTS = ["open a", "open b", "stop", "stop now"]


def by_length(texts):
    known = {len(text.split()) for text in texts}
    return lambda text: " ".join(["<*>"] * len(text.split())) if len(text.split()) in known else None


def test_a_saved_parser_imports_nothing_and_says_what_it_lacks() -> None:
    parser = CallableParser(factory=FACTORY).fit(TEXTS)
    state = json.loads(json.dumps(Steered(CallableParser(factory=FACTORY), ["halt"]).fit(TEXTS).state()))
    module = sys.modules.pop(FACTORY.partition(":")[0])
    again = load_parser(parser.state())
    wrapped = load_parser(state)
    assert again.ids(TEXTS).tolist() == parser.ids(TEXTS).tolist() == [0, 0, 1, 1]
    assert wrapped.ids([*TEXTS, "halt"]).tolist() == [1, 1, 2, 2, 0]
    for one in (again, wrapped):
        with pytest.raises(DataError, match=r"1 messages that training did not see need it.*factory=function"):
            one.ids(["open c"])
    assert FACTORY.partition(":")[0] not in sys.modules
    assert isinstance(again, CallableParser)
    with pytest.raises(DataError, match="other templates"):
        again.resume(by_length)
    again.resume(module.first_words)
    assert again.ids(["open c", "halt"]).tolist() == [0, -1]


def test_a_loaded_model_takes_the_function_again(tmp_path: Path) -> None:
    log, folder = tmp_path / "own.log", tmp_path / "model"
    log.write_text("".join(f"{('open', 'stop', 'wait')[n % 3]} x{n}\n" for n in range(300)))
    function = getattr(import_module(FACTORY.partition(":")[0]), FACTORY.partition(":")[2])
    model = Model.fit(Lines(path=str(log), format="<message>"), NewEvent(), parser=CallableParser(factory=function))
    model.save(folder)
    new = ["open y", "never seen"] * 50
    with pytest.raises(DataError, match=r"need it.*factory=function"):
        Model.load(folder).score(new)
    again = Model.load(folder, factory=function)
    assert again.score(new).frame().equals(model.score(new).frame())
    with pytest.raises(DataError, match="other templates"):
        Model.load(folder, factory=by_length)
    Model.fit(Lines(path=str(log), format="<message>"), NewEvent()).save(tmp_path / "drain")
    with pytest.raises(DataError, match="leave it out"):
        Model.load(tmp_path / "drain", factory=function)


def test_parameters_are_those_of_the_template_where_it_fits() -> None:
    parser = CallableParser(factory=by_length).fit(["a <:NUM:>", "b"])
    assert parser.templates == ("<*> <*>", "<*>")
    assert parser.parameters(0, "x <:NUM:>", ["7"]) == ("x", "7")
    odd = CallableParser(factory=lambda texts: lambda text: "other").fit(["a <:NUM:>"])
    assert odd.parameters(0, "a <:NUM:>", ["7"]) == ("7",)


@pytest.mark.parametrize(
    ("factory", "says"),
    [
        ("no colon", "package:function"),
        ("json:loads", "no installed package provides 'json'"),
        (f"{FACTORY}s", "cannot be imported"),
        (3, "package:function"),
        (lambda texts: None, "gives a function"),
        (lambda texts: lambda text: 3, "a template as text"),
    ],
)
def test_what_is_no_parser_is_told(factory: object, says: str) -> None:
    with pytest.raises(DataError, match=says) as caught:
        CallableParser(factory=factory).fit(["a"])  # type: ignore[arg-type]
    assert len(str(caught.value).splitlines()) == 1


def test_a_document_names_a_function_by_text_alone() -> None:
    with pytest.raises(InputError, match="package:function"):
        Data(parser={"name": "callable", "factory": by_length})
    with pytest.raises(InputError, match="factory"):
        Data(parser={"name": "callable"})
