"""Trace torch code into expressions of its inputs, element by element, in the language of qlogad.circuit.expression.

Arithmetic, functions of the language and operations that only move elements are traced; other results have no expression.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from qlogad.arrays import Texts

__all__ = ["Traced"]

_LONGEST = 1000  # characters, as in expressions
_UNARY = {"neg": "-({})", "negative": "-({})", "square": "({}) ** 2", "reciprocal": "1 / ({})"}
_UNARY |= {name: f"{name}({{}})" for name in ("abs", "cos", "exp", "log", "log2", "sin", "sqrt", "tan", "tanh")}
_UNARY |= {short: f"arc{short[-3:]}({{}})" for name in ("sin", "cos", "tan") for short in (f"a{name}", f"arc{name}")}
_BINARY = {"add": "({}) + ({})", "sub": "({}) - ({})", "mul": "({}) * ({})", "div": "({}) / ({})", "pow": "({}) ** ({})"}
_BINARY |= {"subtract": _BINARY["sub"], "multiply": _BINARY["mul"], "truediv": _BINARY["div"], "true_divide": _BINARY["div"]}
_BINARY |= {"radd": "({1}) + ({0})", "rmul": "({1}) * ({0})", "rsub": "({1}) - ({0})"}
_BINARY |= {"rdiv": "({1}) / ({0})", "rtruediv": "({1}) / ({0})", "rpow": "({1}) ** ({0})"}
_FOLDED = {"sum": " + ", "prod": " * "}
_MOVES = """
    getitem select reshape view flatten ravel squeeze unsqueeze t transpose permute unbind split chunk stack cat concatenate concat hstack
    vstack clone contiguous to double float flip roll moveaxis movedim tile repeat expand broadcast_to get tensor_split index_select
    swapaxes atleast_1d atleast_2d diagonal
"""
_MOVING = frozenset(_MOVES.split())


class Traced(TorchFunctionMode):
    """Context in which the expressions of all results computed from `inputs` (I,), named x[0], x[1], ..., are recorded."""

    def __init__(self, inputs: Tensor) -> None:
        super().__init__()
        self._known: dict[int, tuple[Tensor, Texts]] = {}  # keeps the tensors alive, so that their ids are not reused
        self._note(inputs, np.array([f"x[{i}]" for i in range(len(inputs))], dtype=object))

    def text(self, value: object) -> str | None:
        """The expression of a computed number; None if there is none."""
        known = self._known.get(id(value))
        return None if known is None or known[1].size != 1 else str(known[1].reshape(-1)[0])

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        found, name = func(*args, **(kwargs or {})), getattr(func, "__name__", "").strip("_")
        if name == "iter":
            found, name = tuple(found), "unbind"
            self._follow(torch.unbind, name, args, {}, found)
            return iter(found)
        self._follow(func, name, args, kwargs or {}, found)
        return found

    def _follow(self, func: Callable[..., Any], name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any], found: Any) -> None:
        if not any(id(part) in self._known for part in _parts(args)):
            return
        if name in _UNARY and len(args) == 1:
            self._each(found, _UNARY[name], args)
        elif name in _BINARY and len(args) == 2 and not kwargs:
            self._each(found, _BINARY[name], args)
        elif name in _FOLDED and len(args) == 1 and not kwargs:
            texts = [f"({text})" for text in self._texts(args[0]).reshape(-1)]
            self._note(found, np.array(_FOLDED[name].join(texts), dtype=object))
        elif name in _MOVING:
            self._moved(func, args, kwargs, found)

    def _each(self, found: Tensor, form: str, args: tuple[Any, ...]) -> None:
        texts = np.broadcast_arrays(*(self._texts(arg) for arg in args))
        made = [form.format(*several) for several in zip(*(one.reshape(-1) for one in texts), strict=True)]
        self._note(found, np.array(made, dtype=object).reshape(texts[0].shape))

    def _moved(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], found: Any) -> None:
        """Apply the same rearrangement to the indices of the elements."""
        pool: list[Any] = []

        def numbers(part: Any) -> Any:
            if isinstance(part, (tuple, list)):
                return type(part)(map(numbers, part))
            if not isinstance(part, Tensor) or not part.is_floating_point():
                return part
            texts = self._texts(part)
            pool.extend(texts.reshape(-1))
            return torch.arange(len(pool) - texts.size, len(pool), dtype=torch.float64).reshape(part.shape)

        moved = func(*numbers(args), **kwargs)
        pairs = zip(found, moved, strict=True) if isinstance(found, (tuple, list)) else [(found, moved)]
        for one, places in pairs:
            if isinstance(one, Tensor) and one.shape == places.shape:
                chosen = [pool[int(place)] for place in places.reshape(-1).tolist()]
                self._note(one, np.array(chosen, dtype=object).reshape(tuple(one.shape)))

    def _texts(self, part: Any) -> Texts:
        if id(part) in self._known:
            return self._known[id(part)][1]
        values = part.detach() if isinstance(part, Tensor) else torch.as_tensor(part, dtype=torch.float64)
        return np.array([repr(value) for value in values.reshape(-1).tolist()], dtype=object).reshape(tuple(values.shape))

    def _note(self, value: Any, texts: Texts) -> None:
        if isinstance(value, Tensor) and all(len(text) <= _LONGEST for text in texts.reshape(-1)):
            self._known[id(value)] = (value, texts)


def _parts(args: Any) -> list[Any]:
    return [part for arg in args for part in (arg if isinstance(arg, (tuple, list)) else [arg])]
