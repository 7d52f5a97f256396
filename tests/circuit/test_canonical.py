"""Laws of the canonical form: it computes the same, whatever the order of what commutes; and what is said to commute does."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from qlogad.backend.exact import Exact
from qlogad.circuit.canonical import canonical, commute
from qlogad.circuit.circuit import Angle, Circuit, Gate, z_each
from qlogad.circuit.gates import GATES

WIRES = 3


@st.composite
def gates(draw: st.DrawFn, weights: int = 4) -> Gate:
    name = draw(st.sampled_from(sorted(GATES)))
    wires = tuple(draw(st.permutations(range(WIRES)))[: GATES[name].wires])
    angles = tuple(
        Angle(draw(st.sampled_from(["weight", "input"])), draw(st.integers(0, weights - 1)), draw(st.sampled_from([1.0, -0.5])))
        for _ in range(GATES[name].angles)
    )
    return Gate(name, wires, angles)


circuits = st.lists(gates(), max_size=9).map(lambda some: Circuit(WIRES, tuple(some), z_each(WIRES), 4, 4))


def states(circuit: Circuit, weights_P: torch.Tensor, inputs_I: torch.Tensor) -> np.ndarray:
    return Exact("gates").bind(circuit, weights_P[None]).states(inputs_I[None, None])[0, 0].numpy()


@given(st.data())
def test_gates_that_are_said_to_commute_do(data: st.DataObject) -> None:
    one, two = data.draw(gates()), data.draw(gates())
    random = torch.Generator().manual_seed(data.draw(st.integers(0, 10**6)))
    start, weights, inputs = (torch.rand(size, dtype=torch.float64, generator=random) * 6 for size in (3 * WIRES, 4, 4))
    spin = [
        Gate(name, (w,), (Angle(None, shift=float(start[3 * w + k])),))
        for w in range(WIRES)
        for k, name in enumerate(("ry", "rz", "ry"))
    ]
    orders = [states(Circuit(WIRES, (*spin, *pair), z_each(WIRES), 4, 4), weights, inputs) for pair in ((one, two), (two, one))]
    if commute(one, two):
        np.testing.assert_allclose(*orders, atol=1e-12)
    else:
        assert set(one.wires) & set(two.wires)


@given(circuits, st.randoms(use_true_random=False))
def test_the_form_is_the_same_for_every_order_of_what_commutes(circuit: Circuit, random) -> None:
    assert canonical(canonical(circuit)) == canonical(circuit)
    shuffled = list(circuit.gates)
    for _ in range(30):
        place = random.randrange(max(1, len(shuffled) - 1))
        pair = shuffled[place : place + 2]
        if len(pair) == 2 and commute(*pair) and not set(pair[0].wires) & set(pair[1].wires):
            shuffled[place : place + 2] = pair[::-1]
    assert canonical(replace(circuit, gates=tuple(shuffled))) == canonical(circuit)


@given(circuits, st.integers(0, 10**6))
def test_the_form_computes_the_same(circuit: Circuit, seed: int) -> None:
    named = replace(
        circuit,
        gates=tuple(
            replace(g, angles=tuple(replace(a, source=None, index=0, shift=float(k + 1)) for k, a in enumerate(g.angles)))
            for g in circuit.gates
        ),
    )
    nothing = torch.zeros(4, dtype=torch.float64)
    np.testing.assert_allclose(states(canonical(named), nothing, nothing), states(named, nothing, nothing), atol=1e-12)


@given(circuits, st.permutations(range(4)))
def test_the_numbering_of_weights_does_not_matter(circuit: Circuit, order: list[int]) -> None:
    renamed = tuple(
        replace(g, angles=tuple(replace(a, index=order[a.index]) if a.source == "weight" else a for a in g.angles))
        for g in circuit.gates
    )
    read = {a.index for g in circuit.gates for a in g.angles if a.source == "weight"}
    if len(read) == sum(a.source == "weight" for g in circuit.gates for a in g.angles):  # no weight is shared
        assert canonical(replace(circuit, gates=renamed)) == canonical(circuit)


def test_circuits_that_differ_in_order_of_what_does_not_commute_stay_apart() -> None:
    one, two = Gate("h", (0,)), Gate("x", (0,))
    forms = [canonical(Circuit(1, order, ("Z",), 0, 0)) for order in ((one, two), (two, one))]
    assert forms[0] != forms[1]


@pytest.mark.parametrize("name", sorted(GATES))
def test_every_gate_commutes_with_itself_where_it_has_an_axis_on_every_wire(name: str) -> None:
    kind = GATES[name]
    gate = Gate(name, tuple(range(kind.wires)), (Angle("weight"),) * kind.angles)
    assert commute(gate, gate) == (name not in {"h", "swap"})
