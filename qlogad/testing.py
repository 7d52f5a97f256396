"""The contracts as functions, for our own tests and for anyone who adds a design, a backend or a detector of their own."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import clone

from qlogad import documents
from qlogad.backend.abilities import Estimate, Key
from qlogad.backend.backend import Backend, open_backend
from qlogad.backend.exact.jacobian import live_weights
from qlogad.circuit.circuit import Angle, Circuit, Gate, z_each
from qlogad.circuit.design import Design, Encoding, Role, assemble
from qlogad.circuit.draw import draw
from qlogad.circuit.gates import GATES, matrix
from qlogad.circuit.readout import is_projector
from qlogad.detect.detector import EXPECTED, Detector
from qlogad.errors import BackendError, DataError, DesignError, NotFitted
from qlogad.features.features import Features, Labels
from qlogad.seeds import generator

__all__ = ["check_backend", "check_design", "check_detector", "random_circuit", "reference_means"]


def check_detector(cls: type[Detector], **settings: Any) -> None:
    """Hold a detector to its contract; an AssertionError says which law it breaks.

    Args:
        cls: the detector's class.
        settings: its parameters, small ones for a detector that trains long.

    >>> from qlogad.detect.length import Length
    >>> check_detector(Length)
    """
    with tempfile.TemporaryDirectory() as folder:
        for law in _DETECTOR_LAWS:
            law(partial(cls, **settings), Path(folder))


_SIZE = 6  # event types of the detectors' random windows
Make = Callable[[], Detector]


def _sessions(rows: int, *names: str) -> list[list[int]]:
    """Random windows with a grammar: each event is mostly followed by the next one; every event occurs."""
    random = generator(0, "check_detector", *names)
    starts_N = [list(range(_SIZE)) if n == 0 else [0] for n in range(rows)]
    for window in starts_N:
        for _ in range(int(random.integers(2, 9))):
            window.append((window[-1] + 1) % _SIZE if random.random() < 0.8 else int(random.integers(_SIZE)))
    return starts_N


def _odd() -> list[list[int]]:
    """Windows to be judged: ordinary, empty, of one event, of events not seen in training, long, and a repeated one."""
    ordinary = _sessions(12, "test")
    return [*ordinary, [], [3], [_SIZE], [0, _SIZE + 5, 1], [0] * 60, ordinary[4]]


def _labels(sessions: list[list[int]]) -> list[int]:
    """Labels to learn from: 1 where the first two events are out of turn or the window is long."""
    return [int(len(window) > 6 or window[1:2] != [(window[0] + 1) % _SIZE]) for window in sessions]


def _fitted(make: Make) -> Detector:
    train = _sessions(40, "train")
    return make().fit(train, _labels(train), validation=_sessions(30, "validation"))


def _scores_are_numbers(make: Make, folder: Path) -> None:
    detector = _fitted(make)
    features = Features.from_sequences(_odd(), size=_SIZE)
    score_N, score_E = detector.anomaly_score(features), detector.event_score(features)
    assert score_N.shape == (len(features),), f"one score per row: {len(features)} rows, scores of shape {score_N.shape}"
    assert score_E.shape == features.ids_E.shape, f"one score per event: {len(features.ids_E)} events, shape {score_E.shape}"
    assert not np.isnan(score_N).any(), "a window's score is never NaN"
    assert np.isfinite(score_N[features.lengths_N == 0]).all(), "an empty window has a finite score"
    assert np.array_equal(detector.score_samples(_odd()), score_N), "lists of event ids and features score alike"


def _rows_are_judged_alone(make: Make, folder: Path) -> None:
    detector = _fitted(make)
    features = Features.from_sequences(_odd(), size=_SIZE)
    order = generator(0, "check_detector", "order").permutation(len(features))
    score_N = detector.anomaly_score(features)
    _assert_close(detector.anomaly_score(features.take(order)), score_N[order], "order matters")
    single_N = np.concatenate([detector.anomaly_score(features.take([n])) for n in range(len(features))])
    _assert_close(single_N, score_N, "a row's score depends on its neighbours")


def _weight_is_repetition(make: Make, folder: Path) -> None:
    sessions, validation = _sessions(20, "train"), Features.from_sequences(_sessions(30, "validation"), size=_SIZE)
    times = generator(0, "check_detector", "times").integers(1, 4, size=len(sessions)).tolist()
    repeated = [window for window, many in zip(sessions, times, strict=True) for _ in range(many)]
    heavy = make().fit(Features.from_sequences(sessions, weight=times), _labels(sessions), validation=(validation, None))
    long = make().fit(Features.from_sequences(repeated), _labels(repeated), validation=(validation, None))
    message = "a row of weight 3 is to count as three equal rows"
    _assert_close(heavy.score_samples(_odd()), long.score_samples(_odd()), message)


def _fitting_repeats(make: Make, folder: Path) -> None:
    first, second = _fitted(make), _fitted(make)
    train = _sessions(40, "train")
    again = clone(first).fit(train, _labels(train), validation=_sessions(30, "validation"))
    assert clone(first).get_params() == make().get_params() == first.get_params(), (
        "fit does not change parameters, clone keeps them"
    )
    for other in (second, again):
        assert np.array_equal(first.score_samples(_odd()), other.score_samples(_odd())), "equal data and seed, equal scores"
        assert first.threshold_ == other.threshold_, "equal data and seed, equal threshold"


def _input_is_left_alone(make: Make, folder: Path) -> None:
    given = [Features.from_sequences(_sessions(20, name), size=_SIZE) for name in ("train", "validation")]
    labels = Labels(np.asarray(_labels(_sessions(20, "train"))))
    before = [documents.digest(f.ids_E, f.offsets_N1, f.weight_N, f.seen_N, f.row_W) for f in given]
    detector = make().fit(given[0], labels, validation=(given[1], None))
    detector.anomaly_score(given[1])
    detector.event_score(given[1])
    after = [documents.digest(f.ids_E, f.offsets_N1, f.weight_N, f.seen_N, f.row_W) for f in given]
    assert before == after, "fit and score do not write to their input"
    assert labels.window_N.tolist() == _labels(_sessions(20, "train")), "fit does not write to the labels"


def _labels_are_read_where_it_says_so(make: Make, folder: Path) -> None:
    train, validation = _sessions(40, "train"), _sessions(30, "validation")
    if make().supervised:
        _raises(DataError, lambda: make().fit(train, validation=validation), "a supervised detector without labels")
        for label in (0, 1):
            _raises(DataError, partial(make().fit, train, [label] * 40), f"only training windows of label {label}")
        flipped = make().fit(train, [1 - label for label in _labels(train)], validation=validation)
        assert not np.array_equal(flipped.score_samples(_odd()), _fitted(make).score_samples(_odd())), (
            "labels are what it learns from"
        )
    else:
        blind = make().fit(train, validation=validation)
        assert np.array_equal(blind.score_samples(_odd()), _fitted(make).score_samples(_odd())), "it does not read training labels"
        assert blind.threshold_ == _fitted(make).threshold_, "its threshold does not depend on training labels"


def _saved_is_same(make: Make, folder: Path) -> None:
    detector = _fitted(make)
    detector.save(folder / "detector")
    loaded = type(detector).load(folder / "detector")
    features = Features.from_sequences(_odd(), size=_SIZE)
    assert type(loaded) is type(detector), f"saved {type(detector).__name__}, loaded {type(loaded).__name__}"
    assert loaded.get_params() == detector.get_params(), "parameters survive save and load"
    assert loaded.threshold_ == detector.threshold_, "the threshold survives save and load"
    assert loaded.weights_ == detector.weights_, "the weights survive save and load"
    assert loaded.anomaly_score(features).tobytes() == detector.anomaly_score(features).tobytes(), (
        "same scores bit for bit after load"
    )
    event_E = detector.event_score(features)
    assert np.array_equal(loaded.event_score(features), event_E, equal_nan=True), "same event scores after load"


def _alarm_is_above_threshold(make: Make, folder: Path) -> None:
    detector = _fitted(make)
    assert detector.threshold_ is not None, "validation windows give a threshold"
    alarms_N = detector.predict(_odd())
    assert np.array_equal(alarms_N, (detector.score_samples(_odd()) > detector.threshold_.value).astype(int)), "alarm iff score > g"
    rate = detector.predict(_sessions(30, "validation")).mean()
    assert rate <= detector.fpr, f"at most a share {detector.fpr} of the validation windows raises an alarm, got {rate}"


def _alarms_name_their_events(make: Make, folder: Path) -> None:
    detector = _fitted(make)
    features = Features.from_sequences(_odd(), size=_SIZE)
    event_N = detector.raised_by(features, detector.anomaly_score(features))
    inside_N = (event_N >= features.offsets_N1[:-1]) & (event_N < features.offsets_N1[1:])
    assert (inside_N | (event_N == -1)).all(), "what raised a row's score is one of its own events, or -1"
    assert (event_N == -1).all() or not np.isnan(detector.event_score(features)).all(), "no opinion on events, no event to blame"
    named_N = np.flatnonzero(event_N >= 0)
    expected = detector.expected(features, event_N[named_N])
    assert len(expected) == len(named_N), "one list of expected events for each event asked for"
    assert all(len(set(ids)) == len(ids) <= EXPECTED and set(ids) <= {*range(_SIZE)} for ids in expected), (
        "they are known event types"
    )


def _misuse_is_explained(make: Make, folder: Path) -> None:
    _raises(DataError, lambda: make().fit([]), "no training windows")
    _raises(NotFitted, lambda: make().score_samples([[0]]), "scoring before fit")
    _raises(NotFitted, lambda: make().save(folder / "unfitted"), "saving before fit")
    train = _sessions(20, "train")
    _raises(NotFitted, lambda: make().fit(train, _labels(train)).predict([[0]]), "alarms without a threshold")


def _assert_close(actual_N: NDArray[np.float64], expected_N: NDArray[np.float64], message: str) -> None:
    """Equal but for the order of additions."""
    np.testing.assert_allclose(actual_N, expected_N, rtol=1e-6, atol=1e-9, err_msg=message)


def _raises(error: type[Exception], call: Callable[[], object], what: str) -> None:
    try:
        call()
    except error:
        return
    raise AssertionError(f"{what}: expected {error.__name__}, nothing was raised")


_DETECTOR_LAWS: tuple[Callable[[Make, Path], None], ...] = (
    _scores_are_numbers,
    _rows_are_judged_alone,
    _weight_is_repetition,
    _fitting_repeats,
    _input_is_left_alone,
    _labels_are_read_where_it_says_so,
    _saved_is_same,
    _alarm_is_above_threshold,
    _alarms_name_their_events,
    _misuse_is_explained,
)


# ---------------------------------------------------------------- designs


def check_design(
    name: str | Path,
    role: Role,
    *,
    widths: Sequence[int] = range(1, 7),
    depths: Sequence[int] = range(4),
    thorough: bool = False,
) -> None:
    """Hold a design file to its contract; an AssertionError says which law it breaks.

    Args:
        name: its name, or the path of a file.
        role: "ansatz" or "encoding".
        widths: the numbers of wires to try; a design may refuse some of them, if it says how many it needs.
        depths: the numbers of layers to try.
        thorough: compare the simulators at every depth, which takes the most time, rather than at one depth of each width.

    >>> check_design("separable", "ansatz", widths=[2], depths=[1])
    """
    design = Design.load(name, role)
    possible = [wires for wires in widths if _fits(design, wires)]
    assert possible, f"{design.name} builds at none of the widths {list(widths)}"
    for wires in possible:
        for depth in depths:
            circuit = design.build(wires, depth)
            _well_formed(design, circuit)
            _draws(circuit)
            _saves(design, circuit, depth)
            if thorough or depth == depths[wires % len(depths)]:
                _agrees(circuit, f"{design.name} on {wires} wires, depth {depth}")
                _comes_back(circuit)
    for wires, count in design.check.weights:
        plain = replace(design, init="uniform")  # an identity block has twice the weights that its rows give
        found = plain.build(wires, 1).weights - plain.build(wires, 0).weights
        assert found == count, f"{design.name} has {found} weights per layer on {wires} wires, and states {count}"
    for wires, count in design.check.live_weights:
        circuit, encoding = assemble(design.check.encoding, str(name), wires, 1), Encoding.load(design.check.encoding)
        found = live_weights(circuit, generator(0, "check_design", wires), encoding=encoding)
        assert found == count, f"{design.name} has {found} live weights on {wires} wires, and states {count}"


def _fits(design: Design, wires: int) -> bool:
    refusal = _refusal(partial(design.build, wires, 1), DesignError)
    assert refusal is None or "needs" in refusal, f"{design.name} refuses {wires} wires without saying how many it needs: {refusal}"
    return refusal is None


def _well_formed(design: Design, circuit: Circuit) -> None:
    read = {(angle.source, angle.index) for gate in circuit.gates for angle in gate.angles}
    assert {index for source, index in read if source == "weight"} == set(range(circuit.weights)), (
        f"{design.name} has weights it never uses"
    )
    assert design.role == "ansatz" or circuit.weights == 0, f"{design.name} is an encoding with weights"
    assert circuit.inverse().inverse() == circuit, f"{design.name}: undoing twice is not doing"
    alone = circuit.without_entanglement()
    assert all(len(gate.wires) == 1 for gate in alone.gates), f"{design.name}: entanglement is left"
    used = {angle for gate in alone.gates for angle in gate.angles}
    assert used == {angle for gate in circuit.gates for angle in gate.angles}, f"{design.name}: removing entanglement loses angles"


def _draws(circuit: Circuit) -> None:
    lines = draw(circuit, width=10**6).splitlines()
    wires = [line for line in lines if "─" in line]
    assert len(wires) == circuit.wires, "a drawing has one line per wire"
    assert len({len(line) for line in wires}) == 1, "a drawing's lines end together"


def _saves(design: Design, circuit: Circuit, depth: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "copy.toml"
        design.save(path, {"by": "check_design"})
        again = Design.load(path, design.role)
    assert again == design, f"{design.name} does not survive saving"
    copy = again.build(circuit.wires, depth)
    assert (copy, hash(copy), copy.digest()) == (circuit, hash(circuit), circuit.digest()), f"{design.name} is rebuilt differently"


def _agrees(circuit: Circuit, what: str) -> None:
    """Every simulator gives the same readouts, and those that differentiate the same gradients, to 1e-9, for random weights and inputs."""
    fed = circuit if circuit.inputs else _encoded(circuit)  # on |0...0> alone many gates do nothing
    state = generator(0, "check_design", circuit.digest()).bit_generator.state
    exact, other = (_means_and_gradients(open_backend(spec), fed, random_state=state) for spec in ("exact", "pennylane"))
    for one, two in zip(exact, other, strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=1e-9, msg=lambda text: f"{what}: exact and pennylane differ: {text}")
    weights_GP, inputs_GNI = _values(fed, generator(0, "check_design", circuit.digest()))
    found = open_backend("qiskit").bind(fed, weights_GP[:1])(inputs_GNI[:1, :1])
    torch.testing.assert_close(
        exact[0][:1, :1], found, rtol=0, atol=1e-9, msg=lambda text: f"{what}: exact and qiskit differ: {text}"
    )


def _comes_back(circuit: Circuit) -> None:
    """OpenQASM 3, Qiskit's and PennyLane's circuits give the circuit back."""
    from qlogad.backend.pennylane import from_qnode, to_qnode
    from qlogad.backend.qiskit import from_qasm, from_qiskit, to_qasm, to_qiskit

    returned = {
        "OpenQASM 3": from_qasm(to_qasm(circuit)),
        "Qiskit": from_qiskit(to_qiskit(circuit)),
        "PennyLane": from_qnode(to_qnode(circuit), {"weights": circuit.weights}, inputs=circuit.inputs),
    }
    for what, back in returned.items():
        same = (back.gates, back.readout, back.inputs, back.weights)
        assert same == (circuit.gates, circuit.readout, circuit.inputs, circuit.weights), (
            f"a circuit comes back changed from {what}"
        )


def _encoded(circuit: Circuit) -> Circuit:
    first = Circuit(
        circuit.wires,
        tuple(Gate("ry", (wire,), (Angle("input", wire),)) for wire in range(circuit.wires)),
        circuit.readout,
        circuit.wires,
        0,
    )
    return first.then(circuit)


# ---------------------------------------------------------------- backends


def check_backend(spec: str | Backend, *, tolerance: float = 1e-6, gradient: float = 1e-6, circuits: int = 12) -> None:
    """Hold a backend to its contract; an AssertionError says which law it breaks.

    What is asked goes by the `kind` that its estimates state. Exact readouts are those of the definition of the gates; noisy ones are
    not, but lie between them and nothing. Sampled ones depend on key and row, not on place, and scatter as their standard errors say.
    Gradients are true wherever readouts are not sampled.

    Args:
        spec: its name with its target, or an opened backend.
        tolerance: how far readouts may lie from the definition of the gates, and slopes (ten times as far) from those of the exact
            engine.
        gradient: how far derivatives may lie from finite differences.
        circuits: how many random circuits, over the whole gate table, to try.

    >>> check_backend("exact", circuits=2)
    """
    backend = open_backend(spec) if isinstance(spec, str) else spec
    ideal, found, again = [], [], []
    for number in range(circuits):
        random = generator(0, "check_backend", number)
        circuit = random_circuit(random, wires=1 + number % 4)
        weights_GP, inputs_GNI = _values(circuit, random)
        expected_GNK = torch.from_numpy(reference_means(circuit, weights_GP.numpy(), inputs_GNI.numpy()))
        estimate = backend.bind(circuit, weights_GP, key=Key(number)).estimate(inputs_GNI)
        other = backend.bind(circuit, weights_GP, key=Key(number).at("again")).estimate(inputs_GNI)
        assert estimate.mean_GNK.shape == estimate.error_GNK.shape == expected_GNK.shape, "one mean and one error for each readout"
        assert torch.isfinite(estimate.error_GNK).all(), "a standard error is a number"
        assert (estimate.mean_GNK.abs() <= 1 + tolerance).all(), "readouts lie in [-1, 1]"
        assert estimate.executions >= expected_GNK.shape[0] * expected_GNK.shape[1], "an execution was not counted"
        _rows_independent(backend, circuit, weights_GP, inputs_GNI, tolerance)
        kind = _kind(estimate)
        sampled, noisy = kind.endswith("shots"), kind.startswith("noisy")
        assert sampled == (estimate.shots is not None) == backend.abilities.shots, (
            "the kind of the estimate says whether it was sampled"
        )
        if not noisy:
            close = tolerance + 6 * float(estimate.error_GNK.max())
            torch.testing.assert_close(estimate.mean_GNK, expected_GNK, rtol=0, atol=close)
        if not sampled and (backend.abilities.differentiable or backend.abilities.shift):
            _gradients_true(backend, circuit, weights_GP, inputs_GNI, gradient, noisy=noisy)
            if not noisy:
                _slopes_exact(backend, circuit, weights_GP, inputs_GNI, tolerance)
        ideal.append(expected_GNK.flatten())
        found.append(estimate)
        again.append(other)
    if sampled:
        _errors_calibrated(found, again)
    if noisy:
        _noise_takes_effect(torch.cat(ideal), found)
    _keeps_precision(backend)
    _takes_no_rows(backend)
    _refuses(backend)


def _kind(estimate: Estimate) -> str:
    kind = str(estimate.provenance.get("kind"))
    assert kind in {"exact", "noisy-exact", "shots", "noisy-shots"}, f"an estimate says what kind it is, got {kind}"
    return kind


def _rows_independent(
    backend: Backend, circuit: Circuit, weights_GP: torch.Tensor, inputs_GNI: torch.Tensor, tolerance: float
) -> None:
    """Rows in any order and any company, with names and without, give what they gave; other keys give other samples."""
    count = inputs_GNI.shape[1]
    names = [f"window {n}" for n in range(count)]

    def run(order: list[int], key: Key, named: bool) -> torch.Tensor:
        bound = backend.bind(circuit, weights_GP, key=key)
        mean_GNK = bound(inputs_GNI[:, order], [names[n] for n in order] if named else None).detach()
        return mean_GNK[:, np.argsort(order)] if len(order) == count else mean_GNK

    sampled, key = backend.abilities.shots, Key(1).at("rows")
    near = 0.0 if sampled else tolerance
    for named in (False, True):
        mean_GNK = run(list(range(count)), key, named)
        turned_GNK = run(list(range(count))[::-1], key, named)
        split_GNK = torch.cat([run([n], key, named) for n in range(count)], dim=1)
        for other_GNK in (turned_GNK, split_GNK):
            torch.testing.assert_close(other_GNK, mean_GNK, rtol=0, atol=near, msg=lambda text: f"a row depends on others: {text}")
        if sampled:
            assert not torch.equal(run(list(range(count)), key.at("other"), named), mean_GNK), "another key gives other samples"


def _gradients_true(
    backend: Backend, circuit: Circuit, weights_GP: torch.Tensor, inputs_GNI: torch.Tensor, tolerance: float, *, noisy: bool
) -> None:
    """Autograd's directional derivative against the central difference of the definition, or of the backend where it is noisy."""
    weights_GP, inputs_GNI = weights_GP.clone().requires_grad_(), inputs_GNI.clone().requires_grad_()
    random = generator(0, "check_backend", "direction", circuit.digest())
    mean_GNK = backend.bind(circuit, weights_GP)(inputs_GNI)
    cost = torch.from_numpy(random.normal(size=tuple(mean_GNK.shape)))
    slopes = torch.autograd.grad((cost * mean_GNK).sum(), (weights_GP, inputs_GNI), materialize_grads=True)
    ways = [torch.from_numpy(random.normal(size=tuple(values.shape))) for values in (weights_GP, inputs_GNI)]
    step = 1e-5

    def end(sign: int) -> float:
        there = [(v + sign * step * w).detach() for v, w in zip((weights_GP, inputs_GNI), ways, strict=True)]
        if noisy:
            return float((cost * backend.bind(circuit, there[0])(there[1])).sum())
        return float((cost.numpy() * reference_means(circuit, there[0].numpy(), there[1].numpy())).sum())

    found = sum(float((slope * way).sum()) for slope, way in zip(slopes, ways, strict=True))
    expected = (end(1) - end(-1)) / (2 * step)
    assert abs(found - expected) <= tolerance * (1 + abs(expected)) + 1e-7, (
        f"the gradient is {found}, the difference quotient {expected}"
    )


