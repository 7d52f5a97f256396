"""Every encoding file: its width rule, its range, its numbers on two backends, and what it encodes, against other definitions."""

import math
import warnings
from functools import reduce

import numpy as np
import pennylane as qml
import pytest
import torch

from qlogad import names
from qlogad.backend.backend import open_backend
from qlogad.backend.exact import Exact
from qlogad.circuit.design import Design
from qlogad.circuit.encoding import Encoding, assemble
from qlogad.circuit.gates import matrix
from qlogad.errors import DesignError
from qlogad.seeds import generator

ENCODINGS = list(names.designs("encoding"))
SCALED = [name for name in ENCODINGS if Design.load(name, "encoding").takes.range is None]
VALUES = 5
WIDTHS = range(1, 6)

encodings = pytest.mark.parametrize("name", ENCODINGS)


def load(name, **options):
    encoding = Encoding.load(name, **options)
    return Encoding.load(name, values=VALUES, **options) if encoding.design.takes.integer and name != "basis" else encoding


def fits(encoding, wires):
    """Whether so many wires are enough for one feature."""
    return wires >= encoding.wires_for(1)


def features(encoding, wires, rows, *names):
    low, high = encoding.limits(wires) or (-2.0, 2.0)
    drawn = generator(0, "features", wires, *names).uniform(low, high, size=(rows, encoding.features(wires)))
    return torch.from_numpy(drawn.round() if encoding.design.takes.integer else drawn)


def own(encoding, wires, groups=2):
    return torch.from_numpy(generator(0, "own", wires).normal(size=(groups, encoding.weights(wires))))


def states(encoding, x_ND, wires):
    """The state vectors (N, 2^W) of one upload on `exact`."""
    circuit = encoding.circuit(x_ND.shape[1], wires)
    inputs_NI = torch.as_tensor(encoding.inputs(x_ND, wires))
    return Exact().bind(circuit, torch.zeros(1, 0, dtype=torch.float64)).states(inputs_NI[None])[0].numpy()


@pytest.mark.sample(80)
@encodings
@pytest.mark.parametrize("wires", WIDTHS)
@pytest.mark.parametrize("options", [{}, {"reupload": True}, {"reupload": True, "scaling": True}, {"scaling": True}], ids=str)
def test_two_backends_agree_in_values_and_gradients(name, wires, options):
    """Also through what is not affine, and through the encoding's own weights."""
    if options.get("scaling") and name not in SCALED:
        with pytest.raises(DesignError, match="use scaling = false"):
            load(name, scaling=True)
        return
    encoding = load(name, uploads=2 if options.get("reupload") else 1, scaling=options.get("scaling", False))
    if not fits(encoding, wires):
        with pytest.raises(DesignError, match=f"needs|takes integers from 0 to {2**wires - 1}, got"):
            encoding.inputs(torch.full((1, 1), VALUES - 1.0), wires)
        return
    circuit = assemble(name, "strongly-entangling", wires, 2, **options)
    x_ND = features(encoding, wires, 3, name)
    given = [torch.from_numpy(generator(1, name).normal(size=(2, circuit.weights))), own(encoding, wires), x_ND * 0.999]
    if encoding.design.takes.integer:
        given[2] = x_ND

    def run(spec):
        weights_GP, own_GE, x_ND = (values.clone().requires_grad_() for values in given)
        inputs_GNI = encoding.inputs(x_ND[None], wires, own_GE if own_GE.numel() else None)
        assert inputs_GNI.shape[-1] == circuit.inputs
        mean_GNK = open_backend(spec).bind(circuit, weights_GP)(inputs_GNI)
        cost = torch.linspace(-1, 2, mean_GNK.numel(), dtype=torch.float64).reshape(mean_GNK.shape)
        slopes = torch.autograd.grad((cost * mean_GNK).sum(), (weights_GP, own_GE, x_ND), materialize_grads=True, allow_unused=True)
        return mean_GNK.detach(), *slopes

    for one, two in zip(run("exact"), run("pennylane"), strict=True):
        assert torch.isfinite(one).all()
        torch.testing.assert_close(one, two, rtol=0, atol=1e-9)


