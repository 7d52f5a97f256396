"""Adjoint differentiation: the means and first derivatives of the method that keeps every state, in a few states."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from qlogad.backend.exact.adjoint import Adjoint
from qlogad.backend.exact.state import Gates
from qlogad.circuit.design import assemble
from qlogad.errors import BackendError
from qlogad.seeds import torch_generator
from qlogad.testing import random_circuit


def values(circuit, *, groups=2, rows=3, seed=0):
    generator = torch_generator(seed, "adjoint")
    weights_GP = 3 * torch.randn(groups, circuit.weights, generator=generator, dtype=torch.float64)
    inputs_GNI = 2 * torch.randn(groups, rows, circuit.inputs, generator=generator, dtype=torch.float64)
    return weights_GP.requires_grad_(), inputs_GNI.requires_grad_()


@pytest.mark.parametrize("seed", range(16))
def test_undoing_gives_the_derivatives_that_keeping_gives(seed):
    circuit = random_circuit(np.random.default_rng(seed), wires=1 + seed % 8, gates=40)
    given = values(circuit, groups=1 + seed % 2, rows=1 + seed % 3, seed=seed)
    found = []
    for method in (Adjoint(), Gates()):
        mean_GNK = method.bind(circuit, given[0])(given[1])
        cost = torch.linspace(-1, 2, mean_GNK.numel(), dtype=mean_GNK.dtype).reshape(mean_GNK.shape)
        found.append([mean_GNK, *torch.autograd.grad((cost * mean_GNK).sum(), given, materialize_grads=True)])
    for one, two in zip(*found, strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=1e-10)


def test_a_second_derivative_is_refused_with_a_way_out():
    circuit = assemble("angle-y", "sim14", 3, 1)
    given = values(circuit)
    mean = Adjoint().bind(circuit, given[0])(given[1]).sum()
    with pytest.raises(BackendError, match=r"Exact\('gates'\)"):
        torch.autograd.grad(mean, given, create_graph=True)


_PEAK = """
import sys, torch
from pathlib import Path
from qlogad.backend.exact.adjoint import Adjoint
from qlogad.circuit.design import assemble
def status(key):
    return int(next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(key)).split()[1])
def step(wires, depth):
    circuit = assemble("angle-y", "strongly-entangling", wires, depth)
    weights = torch.ones(1, circuit.weights, requires_grad=True)
    Adjoint().bind(circuit, weights)(torch.ones(1, 1, wires)).sum().backward()
step(8, 2)
before = status("VmRSS")
step(18, int(sys.argv[1]))
print((status("VmHWM") - before) * 1024 / (8 * 2**18))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's /proc")
def test_memory_is_a_few_states_and_the_permutations_of_the_layers():
    """Peak memory of the process in states of 18 wires. A strongly-entangling layer is 4 blocks and a permutation, of two index tables."""
    states = [
        float(subprocess.run([sys.executable, "-c", _PEAK, str(depth)], check=True, capture_output=True, text=True).stdout)
        for depth in (2, 8)
    ]
    assert states[0] < 25
    assert states[1] - states[0] < 6 * 5  # fewer than a state for every step of 6 more layers: what keeping them would take