def _slopes_exact(backend: Backend, circuit: Circuit, weights_GP: torch.Tensor, inputs_GNI: torch.Tensor, tolerance: float) -> None:
    """Slopes are as precise as readouts: those of the exact engine."""
    given = [values.clone().requires_grad_() for values in (weights_GP, inputs_GNI)]
    mine, its = (one.bind(circuit, given[0])(given[1]) for one in (backend, open_backend("exact:gates")))
    cost = torch.linspace(-1, 2, mine.numel(), dtype=mine.dtype).reshape(mine.shape)
    for one, two in zip(*(torch.autograd.grad((cost * mean).sum(), given) for mean in (mine, its)), strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=10 * tolerance * (1 + float(two.abs().max())))


def _errors_calibrated(found: list[Estimate], again: list[Estimate]) -> None:
    """The squared difference of two samples is, on average, the sum of their squared standard errors."""
    ratios = []
    for one, two in zip(found, again, strict=True):
        spread = one.error_GNK**2 + two.error_GNK**2
        open_GNK = (spread > 0) & (one.mean_GNK.abs() < 0.98)  # what is nearly certain hardly scatters
        ratios.append(((one.mean_GNK - two.mean_GNK) ** 2 / spread)[open_GNK])
    ratio = torch.cat(ratios)
    reach = 6 * math.sqrt(2 / len(ratio))  # the readouts of one row are correlated, hence 6 and not 3
    assert abs(float(ratio.mean()) - 1) < reach, f"squared differences are {float(ratio.mean()):.2f} times what the errors say"