@encodings
@pytest.mark.parametrize("scaling", [False, True])
def test_gradients_are_those_of_difference_quotients(name, scaling):
    if (scaling and name not in SCALED) or load(name).design.takes.integer:
        return
    encoding = load(name, uploads=2, scaling=scaling)
    wires = max(2, encoding.wires_for(1))
    x_ND, own_GE = features(encoding, wires, 2, name) * 0.9, own(encoding, wires)
    if not scaling:
        assert torch.autograd.gradcheck(lambda x: encoding.inputs(x, wires) * 1.0, x_ND.requires_grad_())
    else:
        assert torch.autograd.gradcheck(lambda x, w: encoding.inputs(x, wires, w), (x_ND.requires_grad_(), own_GE.requires_grad_()))


@encodings
@pytest.mark.parametrize("wires", WIDTHS)
def test_numpy_and_torch_give_the_same_inputs(name, wires):
    encoding = load(name)
    if not fits(encoding, wires):
        return
    x_ND, own_GE = features(encoding, wires, 4, name), own(encoding, wires)
    weights = {} if not own_GE.numel() else {"weights_GE": own_GE}
    found = encoding.inputs(x_ND, wires, **weights)
    expected = encoding.inputs(x_ND.numpy(), wires, **{key: value.numpy() for key, value in weights.items()})
    np.testing.assert_allclose(found, expected, rtol=1e-14, atol=1e-14)
    assert found.shape == (*((2,) if weights else ()), 4, encoding.circuit(x_ND.shape[1], wires).inputs)


@encodings
def test_wires_for_features_is_the_least_width_that_holds_them(name):
    encoding = load(name)
    for wires in WIDTHS:
        if not fits(encoding, wires):
            continue
        room = encoding.features(wires)
        assert encoding.wires_for(room) <= wires
        for count in range(1, room + 1):
            least = encoding.wires_for(count)
            assert encoding.features(least) >= count
            assert least == encoding.wires_for(1) or encoding.features(least - 1) < count
        assert encoding.circuit(room).wires == encoding.wires_for(room)
        for bad in (0, room + 1, 10**6):
            with pytest.raises(DesignError, match=f"holds 1 to {room} features on {wires} wires, got {bad}"):
                encoding.circuit(bad, wires)
        with pytest.raises(DesignError, match=f"got {room + 1}"):
            encoding.inputs(np.zeros((2, room + 1)), wires)
    for bad in (0, -1, 10**9):
        with pytest.raises(DesignError, match=name):
            encoding.wires_for(bad)


def test_the_stated_width_rules():
    for wires in range(2, 6):
        room = {name: load(name).features(wires) for name in ENCODINGS}
        assert {room[name] for name in ("angle-x", "angle-y", "angle-z", "chen", "basis", "iqp", "zz", "chebyshev")} == {wires}
        assert {room[name] for name in ("binary", "table", "exponential", "chebyshev-tower")} == {1}
        assert (room["dense-angle"], room["su2"], room["amplitude"], room["trotter"]) == (
            2 * wires,
            3 * wires,
            2**wires - 1,
            wires - 1,
        )
    for values in range(2, 40):
        assert Encoding.load("binary", values=values).wires_for(1) == math.ceil(math.log2(values))


@encodings
def test_fewer_features_are_those_with_zeros_behind(name):
    encoding = load(name)
    wires = max(3, encoding.wires_for(1))
    x_ND = features(encoding, wires, 3, name)[:, : max(1, encoding.features(wires) - 1)]
    weights = {"weights_GE": own(encoding, wires)} if encoding.weights(wires) else {}
    padded = torch.cat([x_ND, torch.zeros(3, encoding.features(wires) - x_ND.shape[1], dtype=x_ND.dtype)], dim=1)
    torch.testing.assert_close(encoding.inputs(x_ND, wires, **weights), encoding.inputs(padded, wires, **weights))


