"""Laws of maps."""

import pytest
import torch

from qlogad import seeds
from qlogad.nn.maps import Diagonal


@pytest.mark.parametrize("budget", range(10))
def test_the_diagonal_spends_at_most_its_budget_scales_first(budget: int) -> None:
    middle = Diagonal(3, 3, 4, budget, seeds.torch_generator(0))
    assert sum(p.numel() for p in middle.parameters()) == 4 * min(budget, 6)
    x_GNI = torch.randn(4, 2, 3)
    y_GNK = middle(x_GNI)
    plain_K = torch.arange(3) >= min(budget, 3)
    assert torch.equal(y_GNK[..., plain_K], torch.tanh(x_GNI)[..., plain_K])
    assert not torch.isclose(y_GNK[..., ~plain_K], torch.tanh(x_GNI)[..., ~plain_K]).any()


@pytest.mark.parametrize(("inputs", "readouts"), [(2, 5), (5, 2), (3, 3)])
def test_the_diagonal_fits_any_number_of_inputs_and_readouts(inputs: int, readouts: int) -> None:
    middle = Diagonal(inputs, readouts, 1, 0, seeds.torch_generator(0))
    x_GNI = torch.randn(1, 4, inputs)
    assert torch.equal(middle(x_GNI), torch.tanh(x_GNI[..., [k % inputs for k in range(readouts)]]))
