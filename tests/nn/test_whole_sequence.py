"""Laws of the whole-sequence kernels: whichever way a cell is run, it gives what the step loop gives."""

import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import torch
from threadpoolctl import ThreadpoolController
from torch import Tensor

from qlogad import seeds
from qlogad.backend.exact import Exact
from qlogad.backend.exact.method import Method
from qlogad.backend.exact.methods.gates import Gates
from qlogad.backend.exact.parts.tables import form_of
from qlogad.backend.exact.parts.wire_starts import starts
from qlogad.backend.form import Form
from qlogad.circuit.circuit import Angle, Circuit, Gate
from qlogad.errors import BackendError
from qlogad.nn import cuda_graphs, loops, loops_numba
from qlogad.nn.core import Quantum
from qlogad.nn.loops import Kind
from qlogad.nn.maps import tabled
from qlogad.nn.recurrent import GRU, LSTM, gru_step_loop, step_loop
from qlogad.nn.whole_sequence import Loops, run

TURN = 2 * math.pi / 3


class Grid(Gates):
    """Gate by gate; its tables are solved for, from the readouts on a grid of angles."""

    name = "grid"

    def form(self, circuit: Circuit, weights_GP: Tensor) -> Form | None:
        found = starts(circuit)
        assert found is not None
        wires = [wire for wire, start in enumerate(found) if start.angle is not None]
        angles = tuple(start.angle for start in found if start.angle is not None)

        def alone(gate: Gate) -> Gate:
            """Every angle reads an input of its own, as it is."""
            return replace(gate, angles=(Angle("input", wires.index(gate.wires[0])),)) if gate.reads("input") else gate

        free = replace(circuit, gates=tuple(map(alone, circuit.gates)), inputs=len(angles))
        points_FA = torch.tensor(list(product([0, TURN, 2 * TURN], repeat=len(angles)))).to(weights_GP).view(-1, len(angles))
        features_FF = torch.ones_like(points_FA[:, :1])
        for turned_F in points_FA.unbind(1):
            one_F3 = torch.stack([torch.ones_like(turned_F), torch.cos(turned_F), torch.sin(turned_F)], dim=1)
            features_FF = (features_FF[:, :, None] * one_F3[:, None]).flatten(1)
        return Form("trig", angles, torch.linalg.solve(features_FF, self.bind(free, weights_GP)(points_FA[None])))


class Split(Gates):
    """Gate by gate; its tables are those of the methods `real` and `phase`."""

    name = "split"

    def form(self, circuit: Circuit, weights_GP: Tensor) -> Form | None:
        return form_of(circuit, weights_GP)


CORES = [
    Quantum(wires=1),
    Quantum(wires=3, depth=2),
    Quantum(wires=4, ansatz="qulog", encoding="angle-x", shared=True),
    Quantum(wires=3, ansatz="sim14", readout="xyz", shared=True),
    Quantum(wires=2, encoding="exponential", readout="probabilities"),
]
AGAIN = [  # inputs are read again
    Quantum(wires=3, depth=2, reupload=True),
    Quantum(wires=2, depth=3, ansatz="sim7", encoding="angle-x", reupload=True, readout="xyz", shared=True),
    Quantum(wires=2, encoding="su2", readout="probabilities"),
]
WAYS = [(core, Grid()) for core in CORES] + [(core, Split()) for core in CORES + AGAIN]
ways = pytest.mark.parametrize(("core", "method"), WAYS, ids=lambda one: one.name if isinstance(one, Method) else str(one))
methods = pytest.mark.parametrize("method", [Grid(), Split()], ids=["trig", "real"])
engines = pytest.mark.parametrize("engine", [loops, loops_numba], ids=["torch", "compiled"])
kinds = pytest.mark.parametrize("kind", ["lstm", "gru"])
WIDTH = 3


