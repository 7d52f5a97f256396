"""Control: the linear maps of a quantum core around a diagonal map, x ── linear ──► a ── tanh(s a + b) ──► ── linear ──► out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch

from qlogad import documents
from qlogad.circuit.encoding import Encoding
from qlogad.errors import DesignError
from qlogad.nn.core.core import Core, Encoded
from qlogad.nn.core.quantum import Quantum
from qlogad.nn.maps import Diagonal, Direct, Wrapped

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["SameWrapper"]


@dataclass(frozen=True)
class SameWrapper(Core, Encoded):
    """Control: a quantum core whose circuit is replaced by a diagonal map with at most as many weights as the circuit's live ones."""

    of: Quantum  # the core whose circuit it replaces
    kind: Literal["same-wrapper"] = "same-wrapper"  # the name of this kind of core

    def __post_init__(self) -> None:
        documents.enforce(self, DesignError)

    @property
    def hidden(self) -> int:
        return self.of.hidden

    def map(self, in_features: int, out_features: int, gates: int, generator: torch.Generator) -> Wrapped:
        circuit, budget = self.of.circuit(), 0 if self.of.frozen else self.of.live()

        def middle() -> Diagonal:
            return Diagonal(self.of.encoder().features(circuit.wires), len(circuit.readout), gates, budget, generator)

        return self.of.wrap(in_features, out_features, gates, generator, circuit, middle)

    def encoding_on(self) -> tuple[Encoding, int]:
        return self.of.encoding_on()

    def direct(
        self, in_features: int, out_features: int, gates: int, generator: torch.Generator, values: int | None = None
    ) -> Direct:
        """The map of one cell that passes the features directly to the diagonal map.

        Raises:
            DesignError: the quantum core could not take them, or the diagonal map cannot represent them as the circuit does.
        """
        self.of.room(in_features, values)
        readouts = len(self.of.circuit().readout)
        if in_features > readouts or (values is not None and values > 2):
            seen = f"{in_features} features" if values is None else f"an event id with {values} values"
            raise DesignError(
                f"control 'same-wrapper': a diagonal map with {readouts} readouts cannot replace a circuit that encodes {seen}; "
                "use feed = 'linear', or another control"
            )
        budget = 0 if self.of.frozen else self.of.live(values)

        def middle() -> Diagonal:
            return Diagonal(in_features, readouts, gates, budget, generator)

        shared = self.of.shared
        return Direct(out_features, gates, inputs=in_features, readouts=readouts, middle=middle, shared=shared, generator=generator)

    def aliases(self, features_ND: NDArray[np.float64], values: int | None = None) -> str:
        return ""  # tanh is injective
