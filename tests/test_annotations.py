"""Laws of values that are one of a few: what an annotation names is enforced wherever an object is built."""

import copy
import dataclasses
import importlib
import inspect
import pkgutil
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest
from sklearn.base import clone

import qlogad
from qlogad import DeepLog, Experiment, Quantum, QuantumLayer, documents
from qlogad.errors import InputError, MissingExtra
from qlogad.names import find, known


def _modules() -> list[Any]:
    found = []
    for module in pkgutil.walk_packages(qlogad.__path__, "qlogad."):
        try:
            found += [] if module.name.endswith("__main__") else [importlib.import_module(module.name)]
        except MissingExtra:
            continue
    return found


def _choices(hint: object) -> list[object]:
    if get_origin(hint) is Literal:
        return list(get_args(hint))
    return [one for inner in get_args(hint) for one in _choices(inner)]


def _listed() -> list[tuple[type, str]]:
    """Every field of every dataclass of the package that a Literal bounds."""
    classes = {
        one
        for module in _modules()
        for one in vars(module).values()
        if inspect.isclass(one)
        and dataclasses.is_dataclass(one)
        and one.__module__.startswith("qlogad")
        and not inspect.isabstract(one)
    }
    listed = []
    for one in sorted(classes, key=lambda one: (one.__module__, one.__qualname__)):
        own = {f.name for f in dataclasses.fields(one) if f.init}
        try:
            hints = get_type_hints(one)
        except NameError:  # names that only a type checker imports
            hints = {name: hint for name, hint in vars(one).get("__annotations__", {}).items() if "Literal" in str(hint)}
        listed += [(one, name) for name, hint in hints.items() if name in own and _choices(hint)]
    return listed


LISTED = _listed()


def _values(cls: type) -> dict[str, object]:
    """Defaults, and something for each field without one."""
    values = {}
    for field in dataclasses.fields(cls):
        if field.init and field.default is field.default_factory:  # MISSING
            values[field.name] = _filling(get_type_hints(cls)[field.name])
    return values


def _filling(hint: object) -> object:
    """A value of a required field."""
    if choices := _choices(hint):
        return (choices[0],) if get_origin(hint) is tuple else choices[0]
    if get_origin(hint) in (Union, UnionType):
        return _filling(get_args(hint)[0])
    plain = {int: 1, float: 0.5, str: "x", bool: True}
    if hint in plain:
        return plain[hint]
    if inspect.isclass(hint) and dataclasses.is_dataclass(hint):
        return object.__new__(hint)  # nothing looks into it
    return () if get_origin(hint) is tuple else {} if get_origin(hint) in (dict,) else None


@pytest.mark.parametrize(("cls", "name"), LISTED, ids=lambda one: one if isinstance(one, str) else one.__qualname__)
def test_a_value_that_no_literal_names_is_refused_where_the_object_is_built(cls: type, name: str) -> None:
    hint = get_type_hints(cls)[name]
    first = str(_choices(hint)[0])
    wrong: object = first.upper() + "_"  # near enough for a hint
    made = {**_values(cls), name: (wrong,) if get_origin(hint) is tuple else wrong}
    with pytest.raises(InputError, match=name) as caught:
        cls(**made)
    assert "\n" not in str(caught.value)
    assert first in str(caught.value)


def test_it_is_refused_in_every_way_to_build() -> None:
    detector = DeepLog()
    with pytest.raises(InputError, match=r"did you mean 'nll'"):
        detector.set_params(score="nl")
    assert detector.score == "rank"  # nothing was replaced
    with pytest.raises(InputError, match=r"did you mean 'small-angle'"):
        dataclasses.replace(Quantum(), init="small_angle")
    with pytest.raises(InputError, match=r"did you mean 'small-angle'"):
        QuantumLayer(init="small_angle")
    with pytest.raises(InputError, match=r"did you mean 'small-angle'"):
        documents.from_mapping(Quantum, {"init": "small_angle"})
    with pytest.raises(InputError, match=r"did you mean 'small-angle'"):
        Experiment.load("quickstart").replace(contender__quantum__core__init="small_angle")
    with pytest.raises(InputError, match=r"did you mean 'f1'"):
        Experiment.load("quickstart").replace(judge__metric="f-1")
    spoiled = copy.copy(detector)
    spoiled.score = "nl"  # as nothing can see it
    with pytest.raises(InputError, match=r"did you mean 'nll'"):
        clone(spoiled)
    with pytest.raises(InputError, match=r"did you mean 'nll'"):
        spoiled.fit([[0, 1, 2]])


@pytest.mark.parametrize("name", known("detector"))
def test_every_detector_refuses_fields_of_another_kind_in_one_line(name: str) -> None:
    cls = find("detector", name)
    for field, hint in get_type_hints(cls).items():
        if hint in (int, float, bool) and field in cls.__dataclass_fields__ and cls.__dataclass_fields__[field].init:
            with pytest.raises(InputError, match=rf"^{field} is .*, got 'a lot'$"):
                cls(**{field: "a lot"})


def test_numbers_of_any_kind_are_numbers() -> None:
    import numpy as np

    assert Quantum(wires=np.int64(3)) == Quantum(wires=3)
    assert DeepLog(fpr=np.float32(0.5)).fpr == 0.5
    assert DeepLog(fpr=0).fpr == 0
