"""Control: the largest classical core whose network has no more weights than its quantum counterpart's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch

from qlogad import documents
from qlogad.errors import DesignError
from qlogad.nn.core.classical import Classical
from qlogad.nn.core.core import Core
from qlogad.nn.maps import Map

__all__ = ["SameTotal"]


@dataclass(frozen=True)
class SameTotal(Core):
    """Control: a classical core with the largest hidden size at which the whole network has no more weights than with `of`.

    It makes no maps itself: call `resolve` to get the classical core once the network's weights can be counted.
    """

    of: Core  # the core whose number of weights it has
    kind: Literal["same-total"] = "same-total"  # the name of this kind of core

    def __post_init__(self) -> None:
        documents.enforce(self, DesignError)

    @property
    def hidden(self) -> int:
        raise DesignError("control 'same-total' has no size until the network's weights are counted; call `resolve` first")

    def map(self, in_features: int, out_features: int, gates: int, generator: torch.Generator) -> Map:
        raise DesignError("control 'same-total' makes no maps until the network's weights are counted; call `resolve` first")

    def code(self) -> tuple[str, ...]:
        return self.of.code()

    def check(self) -> None:
        self.of.check()

    def resolve(self, count: Callable[[Core], int]) -> Classical:
        """The largest classical core that fits.

        Raises:
            DesignError: even one hidden unit needs more weights.
        """
        total = count(self.of)
        if count(Classical(hidden=1)) > total:
            raise DesignError(f"control 'same-total': one hidden unit needs more than the {total} weights of the quantum network")
        low, high = 1, 2  # low fits; high does not, once the first loop has ended
        while count(Classical(hidden=high)) <= total:
            low, high = high, 2 * high
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if count(Classical(hidden=middle)) <= total else (low, middle)
        return Classical(hidden=low)