def _noise_takes_effect(ideal: torch.Tensor, found: list[Estimate]) -> None:
    """Noise shrinks readouts: the slope of noisy on ideal ones is below 1 by more than chance."""
    mean, error = (torch.cat([getattr(one, name).flatten() for one in found]) for name in ("mean_GNK", "error_GNK"))
    slope = float((ideal @ mean) / (ideal @ ideal))
    chance = float(torch.sqrt((ideal**2) @ (error**2)) / (ideal @ ideal))
    assert 0 < slope < 1 - 1e-4 - 3 * chance, f"a noisy backend gives ideal readouts: slope {slope:.4f} with error {chance:.4f}"


def _keeps_precision(backend: Backend) -> None:
    """Readouts and slopes are in the precision of what is given."""
    circuit = random_circuit(generator(0, "check_backend", "precision"), wires=2)
    for dtype in (torch.float32, torch.float64):
        weights_GP = torch.full((1, circuit.weights), 0.3, dtype=dtype, requires_grad=True)
        inputs_GNI = torch.full((1, 2, circuit.inputs), 0.7, dtype=dtype, requires_grad=True)
        bound = backend.bind(circuit, weights_GP)
        estimate, mean_GNK = bound.estimate(inputs_GNI.detach()), bound(inputs_GNI)
        slopes = torch.autograd.grad(mean_GNK.sum(), (weights_GP, inputs_GNI))
        for what in (mean_GNK, estimate.mean_GNK, estimate.error_GNK, *slopes):
            assert what.dtype == dtype, f"{dtype} was given, and {what.dtype} came back"