def cell(kind: Kind, core: Quantum, method: Method, hidden: int, seed: int = 0) -> LSTM | GRU:
    make = partial(core.map, generator=seeds.torch_generator(seed, "cell"))
    module = LSTM(WIDTH, hidden, make=make) if kind == "lstm" else GRU(WIDTH, hidden, make=make)
    for one in maps(module):
        one.middle.backend = Exact(method)
    return module.double()


def maps(module: LSTM | GRU) -> list[torch.nn.Module]:
    return [module.map, module.candidate] if isinstance(module, GRU) else [module.map]


def kernel(module: LSTM | GRU, x_NTI: Tensor, live: list[int] | None, engine: Loops | None) -> list[Tensor]:
    kind: Kind = "gru" if isinstance(module, GRU) else "lstm"
    every, last, cell = run(kind, tabled(maps(module), 0), x_NTI, live, engine)
    return [every, last] if kind == "gru" else [every, last, cell]


def loop(module: LSTM | GRU, x_NTI: Tensor, live: list[int] | None) -> list[Tensor]:
    zero_NH = x_NTI.new_zeros(len(x_NTI), module.hidden)
    every, last = (gru_step_loop if isinstance(module, GRU) else step_loop)(*maps(module), x_NTI, zero_NH, live)
    return [every, *last]


def slopes(module: LSTM | GRU, x_NTI: Tensor, found: list[Tensor], keep: list[bool]) -> list[Tensor]:
    """The derivatives of a loss in some of the outputs, in weights and inputs."""
    loss = sum(
        (one * torch.linspace(-1, 2, one.numel(), dtype=one.dtype).view_as(one).cos()).sum()
        for one, kept in zip(found, keep, strict=True)
        if kept
    )
    return [
        grad if grad is not None else x_NTI * 0
        for grad in torch.autograd.grad(loss, [x_NTI, *module.parameters()], allow_unused=True)
    ]


@ways
@engines
@kinds
@pytest.mark.parametrize("ragged", [False, True])
def test_the_kernel_is_the_step_loop_in_values_and_derivatives(
    kind: Kind, core: Quantum, method: Method, engine: Loops, ragged: bool
) -> None:
    random = seeds.generator(0, kind, str(core), type(method).__name__, engine.__name__, ragged)
    for rows, steps, hidden in (
        (0, 2, 3),
        (1, 1, 1),
        (random.integers(2, 60), random.integers(2, 9), random.integers(2, 9)),
        (150, 3, 5),
    ):
        module = cell(kind, core, method, int(hidden), seed=int(random.integers(1000)))
        x_NTI = torch.from_numpy(3 * random.standard_normal((rows, steps, WIDTH))).requires_grad_()
        live = sorted(random.integers(0, rows + 1, steps).tolist(), reverse=True) if ragged else None
        quick, plain = kernel(module, x_NTI, live, engine), loop(module, x_NTI, live)
        for one, other in zip(quick, plain, strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=1e-10)
        for keep in ([True] * len(quick), [place == 0 for place in range(len(quick))], [place > 0 for place in range(len(quick))]):
            for one, other in zip(
                slopes(module, x_NTI, kernel(module, x_NTI, live, engine), keep),
                slopes(module, x_NTI, loop(module, x_NTI, live), keep),
                strict=True,
            ):
                torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