@encodings
def test_values_out_of_range_are_refused(name):
    encoding = load(name)
    wires = max(2, encoding.wires_for(1))
    limits, integer = encoding.limits(wires), encoding.design.takes.integer
    weights = {"weights_GE": own(encoding, wires)} if encoding.weights(wires) else {}
    if limits is None:
        x_ND = 100 * features(encoding, wires, 3, name)
        assert torch.isfinite(encoding.inputs(x_ND, wires, **weights)).all()
        return
    good = features(encoding, wires, 3, name)
    for bad in [limits[0] - 1, limits[1] + 1, math.nan, math.inf, *([0.5] if integer else [])]:
        x_ND = good.clone()
        x_ND[1, 0] = bad
        for given in (x_ND, x_ND.numpy()):
            with pytest.raises(
                DesignError, match=rf"'{name}' takes (integers|numbers) from .* to .*, got {bad:g}; scale"
            ) as caught:
                encoding.inputs(given, wires, **weights)
            assert len(str(caught.value).splitlines()) == 1


@encodings
def test_a_file_survives_saving(name, tmp_path):
    design = Design.load(name, "encoding")
    design.save(tmp_path / "copy.toml", {"by": "test"})
    again = Design.load(tmp_path / "copy.toml", "encoding")
    assert again == design
    encoding = load(name)
    wires = max(2, encoding.wires_for(1))
    copy = Encoding(again, values=encoding.values)
    assert copy.circuit(1, wires) == encoding.circuit(1, wires)


@encodings
def test_every_feature_changes_the_state(name):
    encoding = load(name)
    wires = max(2, encoding.wires_for(1))
    x_ND = features(encoding, wires, 1, name) * 0.5
    if encoding.design.takes.integer:
        x_ND = torch.zeros_like(x_ND)
    weights = {"weights_GE": own(encoding, wires, groups=1)} if encoding.weights(wires) else {}
    bound = Exact().bind(encoding.circuit(x_ND.shape[1], wires), torch.zeros(1, 0, dtype=torch.float64))

    def state(x_ND):
        return bound.states(encoding.inputs(x_ND[None], wires, **weights))[0, 0]

    for d in range(x_ND.shape[1]):
        other = x_ND.clone()
        other[0, d] = 1.0 if encoding.design.takes.integer else other[0, d] + 0.3
        assert torch.vdot(state(x_ND), state(other)).abs() < 1 - 1e-6


# ---------------------------------------------------------------- against other definitions


def kron(*vectors):
    return reduce(np.kron, vectors)


def same_up_to_phase(found_ND, expected_ND):
    overlap_N = np.abs(np.sum(np.conj(found_ND) * expected_ND, axis=-1))
    np.testing.assert_allclose(overlap_N, 1, rtol=0, atol=1e-12)


def product(x_ND, wires, vector):
    """The states of a product encoding: vector(features of a row, wire)."""
    return np.stack([kron(*(vector(x_D, wire) for wire in range(wires))) for x_D in x_ND.numpy()])


ZERO, H = np.array([1.0, 0]), matrix("h")
PRODUCTS = {
    "angle-x": lambda x, i: matrix("rx", x[i]) @ ZERO,
    "angle-y": lambda x, i: np.array([np.cos(x[i] / 2), np.sin(x[i] / 2)]),
    "angle-z": lambda x, i: np.array([1, np.exp(1j * x[i])]) / np.sqrt(2),
    "chen": lambda x, i: matrix("rz", np.arctan(x[i] ** 2)) @ matrix("ry", np.arctan(x[i])) @ H @ ZERO,
    "dense-angle": lambda x, i: np.array([np.cos(np.pi * x[2 * i]), np.exp(2j * np.pi * x[2 * i + 1]) * np.sin(np.pi * x[2 * i])]),
    "basis": lambda x, i: np.eye(2)[int(x[i])],
    "chebyshev": lambda x, i: np.array([x[i], np.sqrt(1 - x[i] ** 2)]),
    "exponential": lambda x, i: matrix("ry", 3**i * x[0]) @ ZERO,
    "su2": lambda x, i: matrix("rz", x[3 * i + 2]) @ matrix("ry", x[3 * i + 1]) @ matrix("rz", x[3 * i]) @ H @ ZERO,
}


