"""Laws of the control `same-wrapper`."""

import pytest

from qlogad import seeds
from qlogad.nn.core import Quantum
from qlogad.nn.core.same_wrapper import SameWrapper


@pytest.mark.parametrize("ansatz", ["strongly-entangling", "basic-entangler", "qulog", "separable"])
@pytest.mark.parametrize("depth", [0, 1, 2])
def test_same_wrapper_has_no_more_weights_than_the_circuit_has_live_ones(ansatz: str, depth: int) -> None:
    core = Quantum(ansatz=ansatz, wires=3, depth=depth)
    middle = SameWrapper(of=core).map(6, 5, 4, seeds.torch_generator(0)).middle
    assert sum(p.numel() for p in middle.parameters()) <= 4 * core.live() <= 4 * core.circuit().weights
