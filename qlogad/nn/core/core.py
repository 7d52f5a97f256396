"""What a core is: it makes the maps of a network, (..., in) -> (gates, ..., out). The same detector class runs with any of them.

A core is a frozen dataclass in a file of its own whose first field is `kind`, the file's name; its fields are the keys of its table.
`hidden` and `map` are all that it has to have; every field has a default.
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
    """What runs inside a detector's network."""

    kind: str

    linear: ClassVar[bool] = False  # its maps are linear: a network that is not recurrent has to bend what they give

    @classmethod
    def kinds(cls) -> list[str]:
        return names.known("core")

    @classmethod
    def of_kind(cls, kind: str) -> type[Core]:
        found = names.find("core", kind)
        if not (dataclasses.is_dataclass(found) and issubclass(found, cls)):
            raise TypeError(f"core '{kind}' is no dataclass below {cls.__name__}, but {found!r}")
        return found

    @property
    @abstractmethod
    def hidden(self) -> int:
        """H, units of the cell."""

    @abstractmethod
    def map(self, in_features: int, out_features: int, gates: int, generator: torch.Generator) -> Map:
        """The map of one cell, its weights drawn by `generator`.

        Raises:
            DesignError: there is no such map.
            BackendError: its circuits cannot be trained where they are to run.
        """

    def check(self) -> None:
        """Build what can be built before there is data; an InputError or a BackendError where that fails. No code of others is run."""

    def code(self) -> tuple[str, ...]:
        """The modules, by dotted name, of others' code that its numbers depend on; none where its own kind's file imports all of it."""
        return ()

    @property
    def backend(self) -> str | None:
        """Where its circuits run; None: it has none."""
        return None

    def with_backend(self, backend: str) -> Self:
        """The same core with its circuits, if any, on another backend."""
        return self

    def circuits(self) -> tuple[Circuit, ...]:
        """The different circuits of its maps; each gate of a cell has one of each, with weights of its own."""
        return ()

    def live(self, values: int | None = None) -> int:
        """The live weights of one gate's circuits: how many directions of their weights the readouts can tell apart.

        Args:
            values: how many different integers the features take, where they are integers.
        """
        return 0

    def resolve(self, count: Callable[[Core], int]) -> Core:
        """The core that makes the maps: itself, unless a size of it depends on the network around it.

        Args:
            count: the weights of a whole network (embedding and head included) with the core it is given.
        """
        return self


class Encoded(ABC):
    """A core whose features may go into an encoding as they are, with no linear map before it."""

    @abstractmethod
    def encoding_on(self) -> tuple[Encoding, int]:
        """The encoding, and on how many wires it stands."""

    @abstractmethod
    def direct(self, in_features: int, out_features: int, gates: int, generator: torch.Generator, values: int | None = None) -> Map:
        """The map of one cell whose features go in as they are.

        Args:
            values: how many different integers the features take, where they are integers.

        Raises:
            DesignError: the wires do not hold the features, or the core cannot be fed them.
        """

    @abstractmethod
    def aliases(self, features_ND: NDArray[np.float64], values: int | None = None) -> str:
        """One line on features that it cannot tell apart when it is fed them as they are; "" where there are none."""