def _takes_no_rows(backend: Backend) -> None:
    """No rows give no results, whose slopes are zero; so it is for circuits that read no inputs, or have no weights."""
    for encoding, depth in (("angle-y", 1), ("angle-y", 0)):
        circuit = assemble(encoding, "basic-entangler", 2, depth)
        for cut in (circuit, replace(circuit, gates=circuit.gates[circuit.wires :])):
            for wanted in ((True, True), (True, False), (False, True), (False, False)):
                weights_GP = torch.zeros(3, cut.weights, dtype=torch.float64, requires_grad=wanted[0])
                inputs_GNI = torch.zeros(1, 0, cut.inputs, dtype=torch.float64, requires_grad=wanted[1])
                bound = backend.bind(cut, weights_GP)
                mean_GNK = bound(inputs_GNI)
                assert mean_GNK.shape == bound.estimate(inputs_GNI.detach()).mean_GNK.shape == (3, 0, 2), "no rows give no results"
                given = [each for each in (weights_GP, inputs_GNI) if each.requires_grad]
                assert mean_GNK.requires_grad == bool(given), "no rows are differentiated as any others"
                for each, slope in zip(given, torch.autograd.grad(mean_GNK.sum(), given) if given else (), strict=True):
                    assert slope.shape == each.shape, "a slope has the shape of what it belongs to"
                    assert not slope.any(), "no rows have slopes of zero"


