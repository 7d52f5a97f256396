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
    """A network around the maps of a core: counts its weights and circuit runs, and exports and restores its state as arrays.

    Args:
        core: makes the maps.
        values: the number of distinct integers, if its circuits encode integers.
    """

    def __init__(self, core: Core, values: int | None = None) -> None:
        super().__init__()
        self.core, self.values = core, values

    def layers(self) -> list[GateCircuits]:
        """Its quantum layers."""
        return [module for module in self.modules() if isinstance(module, GateCircuits)]

    @property
    def priced(self) -> bool:
        """Whether every circuit run has a cost: on a sampling backend, or on a device."""
        return any(not layer.backend.abilities.differentiable for layer in self.layers())

    @property
    def executions(self) -> int:
        """The number of circuit runs so far."""
        return sum(layer.executions for layer in self.layers())

    @property
    def total(self) -> int:
        """Registered weights."""
        return sum(parameter.numel() for parameter in self.parameters())

    def weights(self) -> dict[str, int]:
        """The number of registered weights by kind ("quantum", "classical", "total"), and of the circuits' "live" ones."""
        quantum = sum(weight.numel() for layer in self.layers() for weight in layer.parameters())
        live = sum(layer.gates for layer in self.layers()) * self.core.live(self.values)
        return {"quantum": quantum, "classical": self.total - quantum, "total": self.total, "live": live}

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Its state_dict as numpy arrays."""
        return {name: value.detach().cpu().numpy() for name, value in self.state_dict().items()}

    def restore(self, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """Load what `arrays` returned, and switch to evaluation mode.

        Raises:
            ResultError: the arrays belong to another network, or are not finite.
        """
        own = {
            name: Array(str(value.dtype).removeprefix("torch."), tuple(value.shape)) for name, value in self.state_dict().items()
        }
        check_arrays(arrays, own)
        self.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in arrays.items()})
        self.eval()
