"""Every gate of the table is what its row says."""

import numpy as np
import pytest

from qlogad.circuit.gates import GATES, MACROS, matrix, pauli
from qlogad.seeds import generator

ROTATIONS = [name for name, kind in GATES.items() if kind.angles]
FIXED = [name for name, kind in GATES.items() if not kind.angles]


def angles(name):
    return generator(0, "gates", name).uniform(-7, 7, size=5)


@pytest.mark.parametrize("name", GATES)
def test_is_unitary_and_undone_by_its_inverse(name):
    for angle in angles(name):
        unitary = matrix(name, angle)
        undo = matrix(GATES[name].inverse) if name in FIXED else matrix(name, -angle)
        np.testing.assert_allclose(undo @ unitary, np.eye(2 ** GATES[name].wires), atol=1e-12)
        np.testing.assert_allclose(undo, unitary.conj().T, atol=1e-12)


@pytest.mark.parametrize("name", ROTATIONS)
def test_rotations_add_up(name):
    one, two = angles(name)[:2]
    np.testing.assert_allclose(matrix(name, one) @ matrix(name, two), matrix(name, one + two), atol=1e-12)


@pytest.mark.parametrize("name", [name for name in ROTATIONS if GATES[name].word and not GATES[name].controls])
def test_a_rotation_is_the_exponential_of_its_word(name):
    from scipy.linalg import expm

    for angle in angles(name):
        np.testing.assert_allclose(matrix(name, angle), expm(-0.5j * angle * pauli(GATES[name].word)), atol=1e-12)


@pytest.mark.parametrize("name", [name for name, kind in GATES.items() if kind.controls])
def test_a_controlled_gate_acts_where_its_control_is_one(name):
    for angle in angles(name):
        unitary = matrix(name, angle)
        np.testing.assert_allclose(unitary[:2, :2], np.eye(2), atol=1e-15)
        np.testing.assert_allclose(unitary[2:, 2:], matrix(name[1:], angle), atol=1e-15)


def test_roots_and_phases_are_consistent():
    for root, of in (("s", "z"), ("t", "s"), ("sx", "x")):
        np.testing.assert_allclose(matrix(root) @ matrix(root), matrix(of), atol=1e-12)
    np.testing.assert_allclose(matrix("phase", np.pi / 4), matrix("t"), atol=1e-12)
    np.testing.assert_allclose(matrix("h") @ matrix("x") @ matrix("h"), matrix("z"), atol=1e-12)


def test_what_stands_in_for_a_pair_has_as_many_angles():
    for kind in GATES.values():
        if kind.alone:
            assert (GATES[kind.alone].wires, GATES[kind.alone].angles) == (1, kind.angles)
        else:
            assert kind.wires == 1 or kind.angles == 0
    assert all(GATES[part].wires == 1 for parts in MACROS.values() for part in parts)
