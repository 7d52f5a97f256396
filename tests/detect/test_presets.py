"""A preset is nothing but values of keys: visible, overridable, and the same in Python and in an experiment."""

from typing import Any

import pytest

from qlogad import documents, names
from qlogad.catalogue.listing import show
from qlogad.detect.detector import Detector
from qlogad.errors import DocumentError, InputError, UnknownName
from qlogad.experiment.experiment import Experiment

PRESETS = [(name, preset) for name in names.known("detector") for preset in names.find("detector", name).presets]
BESIDE = {"fpr": 0.25}  # a key that no preset has, and another value than its default


def experiment(*contenders: dict[str, Any], **more: Any) -> Experiment:
    return Experiment.from_document({"data": {"dataset": "synthetic"}, "contender": list(contenders), **more})


@pytest.mark.parametrize(("name", "preset"), PRESETS)
def test_a_preset_says_the_same_in_python_in_an_experiment_and_where_it_is_shown(name: str, preset: str) -> None:
    cls: type[Detector] = names.find("detector", name)
    keys = dict(cls.presets[preset])
    written = documents.from_mapping(cls, keys)
    assert cls.preset(preset) == written != cls()
    said = experiment({"name": "a", "detector": name, "preset": preset}).contenders[0]
    assert said.build() == written
    assert dict(said.params) == keys, "what ran is written out key by key"
    assert f'preset = "{preset}" stands for\n\n{documents.dump(documents.plain(keys))}' in show(name).text


@pytest.mark.parametrize(("name", "preset"), PRESETS)
def test_keys_beside_a_preset_take_precedence_and_it_over_what_is_inherited(name: str, preset: str) -> None:
    cls: type[Detector] = names.find("detector", name)
    for key, value in cls.presets[preset].items():
        default = documents.plain(getattr(cls(), key))
        own = {"name": "a", "detector": name, "preset": preset, key: default}
        made = experiment(
            {**own, **BESIDE},
            {"name": "b", "like": "a", "preset": preset},
            {"name": "c", "like": "a"},
            grid={"a": {"preset": [preset]}},
        )
        by_name = {contender.name: contender for contender in made.contenders}
        assert by_name["a"].params[key] == default == by_name["c"].params[key]
        assert by_name["b"].params[key] == value == by_name[f"a {preset}"].params[key]
        assert all(contender.build().fpr == 0.25 for contender in by_name.values())
        assert documents.plain(getattr(cls.preset(preset, **{key: getattr(cls(), key)}), key)) == default


@pytest.mark.parametrize("given", ["papers", "", 3, ["paper"]])
def test_an_unknown_preset_is_refused_with_the_known_ones(given: object) -> None:
    for name, known in (("deeplog", "paper"), ("length", "none")):
        with pytest.raises(DocumentError, match=rf"contender 'a': '{name}' has no preset .*known: {known}"):
            experiment({"name": "a", "detector": name, "preset": given})
    with pytest.raises(DocumentError, match="preset"):
        experiment({"name": "a", "detector": "length"}, grid={"a": {"preset": ["paper"]}})
    with pytest.raises(UnknownName, match="there is no preset of length 'paper'; known: none"):
        names.find("detector", "length").preset("paper")
    with pytest.raises((InputError, ValueError), match="history"):
        names.find("detector", "deeplog").preset("paper", history=0).fit([[0]])
