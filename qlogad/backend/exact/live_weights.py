"""The number of live weights of a circuit: the rank of the Jacobian of its readouts, over many inputs, with respect to its weights.

A weight is dead if it affects no readout, alone or together with others; a quantum core is compared with a
classical one with as many live weights.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from qlogad.backend.exact import Exact
from qlogad.circuit.circuit import Circuit
from qlogad.circuit.encoding import Encoding

__all__ = ["jacobian", "live_weights", "random_rows"]


def jacobian(circuit: Circuit, weights_P: Tensor, inputs_NI: Tensor, encoding: Encoding | None = None) -> Tensor:
    """The derivatives of every readout of every row with respect to every weight, (N, K, P).

    With an encoding the rows are features, and P are the circuit's weights, then the encoding's own.
    """
    rows = len(inputs_NI)
    weights_NP = (
        weights_P.detach().expand(rows, -1).clone().requires_grad_()
    )  # each row has its own copy of the weights: one backward pass for all rows
    inputs_N1I = inputs_NI[:, None]
    if encoding is not None:
        inputs_N1I = encoding.inputs(inputs_N1I, circuit.wires, weights_NP[:, circuit.weights :])
    mean_N1K = Exact("gates").bind(circuit, weights_NP[:, : circuit.weights])(inputs_N1I)
    columns = [
        torch.autograd.grad(mean_N1K[..., k].sum(), weights_NP, retain_graph=True, materialize_grads=True)[0]
        for k in range(len(circuit.readout))
    ]
    return torch.stack(columns, dim=1)


def live_weights(circuit: Circuit, generator: np.random.Generator, *, draws: int = 3, encoding: Encoding | None = None) -> int:
    """The number of live weights, at random weights and inputs in [-pi, pi]; the largest of a few draws.

    With an encoding, its own weights count too, and the inputs come from random valid features.

    Args:
        circuit: with its readouts.
        generator: from `qlogad.seeds`.
        draws: the number of random draws of weights.
        encoding: computes the circuit's inputs; None: free inputs.

    >>> from qlogad.circuit.encoding import assemble
    >>> live_weights(assemble("angle-y", "basic-entangler", wires=3, depth=1), np.random.default_rng(0))
    3
    """
    weights = circuit.weights + (0 if encoding is None else encoding.weights(circuit.wires))
    if weights == 0:
        return 0
    rows = max(16, 2 * weights)
    ranks = []
    for _ in range(draws):
        weights_P = torch.from_numpy(generator.uniform(-math.pi, math.pi, weights))
        matrix = jacobian(circuit, weights_P, random_rows(circuit, generator, rows, encoding), encoding).flatten(0, 1)
        sizes = torch.linalg.svdvals(matrix)
        ranks.append(int((sizes > 1e-9 * max(1.0, float(sizes[0]))).sum()))
        if ranks[-1] == weights:
            break
    return max(ranks)


def random_rows(circuit: Circuit, generator: np.random.Generator, rows: int, encoding: Encoding | None = None) -> Tensor:
    """Random inputs in [-pi, pi], (N, I); with an encoding, random valid features (N, D)."""
    if encoding is None:
        return torch.from_numpy(generator.uniform(-math.pi, math.pi, (rows, circuit.inputs)))
    low, high = encoding.limits(circuit.wires) or (-math.pi, math.pi)
    drawn_ND = generator.uniform(low, high, (rows, encoding.features(circuit.wires)))
    return torch.from_numpy(drawn_ND.round() if encoding.design.takes.integer else drawn_ND)
