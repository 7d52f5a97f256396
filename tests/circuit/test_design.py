"""The grammar of design files: what rows mean, and errors that name file, row, what was expected and a fix."""

import copy
import re

import numpy as np
import pytest

from qlogad import documents, names
from qlogad.circuit.circuit import Angle
from qlogad.circuit.design import Design, role_of
from qlogad.circuit.encoding import Encoding, assemble
from qlogad.circuit.wiring import place
from qlogad.errors import DesignError, UnknownName
from tests.circuit.steps import MANY, QUICK, at_most

EACH = {"gate": "ry", "on": "each"}


def design(*rows, role="ansatz", **parts):
    return Design.from_mapping({"layer": list(rows), **parts}, role, where="my.toml", name="my")


def gates(circuit):
    return [(gate.name, gate.wires) for gate in circuit.gates]


def weights(circuit):
    return [angle.index for gate in circuit.gates for angle in gate.angles if angle.source == "weight"]


@pytest.mark.parametrize("wires", range(1, 6))
@pytest.mark.parametrize("depth", range(4))
def test_before_layers_after(wires, depth):
    built = design(EACH, {"gate": "cx", "on": "linear"}, before=[{"gate": "h", "on": "each"}], after=[{"gate": "rz", "on": "each"}])
    circuit = built.build(wires, depth)
    assert len(circuit.gates) == wires + depth * (2 * wires - 1) + wires
    assert weights(circuit) == list(range(wires * (depth + 1)))
    assert circuit.weights == wires * (depth + 1)


def test_flip_and_reverse():
    plain = gates(design({"gate": "cx", "on": "linear"}).build(4))
    assert gates(design({"gate": "cx", "on": "linear", "reverse": True}).build(4)) == plain[::-1]
    assert gates(design({"gate": "cx", "on": "linear", "flip": True}).build(4)) == [(name, on[::-1]) for name, on in plain]


def test_sim14_at_four_wires():
    """The second ring of circuit 14 of Sim et al. runs (3, 2), (0, 3), (1, 0), (2, 1)."""
    rows = [{"gate": "crx", "on": "ring", "reverse": True}, {"gate": "crx", "on": "ring", "stride": -1, "start": -1}]
    found = [on for _, on in gates(design(*rows).build(4))]
    assert found == [(3, 0), (2, 3), (1, 2), (0, 1), (3, 2), (0, 3), (1, 0), (2, 1)]


def test_expressions_see_the_layer_the_width_and_the_row_s_wires():
    circuit = design({"gate": "rzz", "on": "linear", "angle": "pi / (i + j) + layer * wires"}).build(3, 2)
    expected = [np.pi / (i + j) + layer * 3 for layer in range(2) for i, j in ((0, 1), (1, 2))]
    assert [gate.angles[0] for gate in circuit.gates] == [Angle(None, shift=value) for value in expected]


@pytest.mark.parametrize(
    ("share", "expected"),
    [(None, [0, 1, 2, 3, 4, 5]), ("wires", [0, 0, 0, 1, 1, 1]), ("layers", [0, 1, 2, 0, 1, 2]), ("all", [0] * 6)],
)
def test_share(share, expected):
    row = EACH | ({"share": share} if share else {})
    assert weights(design(row).build(3, 2)) == expected
    tripled = {"gate": "rot", "on": "each"} | ({"share": share} if share else {})
    assert weights(design(tripled).build(3, 2)) == [3 * index + part for index in expected for part in range(3)]


def test_an_expression_in_w_is_a_scaled_weight_and_a_number_is_none():
    row = {"gate": "rot", "on": "each", "angle": ["w", 0.5, "2 * w - 1"]}
    circuit = design(row).build(2)
    assert circuit.weights == 4
    second = [Angle("weight", 2), Angle(None, shift=0.5), Angle("weight", 3, 2.0, -1.0)]
    assert [gate.angles[0] for gate in circuit.gates[3:]] == second


BLOCK = {"on": "tree", "rows": [EACH, {"gate": "crz", "on": "linear", "flip": True}]}


@pytest.mark.parametrize("wires", range(1, 10))
def test_rows_act_on_each_group_as_if_it_were_all_there_is(wires):
    circuit = design(BLOCK).build(wires)
    expected = [step for one, two in place("tree", wires) for step in [("ry", (one,)), ("ry", (two,)), ("crz", (two, one))]]
    assert gates(circuit) == expected
    assert weights(circuit) == list(range(3 * (wires - 1)))


