"""Every number that somebody can set has bounds, and what lies beyond is refused in one line, before any work."""

import dataclasses
import math
from collections.abc import Iterator
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from qlogad import documents, names
from qlogad.backend.backend import open_backend
from qlogad.bounds import Between, memory, room
from qlogad.detect.sequences.deeplog import DeepLog
from qlogad.errors import DataError, DocumentError, InputError, QlogadError
from qlogad.experiment.data import Data
from qlogad.experiment.experiment import Experiment, Judge
from qlogad.logs.inject import parse_spec
from qlogad.nn.core import Classical, Quantum
from qlogad.nn.schedule import Schedule
from qlogad.nn.train import check_device
from qlogad.sweep.space import FloatAxis, IntAxis
from qlogad.sweep.study import Settings


def inside(hint: Any) -> Iterator[Any]:
    """An annotation and all that it is made of."""
    yield hint
    for one in get_args(hint):
        yield from inside(one)


def documents_of() -> list[type]:
    """Every dataclass that a document is read into: detectors, data sets, cores, and the tables of experiments and studies."""
    waiting: list[Any] = [names.find(kind, name) for kind in ("detector", "dataset") for name in names.known(kind)]
    waiting += [Data, Judge, Settings, Schedule, Classical, Quantum]
    found: list[type] = []
    while waiting:
        cls = waiting.pop()
        if cls not in found:
            found.append(cls)
            hints = get_type_hints(cls, include_extras=True)
            read = [hints[field.name] for field in dataclasses.fields(cls) if field.init and field.name in hints]
            own = [one for hint in read for one in inside(hint)]
            own = [one for one in own if isinstance(one, type) and dataclasses.is_dataclass(one)]
            waiting += [
                one for one in own if not one.__module__.startswith("qlogad.circuit.")
            ]  # designs: tests/circuit/test_design.py
    return found


def numeric() -> list[tuple[type, str, Any]]:
    found = []
    for cls in documents_of():
        hints = get_type_hints(cls, include_extras=True)
        for field in dataclasses.fields(cls):
            if field.init and {int, float} & set(inside(hints[field.name])):
                found.append((cls, field.name, hints[field.name]))
    return found


FIELDS = numeric()
SENSELESS = [10**18, -(10**18), 2**63, 10**5000, 1e308, -1e308, math.nan, math.inf, -math.inf, True, False]
ALL = pytest.mark.parametrize(("cls", "name", "hint"), FIELDS, ids=[f"{cls.__name__}.{name}" for cls, name, _ in FIELDS])


def test_there_are_fields() -> None:
    found = {(cls.__name__, name) for cls, name, _ in FIELDS}
    assert {
        ("DeepLog", "history"),
        ("Quantum", "wires"),
        ("Synthetic", "lines"),
        ("Judge", "resamples"),
        ("Window", "stride"),
    } <= found


@ALL
def test_every_number_has_bounds(cls: type, name: str, hint: Any) -> None:
    if cls not in (IntAxis, FloatAxis):
        assert any(isinstance(one, Between) for one in inside(hint))


@ALL
def test_a_document_with_a_senseless_number_is_refused_in_one_line(cls: type, name: str, hint: Any) -> None:
    limits = [one for one in inside(hint) if isinstance(one, Between)]
    for value in SENSELESS:
        if not isinstance(value, bool) and limits and all(one.holds(value) for one in limits):
            value = -1
        for given_ in (value, [value]):
            with pytest.raises(DocumentError) as refused:
                documents.from_mapping(cls, {name: given_}, "x.toml")
            assert "\n" not in str(refused.value)
            assert len(str(refused.value)) < 400


@ALL
@given(data=st.data())
def test_a_value_within_the_bounds_fits_and_one_beyond_does_not(cls: type, name: str, hint: Any, data: st.DataObject) -> None:
    limits = next(one for one in inside(hint) if isinstance(one, Between))
    value = data.draw(st.one_of(st.integers(-(2**70), 2**70), st.floats(), st.sampled_from([limits.low, limits.high])))
    inner = next(one for one in inside(hint) if Between in {type(part) for part in get_args(one)[1:]})
    whole = int in get_args(inner) and not (isinstance(value, (int, np.integer)))
    assume(not whole)
    try:
        documents.enforce_value(name, value, inner)
    except InputError:
        assert not limits.holds(value)
    else:
        assert limits.low <= value <= limits.high


@given(st.floats() | st.integers())
def test_nothing_but_a_number_between_lies_between(value: float) -> None:
    for low, high, open_ in ((0, 1, ""), (0, 1, "low"), (0, 1, "high"), (0, 1, "both")):
        below = value > low if open_ in ("low", "both") else value >= low
        above = value < high if open_ in ("high", "both") else value <= high
        assert Between(low, high, open_).holds(value) == (below and above)