@pytest.mark.parametrize("name", PRODUCTS)
@pytest.mark.parametrize("wires", range(1, 5))
def test_product_encodings_are_their_definition(name, wires):
    encoding = load(name)
    x_ND = features(encoding, wires, 5, name)
    same_up_to_phase(states(encoding, x_ND, wires), product(x_ND, wires, PRODUCTS[name]))


@pytest.mark.parametrize("wires", range(1, 5))
def test_binary_is_the_basis_state_of_the_id(wires):
    ids_N1 = np.arange(2.0**wires)[:, None]
    same_up_to_phase(states(Encoding.load("binary"), ids_N1, wires), np.eye(2**wires))


@pytest.mark.parametrize("wires", range(1, 4))
def test_the_chebyshev_tower_reads_chebyshev_polynomials(wires):
    x_N1 = np.linspace(-1, 1, 7)[:, None]
    encoding = Encoding.load("chebyshev-tower")
    bound = Exact().bind(encoding.circuit(1, wires), torch.zeros(1, 0, dtype=torch.float64))
    means_NK = bound(torch.from_numpy(encoding.inputs(x_N1, wires))[None])[0].numpy()
    expected = [np.polynomial.chebyshev.Chebyshev.basis(2 * wire + 2)(x_N1[:, 0]) for wire in range(wires)]
    np.testing.assert_allclose(means_NK, np.stack(expected, axis=-1), rtol=0, atol=1e-10)


@pytest.mark.parametrize("wires", range(1, 5))
def test_table_gives_every_event_its_own_angles(wires):
    encoding = Encoding.load("table", values=7)
    assert encoding.weights(wires) == 7 * wires
    ids_N1 = generator(0, "ids").integers(0, 7, size=(9, 1))
    weights_GE = generator(0, "table").normal(size=(2, 7 * wires))
    inputs_GNI = encoding.inputs(ids_N1.astype(float), wires, weights_GE)
    for g in range(2):
        for n in range(9):
            expected = [weights_GE[g, wire * 7 + ids_N1[n, 0]] for wire in range(wires)]
            np.testing.assert_array_equal(inputs_GNI[g, n], expected)
    with pytest.raises(DesignError, match=r"values=V"):
        Encoding.load("table").inputs(ids_N1.astype(float), wires)
    with pytest.raises(DesignError, match=rf"needs its weights, of shape \(G, {7 * wires}\), got None"):
        encoding.inputs(ids_N1.astype(float), wires)


@pytest.mark.parametrize("wires", range(1, 5))
def test_zz_is_qiskit_s_feature_map_by_unitary(wires):
    if wires == 1:  # qiskit asks for two at least
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from qiskit.circuit.library import zz_feature_map
        from qiskit.quantum_info import Operator
    encoding = Encoding.load("zz")
    x_ND = features(encoding, wires, 3, "zz")
    for x_D in x_ND:
        theirs = Operator(zz_feature_map(wires).assign_parameters(x_D.tolist()).reverse_bits()).data
        mine = unitary(encoding.circuit(wires), encoding.inputs(x_D[None])[0])
        overlap = abs(np.trace(mine.conj().T @ theirs)) / 2**wires
        assert overlap == pytest.approx(1, abs=1e-12)


def unitary(circuit, inputs_I):
    """Gate by gate, as whole matrices."""
    found = np.eye(2**circuit.wires, dtype=complex).reshape([2] * circuit.wires + [-1])
    for gate in circuit.gates:
        angles = [a.shift if a.source is None else a.scale * float(inputs_I[a.index]) + a.shift for a in gate.angles]
        k = len(gate.wires)
        found = np.tensordot(matrix(gate.name, *angles).reshape([2] * 2 * k), found, axes=(range(k, 2 * k), gate.wires))
        found = np.moveaxis(found, range(k), gate.wires)
    return found.reshape(2**circuit.wires, -1)


