"""The same training step on other simulators, timed in a separate environment: only torch, numpy, PennyLane, JAX, tensorcircuit-ng.

Run as a file by the engine benchmark, with a Python that has these packages:
`python simulators.py '["PennyLane + JAX, jit", 4, 2]'` takes peer, wires and depth as JSON and prints JSON.
The workload is that of engine.py: batch 64, T = 10, input 32, hidden 128, RY encoding, strongly-entangling layers, four gates with
their own linear maps, forward and backward, float32, one thread; beside it torch.nn.LSTM(32, 128) in the same process.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any

__all__ = ["main"]

BATCH, STEPS, WIDTH, HIDDEN, GATES = 64, 10, 32, 128, 4
LONGEST = 20.0  # seconds for the repetitions of one peer


def main(peer: str, wires: int, depth: int) -> dict[str, float]:
    """For one peer: ms per step, ms of the classical cell, and seconds until the first step finished."""
    import torch

    torch.set_num_threads(1)
    began = time.perf_counter()
    step = PEERS[peer](wires, depth)
    step()
    first = time.perf_counter() - began
    found, classical = _in_turns(step, _classical())
    return {"ms": found * 1e3, "cell ms": classical * 1e3, "first step s": first}


def _in_turns(one: Callable[[], object], two: Callable[[], object]) -> tuple[float, float]:
    times: tuple[list[float], list[float]] = ([], [])
    began = time.perf_counter()
    while len(times[0]) < 3 or (len(times[0]) < 30 and time.perf_counter() - began < LONGEST / 4):
        for job, taken in zip((one, two), times, strict=True):
            start = time.perf_counter()
            job()
            taken.append(time.perf_counter() - start)
        if time.perf_counter() - began > LONGEST:
            break
    return median(times[0]), median(times[1])


def _classical() -> Callable[[], object]:
    import torch

    cell, x = torch.nn.LSTM(WIDTH, HIDDEN, batch_first=True), torch.randn(BATCH, STEPS, WIDTH)

    def step() -> None:
        cell.zero_grad()
        torch.autograd.backward(cell(x)[0].square().mean())

    return step


def _jax_step(circuit: Callable[[Any, Any], Any], wires: int, depth: int) -> Callable[[], object]:
    """A jitted gradient of the whole recurrence; `circuit` maps angles (N, W) and weights (L, W, 3) to means (N, W)."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    rng = np.random.default_rng(0)

    def normal(*shape: int) -> Any:
        return jnp.asarray(rng.normal(size=shape) * 0.1, dtype=jnp.float32)

    weights = {
        "reduce": normal(GATES, WIDTH + HIDDEN, wires),
        "angles": normal(GATES, depth, wires, 3),
        "expand": normal(GATES, wires, HIDDEN),
    }
    x_TNI = normal(STEPS, BATCH, WIDTH)

    def loss(weights: Any, x_TNI: Any) -> Any:
        def one(state: Any, x_NI: Any) -> Any:
            h, c = state
            z = jnp.einsum("ni,gij->gnj", jnp.concatenate([x_NI, h], axis=1), weights["reduce"])
            means = [circuit(z[g], weights["angles"][g]) for g in range(GATES)]
            i, f, g, o = (mean @ weights["expand"][place] for place, mean in enumerate(means))
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
            return (h, c), h

        zero = jnp.zeros((BATCH, HIDDEN), dtype=jnp.float32)
        return jnp.mean(jax.lax.scan(one, (zero, zero), x_TNI)[1] ** 2)

    gradient = jax.jit(jax.grad(loss))
    return lambda: jax.block_until_ready(gradient(weights, x_TNI))


def _pennylane_jax(wires: int, depth: int) -> Callable[[], object]:
    import jax.numpy as jnp
    import pennylane as qml

    def run(angles: Any, weights: Any) -> Any:
        for wire in range(wires):
            qml.RY(angles[:, wire], wires=wire)
        qml.StronglyEntanglingLayers(weights, wires=range(wires))
        return [qml.expval(qml.PauliZ(wire)) for wire in range(wires)]

    node = qml.QNode(run, qml.device("default.qubit", wires=wires), interface="jax", diff_method="backprop")
    return _jax_step(lambda angles, weights: jnp.stack(node(angles, weights), axis=1).astype(jnp.float32), wires, depth)


def _tensorcircuit(wires: int, depth: int) -> Callable[[], object]:
    import jax
    import jax.numpy as jnp
    import tensorcircuit as tc

    tc.set_backend("jax")

    def run(angles: Any, weights: Any) -> Any:
        circuit = tc.Circuit(wires)
        for wire in range(wires):
            circuit.ry(wire, theta=angles[wire])
        for layer in range(depth):
            for wire in range(wires):
                circuit.rz(wire, theta=weights[layer, wire, 0])
                circuit.ry(wire, theta=weights[layer, wire, 1])
                circuit.rz(wire, theta=weights[layer, wire, 2])
            for wire in range(wires):
                circuit.cnot(wire, (wire + layer % (wires - 1) + 1) % wires)
        return jnp.stack([jnp.real(circuit.expectation_ps(z=[wire])) for wire in range(wires)])

    return _jax_step(jax.vmap(run, in_axes=(0, None)), wires, depth)


def _lightning(wires: int, depth: int) -> Callable[[], object]:
    import pennylane as qml
    import torch

    def run(angles: Any, weights: Any) -> Any:
        for wire in range(wires):
            qml.RY(angles[:, wire], wires=wire)
        qml.StronglyEntanglingLayers(weights, wires=range(wires))
        return [qml.expval(qml.PauliZ(wire)) for wire in range(wires)]

    node = qml.QNode(run, qml.device("lightning.qubit", wires=wires), interface="torch", diff_method="adjoint")
    reduce = torch.randn(GATES, WIDTH + HIDDEN, wires) * 0.1
    angles, expand = torch.randn(GATES, depth, wires, 3), torch.randn(GATES, wires, HIDDEN) * 0.1
    weights = [tensor.requires_grad_() for tensor in (reduce, angles, expand)]
    x_TNI = torch.randn(STEPS, BATCH, WIDTH)

    def step() -> object:
        h = c = torch.zeros(BATCH, HIDDEN)
        for x_NI in x_TNI:
            z = torch.einsum("ni,gij->gnj", torch.cat([x_NI, h], dim=1), weights[0])
            means = [torch.stack(node(z[g], weights[1][g]), dim=1).float() for g in range(GATES)]
            i, f, g, o = (mean @ weights[2][place] for place, mean in enumerate(means))
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
        return torch.autograd.grad(h.square().mean(), weights)

    return step


PEERS: dict[str, Callable[[int, int], Callable[[], object]]] = {
    "PennyLane + JAX, jit": _pennylane_jax,
    "tensorcircuit-ng + JAX, jit": _tensorcircuit,
    "lightning.qubit, adjoint": _lightning,
}


if __name__ == "__main__":
    os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")
    sys.stdout.write(json.dumps(main(*json.loads(sys.argv[1]))) + "\n")