@pytest.mark.parametrize("text", ["10" * 10, "1e3", "-1", "0", "nan", "", "9" * 5000, "1_000", "\u0661"])
@pytest.mark.parametrize(
    "spec", ["aer:shots={}", "ibm:fake_manila,shots={}", "pennylane:default.qubit,shots={}", "aer:fake_manila,shots={}"]
)
def test_shots_that_cannot_end_are_refused(spec: str, text: str) -> None:
    with pytest.raises(QlogadError, match="shots must be an integer from 1 to 10,000,000") as refused:
        open_backend(spec.format(text))
    assert "\n" not in str(refused.value)


@given(st.sampled_from(["swap", "move", "repeat", "delay"]), st.one_of(st.floats(), st.integers()))
def test_injections_have_bounds(kind: str, amount: float) -> None:
    try:
        found = parse_spec(f"{kind}:{amount}")[1]
    except DataError:
        assert not 1 <= amount <= 10**8 or amount != int(amount)
    else:
        assert 0 < found < 1e9


@pytest.mark.parametrize("name", ["meta", "xla", "cuda:99", "mps:7", "xpu", "hpu", "ipu:0", "cudo", "", "cpu:3", "\x1b[2J"])
def test_a_device_that_computes_nothing_here_is_refused(name: str) -> None:
    with pytest.raises(DataError, match="device") as refused:
        check_device(name)
    assert str(refused.value).isprintable()
    with pytest.raises(DataError, match="device"):
        DeepLog(device=name)


@pytest.mark.parametrize(
    "text",
    ["a." * 20_000 + "b = 1", "[" + "a." * 20_000 + "b]", "x = { " + "a . " * 20_000 + "b = 1 }", "'a'." * 20_000 + "b = 1"]
    + ["x = " + "[" * depth + "]" * depth for depth in (30, 300, 20_000)]
    + ["x = " + "{a=" * depth + "1" + "}" * depth for depth in (30, 20_000)],
)
def test_what_is_nested_too_deeply_is_refused_by_its_text(text: str) -> None:
    with pytest.raises(DocumentError, match="not valid TOML") as refused:
        documents.parse(text)
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize("text", ["'" + "a." * 99 + "'", '"' + "a." * 99 + '"', "'''\n" + "a." * 99 + "'''", "1 # " + "a." * 99])
def test_dots_in_texts_and_comments_are_no_keys(text: str) -> None:
    assert documents.parse(f"x = {text}")


@given(st.integers(21, 20_000))
def test_an_override_that_is_nested_too_deeply_is_refused(parts: int) -> None:
    with pytest.raises(DocumentError, match="at most 20 deep"):
        documents.override({}, ".".join("a" * parts) + "=1")


def test_more_memory_than_there_is_is_refused_with_its_size_and_the_mend() -> None:
    room(0.9 * memory(), "tables", "take fewer")
    for size in (1.1 * memory(), math.inf, math.nan):
        with pytest.raises(DataError, match=r"tables need .* GB, but this machine has .*; take fewer"):
            room(size, "tables", "take fewer")


@pytest.mark.parametrize("key", ["contender.lstm.token", "data.path", "question", "contender.quantum.core.backend"])
@pytest.mark.parametrize("value", ["https://me:Zk3qX9@h/log", "postgresql://h/d?password=Zk3qX9", "ibm:torino,token=Zk3qX9"])
def test_a_document_with_a_credential_is_refused_without_telling_it(key: str, value: str) -> None:
    with pytest.raises(DocumentError, match="holds a credential") as refused:
        Experiment.load("quickstart", [f"{key}='{value}'"])
    assert "Zk3qX9" not in str(refused.value)


HUGE = ("nan", "inf", "-1", "1e308", "9" * 30, "9" * 5000, "", "x" * 10**5)


@pytest.mark.parametrize(
    "spec",
    [
        *("exact:depolarizing={}", "exact:readout={}", "exact:{}", "aer:shots={}", "aer:readout={}", "aer:level={}", "qiskit:{}"),
        *("ibm:fake_manila,shots={}", "ibm:fake_manila,level={}", "ibm:fake_manila,max_seconds={}", "ibm:fake_{}"),
        *("ibm:fake_manila,zne={}", "pennylane:x{}", "pennylane:default.qubit,shots={}"),
    ],
)
def test_an_option_of_a_backend_that_is_none_is_refused_in_one_short_line(spec: str) -> None:
    for value in HUGE:
        if value or "=" in spec:
            with pytest.raises(QlogadError) as caught:
                open_backend(spec.format(value))
            assert len(str(caught.value).splitlines()) == 1
            assert len(str(caught.value)) < 600