@pytest.mark.parametrize("wires", range(1, 5))
@pytest.mark.parametrize("name", ["iqp", "angle-x", "angle-y", "basis"])
def test_encodings_that_pennylane_has_are_its_templates(name, wires):
    templates = {
        "iqp": lambda x: qml.IQPEmbedding(x, wires=range(wires)),
        "angle-x": lambda x: qml.AngleEmbedding(x, wires=range(wires), rotation="X"),
        "angle-y": lambda x: qml.AngleEmbedding(x, wires=range(wires), rotation="Y"),
        "basis": lambda x: qml.BasisEmbedding(x.astype(int), wires=range(wires)),
    }

    @qml.qnode(qml.device("default.qubit", wires=wires))
    def state(x_D):
        templates[name](x_D)
        return qml.state()

    encoding = load(name)
    x_ND = features(encoding, wires, 4, name)
    same_up_to_phase(states(encoding, x_ND, wires), np.stack([state(x_D) for x_D in x_ND.numpy()]))


@pytest.mark.parametrize("wires", range(2, 5))
def test_trotter_steps_approach_the_heisenberg_evolution(wires):
    """The error of first-order steps is of second order in time: a tenth of the time, a hundredth of the error."""
    encoding = Encoding.load("trotter")
    x_ND = features(encoding, wires, 1, "trotter") + 0.5
    errors = []
    for scale in (0.1, 0.01):
        start = states(encoding, 0 * x_ND, wires)[0]
        energy = sum(float(x_ND[0, bond]) * scale * pauli_on(letter, bond, wires) for bond in range(wires - 1) for letter in "XYZ")
        values, vectors = np.linalg.eigh(energy)
        expected = vectors @ (np.exp(-1j * values) * (vectors.conj().T @ start))
        errors.append(np.linalg.norm(states(encoding, scale * x_ND, wires)[0] - expected))
    assert errors[0] < 0.05
    assert errors[1] < max(errors[0] / 50, 1e-12)


def pauli_on(letter, bond, wires):
    one = matrix(letter.lower())
    return kron(*(one if wire in (bond, bond + 1) else np.eye(2) for wire in range(wires)))


# ---------------------------------------------------------------- scaling, aliases, files


@pytest.mark.parametrize("name", SCALED)
def test_scaling_by_one_is_no_scaling_and_uploads_are_scaled_apart(name):
    wires = max(3, Encoding.load(name).wires_for(1))
    plain, scaled = Encoding.load(name), Encoding.load(name, uploads=3, scaling=True)
    x_ND, room = features(plain, wires, 4, name), plain.features(wires)
    assert scaled.weights(wires) == scaled.scales(wires) == 3 * room
    once = plain.inputs(x_ND, wires)
    torch.testing.assert_close(scaled.inputs(x_ND, wires, torch.ones(1, 3 * room).double())[0], torch.cat([once] * 3, dim=1))
    weights_GE = own(scaled, wires)
    found = scaled.inputs(x_ND, wires, weights_GE)
    for g, u in ((0, 0), (1, 2)):
        expected = plain.inputs(x_ND * weights_GE[g, u * room : (u + 1) * room], wires)
        torch.testing.assert_close(found[g, :, u * once.shape[1] : (u + 1) * once.shape[1]], expected)
    shared, apart = (assemble(name, "qulog", wires, 3, reupload=True, scaling=on) for on in (False, True))
    assert (shared.inputs, apart.inputs) == (once.shape[1], 3 * once.shape[1])
    assert [(gate.name, gate.wires) for gate in shared.gates] == [(gate.name, gate.wires) for gate in apart.gates]


