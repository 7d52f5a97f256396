"""A core as another package would write it: the sine of linear maps."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch

from qlogad.bounds import Between
from qlogad.nn.core import Core
from qlogad.nn.maps import Linear, Map


@dataclass(frozen=True)
class Bent(Core):
    kind: Literal["bent"] = "bent"
    hidden: Annotated[int, Between(1, 99)] = 4

    def map(self, in_features: int, out_features: int, gates: int, generator: torch.Generator) -> Map:
        return Curve(in_features, out_features, gates, generator)


class Curve(Map):
    def __init__(self, *sizes: Any) -> None:
        super().__init__()
        self.linear = Linear(*sizes)

    def prepare(self, *, calls: int = 1) -> Callable[[torch.Tensor], torch.Tensor]:
        run = self.linear.prepare(calls=calls)
        return lambda x: self.bend(run(x))

    def bend(self, y: torch.Tensor) -> torch.Tensor:
        return y.sin()