@pytest.mark.gpu
@ways
@kinds
def test_a_recording_is_the_step_loop(kind: Kind, core: Quantum, method: Method) -> None:
    module = cell(kind, core, method, 5).to("cuda")
    for seed in range(3):  # the first call records, the others replay
        x_NTI = torch.randn(7, 4, WIDTH, dtype=torch.float64, generator=seeds.torch_generator(seed)).to("cuda").requires_grad_()
        quick, plain = kernel(module, x_NTI, None, cuda_graphs), loop(module, x_NTI, None)
        keep = [True] * len(plain)
        for one, other in zip(quick + slopes(module, x_NTI, quick, keep), plain + slopes(module, x_NTI, plain, keep), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


@ways
@engines
@kinds
def test_single_precision_is_the_same_to_its_rounding_and_repeats_bit_by_bit(
    kind: Kind, core: Quantum, method: Method, engine: Loops
) -> None:
    """Bits are those of equal numbers of threads: with more, torch's products around the kernel may round otherwise."""
    module = cell(kind, core, method, 8)
    x_NTI = torch.randn(130, 6, WIDTH, dtype=torch.float64, generator=seeds.torch_generator(1)).requires_grad_()
    exact = kernel(module, x_NTI, None, engine)
    exact += slopes(module, x_NTI, exact, [True] * len(exact))
    module, x_NTI = module.float(), x_NTI.detach().float().requires_grad_()
    found = []
    for threads in (1, 1, 2):
        with torch_threads(threads):
            outputs = kernel(module, x_NTI, None, engine)
            found.append([*outputs, *slopes(module, x_NTI, outputs, [True] * len(outputs))])
    for one, again, shared, other in zip(*found, exact, strict=True):
        assert torch.equal(one, again)
        for single in (one, shared):
            torch.testing.assert_close(single.double(), other, rtol=1e-3, atol=1e-5 * max(1, float(other.detach().abs().max())))


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class Twice:
    """The compiled loops, each run in one thread and in several: blocks of rows are the same ones, so the bits are."""

    blocks = staticmethod(loops_numba.blocks)

    @staticmethod
    def _equal(run: Callable[[], Any]) -> Any:
        found = []
        for threads in (1, 2, 3):
            with torch_threads(threads):
                found.append(run())
        one, *others = (tensors_of(each) for each in found)
        for other in others:
            assert all(torch.equal(mine, its) for mine, its in zip(one, other, strict=True))
        assert one
        return found[0]

    def forward(self, *given: Any) -> Any:
        return self._equal(lambda: loops_numba.forward(*given))

    def backward(self, *given: Any) -> Any:
        return self._equal(lambda: loops_numba.backward(*given))


def tensors_of(found: Any) -> list[Tensor]:
    """All tensors in nested tuples and lists."""
    if isinstance(found, Tensor):
        return [found]
    return [tensor for each in found for tensor in tensors_of(each)] if isinstance(found, (tuple, list)) else []


@ways
@kinds
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_a_compiled_kernel_has_the_same_bits_in_any_number_of_threads(
    kind: Kind, core: Quantum, method: Method, dtype: torch.dtype
) -> None:
    module = cell(kind, core, method, 8).to(dtype)
    x_NTI = torch.randn(130, 6, WIDTH, dtype=dtype, generator=seeds.torch_generator(1)).requires_grad_()
    outputs = kernel(module, x_NTI, [130, 130, 90, 65, 64, 1], Twice())
    slopes(module, x_NTI, outputs, [True] * len(outputs))


@pytest.mark.parametrize(("dtype", "error"), [(torch.float32, 4e-7), (torch.float64, 2e-15)])
def test_the_compiled_functions_are_exact_to_rounding(dtype: torch.dtype, error: float) -> None:
    constants = loops_numba._constants(dtype)
    x_M = torch.cat([torch.linspace(-25, 25, 20001), torch.logspace(-30, 3, 2001)]).to(dtype)
    found = torch.tensor([float(loops_numba._tanh(x, constants)) for x in x_M.numpy()], dtype=torch.float64)
    torch.testing.assert_close(found, torch.tanh(x_M.double()), rtol=error, atol=0)
    angles = torch.cat([x_M, 1e4 * x_M])[None, None].numpy()
    cosines, sines = angles.copy(), angles.copy()
    loops_numba._turn(cosines, sines, angles, 1.0, angles.shape[2])
    torch.testing.assert_close(torch.from_numpy(cosines).double(), torch.cos(torch.from_numpy(angles).double()), rtol=0, atol=error)
    torch.testing.assert_close(torch.from_numpy(sines).double(), torch.sin(torch.from_numpy(angles).double()), rtol=0, atol=error)


@methods
@kinds
def test_a_sequence_goes_through_the_tables_and_counts_its_circuits(kind: Kind, method: Method) -> None:
    module = cell(kind, Quantum(wires=2), method, 4)
    x_NTI = torch.randn(5, 3, WIDTH, dtype=torch.float64, generator=seeds.torch_generator(2))
    found = [module(x_NTI, lengths)[0] for lengths in (None, torch.tensor([0, 3, 1, 2, 3]))]
    counted = [one.middle.executions for one in maps(module)]
    gates = [one.middle.gates for one in maps(module)]
    assert counted == [(15 + 9) * one for one in gates]
    for one in found:
        with pytest.raises(BackendError, match="a whole-sequence kernel"):
            torch.autograd.grad(one.sum(), module.map.reduce.weight_GIO, create_graph=True)
    loop(module, x_NTI, None)
    assert [one.middle.executions for one in maps(module)] == [(15 + 9 + 15) * one for one in gates]


@methods
@engines
@kinds
def test_what_a_kernel_cannot_do_it_says(kind: Kind, method: Method, engine: Loops) -> None:
    module = cell(kind, Quantum(wires=2), method, 4)
    x_NTI = torch.randn(5, 3, WIDTH, dtype=torch.float64, generator=seeds.torch_generator(3)).requires_grad_()
    every, *_ = kernel(module, x_NTI, None, engine)
    with pytest.raises(BackendError, match="first derivatives only; take second ones through step_loop"):
        torch.autograd.grad(every.sum(), x_NTI, create_graph=True)
    for wrong in (math.nan, math.inf):
        with torch.no_grad():
            x_NTI[2, 1, 0] = wrong
        with pytest.raises(BackendError, match="inputs are not all finite"):
            kernel(module, x_NTI, None, engine)


@kinds
@pytest.mark.parametrize("core", [CORES[1], AGAIN[0]], ids=str)
def test_threads_that_score_together_leave_products_their_threads(kind: Kind, core: Quantum) -> None:
    module = cell(kind, core, Split(), 6)
    x_NTI = torch.randn(100, 5, WIDTH, dtype=torch.float64, generator=seeds.torch_generator(4))
    libraries = ThreadpoolController().select(user_api="blas")
    with torch.no_grad(), libraries.limit(limits=3):
        before = [one["num_threads"] for one in libraries.info()]
        alone = kernel(module, x_NTI, None, loops_numba)
        with ThreadPoolExecutor(4) as pool:
            together = list(pool.map(lambda _: kernel(module, x_NTI, None, loops_numba), range(24)))
        assert [one["num_threads"] for one in libraries.info()] == before
    for found in together:
        assert all(torch.equal(one, other) for one, other in zip(found, alone, strict=True))


@pytest.mark.parametrize("broken", ["import nothing_of_this_name", "njit = None"])
def test_without_a_numba_that_works_everything_runs_in_torch_after_one_warning(broken: str, tmp_path: Path) -> None:
    (tmp_path / "numba.py").write_text(broken + "\n")
    program = """
        import sys, warnings, torch
        from functools import partial
        from qlogad import seeds
        from qlogad.errors import QlogadWarning
        from qlogad.nn import loops
        from qlogad.nn.core import Quantum
        from qlogad.nn.recurrent import LSTM
        from qlogad.nn.whole_sequence import quickest
        module = LSTM(3, 4, make=partial(Quantum(wires=2).map, generator=seeds.torch_generator(0)))
        with warnings.catch_warnings(record=True) as met:
            warnings.simplefilter("always")
            for _ in range(3):
                module(torch.ones(2, 3, 3))[0].sum().backward()
        (warning,) = met
        assert issubclass(warning.category, QlogadWarning) and quickest(torch.ones(1)) is loops
        print(warning.message)
    """
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    given = [sys.executable, "-c", dedent(program)]
    done = subprocess.run(given, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("numba does not work here (")
    assert "pip install 'qlogad[fast]'" in done.stdout