@pytest.mark.parametrize(
    ("outer", "inner", "expected"),
    [
        (None, None, [0, 1, 2, 3, 4, 5, 6, 7]),
        ("wires", None, [0, 1, 0, 1, 2, 3, 2, 3]),  # the pairs of a row alike
        (None, "wires", [0, 0, 1, 1, 2, 2, 3, 3]),  # the wires of a pair alike
        ("wires", "wires", [0, 0, 0, 0, 1, 1, 1, 1]),
        ("layers", None, [0, 1, 2, 3, 0, 1, 2, 3]),
        (None, "layers", [0, 1, 2, 3, 0, 1, 2, 3]),
        ("all", None, [0, 1] * 4),
        ("layers", "wires", [0, 0, 1, 1, 0, 0, 1, 1]),
    ],
)
def test_groups_share_as_rows_do(outer, inner, expected):
    row = {"on": "even", "rows": [EACH | ({"share": inner} if inner else {})]} | ({"share": outer} if outer else {})
    assert weights(design(row).build(4, 2)) == expected


def test_levels_are_rows_on_fewer_and_fewer_wires():
    inner = [{"gate": "rz", "on": "each", "angle": "wires + layer / 10"}, {"gate": "cx", "on": "even"}]
    circuit = design({"on": "levels", "rows": inner}).build(6, 2)
    shifts = [gate.angles[0].shift for gate in circuit.gates if gate.name == "rz"]
    assert shifts == pytest.approx([6.0] * 6 + [3.0] * 3 + [2.0] * 2 + [6.1] * 6 + [3.1] * 3 + [2.1] * 2)
    assert [on for name, on in gates(circuit) if name == "cx"] == [(0, 1), (2, 3), (4, 5), (0, 2), (0, 4)] * 2


def test_inner_rows_see_wires_of_the_circuit_and_errors_say_where_they_are():
    row = {"on": [[1, 3]], "rows": [{"gate": "rzz", "on": "linear", "angle": "i + 10 * j"}]}
    assert [gate.angles[0].shift for gate in design(row).build(4).gates] == [31]
    with pytest.raises(
        DesignError, match=r"my\.toml, row 1 of layer, row 2 of its rows: .* did you mean 'ring'|row 2 of its rows: on = 'rign'"
    ):
        design({"on": "even", "rows": [EACH, {"gate": "cx", "on": "rign"}]})
    with pytest.raises(DesignError, match=r"row 2 of layer: row 1 of its rows: on = .* needs at least 6 wires, got 2"):
        design(EACH, {"on": "even", "rows": [{"gate": "ry", "on": [[5]]}]}).build(4)


def test_a_design_says_which_widths_it_needs():
    odd = design(EACH, needs="wires % 2 == 1")
    assert odd.build(3).wires == 3
    with pytest.raises(DesignError, match=r"my\.toml needs wires % 2 == 1, got wires = 4"):
        odd.build(4)
    with pytest.raises(DesignError, match=r"my\.toml: needs: .*did you mean 'wires'"):
        design(EACH, needs="wirs > 1").build(4)


@pytest.mark.parametrize("depth", [0, 1, 3])
@pytest.mark.parametrize("share", [None, "layers"])
def test_an_identity_block_is_a_layer_and_its_undoing_with_weights_of_their_own(depth, share):
    rows = [
        {"gate": "rot", "on": "each"} | ({"share": share} if share else {}),
        {"gate": "s", "on": "each"},
        {"gate": "cx", "on": "ring"},
    ]
    plain, block = (design(*rows, init=init).build(3, depth) for init in ("uniform", "identity-block"))
    assert (block.init, len(block.gates)) == ("identity-block", 2 * len(plain.gates))
    assert block.weights == 2 * plain.weights == 2 * len(block.twins)
    assert sorted(weight for pair in block.twins for weight in pair) == list(range(block.weights))
    partner = dict(block.twins)
    size = 15  # gates of one layer
    for start in range(0, len(block.gates), 2 * size):
        layer, undone = block.gates[start : start + size], block.gates[start + size : start + 2 * size]
        for gate, other in zip(layer, reversed(undone), strict=True):
            inverse = gate.inverse()
            assert (other.name, other.wires) == (inverse.name, inverse.wires)
            assert [a.index for a in other.angles] == [partner[a.index] for a in gate.angles]
            assert [a.scale for a in other.angles] == [a.scale for a in inverse.angles]