def test_counts_that_alias_are_reported():
    encoding = Encoding.load("angle-y")
    counts_ND = np.array([[0, 1, 3], [44, 2, 3], [3, 4, 3]], dtype=float)  # 44 is 7 turns and 0.018 radians
    line = encoding.aliases(counts_ND)
    assert line.startswith("encoding 'angle-y': 1 of 3 features alias modulo 2 pi")
    assert "0 and 44 of feature 0" in line or "44 and 0 of feature 0" in line
    assert len(line.splitlines()) == 1
    assert encoding.aliases(counts_ND / 44 * np.pi) == ""
    assert encoding.aliases(np.array([[0.5], [0.5001]])) == ""  # close, not aliased


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("name", ["angle-x", "dense-angle", "exponential", "angle-z"])
def test_what_aliases_gives_nearly_the_same_state(name, seed):
    encoding = Encoding.load(name)
    period = {"dense-angle": 1.0}.get(name, 2 * np.pi)
    x_ND = generator(seed, "aliases").uniform(0, 0.4 * period, size=(6, encoding.features(2)))
    assert encoding.aliases(x_ND, 2) == ""
    twice = np.concatenate([x_ND, x_ND + 2 * period])
    assert f"{x_ND.shape[1]} of {x_ND.shape[1]} features alias" in encoding.aliases(twice, 2)
    same_up_to_phase(states(encoding, twice[:6], 2), states(encoding, twice[6:], 2))


def test_functions_do_not_alias():
    far_ND = 2 * np.pi * np.arange(8.0)[:, None]
    assert Encoding.load("angle-y").aliases(far_ND) != ""
    assert Encoding.load("chen").aliases(far_ND) == ""


ROW = {"gate": "ry", "on": "each"}
MISTAKES = [
    ({"layer": [ROW], "takes": {"feature": 2}}, "did you mean 'features'"),
    ({"layer": [ROW], "takes": {"features": 1.5}}, "write features = '2 \\* wires'"),
    ({"layer": [ROW], "takes": {"range": [1]}}, r"write range = \[0, 1\]"),
    ({"layer": [ROW], "takes": {"integer": 1}}, "write integer = true"),
    ({"layer": [ROW], "takes": 3}, "takes must be a table"),
    ({"layer": [ROW], "repeat": 0}, "repeat must be an integer from 1"),
    ({"prepare": "amplitud"}, "did you mean 'amplitude'"),
    ({"layer": [ROW], "takes": {"features": "wires + 1"}}, r"no row reads x\[3\] on 3 wires"),
    ({"layer": [ROW], "takes": {"features": "wires - 1"}}, r"there are x\[0\] to x\[1\]"),
    ({"layer": [ROW], "takes": {"features": "wires - 3"}}, "needs more than 3 wires"),
    ({"layer": [{**ROW, "angle": "x[i] ** x[i]"}]}, "exponent of a feature"),
    ({"layer": [{**ROW, "angle": "x[i] ** 99"}]}, "exponent of a feature"),
    ({"layer": [{**ROW, "angle": "arctan(x[7] ** 2)"}]}, r"there are x\[0\] to x\[2\]"),
    ({"layer": [{**ROW, "angle": "sinh(x[i])"}]}, "not part of the language"),
    ({"layer": [{**ROW, "angle": "x[i] * x[x[i]]"}]}, "x"),
    ({"layer": [{**ROW, "angle": "w * x[i]"}]}, "not part of the language"),
    ({"layer": [{**ROW, "angle": "x[i] * __import__('os')"}]}, "not part of the language|not known here"),
]


@pytest.mark.parametrize(("content", "message"), MISTAKES, ids=range(len(MISTAKES)))
def test_files_that_do_not_fit_are_refused_in_one_line(content, message):
    with pytest.raises(DesignError, match=message) as caught:
        Encoding(Design.from_mapping(content, "encoding", where="my.toml", name="my")).circuit(1, 3)
    assert str(caught.value).startswith("my.toml")
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("key", ["takes", "repeat", "prepare"])
def test_an_ansatz_has_no_features(key):
    with pytest.raises(DesignError, match=f"'{key}' is a key of encodings"):
        Design.from_mapping({"layer": [ROW], key: {}}, "ansatz", where="my.toml")
