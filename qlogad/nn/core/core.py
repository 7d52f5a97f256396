"""The interface of a core: a factory of a network's maps, (..., in) -> (gates, ..., out). A detector class runs with any core.

A core is a frozen dataclass in a file of its own. Its first field, `kind`, is the file's name; its fields are the keys of its TOML
table, and each has a default. Only `hidden` and `map` are required.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Self

from qlogad import documents, names

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from qlogad.circuit.circuit import Circuit
    from qlogad.circuit.encoding import Encoding
    from qlogad.nn.maps import Map

__all__ = ["Core", "Encoded"]


class Core(documents.Variant):
    """The part of a detector's network that is classical or quantum."""

    kind: str

    linear: ClassVar[bool] = False  # its maps are linear: a network that is not recurrent adds a nonlinearity

    @classmethod
    def kinds(cls) -> list[str]:
        return names.known("core")

    @classmethod
    def of_kind(cls, kind: str) -> type[Core]:
        found = names.find("core", kind)
        if not (dataclasses.is_dataclass(found) and issubclass(found, cls)):
            raise TypeError(f"core '{kind}' must be a dataclass that inherits from {cls.__name__}, got {found!r}")
        return found

    @property
    @abstractmethod
    def hidden(self) -> int:
        """H, hidden units of the cell."""

    @abstractmethod
    def map(self, in_features: int, out_features: int, gates: int, generator: torch.Generator) -> Map:
        """The map of one cell: a module (..., in_features) -> (gates, ..., out_features), its weights drawn from `generator`.

        Raises:
            DesignError: no map of these sizes exists.
            BackendError: the backend cannot train its circuits.
        """

    def check(self) -> None:
        """Build what can be built without data, running no third-party code.

        Raises:
            InputError: the core is not valid.
            BackendError: its backend cannot run or train its circuits.
        """

    def code(self) -> tuple[str, ...]:
        """Dotted names of third-party modules that its results depend on, beyond what the file of its kind imports."""
        return ()

    @property
    def backend(self) -> str | None:
        """The backend of its circuits; None if it runs no circuits."""
        return None

    def with_backend(self, backend: str) -> Self:
        """A copy whose circuits, if any, run on another backend."""
        return self

    def circuits(self) -> tuple[Circuit, ...]:
        """The distinct circuits of its maps; each gate of a cell has one of each, with its own weights."""
        return ()

    def live(self, values: int | None = None) -> int:
        """The number of live weights in one gate's circuits: the rank of the Jacobian of the readouts in the weights.

        Args:
            values: the number of distinct integers, if the features are integers.
        """
        return 0

    def resolve(self, count: Callable[[Core], int]) -> Core:
        """The core that makes the maps: itself, unless its size depends on the network around it.

        Args:
            count: the number of weights of the whole network (with embedding and head), given a core.
        """
        return self


class Encoded(ABC):
    """A core whose encoding can take the features directly, without a linear map before it."""

    @abstractmethod
    def encoding_on(self) -> tuple[Encoding, int]:
        """The encoding and its number of wires."""

    @abstractmethod
    def direct(self, in_features: int, out_features: int, gates: int, generator: torch.Generator, values: int | None = None) -> Map:
        """The map of one cell that encodes the features directly.

        Args:
            values: the number of distinct integers, if the features are integers.

        Raises:
            DesignError: the features do not fit on the wires, or the core cannot take them directly.
        """

    @abstractmethod
    def aliases(self, features_ND: NDArray[np.float64], values: int | None = None) -> str:
        """A one-line warning about features (N, D) that the encoding maps to the same state; "" if there are none."""