def test_an_encoding_reads_inputs():
    circuit = design({"gate": "ry", "on": "each", "angle": "pi * x[wires - 1 - i]"}, role="encoding").build(3)
    assert (circuit.inputs, circuit.weights) == (3, 0)
    assert [gate.angles[0].index for gate in circuit.gates] == [2, 1, 0]


@pytest.mark.parametrize("depth", range(1, 4))
def test_reuploading_encodes_before_every_layer(depth):
    once, again = (assemble("angle-y", "strongly-entangling", 3, depth, reupload=reupload) for reupload in (False, True))
    assert once.weights == again.weights
    assert len(again.gates) == len(once.gates) + 3 * (depth - 1)
    assert [gate for gate in again.gates if gate.reads("weight")] == [gate for gate in once.gates if gate.reads("weight")]


def test_depth_zero_is_the_encoding_alone():
    assert assemble("angle-x", "qulog", 4, 0).gates == Encoding(Design.load("angle-x", "encoding")).circuit(4).gates
    with pytest.raises(DesignError, match="depth >= 1"):
        assemble("angle-x", "qulog", 4, 0, reupload=True)


def test_features_that_do_not_fit_are_refused():
    encoding = Encoding(Design.load("angle-y", "encoding"))
    assert encoding.wires_for(5) == 5
    x_ND = np.zeros((3, 5))
    assert encoding.inputs(x_ND) is x_ND
    for bad in (lambda: encoding.wires_for(0), lambda: encoding.wires_for(10**9), lambda: encoding.inputs(np.zeros(3))):
        with pytest.raises(DesignError, match="angle-y"):
            bad()
    with pytest.raises(DesignError, match="not an encoding"):
        Encoding(Design.load("qulog", "ansatz"))


MISTAKES = [
    ({"gate": "ry", "on": "eech"}, "did you mean 'each'"),
    ({"gate": "cx", "on": "rign"}, "did you mean 'ring'"),
    ({"gate": "ryz", "on": "each"}, "did you mean 'r"),
    ({"gate": "ry", "onn": "each"}, "did you mean 'on'"),
    ({"gate": "ry"}, "'on' is missing"),
    ({"on": "each"}, "'gate' is missing"),
    ("ry", "a row must be a table"),
    ({"gate": "ry", "on": "ring"}, "try on = 'each'"),
    ({"gate": "cx", "on": "each"}, "try on = 'ring'"),
    ({"gate": "cx", "on": [[0, 0]]}, "same wire twice"),
    ({"gate": "cx", "on": [[0, -1]]}, "from 0 to"),
    ({"gate": "cx", "on": []}, "groups of the same number of wires"),
    ({"gate": "cx", "on": [[0, 1], [2]]}, "groups of the same number of wires"),
    ({"gate": "ry", "on": "each", "flip": 1}, "write flip = true"),
    ({"gate": "ry", "on": "each", "stride": 2}, "remove them"),
    ({"gate": "cx", "on": "ring", "stride": 1.5}, "write stride"),
    ({"gate": "cx", "on": "ring", "stride": "layr + 1"}, "did you mean 'layer'"),
    ({"gate": "cx", "on": "ring", "stride": "1 / 2"}, "integer is expected"),
    ({"gate": "cx", "on": "ring", "angle": 1}, "takes 0 angles, got 1"),
    ({"gate": "rot", "on": "each", "angle": 1}, "takes 3 angles, got 1"),
    ({"gate": "ry", "on": "each", "angle": True}, "write angle"),
    ({"gate": "ry", "on": "each", "angle": "x[i]"}, "only the `angle` of an encoding"),
    ({"gate": "ry", "on": "each", "angle": "__import__('os')"}, "not part of the language|not known here"),
    ({"gate": "ry", "on": "each", "share": "wire"}, "did you mean 'wires'"),
    ({"gate": "ry", "on": "each", "when": "wires"}, "condition is expected"),
    ({"gate": "ry", "on": [[7]]}, "needs at least 8 wires"),
    ({"gate": "cx", "on": "levels"}, "groups of any size, for `rows`; try on = 'ring'"),
    ({"gate": "cx", "on": "tre"}, "did you mean 'tree'"),
    ({"gate": "cx", "on": "pair"}, "did you mean 'pairs'"),
    ({"on": "even", "rows": []}, "rows = \\[\\] is empty"),
    ({"on": "even", "rows": "ry"}, "write rows"),
    ({"rows": [EACH]}, "'on' is missing"),
    ({"gate": "ry", "on": "each", "rows": [EACH]}, "either a `gate` or `rows`"),
    ({"on": "each", "angle": 1, "rows": [EACH]}, "either a `gate` or `rows`"),
    ({"on": "even", "rows": [EACH], "stride": 2}, "remove them"),
    ({"on": "even", "row": [EACH]}, "did you mean 'rows'"),
]