def _refuses(backend: Backend) -> None:
    circuit = assemble("angle-y", "basic-entangler", 2, 1)
    weights_GP, inputs_GNI = torch.zeros(3, 2, dtype=torch.float64), torch.zeros(1, 4, 2, dtype=torch.float64)
    bound = backend.bind(circuit, weights_GP)
    bad = inputs_GNI.clone()
    bad[0, 1, 1] = torch.nan
    for wrong in (
        inputs_GNI[0],
        inputs_GNI[..., :1],
        inputs_GNI.expand(2, -1, -1),
        inputs_GNI.float(),
        bad,
        bad.nan_to_num(torch.inf),
    ):
        _refused(partial(bound, wrong))
    for wrong in (weights_GP[0], weights_GP[:, :1], weights_GP[:0], weights_GP.long(), weights_GP + torch.nan):
        _refused(partial(backend.bind, circuit, wrong))
    wide = assemble("angle-y", "separable", min(256, backend.abilities.max_wires + 1), 0)
    if wide.wires > backend.abilities.max_wires:
        _refused(partial(backend.bind, wide, torch.zeros(1, 0)))


def _refused(call: Callable[[], object]) -> None:
    refusal = _refusal(call, BackendError)
    assert refusal is not None, f"{call} was not refused"
    assert len(refusal.splitlines()) == 1, f"an error is one line, got {refusal}"


