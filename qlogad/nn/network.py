"""A network around the maps of a core."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from qlogad.files import Array, check_arrays
from qlogad.nn.core.core import Core
from qlogad.nn.layer import GateCircuits

__all__ = ["CoreNetwork"]


class CoreNetwork(nn.Module):
    """A network around the maps of a core: it counts its weights and circuits, and gives and takes its state as arrays.

    Args:
        core: what makes its maps.
        values: how many different integers its circuits are fed, where they are fed integers.
    """

    def __init__(self, core: Core, values: int | None = None) -> None:
        super().__init__()
        self.core, self.values = core, values

    def layers(self) -> list[GateCircuits]:
        """The circuits in it."""
        return [module for module in self.modules() if isinstance(module, GateCircuits)]

    @property
    def priced(self) -> bool:
        """Whether its circuits run where every row counts: where shots are drawn, or on a device."""
        return any(not layer.backend.abilities.differentiable for layer in self.layers())

    @property
    def executions(self) -> int:
        """Circuits run so far."""
        return sum(layer.executions for layer in self.layers())

    @property
    def total(self) -> int:
        """Registered weights."""
        return sum(parameter.numel() for parameter in self.parameters())

    def weights(self) -> dict[str, int]:
        """Registered weights by kind, and the live ones of the circuits."""
        quantum = sum(weight.numel() for layer in self.layers() for weight in layer.parameters())
        live = sum(layer.gates for layer in self.layers()) * self.core.live(self.values)
        return {"quantum": quantum, "classical": self.total - quantum, "total": self.total, "live": live}

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Its state by name."""
        return {name: value.detach().cpu().numpy() for name, value in self.state_dict().items()}

    def restore(self, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """The inverse of `arrays`; ready for scoring.

        Raises:
            ResultError: they are those of another network, or not finite.
        """
        own = {
            name: Array(str(value.dtype).removeprefix("torch."), tuple(value.shape)) for name, value in self.state_dict().items()
        }
        check_arrays(arrays, own)
        self.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in arrays.items()})
        self.eval()