@pytest.mark.parametrize(("row", "message"), MISTAKES, ids=range(len(MISTAKES)))
def test_errors_name_file_row_and_fix(row, message):
    with pytest.raises(DesignError, match=message) as caught:
        design(EACH, row).build(4)
    assert re.match(r"my\.toml, row 2 of layer: ", str(caught.value))
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "`layer` is missing"),
        ({"layers": []}, "did you mean 'layer'"),
        ({"layer": "ry"}, "a list of rows"),
        ({"layer": [], "check": {"weight": {}}}, "did you mean 'check.weights'|did you mean 'weights'"),
        ({"layer": [], "check": {"weights": {"four": 4}}}, "four = 4"),
        ({"layer": [], "name": 3}, "name must be text"),
        ({"layer": [], "needs": 3}, "needs must be text"),
        ({"layer": [], "init": "identity"}, "did you mean 'identity-block'"),
    ],
)
def test_errors_of_the_whole_file(content, message):
    with pytest.raises(DesignError, match=message) as caught:
        Design.from_mapping(content, "ansatz", where="my.toml")
    assert str(caught.value).startswith("my.toml: ")


def test_a_file_that_states_wrong_weights_is_refused():
    wrong = design(EACH, check={"weights": {"3": 4}})
    assert wrong.build(2, 1).weights == 2
    with pytest.raises(DesignError, match="says 4 weights per layer on 3 wires, but the rows give 3"):
        wrong.build(3, 1)


@pytest.mark.parametrize("wires", [0, -1, 257, 10**9])
def test_hostile_widths_are_refused_quickly(wires):
    with at_most(QUICK), pytest.raises(DesignError, match="1 to 256 wires"):
        design(EACH).build(wires, 1)


@pytest.mark.parametrize(("row", "wires", "depth"), [(EACH, 4, 10**9), (EACH, 4, -1), ({"gate": "cz", "on": "all"}, 256, 10_000)])
def test_hostile_sizes_are_refused_quickly(row, wires, depth):
    with at_most(MANY), pytest.raises(DesignError, match=r"depth must be from 0 to|more than 100000 gates"):
        design(row).build(wires, depth)


def nested(row, times):
    for _ in range(times):
        row = {"on": "all", "rows": [row]}
    return row


@pytest.mark.parametrize("times", [4, 50, 900])
def test_rows_in_rows_in_rows_are_refused_quickly(times):
    with at_most(QUICK), pytest.raises(DesignError, match="at most 3 deep; write them flatter") as caught:
        design(nested(EACH, times))
    assert len(str(caught.value)) < 200


@pytest.mark.sample(1)
@pytest.mark.parametrize("row", [nested({"gate": "cx", "on": "all", "when": "wires < 0"}, 3), nested(EACH, 3)])
def test_rows_that_multiply_are_refused_quickly(row):
    with at_most(MANY), pytest.raises(DesignError, match=r"more than \d+ (steps|gates); use fewer wires or layers"):
        design(row).build(256, 10_000)


def test_files_that_cannot_be_read(tmp_path):
    path = tmp_path / "broken.toml"
    path.write_text("layer = [" * 5000)
    with pytest.raises(DesignError, match=r"broken\.toml is not valid TOML"):
        Design.load(path, "ansatz")
    with pytest.raises(UnknownName, match="did you mean 'separable'"):
        Design.load("seperable", "ansatz")