def _refusal(call: Callable[[], object], kind: type[Exception]) -> str | None:
    try:
        call()
    except kind as error:
        return str(error)
    return None


# ---------------------------------------------------------------- circuits to try


def random_circuit(random: np.random.Generator, *, wires: int, gates: int = 14, readouts: int = 3) -> Circuit:
    """A random circuit over the whole gate table, with an input and a weight at least; reads random words and a random basis state,
    then <Z> on every wire."""
    names = sorted(name for name, kind in GATES.items() if kind.wires <= wires)
    inputs, weights = int(random.integers(1, 4)), int(random.integers(1, 6))
    reads = (Gate("rx", (0,), (Angle("input", 0),)), Gate("ry", (wires - 1,), (Angle("weight", 0),)))
    chosen = reads + tuple(_random_gate(random, str(random.choice(names)), wires, inputs, weights) for _ in range(gates))
    words = tuple("".join(random.choice(list("IXYZ"), size=wires)) for _ in range(readouts))
    state = "".join(random.choice(list("01"), size=wires))
    return Circuit(wires, chosen, (*words, state, *z_each(wires)), inputs, weights)


def _random_gate(random: np.random.Generator, name: str, wires: int, inputs: int, weights: int) -> Gate:
    kind = GATES[name]
    on = tuple(int(wire) for wire in random.permutation(wires)[: kind.wires])
    return Gate(name, on, tuple(_random_angle(random, inputs, weights) for _ in range(kind.angles)))


