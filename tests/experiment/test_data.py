"""Laws of what an experiment reads: any parser there is may be named, with its own settings."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from qlogad import documents, names
from qlogad.errors import InputError
from qlogad.experiment import Experiment
from qlogad.experiment.data import Data
from qlogad.experiment.ground import ground, open_source
from qlogad.features.pipeline import FeaturePipeline
from qlogad.features.preprocessor import Preprocessor
from tests.logs.parser.parsers import NEEDED

TABLE = {"dataset": "synthetic", "lines": 2000, "split": {"by": "time", "cuts": [0.6]}}
CONTENDERS = [{"name": "length", "detector": "length"}]


def data_with(parser: object) -> Data:
    return Experiment.from_document({"data": TABLE | {"parser": parser}, "contender": CONTENDERS}).data


@pytest.mark.parametrize("name", names.known("parser"))
def test_every_parser_can_be_named(name: str) -> None:
    data = data_with({"name": name, **NEEDED.get(name, {})})
    assert NEEDED.get(name) or data.parser == data_with(name).parser
    assert data.parser == pickle.loads(pickle.dumps(data)).parser
    made = data.new_parser()
    assert names.name_of("parser", type(made)) == name
    source = open_source(data)
    part = ground(data, source, ["ids"], cut=0).train
    windows = source.windows.take(np.unique(part.windows_W))
    texts = [source.events.texts[text] for text in source.events.text_E[np.unique(windows.event_M)].tolist()]
    made.fit(texts)
    assert set(part.features.vocabulary) == {made.templates[number] for number in made.ids(texts).tolist()}
    assert (name == "drain") == (documents.digest(data) == documents.digest(data_with({})))


@pytest.mark.parametrize(
    "wrong", [{"name": "drian"}, {"dept": 4}, {"depth": 1}, {"depth": "deep"}, {"name": "identity", "depth": 4}, 3]
)
def test_a_parser_that_is_none_is_refused(wrong: object) -> None:
    with pytest.raises(InputError) as caught:
        data_with(wrong)
    assert len(str(caught.value).splitlines()) == 1
    assert "_frozen" not in str(caught.value), "what is no setting is not offered"


def test_known_templates_and_a_cap_steer_every_parser(tmp_path: Path) -> None:
    source = open_source(data_with({}))
    whole = ground(data_with({}), source, ["ids"], cut=0)
    (tmp_path / "known.txt").write_text("\n".join(["never seen <*>", *whole.train.features.vocabulary[:5]]))
    for name in names.known("parser"):
        data = data_with({"name": name, **NEEDED.get(name, {}), "known": str(tmp_path / "known.txt"), "max_templates": 9})
        made = ground(data, source, ["ids"], cut=0)
        vocabulary = made.train.features.vocabulary
        assert len(vocabulary) <= 8, "one of nine is known and never seen"
        assert set(whole.train.features.vocabulary[:5]) <= set(vocabulary)
        assert made.pipeline is not None
        assert made.pipeline.parser.templates[0] == "never seen <*>"
        dropped = made.pipeline.parser.dropped
        share = sum(lines for _, lines in dropped) / len(made.train.features.ids_E)
        assert (made.train.unseen > 0) == (share > 0)
        assert any(f"{len(dropped)} templates left out" in text for text in made.warnings) == bool(dropped)
        assert made.base != whole.base
        again = FeaturePipeline.from_state(json.loads(json.dumps(made.pipeline.state())))
        if not again.parser.complete:
            continue
        assert again.event_ids(source.events).tolist() == made.pipeline.event_ids(source.events).tolist()


def test_masks_of_a_data_set_are_replaced_or_added_to() -> None:
    plain = Experiment.from_document({"data": TABLE, "contender": CONTENDERS}).data
    own = dict(plain.open().masks)

    def masks(**keys: object) -> dict[str, str]:
        return dict(Experiment.from_document({"data": TABLE | keys, "contender": CONTENDERS}).data.open().masks)

    assert masks(masks={"WORD": "[a-z]+"}) == {"WORD": "[a-z]+"}
    assert masks(masks={}) == {}
    extended = masks(extra_masks={"WORD": "[a-z]+", next(iter(own)): "x"})
    assert list(extended)[:2] == ["WORD", next(iter(own))]
    assert extended == own | {"WORD": "[a-z]+", next(iter(own)): "x"}
    assert dict(plain.open().masks) == own
    data = Experiment.from_document({"data": TABLE | {"masks": {"ALL": ".+"}}, "contender": CONTENDERS}).data
    source = open_source(data)
    assert source.events.texts == ("<:ALL:>",)
    assert source.events.digest != open_source(plain).events.digest
    made = ground(data, source, ["ids"], cut=0)
    assert made.pipeline is not None
    kept = Preprocessor.of("synthetic", source.dataset, source.window, made.pipeline, source.windows)
    assert kept.masks == (("ALL", ".+"),), "a model masks as its run did"


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"masks": {"IP": "[0-9"}}, "masks: IP"),
        ({"extra_masks": {"I P": "x"}}, "'I P' is not a name"),
        ({"masks": {"A": "(?P<B>x)", "B": "y"}}, "cannot be used"),
        ({"parser": {"known": "nowhere.txt"}}, "nowhere.txt"),
        ({"parser": {"max_templates": 0}}, "max_templates .*got 0"),
        ({"parser": {"max_template": 5}}, "did you mean 'max_templates'"),
    ],
)
def test_steering_that_is_wrong_is_told(keys: dict[str, object], says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        Experiment.from_document({"data": TABLE | keys, "contender": CONTENDERS}).data.open()
    assert len(str(caught.value).splitlines()) == 1
