"""The little language agrees with arithmetic, and refuses everything else quickly."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from qlogad.circuit.circuit import Angle
from qlogad.circuit.expression import NotAffine, angle, closed, feature, integer, truth, uses
from qlogad.errors import DesignError
from tests.circuit.steps import QUICK, at_most

NAMES = {"layer": 2, "wires": 5, "i": 1, "j": 3}
SMALL = st.integers(-50, 50)


@given(SMALL, SMALL, SMALL.filter(bool), SMALL.filter(bool))
def test_integers_follow_python(a, b, c, d):
    names = {"a": a, "b": b, "c": c, "d": d}
    assert integer("a + b * c - a // d + (b - a) % c", names) == a + b * c - a // d + (b - a) % c
    assert truth("a < b and not_ > 0 or a * c >= d", {**names, "not_": 1}) == (a < b or a * c >= d)


@given(st.floats(-100, 100), st.floats(-100, 100), st.floats(0.1, 100))
def test_affine_angles_follow_arithmetic(scale, shift, divisor):
    names = {**NAMES, "a": scale, "b": shift, "c": divisor}
    found = angle("(a * x[j] - b) / c + pi - -x[j] * 2", names, inputs=4)
    assert (found.source, found.index) == ("input", 3)
    for x in (-1.0, 0.0, 2.5):
        assert found.scale * x + found.shift == pytest.approx((scale * x - shift) / divisor + math.pi + 2 * x, abs=1e-9)


def test_sources():
    assert angle("w", NAMES, weight=7) == Angle("weight", 7)
    assert angle("1 - w / 2", NAMES, weight=7) == Angle("weight", 7, -0.5, 1.0)
    assert angle("x[wires - 1 - i]", NAMES, inputs=5) == Angle("input", 3)
    assert angle("arccos(1 / sqrt(wires - 1))", NAMES).shift == pytest.approx(math.acos(0.5))
    assert angle(0.25, NAMES) == Angle(None, shift=0.25)
    assert uses("2 * w", "w")
    assert not uses("wires", "w")


HOSTILE = [
    "__import__('os').system('true')",
    "x[0].__class__",
    "().__class__.__bases__",
    "(lambda: 1)()",
    "[i for i in range(10)]",
    "9 ** 9 ** 9 ** 9",
    "2 ** 1000000000",
    "10 ** 16 * 10 ** 16",
    "(-1) ** 0.5",
    "abs(" * 30 + "1" + ")" * 30,
    "-" * 150 + "1",
    "(" * 100_000,
    "1" * 100_000,
    "9" * 190,
    "1 if i else 2",
    "i := 3",
    "i @ j",
    "'a' * 1000000000",
    "1 << 1000000",
    "sqrt(x[i])",
    "arccos(7)",
    "x[i] * x[i]",
    "x[i] + x[j]",
    "x[99]",
    "x[-1]",
    "x[i / 2]",
    "x",
    "w",
    "q",
    "1 / (i - 1)",
    "1 % 0",
    "x[i] ** 2",
    "1 / x[i]",
    "x[i] < 1",
    "1e400",
    "1j",
    "True",
    "None",
    "1 < 2 < 3",
    "abs(1, 2)",
    "abs(x=1)",
    "f'{i}'",
    "",
    "\0",
    "1;2",
    "lambda",
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_everything_else_is_refused_quickly_and_in_one_line(text):
    with at_most(QUICK), pytest.raises(DesignError) as caught:
        angle(text, NAMES, inputs=4)
    assert 0 < len(str(caught.value)) < 300
    assert len(str(caught.value).splitlines()) == 1


@given(st.text(max_size=60))
def test_any_text_is_a_value_or_a_design_error(text):
    refusals = []
    for read in (lambda: angle(text, NAMES, inputs=4), lambda: integer(text, NAMES), lambda: truth(text, NAMES)):
        try:
            read()
        except DesignError as error:
            refusals.append(str(error))
    assert all(len(refusal.splitlines()) == 1 and len(refusal) < 300 for refusal in refusals)


def test_kinds_are_told_apart():
    with pytest.raises(DesignError, match="an integer is expected"):
        integer("wires / 2", NAMES)
    with pytest.raises(DesignError, match="an integer is expected"):
        integer("wires > 2", NAMES)
    with pytest.raises(DesignError, match="a condition is expected"):
        truth("wires", NAMES)
    with pytest.raises(DesignError, match="did you mean 'layer'"):
        integer("layr", NAMES)
    with pytest.raises(DesignError, match="guard the row with `when`"):
        integer("layer % (wires - 5)", NAMES)


X = st.floats(-3, 3)
FEATURES = [
    ("arctan(x[i] ** 2) / wires", lambda x: np.arctan(x[1] ** 2) / 5),
    ("(pi - x[i]) * (pi - x[j])", lambda x: (np.pi - x[1]) * (np.pi - x[3])),
    ("-x[0] * +x[layer] + 2 ** i", lambda x: -x[0] * x[2] + 2),
    ("3 / (2 + cos(x[j] - 1))", lambda x: 3 / (2 + np.cos(x[3] - 1))),
    ("abs(x[i]) // 0.5 % 2", lambda x: abs(x[1]) // 0.5 % 2),
]


@pytest.mark.parametrize(("text", "expected"), FEATURES)
@given(st.lists(X, min_size=4, max_size=4))
def test_what_is_not_affine_is_closed_and_computed(text, expected, x):
    with pytest.raises(NotAffine):
        angle(text, NAMES, inputs=4)
    shut = closed(text, NAMES, inputs=4, table=0)
    assert not any(uses(shut, name) for name in NAMES)
    columns = [np.array([value]) for value in x]
    np.testing.assert_allclose(feature(shut, columns), expected(columns), rtol=1e-12, atol=1e-12)
    found = feature(shut, [torch.from_numpy(column) for column in columns])
    np.testing.assert_allclose(found.numpy(), expected(columns), rtol=1e-12, atol=1e-12)


def test_tables_are_told_apart_by_number():
    assert closed("w[x[i]] / 2", NAMES, inputs=4, table=6) == "w[6, x[1]] / 2"
    assert feature("w[6, x[1]] / 2", [0, 4], lambda table, entry: 10 * table + entry) == 32


@pytest.mark.parametrize("text", [text for text in HOSTILE if "x[" not in text])
def test_hostile_expressions_are_no_features_either(text):
    with at_most(QUICK), pytest.raises(DesignError):
        closed(f"{text} * x[0]", NAMES, inputs=4, table=0)