def _random_angle(random: np.random.Generator, inputs: int, weights: int) -> Angle:
    scale, shift = (1.0, 0.0) if random.random() < 0.5 else (float(random.uniform(-2, 2)), float(random.uniform(-3, 3)))
    choice = random.random()
    if choice < 0.4:
        return Angle("input", int(random.integers(inputs)), scale, shift)
    if choice < 0.85:
        return Angle("weight", int(random.integers(weights)), scale, shift)
    return Angle(None, shift=float(random.uniform(-3, 3)))


def reference_means(circuit: Circuit, weights_GP: NDArray[np.float64], inputs_GNI: NDArray[np.float64]) -> NDArray[np.float64]:
    """The readouts (G, N, K) by definition: whole matrices, one circuit at a time. Slow and independent of every backend."""
    groups, rows = len(weights_GP), inputs_GNI.shape[1]
    inputs_GNI = np.broadcast_to(inputs_GNI, (groups, rows, circuit.inputs))
    means = [[_reference(circuit, weights_GP[g], inputs_GNI[g, n]) for n in range(rows)] for g in range(groups)]
    return np.array(means).reshape(groups, rows, len(circuit.readout))


def _reference(circuit: Circuit, weights_P: NDArray[np.float64], inputs_I: NDArray[np.float64]) -> list[float]:
    psi = np.zeros([2] * circuit.wires, dtype=complex)
    psi[(0,) * circuit.wires] = 1
    for gate in circuit.gates:
        angles = [_angle(angle, weights_P, inputs_I) for angle in gate.angles]
        psi = _act(psi, matrix(gate.name, *angles), gate.wires)
    return [
        float(abs(psi[tuple(map(int, word))]) ** 2) if is_projector(word) else float(np.vdot(psi, _word(psi, word)).real)
        for word in circuit.readout
    ]


