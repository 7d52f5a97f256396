"""The planner: predictions, one choice that lasts, rows in pieces under a memory limit, speeds that are kept."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from qlogad import documents, files, names
from qlogad.backend.backend import open_backend
from qlogad.backend.exact import METHODS, Exact
from qlogad.backend.exact.method import Task
from qlogad.backend.exact.planner import DEFAULTS, STEP, Speeds, choose, choose_tables, options, speeds_of
from qlogad.circuit.encoding import assemble
from qlogad.detect.detector import Detector
from qlogad.detect.sequences.deeplog import DeepLog
from qlogad.errors import BackendError
from qlogad.nn.core import Quantum
from qlogad.seeds import torch_generator
from qlogad.testing.circuits import random_circuit

CPU, SPEEDS, LIMIT = torch.device("cpu"), DEFAULTS["cpu"], 8e9


def task(ansatz: str = "strongly-entangling", wires: int = 4, depth: int = 2, **settings) -> Task:
    return Task(assemble("angle-y", ansatz, wires, depth, reupload=settings.pop("reupload", False)), **settings)


def values(circuit, *, groups=2, rows=7, seed=0):
    generator = torch_generator(seed, "planner")
    weights_GP = torch.randn(groups, circuit.weights, generator=generator, dtype=torch.float64)
    inputs_GNI = torch.randn(groups, rows, circuit.inputs, generator=generator, dtype=torch.float64)
    return weights_GP.requires_grad_(), inputs_GNI.requires_grad_()


FITTING = [
    (name, ansatz)
    for ansatz in ("strongly-entangling", "separable", "sim14", "qulog")
    for name, method in METHODS.items()
    if not method.unfit(task(ansatz).circuit)
]


@pytest.mark.parametrize(("name", "ansatz"), FITTING)
def test_effort_grows_with_the_work(name, ansatz):
    """More rows, calls, circuits and digits never take less effort; none is negative; halves and wholes are in proportion."""
    one = task(ansatz, rows=8, calls=3, groups=2)
    base = METHODS[name].effort(one)
    for more in (replace(one, rows=16), replace(one, calls=6), replace(one, groups=4), replace(one, itemsize=8)):
        effort = METHODS[name].effort(more)
        for field in ("operations", "traffic", "dispatches", "memory"):
            assert getattr(effort, field) >= getattr(base, field) >= 0, field
    forward = METHODS[name].effort(replace(one, gradient=False))
    assert forward.memory <= base.memory
    assert forward.dispatches <= base.dispatches


@pytest.mark.parametrize("gradient", [True, False])
@pytest.mark.parametrize("rows", [1, 64, 100_000])
@pytest.mark.parametrize("wires", [2, 6, 12])
def test_the_choice_is_the_quickest_of_what_fits(wires, rows, gradient):
    wanted = task(wires=wires, rows=rows, calls=10, groups=4, gradient=gradient)
    found = options(wanted, METHODS, SPEEDS, LIMIT)
    assert {option.method for option in found} == set(METHODS)
    best = choose(wanted, METHODS, SPEEDS, LIMIT)
    assert best == choose(wanted, METHODS, SPEEDS, LIMIT), "the same speeds, the same choice"
    assert found == options(wanted, dict(reversed(METHODS.items())), SPEEDS, LIMIT), "in whatever order the methods stand"
    assert best.seconds == min(option.seconds for option in found if not option.unfit)
    for option in found:
        if option.unfit:
            continue
        whole, chunk = (replace(wanted, rows=rows, calls=calls) for rows, calls in ((option.whole, 10), (option.chunk, 1)))
        assert option.memory <= LIMIT
        assert option.chunk >= 1
        assert METHODS[option.method].effort(chunk).memory <= LIMIT
        if option.whole:
            assert METHODS[option.method].effort(whole).memory <= LIMIT


def test_what_is_quick_depends_on_the_machine():
    """Where operations cost nothing the fewest dispatches win; where dispatches cost nothing, the fewest operations."""
    wanted = task(wires=6, rows=64, calls=10, groups=4)
    efforts = {name: method.effort(wanted) for name, method in METHODS.items() if not method.unfit(wanted.circuit)}
    idle = Speeds(single=1e30, double=1e30, bandwidth=1e30, dispatch=1, tracked=1)
    slow = Speeds(single=1, double=1, bandwidth=1e30, dispatch=1e-30, tracked=1e-30)
    assert choose(wanted, METHODS, idle, LIMIT).method == min(efforts, key=lambda name: efforts[name].dispatches)
    assert choose(wanted, METHODS, slow, LIMIT).method == min(efforts, key=lambda name: efforts[name].operations)


@pytest.mark.sample(10)
@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("seed", range(4))
def test_pieces_are_the_whole(name, seed):
    """Values, first derivatives and, without pieces or with, what lies under several calls of one graph."""
    circuit = random_circuit(np.random.default_rng(seed), wires=2 + seed)
    if METHODS[name].unfit(circuit):
        circuit = assemble("angle-y", "strongly-entangling", 2 + seed, 1)
    if METHODS[name].unfit(circuit):
        circuit = assemble("angle-y", "qulog", 2 + seed, 1)
    weights_GP, inputs_GNI = values(circuit, seed=seed)
    engine, pieces = Exact(name), Exact(name)
    plan = engine.plan(circuit, weights_GP, rows=7, gradient=True)
    plans = [replace(plan, whole=2, chunk=2, purpose=replace(plan.purpose, gradient=gradient)) for gradient in (True, False)]
    pieces.adopt([documents.plain(one) for one in plans])
    found = []
    for backend in (engine, pieces):
        bound = backend.bind(circuit, weights_GP)
        mean_GNK = bound(inputs_GNI) + bound(inputs_GNI * 2).sin()
        slopes = torch.autograd.grad((mean_GNK * mean_GNK.cos()).sum(), (weights_GP, inputs_GNI), materialize_grads=True)
        with torch.no_grad():
            found.append([mean_GNK.detach(), *slopes, bound(inputs_GNI)])
    for one, two in zip(*found, strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=1e-10)


def test_pieces_have_second_derivatives_too():
    circuit = assemble("angle-y", "strongly-entangling", 3, 1, reupload=True)
    weights_GP, inputs_GNI = values(circuit, groups=1, rows=3)
    engine = Exact("gates")
    engine.adopt([documents.plain(replace(engine.plan(circuit, weights_GP, rows=3, gradient=True), whole=1, chunk=1))])
    assert torch.autograd.gradgradcheck(lambda *given: engine.bind(circuit, given[0])(given[1]), (weights_GP, inputs_GNI))


def test_memory_decides_before_anything_runs():
    """A limit that holds a few rows gives pieces, one that holds none an error that names a width that fits, and does."""
    circuit = assemble("angle-y", "strongly-entangling", 8, 2)
    weights_GP, inputs_GNI = values(circuit, rows=64)
    plan = Exact(memory=2e-3).plan(circuit, weights_GP, rows=64, calls=10, gradient=True)
    assert 1 <= plan.chunk < 64
    narrow = Exact(memory=2e-3).bind(circuit, weights_GP)(inputs_GNI)
    torch.testing.assert_close(narrow, Exact().bind(circuit, weights_GP)(inputs_GNI), rtol=0, atol=1e-10)
    with pytest.raises(BackendError, match=r"needs about \S+ GB, and 1e-05 GB are allowed; up to \d wires? fit") as refusal:
        Exact(memory=1e-5).bind(circuit, weights_GP)(inputs_GNI)
    widest = int(str(refusal.value).split("up to ")[1].split()[0])
    fits = assemble("angle-y", "strongly-entangling", widest, 2)
    assert Exact(memory=1e-5).plan(fits, values(fits)[0], rows=1, calls=1, gradient=True).chunk >= 1
    assert "\n" not in str(refusal.value)


def test_a_plan_is_made_once_and_lasts():
    """The first call decides; later rows, and another object that adopts the plan, run by the same method, bit for bit."""
    circuit = assemble("angle-y", "strongly-entangling", 4, 2)
    weights_GP, inputs_GNI = values(circuit, rows=64)
    engine = Exact()
    mean_GNK = engine.bind(circuit, weights_GP)(inputs_GNI)
    plans = engine.plans()
    engine.bind(circuit, weights_GP)(inputs_GNI[:, :1])
    assert engine.plans() == plans
    assert json.loads(json.dumps(plans)) == plans
    for name in METHODS:
        if METHODS[name].unfit(circuit):
            continue
        other = Exact()
        other.adopt([{**plans[0], "method": name}])
        assert other.plan(circuit, weights_GP, rows=1, gradient=True).method == name
        forced = Exact(name).bind(circuit, weights_GP)(inputs_GNI)
        assert torch.equal(other.bind(circuit, weights_GP)(inputs_GNI), forced)
    again = Exact()
    again.adopt(plans)
    assert torch.equal(again.bind(circuit, weights_GP)(inputs_GNI), mean_GNK)
    assert again.plans() == plans


def test_a_forced_method_ignores_a_plan_of_another():
    circuit = assemble("angle-y", "strongly-entangling", 3, 1)
    weights_GP, _ = values(circuit)
    engine = open_backend("exact:gates")
    made = Exact("phase")
    made.plan(circuit, weights_GP, rows=5, gradient=True)
    engine.adopt(made.plans())
    assert engine.plan(circuit, weights_GP, rows=5, gradient=True).method == "gates"


@pytest.mark.parametrize("wires", [2, 5, 7])
@pytest.mark.parametrize("factor", [0.0, 1.0, 1e3])
def test_tables_are_taken_where_they_are_predicted_to_be_quicker(wires, factor):
    """The least of all predictions counts; an endless kernel never wins, nor one that outgrows the memory."""
    wanted = task(wires=wires, rows=16, calls=10, groups=4)
    weights_GP = torch.zeros(4, wanted.circuit.weights)

    def form(method):
        return method.form(wanted.circuit, weights_GP)

    def kernel(tables):
        return factor * 1e-5 * tables.table.shape[1], 1e6

    fitting = {name: method for name, method in METHODS.items() if not method.unfit(wanted.circuit)}
    found = choose_tables(wanted, METHODS, SPEEDS, LIMIT, kernel, form)
    loop = choose(wanted, METHODS, SPEEDS, LIMIT).seconds + STEP * wanted.calls * 3 * SPEEDS.tracked
    assert found is None or (form(METHODS[found.method]) is not None and found.seconds < loop)
    totals = [
        2 * SPEEDS.seconds(method.effort(replace(wanted, rows=1, calls=1)), wanted)
        - SPEEDS.seconds(method.effort(replace(wanted, rows=1, calls=2)), wanted)
        + kernel(tables)[0]
        for method in fitting.values()
        if (tables := form(method)) is not None
    ]
    assert (found.seconds if found else loop) == pytest.approx(min(loop, *totals))
    assert choose_tables(wanted, METHODS, SPEEDS, LIMIT, lambda tables: (np.inf, 0.0), form) is None
    assert choose_tables(wanted, METHODS, SPEEDS, LIMIT, lambda tables: (0.0, 2 * LIMIT), form) is None
    wide = task(wires=8, rows=16, calls=10, groups=4)
    assert choose_tables(wide, METHODS, SPEEDS, LIMIT, lambda tables: (0.0, 0.0), form) is None


def test_a_sequence_s_plan_is_made_once_adopted_and_never_overrules_a_forced_method():
    circuit = assemble("angle-y", "strongly-entangling", 3, 2)
    weights_GP, inputs_GNI = values(circuit)
    engine = Exact()
    assert engine.bind(circuit, weights_GP).form(70, lambda tables: (0.0, 0.0)) is not None
    assert engine.bind(circuit, weights_GP).form(70, lambda tables: (np.inf, 0.0)) is not None, "the first one decides"
    again = Exact()
    again.adopt(json.loads(json.dumps(engine.plans())))
    assert again.bind(circuit, weights_GP).form(70, lambda tables: (np.inf, 0.0)) is not None
    assert Exact().bind(circuit, weights_GP).form(70, lambda tables: (np.inf, 0.0)) is None
    for name in METHODS:
        if not METHODS[name].unfit(circuit):
            form = Exact(name).bind(circuit, weights_GP).form(70, lambda tables: (np.inf, 0.0))
            assert (form is None) == (METHODS[name].form(circuit, weights_GP) is None)
    before = [
        {**plan, "purpose": {key: value for key, value in plan["purpose"].items() if key != "sequence"}} for plan in engine.plans()
    ]
    engine.adopt(before)
    assert engine.bind(circuit, weights_GP)(inputs_GNI).shape == (2, 7, 3), "plans of before there were sequences are read"


def test_a_saved_detector_keeps_its_plans(tmp_path):
    windows = [[0, 1, 2, 3] * 3] * 8
    detector = DeepLog(core=Quantum(wires=2, hidden=4), epochs=1, history=3).fit(windows, validation=windows)
    assert detector.plans()
    detector.save(tmp_path)
    loaded = Detector.load(tmp_path)
    assert loaded.plans() == detector.plans()
    assert np.array_equal(loaded.score_samples(windows), detector.score_samples(windows))
    assert loaded.plans() == detector.plans()


def test_rates_are_measured_once_and_kept(tmp_path):
    found = speeds_of(CPU, folder=tmp_path)
    (path,) = (tmp_path / "engine").iterdir()
    assert min(documents.plain(found).values()) > 0
    files.write_facts(path, documents.plain(replace(found, single=123.0)))
    assert speeds_of(CPU, folder=tmp_path).single == 123.0, "what is kept counts"
    altered = path.read_text().replace("123.0", "124.0")
    for damaged in ("", "{}", '{"single": 1e9', altered, files.facts_text({**documents.plain(found), "single": "fast"})):
        path.write_text(damaged)
        assert speeds_of(CPU, folder=tmp_path).single > 1e6
        assert files.read_facts(path)["single"] > 1e6, "a damaged file is written again"


def test_where_nothing_can_be_kept_the_defaults_serve(tmp_path: Path):
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    assert speeds_of(CPU, folder=in_the_way) == DEFAULTS["cpu"]


def test_every_ansatz_has_a_plan():
    for ansatz in names.designs("ansatz"):
        for wires in (2, 4, 8):
            try:
                wanted = task(ansatz, wires, 1, rows=64, calls=10)
            except ValueError:  # the design does not exist at this width
                continue
            assert choose(wanted, METHODS, SPEEDS, LIMIT).method in METHODS
