"""Properties of untrained circuits: expressibility, entanglement, gradients, spectrum, light cones, surrogates.

Expressibility and entangling capability: Sim, Johnson, Aspuru-Guzik (2019), arXiv:1905.10876. Gradients: McClean et al. (2018),
arXiv:1803.11173. Spectrum and trigonometric features: Schuld, Sweke, Meyer (2021), arXiv:2008.08605. Everything runs on `exact`. None of
these numbers predicts how well a detector with the circuit performs.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, reduce
from itertools import product

import numpy as np
import torch

from qlogad.arrays import Complexes, Floats, Ints
from qlogad.backend.exact import Exact
from qlogad.backend.exact.parts.split import split
from qlogad.circuit.circuit import Angle, Circuit, Gate
from qlogad.circuit.gates import GATES, matrix, pauli
from qlogad.circuit.readout import is_projector
from qlogad.errors import DesignError

__all__ = [
    "Cone",
    "Expressibility",
    "Monomial",
    "Surrogate",
    "closed_form",
    "entangling_capability",
    "expressibility",
    "gradient_variance",
    "gradients",
    "haar_states",
    "kl_to_haar",
    "light_cone",
    "meyer_wallach",
    "plateau",
    "random_states",
    "sampling_floor",
    "spectrum",
    "surrogate",
    "variance",
]

Random = np.random.Generator

_CHUNK = 2**14  # amplitudes per call: the engine is fastest while the states fit in the CPU cache
_LARGEST = 1_500  # largest number of features for which a surrogate is fitted
_NOISE = 1e-24  # a smaller variance is rounding error, and the derivative is taken as 0
_PREPARED = 5  # largest number of wires for which the span of the prepared states is measured


# ---------------------------------------------------------------- states


def random_states(circuit: Circuit, count: int, random: Random) -> Complexes:
    """States (count, 2^W) of the circuit, with weights and inputs uniform in [0, 2 pi).

    Raises:
        DesignError: the circuit is dephased and has no pure states.
    """
    if circuit.dephased:
        raise DesignError("a dephased circuit has no pure states; analyse the circuit it was made from")
    angles = 2 * math.pi * random.random((count, circuit.weights + circuit.inputs))
    weights_GP, inputs_GI = torch.from_numpy(angles).tensor_split([circuit.weights], dim=1)
    rows = max(1, _CHUNK >> circuit.wires)
    with torch.no_grad():
        parts = [
            Exact("gates").bind(circuit, one).states(two[:, None])
            for one, two in zip(torch.split(weights_GP, rows), torch.split(inputs_GI, rows), strict=True)
        ]
    states_ND: Complexes = torch.cat([part[:, 0] for part in parts]).numpy()
    return states_ND


def haar_states(wires: int, count: int, random: Random) -> Complexes:
    """Haar-random states (count, 2^W)."""
    states_ND = random.normal(size=(count, 2**wires)) + 1j * random.normal(size=(count, 2**wires))
    normed: Complexes = states_ND / np.linalg.norm(states_ND, axis=1, keepdims=True)
    return normed


# ---------------------------------------------------------------- expressibility


@dataclass(frozen=True)
class Expressibility:
    """Divergence of the fidelities of random pairs of states from those of Haar-random states; lower is more expressive."""

    value: float  # Kullback-Leibler divergence, nats
    spread: float  # standard deviation over single draws of as many pairs; `value` is a mean over several draws
    floor: float  # mean divergence of as many Haar-random pairs: values below it cannot be ranked


def expressibility(circuit: Circuit, random: Random, *, pairs: int = 5_000, bins: int = 75) -> Expressibility:
    """Sim et al.'s expressibility of a circuit applied to |0...0>, with its sampling floor."""
    return kl_to_haar(random_states(circuit, 2 * pairs, random), bins=bins)