def _angle(angle: Angle, weights_P: NDArray[np.float64], inputs_I: NDArray[np.float64]) -> float:
    if angle.source is None:
        return angle.shift
    return float(angle.scale * (inputs_I if angle.source == "input" else weights_P)[angle.index] + angle.shift)


def _act(psi: NDArray[np.complex128], unitary: NDArray[np.complex128], wires: tuple[int, ...]) -> NDArray[np.complex128]:
    k = len(wires)
    moved = np.tensordot(unitary.reshape([2] * (2 * k)), psi, axes=(range(k, 2 * k), wires))
    return np.moveaxis(moved, range(k), wires)


def _word(psi: NDArray[np.complex128], word: str) -> NDArray[np.complex128]:
    for wire, letter in enumerate(word):
        if letter != "I":
            psi = _act(psi, matrix(letter.lower()), (wire,))
    return psi


def _values(circuit: Circuit, random: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    groups, rows = int(random.integers(1, 4)), int(random.integers(2, 5))
    sets = groups if random.random() < 0.5 else 1
    weights_GP, inputs_GNI = random.normal(size=(groups, circuit.weights)), random.normal(size=(sets, rows, circuit.inputs))
    return torch.from_numpy(weights_GP), torch.from_numpy(inputs_GNI)


def _means_and_gradients(backend: Backend, circuit: Circuit, *, random_state: Any) -> list[torch.Tensor]:
    random = np.random.Generator(np.random.PCG64())
    random.bit_generator.state = random_state
    weights_GP, inputs_GNI = (values.requires_grad_() for values in _values(circuit, random))
    mean_GNK = backend.bind(circuit, weights_GP)(inputs_GNI)
    cost = torch.from_numpy(random.normal(size=tuple(mean_GNK.shape)))
    return [mean_GNK.detach(), *torch.autograd.grad((cost * mean_GNK).sum(), (weights_GP, inputs_GNI), materialize_grads=True)]
