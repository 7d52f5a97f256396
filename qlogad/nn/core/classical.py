"""The classical core: a linear map per gate, as in torch.nn.LSTM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch

from qlogad import documents
from qlogad.bounds import Between
from qlogad.errors import DesignError
from qlogad.nn.core.core import Core
from qlogad.nn.maps import Linear

__all__ = ["Classical"]


@dataclass(frozen=True)
class Classical(Core):
    """A linear map per gate, so that the recurrent cell is torch.nn.LSTM."""

    kind: Literal["classical"] = "classical"  # the name of this kind of core
    hidden: Annotated[int, Between(1, 8_192)] = 32  # H, hidden units of the cell

    linear: ClassVar[bool] = True

    def __post_init__(self) -> None:
        documents.enforce(self, DesignError)

    def map(self, in_features: int, out_features: int, gates: int, generator: torch.Generator) -> Linear:
        return Linear(in_features, out_features, gates, generator)