def test_saving_keeps_every_field(tmp_path):
    rows = [
        {"gate": "rot", "on": "each", "angle": ["w", "pi / 2", "2 * w"], "share": "layers", "when": "wires > 1"},
        {"gate": "crx", "on": "walk", "stride": "layer + 1", "start": -1, "flip": True, "reverse": True},
        {"gate": "rzz", "on": [[0, 1], [2, 0]], "angle": 0.25},
        {"on": "levels", "share": "layers", "rows": [{"on": "odd", "flip": True, "rows": [EACH, {"gate": "rot", "on": [[1]]}]}]},
    ]
    one = design(
        *rows,
        before=[EACH],
        name="mine",
        source="me",
        needs="wires > 2",
        init="identity-block",
        check={"weights": {"3": 9}, "encoding": "angle-x"},
    )
    one.save(tmp_path / "mine.toml", {"seed": 3})
    assert Design.load(tmp_path / "mine.toml", "ansatz") == one
    assert "seed = 3" in (tmp_path / "mine.toml").read_text()


FULL = {  # a table of every key, for ansaetze and for encodings
    "ansatz": {"init": "uniform", "check": {"weights": {"4": 5}, "live_weights": {"4": 5}, "encoding": "angle-y"}},
    "encoding": {"takes": {"features": "wires", "range": ["0", "pi"], "integer": False}, "repeat": 1, "prepare": ""},
}
FULL_ROW = {"on": "ring", "flip": True, "reverse": True, "stride": "1", "start": "0", "share": "wires", "when": "wires > 1"}
HOSTILE = {
    "long": "x" * 10**6,
    "lines": "\n" * 10**6,
    "long and lines": "w[\n" * 10**6,
    "quotes": "'\u2028\"" * 10**6,
    "empty": "",
    "digits": "9" * 5000,
    "number": int("f" * 5000, 16),
    "nan": float("nan"),
    "list": [[]] * 10**5,
}


def full(role):
    angle = "w" if role == "ansatz" else "x[i]"
    layer = [{"gate": "crx", "angle": [angle], **FULL_ROW}, {"on": "even", "rows": [{**EACH, "angle": angle}]}]
    return {
        "name": "a",
        "source": "b",
        "needs": "wires > 1",
        "before": [EACH],
        "layer": layer,
        "provenance": {"by": "me"},
        **FULL[role],
    }


def places(value, path=()):
    """Where a key or a value stands in nested tables and lists, and whether it is a key."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key), False
        if isinstance(value, dict):
            yield (*path, key), True
        yield from places(item, (*path, key))


def replaced(content, path, is_key, new):
    content = copy.deepcopy(content)
    inner = content
    for key in path[:-1]:
        inner = inner[key]
    if is_key:
        inner[str(new)] = inner.pop(path[-1])
    else:
        inner[path[-1]] = new
    return content


def said_of(content, role):
    """The error of reading and building a design, or nothing."""
    try:
        one = Design.from_mapping(content, role, where="my.toml")
        one.build(4, 1)
        if role == "encoding":
            Encoding(one).inputs(np.zeros((1, 9)), 4)
        assemble(one.check.encoding, "sim1", 4, 1)
    except (DesignError, UnknownName) as error:
        return str(error)
    return ""


@pytest.mark.parametrize("role", ["ansatz", "encoding"])
@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE)
def test_whatever_stands_anywhere_is_echoed_in_one_short_line(role, hostile):
    assert said_of({**full(role), "needs": "wires > 2"}, role).count("9") == (role == "encoding")  # nine features are too many
    refused = 0
    for path, is_key in places(full(role)):
        if is_key and not isinstance(hostile, str):
            continue
        content = replaced(full(role), path, is_key, hostile)
        with at_most(QUICK):
            said = said_of(content, role)
        refused += said != ""
        assert len(said) < 300, (path, is_key)
        assert len(said.splitlines()) <= 1, (path, is_key)
    assert refused > len(list(places(full(role)))) / 3


@pytest.mark.parametrize("role", ["ansatz", "encoding"])
def test_the_role_of_a_shipped_design_is_never_mistaken(role):
    other = {"ansatz": "encoding", "encoding": "ansatz"}[role]
    told = [role_of(documents.read(path)) for path in names.designs(role).values()]
    assert other not in told
    assert role in told
    assert role_of(full(role)) == role
    assert role_of({"layer": [EACH]}) is None
