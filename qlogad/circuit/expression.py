"""The expression language of design files: numbers, `pi`, names, `x[i]`, arithmetic, comparisons, a few functions; no `eval`.

An angle is affine in one input or one weight. In an encoding, any other expression in features is `closed`: its names are replaced
by numbers, and `feature` evaluates it before the circuit runs.
"""

from __future__ import annotations

import ast
import math
import operator
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from qlogad.circuit.circuit import Angle
from qlogad.errors import DesignError, did_you_mean, shown

__all__ = ["NotAffine", "angle", "closed", "feature", "integer", "namespace", "numbered", "truth", "uses"]

Number = int | float
Value = Number | Angle  # an Angle with a source: affine in an input or a weight

_LENGTH, _DEPTH, _EXPONENT, _SIZE = 1000, 20, 16, 1e9

_FUNCTIONS: dict[str, Callable[[float], float]] = {
    "abs": abs,
    "arccos": math.acos,
    "arcsin": math.asin,
    "arctan": math.atan,
    "cos": math.cos,
    "exp": math.exp,
    "log": math.log,
    "log2": math.log2,
    "sin": math.sin,
    "sqrt": math.sqrt,
    "tan": math.tan,
    "tanh": math.tanh,
}
_ARITHMETIC: dict[type[ast.operator], Callable[[Number, Number], Number]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_COMPARISONS: dict[type[ast.cmpop], Callable[[Number, Number], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


class NotAffine(DesignError):
    """An angle is not a number times one input or weight plus a number."""


def integer(text: str | int, names: Mapping[str, Number]) -> int:
    """Evaluate an integer field such as `stride = "layer % (wires - 1) + 1"`.

    >>> integer("layer % (wires - 1) + 1", {"layer": 3, "wires": 4})
    1
    """
    value = _evaluate(str(text), names, None)
    if not isinstance(value, int) or isinstance(value, bool):
        raise DesignError(f"{_quoted(text)} is {_shown(value)}, but an integer is expected; use // and % instead of /")
    return value


def truth(text: str, names: Mapping[str, Number]) -> bool:
    """Evaluate a condition such as `when = "wires > 2"`.

    >>> truth("wires > 2 and wires % 2 == 0", {"wires": 4})
    True
    """
    value = _evaluate(text, names, None)
    if not isinstance(value, bool):
        raise DesignError(f"{_quoted(text)} is {_shown(value)}, but a condition is expected, such as 'wires > 2'")
    return value


def angle(text: str | float, names: Mapping[str, Number], *, inputs: int | None = None, weight: int | None = None) -> Angle:
    """Evaluate an angle: a number, or affine in an input `x[...]` (if `inputs` is given), in the weight `w`, whose index is `weight`, or
    in `w[k]`, the k-th weight after it.

    >>> angle("pi * x[i] / 2 + 1", {"i": 3}, inputs=4)
    Angle(source='input', index=3, scale=1.5707963267948966, shift=1.0)
    """
    value = _evaluate(str(text), names if weight is None else {**names, "w": weight}, inputs)
    return value if isinstance(value, Angle) else Angle(None, shift=float(value))


def closed(text: str, names: Mapping[str, Number], *, inputs: int, table: int) -> str:
    """An expression in features with its names replaced by numbers, so that it no longer depends on its context.

    `w[...]`, the entry of a weight table selected by a feature, becomes `w[table, ...]`.

    >>> closed("arctan(x[i] ** 2) / wires", {"i": 1, "wires": 4}, inputs=2, table=0)
    'arctan(x[1] ** 2) / 4'
    """
    try:
        return ast.unparse(_closed(_parse(text), names, inputs, table))
    except (ZeroDivisionError, ValueError, OverflowError, TypeError) as error:
        raise DesignError(f"{error}, in {_quoted(text)}") from None


def feature(text: str, features: Sequence[Any], lookup: Callable[[int, Any], Any] | None = None) -> Any:
    """Evaluate a closed expression.

    Args:
        text: from `closed`.
        features: x[0], x[1], ...: numpy arrays or torch tensors of one shape.
        lookup: (table, entries) -> weights, for `w[...]`.

    >>> import numpy as np
    >>> feature("2 * x[0] * x[1]", [np.array([1.0, 2.0]), np.array([3.0, 4.0])]).tolist()
    [6.0, 16.0]
    """
    return _feature(_parse(text), features, lookup)


def namespace(array: Any) -> Any:
    """The package of an array: numpy, or torch (which this folder never imports itself)."""
    return sys.modules[type(array).__module__.partition(".")[0]]


@lru_cache(maxsize=1024)
def uses(text: str | float, name: str) -> bool:
    """Whether an expression uses a name.

    >>> uses("2 * w", "w"), uses("pi / 2", "w")
    (True, False)
    """
    return any(isinstance(node, ast.Name) and node.id == name for node in ast.walk(_parse(str(text))))


@lru_cache(maxsize=1024)
def numbered(text: str | float) -> int | None:
    """The k of a weight `w[k]` in an expression; None if there is none.

    >>> numbered("2 * w[3]"), numbered("w"), numbered("w[x[0]]")
    (3, None, None)
    """
    for node in ast.walk(_parse(str(text))):
        match node:
            case ast.Subscript(value=ast.Name(id="w"), slice=ast.Constant(value=int() as number)):
                return number
    return None


@lru_cache(maxsize=1024)
def _parse(text: str) -> ast.expr:
    if len(text) > _LENGTH:
        raise DesignError(f"an expression must have at most {_LENGTH} characters, got {len(text)}")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise DesignError(f"{_quoted(text)} is not an expression; write one such as 'pi * x[i] / 2'") from None
    if _depth(tree) > _DEPTH:
        raise DesignError(f"{_quoted(text)} is nested more than {_DEPTH} deep; write it flatter")
    return tree


def _depth(node: ast.AST) -> int:
    depth, level = 0, [node]
    while level:
        depth, level = depth + 1, [child for parent in level for child in ast.iter_child_nodes(parent)]
    return depth


def _evaluate(text: str, names: Mapping[str, Number], inputs: int | None) -> Value:
    try:
        return _value(_parse(text), names, inputs)
    except (ZeroDivisionError, ValueError, OverflowError, TypeError) as error:
        if isinstance(error, DesignError):
            raise type(error)(str(error) if _quoted(text) in str(error) else f"{error}, in {_quoted(text)}") from None
        raise DesignError(
            f"{_quoted(text)} has no value here: {error}; guard the row with `when` or change the expression"
        ) from None


def _value(node: ast.expr, names: Mapping[str, Number], inputs: int | None) -> Value:
    match node:
        case ast.Constant(value=bool()):
            raise DesignError("True and False are not part of expressions; write a comparison")
        case ast.Constant(value=int() | float() as number):
            return _bounded(number)
        case ast.Name(id="pi"):
            return math.pi
        case ast.Name(id="w") if "w" in names:
            return Angle("weight", int(names["w"]))
        case ast.Subscript(value=ast.Name(id="w"), slice=ast.Constant(value=int() as number)) if "w" in names:
            return Angle("weight", int(names["w"]) + number)
        case ast.Name(id=name) if name in names:
            return names[name]
        case ast.Name(id=name):
            raise DesignError(_unknown(name, names, inputs))
        case ast.Subscript(value=ast.Name(id="x"), slice=place) if inputs is not None:
            index = _value(place, names, None)
            if not isinstance(index, int) or not 0 <= index < inputs:
                raise DesignError(f"the input x[...] is number {_shown(index)}, but there are x[0] to x[{inputs - 1}]")
            return Angle("input", index)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            value = _value(operand, names, inputs)
            return -value
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _value(operand, names, inputs)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
            return _combine(type(op), _value(left, names, inputs), _value(right, names, inputs))
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _COMPARISONS:
            return _COMPARISONS[type(op)](_plain(_value(left, names, inputs)), _plain(_value(right, names, inputs)))
        case ast.BoolOp(op=op, values=values):
            found = [bool(_plain(_value(value, names, inputs))) for value in values]
            return all(found) if isinstance(op, ast.And) else any(found)
        case ast.Call(func=ast.Name(id=name), args=[argument], keywords=[]) if name in _FUNCTIONS:
            return _bounded(_FUNCTIONS[name](_plain(_value(argument, names, inputs))))
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id == "x":
        raise DesignError(_unknown("x", names, inputs))
    raise DesignError(f"{_quoted(ast.unparse(node))} is not part of the language; use numbers, pi, names, + - * / // % **")


def _combine(op: type[ast.operator], left: Value, right: Value) -> Value:
    """Arithmetic that keeps angles affine in one source."""
    match left, right:
        case Angle(), Angle() if op in {ast.Add, ast.Sub} and (left.source, left.index) == (right.source, right.index):
            other = right if op is ast.Add else -right
            return replace(left, scale=_bounded(left.scale + other.scale), shift=_bounded(left.shift + other.shift))
        case Angle(), int() | float() if op in {ast.Add, ast.Sub}:
            return replace(left, shift=_bounded(_ARITHMETIC[op](left.shift, right)))
        case int() | float(), Angle() if op in {ast.Add, ast.Sub}:
            other = right if op is ast.Add else -right
            return replace(other, shift=_bounded(left + other.shift))
        case Angle(), int() | float() if op in {ast.Mult, ast.Div}:
            apply = _ARITHMETIC[op]
            return replace(left, scale=_bounded(apply(left.scale, right)), shift=_bounded(apply(left.shift, right)))
        case int() | float(), Angle() if op is ast.Mult:
            return _combine(op, right, left)
        case int() | float(), int() | float():
            if op is ast.Pow and abs(right) > _EXPONENT:
                raise DesignError(f"an exponent must be from -{_EXPONENT} to {_EXPONENT}, got {_shown(right)}")
            return _bounded(_ARITHMETIC[op](left, right))
    raise NotAffine("an angle must be a number times one input or weight, plus a number; compute the rest before the circuit")


def _closed(node: ast.expr, names: Mapping[str, Number], inputs: int, table: int) -> ast.expr:
    if not any(isinstance(part, ast.Name) and part.id in {"x", "w"} for part in ast.walk(node)):
        number = _plain(_value(node, names, None))
        return ast.Constant(number) if number >= 0 else ast.UnaryOp(ast.USub(), ast.Constant(-number))
    match node:
        case ast.Subscript(value=ast.Name(id="x")):
            return ast.Subscript(ast.Name("x"), ast.Constant(_place(node, names, inputs)))
        case ast.Subscript(value=ast.Name(id="w"), slice=ast.Subscript(value=ast.Name(id="x")) as entry):
            return ast.Subscript(ast.Name("w"), ast.Tuple([ast.Constant(table), _closed(entry, names, inputs, table)]))
        case ast.UnaryOp(op=ast.USub() | ast.UAdd() as sign, operand=operand):
            return ast.UnaryOp(sign, _closed(operand, names, inputs, table))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
            sides = _closed(left, names, inputs, table), _closed(right, names, inputs, table)
            if isinstance(op, ast.Pow) and not _is_exponent(right, names):
                raise DesignError(f"the exponent of a feature must be from -{_EXPONENT} to {_EXPONENT}")
            return ast.BinOp(sides[0], op, sides[1])
        case ast.Call(func=ast.Name(id=name) as function, args=[argument], keywords=[]) if name in _FUNCTIONS:
            return ast.Call(function, [_closed(argument, names, inputs, table)], [])
    raise DesignError(
        f"{_quoted(ast.unparse(node))} is not part of the language of features; use x[i], w[x[i]], numbers, + - * / // % **"
    )


def _is_exponent(node: ast.expr, names: Mapping[str, Number]) -> bool:
    try:
        return abs(_plain(_value(node, names, None))) <= _EXPONENT
    except DesignError:  # depends on features
        return False


def _place(node: ast.Subscript, names: Mapping[str, Number], inputs: int) -> int:
    found = _value(node, names, inputs)
    assert isinstance(found, Angle)
    return found.index


def _feature(node: ast.expr, features: Sequence[Any], lookup: Callable[[int, Any], Any] | None) -> Any:
    match node:
        case ast.Constant(value=int() | float() as number):
            return number
        case ast.Subscript(value=ast.Name(id="x"), slice=ast.Constant(value=int() as place)):
            return features[place]
        case ast.Subscript(value=ast.Name(id="w"), slice=ast.Tuple(elts=[ast.Constant(value=int() as table), entry])) if lookup:
            return lookup(table, _feature(entry, features, lookup))
        case ast.UnaryOp(op=op, operand=operand):
            value = _feature(operand, features, lookup)
            return -value if isinstance(op, ast.USub) else value
        case ast.BinOp(left=left, op=op, right=right):
            sides = _feature(left, features, lookup), _feature(right, features, lookup)
            if isinstance(op, ast.FloorDiv):  # torch's own version is not differentiable
                quotient = sides[0] / sides[1]
                return namespace(quotient).floor(quotient)
            apply: Callable[[Any, Any], Any] = _ARITHMETIC[type(op)]
            return apply(*sides)
        case ast.Call(func=ast.Name(id=name), args=[argument]):
            value = _feature(argument, features, lookup)
            return _FUNCTIONS[name](value) if isinstance(value, (int, float)) else getattr(namespace(value), name)(value)
    raise DesignError(f"{_quoted(ast.unparse(node))} is not a closed expression in features")


def _plain(value: Value) -> Number:
    if isinstance(value, Angle):
        raise NotAffine("functions and comparisons take numbers, not inputs or weights; compute the rest before the circuit")
    return value


def _bounded(value: Number) -> Number:
    if not isinstance(value, (int, float)) or not abs(value) <= _SIZE:  # `not <=` catches NaN too; a negative root is complex
        raise DesignError(f"a number in an expression must be real and at most {_SIZE:.0e} in magnitude, got {_shown(value)}")
    return value


def _unknown(name: str, names: Mapping[str, Number], inputs: int | None) -> str:
    if name == "w":
        return "'w' is a weight, and only the `angle` of an ansatz has one"
    if name == "x":
        return "an input is read as x[i]" if inputs is not None else "only the `angle` of an encoding reads inputs, as x[i]"
    known = sorted({*names, *_FUNCTIONS, "pi"})
    return f"{_quoted(name)} is not known here{did_you_mean(name, known)}; known: {', '.join(known)}"


def _quoted(text: object) -> str:
    return shown(str(text), 60)


def _shown(value: object) -> str:
    text = f"{value:.3g}" if isinstance(value, float) else str(value) if not isinstance(value, Angle) else "an angle"
    return text if len(text) <= 20 else text[:17] + "..."
