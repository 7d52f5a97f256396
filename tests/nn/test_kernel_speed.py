"""Laws of the whole-sequence kernel's speed, and of what the planner makes of it."""

import math
from functools import partial

import pytest
import torch

from qlogad.backend.exact import Exact
from qlogad.backend.form import Form
from qlogad.circuit.encoding import assemble
from qlogad.nn.core import Quantum
from qlogad.nn.kernel_speed import Speed, kernel_memory, speed_of
from qlogad.nn.layer import GateCircuits
from qlogad.nn.recurrent import LSTM
from qlogad.seeds import torch_generator


def tables(groups: int, features: int, columns: int) -> Form:
    return Form("trig", (), torch.zeros(groups, features, columns))


def test_it_is_measured_once():
    speed = speed_of(torch.zeros(1))
    assert 1e6 < speed.operations < 1e16
    assert speed_of(torch.zeros(2)) is speed


@pytest.mark.parametrize("gradient", [True, False])
def test_more_of_anything_takes_longer(gradient):
    speed, usual = Speed(1e9), (2, 4, 8, 16)

    def seconds(groups, features, columns, rows):
        return speed.seconds(tables(groups, features, columns), rows, gradient=gradient)

    def memory(groups, features, columns, rows):
        return kernel_memory(tables(groups, features, columns), rows)

    for more in range(4):
        larger = tuple(2 * size if place == more else size for place, size in enumerate(usual))
        assert 0 < seconds(*usual) < seconds(*larger) <= 2 * seconds(*usual)
        assert 0 < memory(*usual) < memory(*larger) <= 2 * memory(*usual)
    assert math.isclose(seconds(*usual), 2 * Speed(2e9).seconds(tables(*usual[:3]), 16, gradient=gradient))


@pytest.mark.parametrize("second", [True, False])
def test_a_cell_has_second_derivatives_where_they_are_asked_for(second):
    """And the same values and first derivatives, by tables or in a loop."""
    core = Quantum(wires=2, depth=2, hidden=3)
    cells = []
    for engine in (Exact(), Exact("gates"), Exact(second=second)):
        cell = LSTM(2, 3, make=partial(core.map, generator=torch_generator(0, "speed"))).double()
        for layer in cell.modules():
            if isinstance(layer, GateCircuits):
                layer.backend = engine
        cells.append(cell)
    x_NTI = torch.randn(3, 4, 2, dtype=torch.float64, requires_grad=True)
    slopes = [
        torch.autograd.grad(cell(x_NTI)[0].sin().sum(), x_NTI, create_graph=second and cell is not cells[0])[0] for cell in cells
    ]
    for slope in slopes[1:]:
        torch.testing.assert_close(slope, slopes[0], rtol=0, atol=1e-10)
    if second:
        curvatures = [torch.autograd.grad(slope.sin().sum(), x_NTI)[0] for slope in slopes[1:]]
        torch.testing.assert_close(*curvatures, rtol=0, atol=1e-10)


def test_a_layer_gives_tables_where_the_kernel_is_quicker():
    shallow, wide = (assemble("angle-y", "qulog", wires, 1) for wires in (2, 12))
    for circuit, tabled in ((shallow, True), (wide, False)):  # 12 wires: a closed form against tables of 2^12 rows
        layer = GateCircuits(circuit, gates=4, backend=Exact(), generator=torch_generator(0, "layer"))
        assert (layer.form(640) is not None) == tabled
