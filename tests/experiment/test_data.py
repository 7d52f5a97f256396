"""Laws of what an experiment reads: any parser there is may be named, with its own settings."""

import pickle

import numpy as np
import pytest

from qlogad import documents, names
from qlogad.errors import InputError
from qlogad.experiment import Experiment
from qlogad.experiment.data import Data
from qlogad.experiment.ground import ground, open_source

TABLE = {"dataset": "synthetic", "lines": 2000, "split": {"by": "time", "cuts": [0.6]}}
CONTENDERS = [{"name": "length", "detector": "length"}]


def data_with(parser: object) -> Data:
    return Experiment.from_document({"data": TABLE | {"parser": parser}, "contender": CONTENDERS}).data


@pytest.mark.parametrize("name", names.known("parser"))
def test_every_parser_can_be_named(name: str) -> None:
    data = data_with(name)
    assert data.parser == data_with({"name": name}).parser == pickle.loads(pickle.dumps(data)).parser
    made = data.new_parser()
    assert names.name_of("parser", type(made)) == name
    source = open_source(data)
    part = ground(data, source, ["ids"], cut=0).train
    windows = source.windows.take(np.unique(part.windows_W))
    made.fit(source.events.texts[text] for text in source.events.text_E[np.unique(windows.event_M)].tolist())
    assert set(part.features.vocabulary) == set(made.templates)
    assert (name == "drain") == (documents.digest(data) == documents.digest(data_with({})))


@pytest.mark.parametrize(
    "wrong", [{"name": "drian"}, {"dept": 4}, {"depth": 1}, {"depth": "deep"}, {"name": "identity", "depth": 4}, 3]
)
def test_a_parser_that_is_none_is_refused(wrong: object) -> None:
    with pytest.raises(InputError) as caught:
        data_with(wrong)
    assert len(str(caught.value).splitlines()) == 1
    assert "_templates" not in str(caught.value)
