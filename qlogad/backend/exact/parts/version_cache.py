"""Values derived from weights alone, cached for each version of the weights.

An optimizer changes weights in place and torch counts such changes (`Tensor._version`): a new version means a new value. A value is
also rebuilt after a backward pass, because torch frees the graph.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Generic, TypeVar

from torch import Tensor

from qlogad.backend.backend import check_finite

__all__ = ["VersionCache"]

T = TypeVar("T")


class VersionCache(Generic[T]):
    """The result of `make` on the weights, computed once per version: one with gradients, one without, which never has them.

    Changes through `weights.data` are not counted and go unnoticed. Weights created in inference
    mode have no version, and nothing is cached for them.

    Args:
        weights: the weights to watch.
        make: called with the weights and whether gradients are needed.

    Raises:
        BackendError: on a call, if the changed weights are not finite.

    >>> import torch
    >>> weights = torch.ones(2)
    >>> total = VersionCache(weights, lambda weights, gradient: weights.sum().item())
    >>> total(False), weights.add_(1) is weights, total(False)
    (2.0, True, 4.0)
    """

    def __init__(self, weights: Tensor, make: Callable[[Tensor, bool], T]) -> None:
        self._weights, self._make = weights, make
        self._known: dict[bool, T] = {}
        self._version = _version(weights)

    def __call__(self, gradient: bool) -> T:
        version = _version(self._weights)
        if version is None or version != self._version:
            check_finite(self._weights)
            self._known.clear()
            self._version = version
        if gradient not in self._known:
            return self._known.setdefault(gradient, self._make(self._watched() if gradient else self._weights, gradient))
        return self._known[gradient]

    def _watched(self) -> Tensor:
        """The weights with a hook: a backward pass that reaches them clears the cached value."""
        if not self._weights.requires_grad:
            return self._weights
        watched, kept = self._weights.view_as(self._weights), weakref.ref(self)

        def drop(_: Tensor) -> None:
            if (own := kept()) is not None:
                own._known.pop(True, None)

        watched.register_hook(drop)  # type: ignore[no-untyped-call]
        return watched


def _version(weights: Tensor) -> int | None:
    return None if weights.is_inference() else weights._version
