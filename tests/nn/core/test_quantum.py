"""Laws of the quantum core."""

import dataclasses

import pytest
import torch

from qlogad import documents, seeds
from qlogad.errors import DesignError
from qlogad.nn.controls.control import control
from qlogad.nn.core import Quantum
from qlogad.nn.core.same_wrapper import SameWrapper


def test_a_shared_cell_has_one_linear_map_on_each_side_and_circuits_of_its_own() -> None:
    own, shared = (Quantum(shared=tied).map(6, 5, 4, seeds.torch_generator(0)) for tied in (False, True))
    assert own.reduce.weight_GIO.shape == (4, 6, 4)
    assert shared.reduce.weight_GIO.shape == (1, 6, 4)
    assert shared.expand.weight_GIO.shape == (1, 4, 5)
    assert shared.middle.weights_GP.shape == own.middle.weights_GP.shape
    y_GO = shared(torch.randn(6))
    assert not torch.allclose(y_GO[0], y_GO[1])


def test_how_the_weights_start_is_a_field_and_the_file_s_by_default() -> None:
    core = Quantum(ansatz="sim14", wires=3, depth=2)
    assert core.circuit().init == "uniform"
    assert dataclasses.replace(core, init="small-angle").circuit().init == "small-angle"
    block = dataclasses.replace(core, init="identity-block").circuit()
    assert (block.init, block.weights) == ("identity-block", 2 * core.circuit().weights)


@pytest.mark.parametrize(
    ("encoding", "features"), [("angle-y", 3), ("chen", 3), ("dense-angle", 6), ("amplitude", 7), ("trotter", 2)]
)
def test_the_linear_map_reduces_to_the_encoding_s_features(encoding: str, features: int) -> None:
    core = Quantum(encoding=encoding, wires=3)
    for twin in (core, SameWrapper(of=core)):
        assert twin.map(6, 5, 4, seeds.torch_generator(0)).reduce.weight_GIO.shape == (4, 6, features)


@pytest.mark.parametrize("encoding", ["chebyshev", "chebyshev-tower"])
def test_a_tanh_brings_features_into_the_encoding_s_range(encoding: str) -> None:
    core = Quantum(encoding=encoding, wires=2, depth=2, reupload=True)
    for twin in (core, SameWrapper(of=core)):
        module = twin.map(6, 5, 4, seeds.torch_generator(0))
        x_NI = (1e4 * torch.randn(9, 6, generator=seeds.torch_generator(1))).requires_grad_()
        y_GNO = module(x_NI)
        slopes = torch.autograd.grad(y_GNO.sum(), [x_NI, *module.parameters()])
        assert torch.isfinite(y_GNO).all()
        assert all(torch.isfinite(slope).all() for slope in slopes)


@pytest.mark.parametrize("encoding", ["basis", "binary", "table"])
def test_encodings_of_integers_are_no_core(encoding: str) -> None:
    with pytest.raises(DesignError, match=f"'{encoding}' takes integers, but a core's linear map returns real numbers"):
        Quantum(encoding=encoding).map(6, 5, 4, seeds.torch_generator(0))


@pytest.mark.parametrize(("readout", "values"), [("z", 3), ("xyz", 9), ("z:0", 1), ("probabilities", 8), (("XYZ", "000"), 2)])
def test_the_readout_is_a_field(readout: str | tuple[str, ...], values: int) -> None:
    core = Quantum(wires=3, readout=readout)
    module = core.map(6, 5, 4, seeds.torch_generator(0))
    assert module.expand.weight_GIO.shape == (4, values, 5)
    assert documents.from_mapping(Quantum, documents.parse(documents.dump(core))) == core
    assert module(torch.randn(2, 6)).shape == (4, 2, 5)


def test_scaling_adds_weights_that_count_as_live_quantum_ones() -> None:
    core = Quantum(ansatz="qulog", wires=3, depth=2, reupload=True)
    scaled = dataclasses.replace(core, scaling=True)
    module = scaled.map(6, 5, 4, seeds.torch_generator(0))
    assert module.middle.encoding_GE.shape == (4, 2 * 3)
    assert scaled.circuit().weights == core.circuit().weights
    assert core.live() < scaled.live() <= core.circuit().weights + 6
    twin = control("no-entanglement-matched", scaled)
    assert twin.live() == scaled.live()
    assert sum(weight.numel() for weight in twin.map(6, 5, 4, seeds.torch_generator(0)).middle.parameters()) == 4 * scaled.live()
