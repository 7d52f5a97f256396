"""What tests of methods share: random weights and inputs, values with gradients, and that two ways give the same."""

import math

import torch

from qlogad.seeds import torch_generator


def values(circuit, groups=2, copies=None, rows=3, *, seed=0, dtype=torch.float64):
    """Weights (G, P) and inputs (copies or G, N, I), radians, the same for the same circuit; both want gradients."""
    generator = torch_generator(seed, "agreement", circuit.digest(), rows)
    weights_GP = math.pi * torch.randn(groups, circuit.weights, generator=generator, dtype=torch.float64)
    inputs_GNI = 2 * torch.randn(copies or groups, rows, circuit.inputs, generator=generator, dtype=torch.float64)
    return weights_GP.to(dtype).requires_grad_(), inputs_GNI.to(dtype).requires_grad_()


def means_and_slopes(bind, circuit, weights_GP, inputs_GNI):
    """The readouts, and the slopes of a weighted sum of them in weights and inputs."""
    mean_GNK = bind(circuit, weights_GP)(inputs_GNI)
    costs = torch.linspace(-1, 2, mean_GNK.numel(), dtype=mean_GNK.dtype).reshape(mean_GNK.shape)
    nothing = 0 * weights_GP.sum() + 0 * inputs_GNI.sum()  # for circuits that depend on neither
    slopes = torch.autograd.grad((costs * mean_GNK).sum() + nothing, (weights_GP, inputs_GNI), materialize_grads=True)
    return [mean_GNK.detach(), *slopes]


def assert_close(found, expected, tolerance=1e-10):
    """Readouts and slopes are those expected, whatever their precision."""
    for one, two in zip(found, expected, strict=True):
        torch.testing.assert_close(one.double(), two.double(), rtol=tolerance, atol=tolerance)


def assert_same(one, two, circuit, given, tolerance=1e-10):
    """Two ways to bind a circuit give the same, in the precision of what is given."""
    found, expected = (means_and_slopes(bind, circuit, *given) for bind in (one, two))
    assert {part.dtype for part in found} == {given[0].dtype}
    assert_close(found, expected, tolerance)