def kl_to_haar(states_ND: Complexes, *, bins: int = 75, pairings: int = 16) -> Expressibility:
    """KL divergence between the fidelities of pairs of states, one from each half, and those of Haar-random states.

    A single rare pair with fidelity near 1 has a large effect, so the result is a mean over several pairings of the same states.
    """
    first, second = states_ND[: len(states_ND) // 2].conj(), states_ND[len(states_ND) // 2 :][: len(states_ND) // 2]
    counts = []
    for pairing in range(min(pairings, len(first))):
        fidelity_N = np.abs(np.einsum("nd,nd->n", first, np.roll(second, pairing, axis=0))) ** 2
        counts.append(np.histogram(np.minimum(fidelity_N, 1.0), bins=bins, range=(0, 1))[0])
    size = states_ND.shape[1]
    found = _divergence(np.array(counts), _log_haar(size, bins))
    return Expressibility(float(found.mean()), float(found.std()), sampling_floor(size, len(first), bins))


def _log_haar(size: int, bins: int) -> Floats:
    """The log of each bin's Haar probability, (1 - l)^(D - 1) - (1 - u)^(D - 1), computed without underflow."""
    left_B = np.arange(bins) / bins
    ratio_B = (bins - 1 - np.arange(bins)) / (bins - np.arange(bins))
    log_B: Floats = (size - 1) * np.log1p(-left_B) + np.log1p(-(ratio_B ** (size - 1)))
    return log_B


def _divergence(count_B: Ints, log_B: Floats) -> Floats:
    """KL divergence of histograms (..., B) from a distribution given by its log probabilities."""
    share_B = count_B / count_B.sum(-1, keepdims=True)
    logs: Floats = np.log(share_B, out=np.zeros_like(share_B), where=share_B > 0) - log_B
    result: Floats = (share_B * logs).sum(-1)
    return result


@cache
def sampling_floor(size: int, pairs: int, bins: int) -> float:
    """Mean divergence of `pairs` pairs of Haar-random states of dimension `size`, from 400 simulated histograms."""
    log_B = _log_haar(size, bins)
    mass_B = np.exp(log_B)
    random = np.random.Generator(np.random.PCG64(0))
    return float(_divergence(random.multinomial(pairs, mass_B / mass_B.sum(), size=400), log_B).mean())


# ---------------------------------------------------------------- entanglement


def entangling_capability(circuit: Circuit, random: Random, *, samples: int = 10_000) -> float:
    """Mean Meyer-Wallach measure over uniform weights and inputs, in [0, 1]; 0 for product states."""
    return float(meyer_wallach(random_states(circuit, samples, random)).mean())


def meyer_wallach(states_ND: Complexes) -> Floats:
    """Q = 2 (1 - mean over wires of the purity of the wire's state), (N,). Meyer and Wallach (2002), quant-ph/0108104."""
    wires = states_ND.shape[1].bit_length() - 1
    purities = []
    for wire in range(wires):
        zero, one = np.moveaxis(states_ND.reshape(len(states_ND), 2**wire, 2, -1), 2, 0)
        p0, p1 = ((np.abs(part) ** 2).sum((1, 2)) for part in (zero, one))
        purities.append(p0**2 + p1**2 + 2 * np.abs((zero.conj() * one).sum((1, 2))) ** 2)
    q_N: Floats = 2 * (1 - np.mean(purities, axis=0))
    return q_N


# ---------------------------------------------------------------- gradients


def gradient_variance(circuit: Circuit, random: Random, *, samples: int = 200) -> Floats:
    """Variance (K, P) of the derivative of each readout by each weight, over weights and inputs uniform in [0, 2 pi)."""
    return variance(gradients(circuit, random, samples=samples))[0]


def variance(slopes_NX: Floats) -> tuple[Floats, Floats]:
    """Variance (...) of N samples (N, ...), and its standard error; variances within rounding error are 0.

    >>> variance(np.array([1.0, -1.0] * 50))[0].round(2)
    np.float64(1.01)
    """
    samples = len(slopes_NX)
    square_NX = (slopes_NX - slopes_NX.mean(0)) ** 2
    value = square_NX.sum(0) / (samples - 1)
    error = square_NX.std(0, ddof=1) / math.sqrt(samples)
    return np.where(value < _NOISE, 0.0, value), np.where(value < _NOISE, 0.0, error)


def gradients(circuit: Circuit, random: Random, *, samples: int = 200) -> Floats:
    """Derivatives (N, K, P) of readouts by weights at N points, with weights and inputs uniform in [0, 2 pi)."""
    angles = torch.from_numpy(2 * math.pi * random.random((samples, circuit.weights + circuit.inputs)))
    weights_GP, inputs_GI = angles.tensor_split([circuit.weights], dim=1)
    rows = max(1, 4 * _CHUNK >> circuit.wires)
    slopes_GKP = torch.cat(
        [_slopes(circuit, *parts) for parts in zip(torch.split(weights_GP, rows), torch.split(inputs_GI, rows), strict=True)]
    )
    slopes: Floats = slopes_GKP.numpy()
    return slopes


def _slopes(circuit: Circuit, weights_GP: torch.Tensor, inputs_GI: torch.Tensor) -> torch.Tensor:
    """Derivatives (G, K, P) of readouts by weights."""
    weights_GP = weights_GP.clone().requires_grad_()
    mean_GK = Exact("gates").bind(circuit, weights_GP)(inputs_GI[:, None])[:, 0]
    rows = [
        torch.autograd.grad(mean_GK[:, k].sum(), weights_GP, retain_graph=True, materialize_grads=True)[0]
        for k in range(mean_GK.shape[1])
    ]
    return torch.stack(rows, dim=1)


def plateau(
    build: Callable[[int], Circuit], widths: Sequence[int], random: Random, *, samples: int = 200
) -> list[dict[str, float | int]]:
    """Gradient variance as a function of width, for the local readout <Z_0> and for the global readout <Z...Z>.

    Args:
        build: makes a circuit for a number of wires; widths at which it raises DesignError are skipped.
        widths: numbers of wires.
        random: a generator, see `qlogad.seeds`.
        samples: number of random points; at least 200 for a precision of 10 %.

    Returns:
        One row per width: `wires`; `local` and `global`, the variances for the first weight that affects both readouts (else one of
        them), preferably on wire 0; `local_mean` and `global_mean`, over all weights; each with its standard error (`local_error`,
        ...). In a barren plateau the variance falls exponentially with the width.
    """
    rows: list[dict[str, float | int]] = []
    for wires in widths:
        try:
            circuit = build(wires)
        except DesignError:
            continue
        if not circuit.weights:
            continue
        read = replace(circuit, readout=("Z" + "I" * (wires - 1), "Z" * wires))
        slopes_NKP = gradients(read, random, samples=samples)
        followed = _followed(circuit, variance(slopes_NKP)[0])
        row: dict[str, float | int] = {"wires": wires}
        for name, slopes_NK in (("", slopes_NKP[:, :, followed]), ("_mean", slopes_NKP)):
            for readout, slopes in zip(("local", "global"), np.moveaxis(slopes_NK, 1, 0), strict=True):
                value, error = _mean_variance(slopes.reshape(len(slopes), -1))
                row |= {f"{readout}{name}": value, f"{readout}{name}_error": error}
        rows.append(row)
    return rows


def _followed(circuit: Circuit, variance_KP: Floats) -> int:
    """The weight whose gradient variance is tracked over widths."""
    acting = [angle.index for gate in circuit.gates if 0 in gate.wires for angle in _weights(gate)]
    order = [*acting, *(angle.index for gate in circuit.gates for angle in _weights(gate))]
    both = [weight for weight in order if variance_KP[:, weight].all()]
    moving = [weight for weight in order if variance_KP[:, weight].any()]
    return [*both, *moving, *order][0]


def _mean_variance(slopes_NP: Floats) -> tuple[float, float]:
    """Variance of N samples, averaged over P weights, and its standard error."""
    samples = len(slopes_NP)
    square_N = ((slopes_NP - slopes_NP.mean(0)) ** 2).mean(1)
    value = float(square_N.sum() / (samples - 1))
    return (value, float(square_N.std(ddof=1) / math.sqrt(samples))) if value >= _NOISE else (0.0, 0.0)


def _weights(gate: Gate) -> list[Angle]:
    return [angle for angle in gate.angles if angle.source == "weight"]


# ---------------------------------------------------------------- light cones


@dataclass(frozen=True)
class Cone:
    """The part of a circuit that a readout can depend on."""

    wires: tuple[int, ...]
    gates: tuple[int, ...]  # their positions in the circuit, from 0
    inputs: tuple[int, ...]
    weights: tuple[int, ...]


def light_cone(circuit: Circuit, word: str) -> Cone:
    """The backward light cone of a readout, a Pauli word with one letter per wire, from the wiring alone.

    >>> from qlogad.circuit.design import Design
    >>> light_cone(Design.load("separable", "ansatz").build(3), "IZI").weights
    (3, 4, 5)
    """
    wires = {wire for wire, letter in enumerate(word) if letter != "I"}
    places: list[int] = []
    for place in reversed(range(len(circuit.gates))):
        if wires.intersection(circuit.gates[place].wires):
            wires.update(circuit.gates[place].wires)
            places.append(place)
    angles = [angle for place in places for angle in circuit.gates[place].angles]
    inputs, weights = (sorted({angle.index for angle in angles if angle.source == source}) for source in ("input", "weight"))
    return Cone(tuple(sorted(wires)), tuple(reversed(places)), tuple(inputs), tuple(weights))


def _seen(circuit: Circuit) -> Circuit:
    """The circuit without gates outside the light cones of all readouts."""
    kept = {place for word in circuit.readout for place in light_cone(circuit, word).gates}
    return replace(circuit, gates=tuple(gate for place, gate in enumerate(circuit.gates) if place in kept), dephased=())


# ---------------------------------------------------------------- spectrum


def spectrum(circuit: Circuit) -> list[dict[float, int]]:
    """For each input, the frequencies w >= 0 of the readouts' Fourier series in it, with their multiplicities.

    A rotation adds -1, 0 or 1 (times its scale) to a frequency, a controlled rotation also -1/2 or 1/2. Uploads outside every readout's
    light cone do not count. Fourier coefficients outside the spectrum are 0; those inside may be 0. The multiplicity of a frequency is
    the number of pairs of generator eigenvalues with that difference, and bounds the freedom of its coefficient.
    """
    found: list[Counter[float]] = [Counter({0.0: 1}) for _ in range(circuit.inputs)]
    for gate in _seen(circuit).gates:
        for angle in gate.angles:
            if angle.source == "input" and angle.scale:
                total: Counter[float] = Counter()
                for (one, times), (two, more) in product(found[angle.index].items(), _differences(gate.name).items()):
                    total[round(one + two * angle.scale, 12) + 0.0] += times * more
                found[angle.index] = total
    return [{frequency: times for frequency, times in sorted(each.items()) if frequency >= 0} for each in found]


@cache
def _differences(name: str) -> dict[float, int]:
    """Differences of the eigenvalues of a gate's generator, on its own wires, with the number of pairs for each."""
    kind = GATES[name]
    if name == "phase":
        values = [0.0, 1.0]
    else:
        half = [0.5, -0.5] * (2 ** (kind.wires - kind.controls) // 2)
        values = [0.0] * (2**kind.wires - len(half)) + half
    least = min(Counter(values).values())
    values = [
        value for value, times in Counter(values).items() for _ in range(times // least)
    ]  # wires not acted on double every pair
    return dict(Counter(one - two for one in values for two in values))


# ---------------------------------------------------------------- exact dequantization


@dataclass(frozen=True)
class Surrogate:
    """A linear model on fixed features of the circuit's inputs (gate angles) that equals the circuit exactly, for any weights."""

    kind: str  # "fourier": products of cos and sin; "product": of Bloch components; "prepared": entries of the encoded state
    features: int
    error: float | None  # largest error on unseen inputs after a least-squares fit; None: too many features to fit

    @property
    def verified(self) -> bool:
        """Whether the model was fitted, with an error of at most 1e-9."""
        return self.error is not None and self.error <= 1e-9


Features = Callable[[Floats], Floats]  # inputs (N, I) -> features (N, F)


def surrogate(circuit: Circuit, random: Random, *, largest: int = _LARGEST) -> Surrogate:
    """The smallest of the known feature maps in which the circuit is linear, verified by least squares at random weights.

    "fourier" has (2 r + 1)^d features for d inputs uploaded r times by Pauli rotations; "product" at most 4^d for an encoding that acts
    once, wire by wire; "prepared" at most 4^W for any encoding that acts once. If an encoding is not affine in the features of a window,
    the inputs are its gate angles.
    """
    kinds = [("fourier", *_fourier(circuit)), *_product(circuit, random), *_prepared(circuit, random)]
    kind, count, features = min(kinds, key=lambda found: found[1])
    error = _misfit(circuit, features, count, random) if count <= largest else None
    return Surrogate(kind, count, error)


def _misfit(circuit: Circuit, features: Features, count: int, random: Random) -> float:
    weights_1P = torch.from_numpy(random.uniform(0, 2 * math.pi, (1, circuit.weights)))
    bound = Exact().bind(circuit, weights_1P)
    train, test = 2 * count + 20, 500
    inputs_NI = random.uniform(0, 2 * math.pi * _period(circuit), (train + test, circuit.inputs))
    with torch.no_grad():
        mean_NK = bound(torch.from_numpy(inputs_NI)[None])[0].numpy()
    features_NF = features(inputs_NI)
    fitted, *_ = np.linalg.lstsq(features_NF[:train], mean_NK[:train], rcond=1e-12)
    return float(np.abs(features_NF[train:] @ fitted - mean_NK[train:]).max())


def _period(circuit: Circuit) -> float:
    """The number of turns after which the slowest input angle has completed one turn; at most 16."""
    slowest = [min((w for w in each if w > 0), default=1.0) for each in spectrum(circuit)]
    return min(16.0, max([1.0, *(1 / w for w in slowest)]))


def _fourier(circuit: Circuit) -> tuple[int, Features]:
    frequencies = [np.array([w for w in each if w > 0]) for each in spectrum(circuit)]
    count = math.prod(1 + 2 * len(each) for each in frequencies)

    def features(inputs_NI: Floats) -> Floats:
        parts = []
        for input_N, each in zip(inputs_NI.T, frequencies, strict=True):
            turns_NF = input_N[:, None] * each
            parts.append(np.concatenate([np.ones((len(input_N), 1)), np.cos(turns_NF), np.sin(turns_NF)], axis=1))
        return _products(parts, len(inputs_NI))

    return count, features


def _products(parts: Sequence[Floats], rows: int) -> Floats:
    """All products of one feature per part, (N, product of the parts' sizes)."""
    start: Floats = np.ones((rows, 1))
    return reduce(lambda one, two: (one[:, :, None] * two[:, None, :]).reshape(rows, -1), parts, start)


def _product(circuit: Circuit, random: Random) -> list[tuple[str, int, Features]]:
    """If inputs enter once, on single wires and before all other gates: products of the wires' Bloch components."""
    seen = _seen(circuit)
    parts = split(seen)
    if any(section.inputs for section in parts.sections):
        return []
    maps = []
    for gates in parts.start:
        if any(gate.reads("input") for gate in gates):
            one = Circuit(1, tuple(replace(gate, wires=(0,)) for gate in gates), ("X", "Y", "Z"), circuit.inputs, 0)
            maps.append(_spanned(one, random))
    count = math.prod(size for size, _ in maps)
    return [("product", count, lambda inputs_NI: _products([features(inputs_NI) for _, features in maps], len(inputs_NI)))]


def _prepared(circuit: Circuit, random: Random) -> list[tuple[str, int, Features]]:
    """If no gate with weights precedes one with inputs: the Pauli expectation values of the prepared state."""
    seen = _seen(circuit)
    last = max((place for place, gate in enumerate(seen.gates) if gate.reads("input")), default=-1)
    if seen.wires > _PREPARED or last < 0 or any(gate.reads("weight") for gate in seen.gates[: last + 1]):
        return []
    words = tuple("".join(letters) for letters in product("IXYZ", repeat=seen.wires))[1:]
    return [("prepared", *_spanned(Circuit(seen.wires, seen.gates[: last + 1], words, seen.inputs, 0), random))]


def _spanned(circuit: Circuit, random: Random) -> tuple[int, Features]:
    """An orthogonal basis of the span of 1 and the circuit's readouts as functions of its inputs, computed at random inputs."""
    bound = Exact().bind(circuit, torch.zeros(1, 0, dtype=torch.float64))

    def whole(inputs_NI: Floats) -> Floats:
        with torch.no_grad():
            mean_NK = bound(torch.from_numpy(np.ascontiguousarray(inputs_NI))[None])[0].numpy()
        return np.concatenate([np.ones((len(mean_NK), 1)), mean_NK], axis=1)

    rows = 2 * len(circuit.readout) + 20
    sample = whole(random.uniform(0, 2 * math.pi * _period(circuit), (rows, circuit.inputs)))
    _, sizes, basis = np.linalg.svd(sample, full_matrices=False)
    basis_FK = basis[sizes > 1e-9 * sizes[0]]
    return len(basis_FK), lambda inputs_NI: whole(inputs_NI) @ basis_FK.T


# ---------------------------------------------------------------- closed forms


@dataclass(frozen=True)
class Monomial:
    """A readout that is a product of single-wire expectation values, and so shows no entanglement.

    If a wire's gates are rotations and one of them reads an input, its factor has the form a cos(x - b) + c.
    """

    readout: str
    sign: int
    word: str  # Pauli word measured after the single-wire gates: factor j is the expectation value of letter j
    wires: tuple[tuple[Gate, ...], ...]  # for each wire, its single-wire gates, rewritten to act on wire 0
    inputs: int
    weights: int

    def __call__(self, weights_P: Floats, inputs_NI: Floats) -> Floats:
        """The readout (N,), computed from one-wire circuits."""
        found = np.full(len(inputs_NI), float(self.sign))
        for gates, letter in zip(self.wires, self.word, strict=True):
            if letter != "I":
                one = Circuit(1, gates, (letter,), self.inputs, self.weights)
                with torch.no_grad():
                    mean_1N1 = Exact().bind(one, torch.from_numpy(weights_P)[None])(torch.from_numpy(inputs_NI)[None])
                found = found * mean_1N1[0, :, 0].numpy()
        return found

    @property
    def text(self) -> str:
        """The readout as a formula: ⟨Z1⟩(x0, w0) is the expectation value on wire 1 after that wire's own gates."""
        factors = []
        for wire, (gates, letter) in enumerate(zip(self.wires, self.word, strict=True)):
            if letter != "I":
                used = [angle for gate in gates for angle in gate.angles]
                inputs, weights = (sorted({angle.index for angle in used if angle.source == name}) for name in ("input", "weight"))
                given = ", ".join([*(f"x{index}" for index in inputs), *(f"w{index}" for index in weights)])
                factors.append(f"⟨{letter}{wire}⟩({given})")
        return f"⟨{self.readout}⟩ = {'-' if self.sign < 0 else ''}{' · '.join(factors) or '1'}"


def closed_form(circuit: Circuit) -> tuple[Monomial, ...] | None:
    """Every readout as a product of single-wire expectation values if the circuit is rotations followed by Clifford gates; else None.

    In the Heisenberg picture a fixed Clifford gate maps a Pauli word to a Pauli word, and a gate that commutes with the word drops out.
    QuLog's circuit with one layer is of this kind: its readouts are products of cosines.
    """
    found = [_monomial(circuit, word) for word in circuit.readout]
    return None if circuit.dephased or any(one is None for one in found) else tuple(one for one in found if one is not None)


def _monomial(circuit: Circuit, readout: str) -> Monomial | None:
    if is_projector(readout):
        return None
    word, sign = list(readout), 1
    kept: list[list[Gate]] = [[] for _ in range(circuit.wires)]  # the gates before those that map words to words
    for gate in reversed(circuit.gates):
        letters = "".join(word[wire] for wire in gate.wires)
        if set(letters) == {"I"}:
            continue
        closed = [bool(kept[wire]) for wire in gate.wires]
        if len(gate.wires) == 1 and closed[0]:
            kept[gate.wires[0]].insert(0, replace(gate, wires=(0,)))
            continue
        if any(closed):
            return None
        moved = _conjugated(gate.name, letters, gate.angles[0].shift if gate.angles else 0.0) if _fixed(gate) else None
        if moved is not None:
            sign *= moved[0]
            for wire, letter in zip(gate.wires, moved[1], strict=True):
                word[wire] = letter
        elif _commutes(gate.name, letters):
            continue
        elif len(gate.wires) == 1:
            kept[gate.wires[0]].insert(0, replace(gate, wires=(0,)))
        else:
            return None
    return Monomial(readout, sign, "".join(word), tuple(map(tuple, kept)), circuit.inputs, circuit.weights)


def _fixed(gate: Gate) -> bool:
    return all(angle.source is None for angle in gate.angles)


@cache
def _conjugated(name: str, letters: str, angle: float) -> tuple[int, str] | None:
    """U* P U as a signed Pauli word; None if it is not one."""
    unitary = matrix(name, angle)
    turned = unitary.conj().T @ pauli(letters) @ unitary
    for candidate in product("IXYZ", repeat=len(letters)):
        overlap = np.trace(pauli("".join(candidate)) @ turned).real / len(unitary)
        if abs(abs(overlap) - 1) < 1e-12:
            return (1 if overlap > 0 else -1), "".join(candidate)
    return None


@cache
def _commutes(name: str, letters: str) -> bool:
    unitary, word = matrix(name, 0.7312), pauli(letters)
    return bool(np.allclose(unitary @ word, word @ unitary, atol=1e-12))
