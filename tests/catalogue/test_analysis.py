"""Laws of the analysis of designs: kept results are the results, damaged ones are made again, and the table sorts."""

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from qlogad import documents, files, names
from qlogad.catalogue import analysis, designs, listing
from qlogad.circuit.design import Design, Role, role_of
from qlogad.circuit.encoding import Encoding
from qlogad.circuit.expression import integer
from qlogad.errors import DesignError, InputError, UnknownName, WidthError


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("QLOGAD_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def entries(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.glob("analysis/*.json")}


def test_the_second_call_does_no_work_and_gives_the_same_numbers(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = analysis.analyse("sim2", "ansatz", wires=3, depth=1)
    before = entries(folder)
    monkeypatch.delattr(analysis, "_measure")  # any measurement would fail from here on
    assert analysis.analyse("sim2", "ansatz", wires=3, depth=1) == first
    assert entries(folder) == before
    assert len(before) == 1


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"facts": {"weights": 1}, "digest": "0"}', b"\xff\xfe"])
def test_a_damaged_entry_is_made_again(folder: Path, damage: bytes) -> None:
    first = analysis.analyse("sim1", "ansatz", wires=2, depth=1)
    (path,) = folder.glob("analysis/*.json")
    path.write_bytes(damage)
    assert analysis.analyse("sim1", "ansatz", wires=2, depth=1) == first
    assert files.read_facts(path) == first


def test_a_changed_number_is_noticed(folder: Path) -> None:
    first = analysis.analyse("sim1", "ansatz", wires=2, depth=1)
    (path,) = folder.glob("analysis/*.json")
    content = json.loads(path.read_text())
    content["expressibility"] += 1
    path.write_text(json.dumps(content))
    assert analysis.analyse("sim1", "ansatz", wires=2, depth=1) == first


def test_other_circuits_have_other_entries(folder: Path) -> None:
    for wires, depth in ((2, 1), (3, 1), (2, 2)):
        analysis.analyse("sim1", "ansatz", wires=wires, depth=depth)
    analysis.analyse("angle-y", "encoding", wires=2, depth=1)
    assert len(entries(folder)) == 4


def test_a_killed_run_keeps_what_it_had(folder: Path) -> None:
    command = [sys.executable, "-m", "qlogad.cli", "list", "ansatz", "--analyse", "--wires", "2"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=dict(os.environ))
    deadline = time.monotonic() + 600
    while len(entries(folder)) < 3 and time.monotonic() < deadline:
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.01)
    process.kill()
    process.wait()
    kept = entries(folder)
    assert len(kept) >= 3
    for path in folder.glob("analysis/*.json"):
        assert "expressibility" in files.read_facts(path)


def test_a_folder_that_cannot_be_written_costs_no_result(folder: Path) -> None:
    folder.write_text("in the way")
    assert analysis.analyse("sim1", "ansatz", wires=2, depth=1)["weights"] == 4


def test_the_cache_lies_where_the_user_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert documents.cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("QLOGAD_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert documents.cache_folder() == tmp_path / "xdg" / "qlogad"


def test_the_table_holds_every_design_and_sorts() -> None:
    rows = listing.analysed("encoding", wires=2, sort="features", progress=lambda what, count: None)
    features = [row["features"] for row in rows]
    assert features == sorted(features)
    assert sorted(row["name"] for row in rows) == [name for name in names.designs("encoding") if exists(name, "encoding", 2)]
    with pytest.raises(InputError, match="did you mean 'expressibility'"):
        listing.analysed("ansatz", wires=2, depth=1, sort="expresibility", progress=lambda what, count: None)
    with pytest.raises(InputError, match="only ansatz and encoding"):
        listing.analysed("detectors", wires=2, depth=1, sort="name", progress=lambda what, count: None)


def exists(name: str, role: Role, wires: int) -> bool:
    try:
        Design.load(name, role).build(wires)
    except WidthError:
        return False
    return True


@pytest.mark.parametrize("role", ["ansatz", "encoding"])
@pytest.mark.parametrize(("wires", "depth"), [(None, None), (1, 1), (3, 2), (5, 0)])
def test_the_list_shows_source_and_the_cost_of_every_circuit(role: Role, wires: int | None, depth: int | None) -> None:
    rows = listing.rows(role, wires=wires, depth=depth if role == "ansatz" else None)
    assert [row["name"] for row in rows] == list(names.designs(role))
    for row in rows:
        design = Design.load(row["name"], role)
        size = {"wires": wires or 4} | ({"depth": 1 if depth is None else depth} if role == "ansatz" else {})
        assert row["source"] == design.source
        assert size.items() <= row.items()
        if not exists(row["name"], role, wires or 4):
            assert row["two-qubit gates"] == "-"
            continue
        circuit = design.build(**size)
        assert row["two-qubit gates"] == sum(len(gate.wires) > 1 for gate in circuit.gates)
        if role == "ansatz":
            assert row["weights"] == circuit.weights
        else:
            holds = Encoding(design).features(size["wires"])
            assert row["features"] == holds
            assert integer(row["features on W wires"], {"W": size["wires"]}) == holds


@pytest.mark.parametrize("kind", ["ansatz", "encoding", "datasets", "controls"])
def test_every_column_sorts_the_list(kind: str) -> None:
    rows = listing.rows(kind)
    for column in rows[0]:
        found = [row[column] for row in listing.rows(kind, sort=column)]
        numbers = [value for value in found if isinstance(value, int)]
        assert found == sorted(numbers) + sorted(value for value in found if isinstance(value, str))
        assert len(found) == len(rows)


def test_a_list_refuses_what_does_not_apply() -> None:
    for options, says in (
        ({"kind": "ansatz", "sort": "expressibility"}, "add --analyse"),
        ({"kind": "ansatz", "sort": "weigths"}, "did you mean 'weights'"),
        ({"kind": "encoding", "depth": 2}, "leave out --depth"),
        ({"kind": "detectors", "wires": 2}, "leave out --wires"),
        ({"kind": "ansatz", "wires": 0}, "1 to 256 wires"),
        ({"kind": "ansatz", "depth": -1}, "a depth of 0 to 10000, got 4 and -1"),
    ):
        with pytest.raises(InputError, match=says):
            listing.rows(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize("role", ["ansatz", "encoding"])
def test_a_file_anywhere_is_shown_as_what_its_folder_s_twin_is(tmp_path: Path, role: Role) -> None:
    for name, source in names.designs(role).items():
        copy = tmp_path / f"{name}.toml"
        copy.write_bytes(source.read_bytes())
        circuit = Design.load(name, role).build(4)
        guessed = role_of(documents.read(copy)) is None
        shown = listing.show(str(copy), wires=4, role="encoding" if guessed and role == "encoding" else None)
        assert (shown.facts["role"], shown.facts["digest"]) == (role, circuit.digest()), name
        if guessed:
            assert "--role encoding" in listing.show(str(copy), wires=4).text
    with pytest.raises(UnknownName, match="did you mean 'encoding'"):
        listing.show(str(copy), wires=4, role="encodnig")


def test_a_design_that_is_broken_is_not_taken_for_one_that_does_not_fit(tmp_path: Path) -> None:
    for text, error in (("w % 0", DesignError), ("needs", DesignError)):
        broken = Design.from_mapping({"layer": [{"gate": "ry", "on": "each", "angle": text}]}, "ansatz")
        with pytest.raises(error) as caught:
            broken.build(4)
        assert not isinstance(caught.value, WidthError)
    for fields in ({"needs": "wires > 9"}, {"before": [{"gate": "ry", "on": [[7]]}]}):
        with pytest.raises(WidthError):
            Design.from_mapping({"layer": [], **fields}, "ansatz").build(4)


def test_show_warns_of_dead_weights_and_names_the_alive_variant() -> None:
    shown = listing.show("sim1", wires=4, depth=1)
    assert "weights are dead" in shown.text
    assert "x+z" in shown.text
    assert shown.facts["live_weights"] < shown.facts["live_weights_with_x_and_z"]
    assert "dead" not in listing.show("sim14", wires=4, depth=1).text


def test_show_says_that_an_identity_block_doubles_its_rows(tmp_path: Path) -> None:
    design = Design.load("sim14", "ansatz")
    replace(design, init="identity-block").save(tmp_path / "block.toml")
    plain, block = (listing.show(name, wires=4, depth=2) for name in ("sim14", str(tmp_path / "block.toml")))
    for count in ("weights", "gates", "two_qubit_gates"):
        assert block.facts[count] == 2 * plain.facts[count]
    assert "doubles the gates and weights" in block.text
    assert "identity-block" not in plain.text


def test_show_analyses_on_request() -> None:
    shown = listing.show("qulog", wires=4, depth=1, analyse=True)
    for said in ("expressibility", "sampling floor", "Meyer-Wallach", "light cone", "spectrum", "81 trigonometric", "closed form"):
        assert said in shown.text
    assert json.loads(json.dumps(shown.facts)) == shown.facts


@pytest.mark.parametrize("suffix", [".svg", ".png", ".qasm"])
def test_designs_are_written_to_files(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"sim14{suffix}"
    designs.export("sim14", path, wires=3, depth=1)
    assert path.stat().st_size > 500
    with pytest.raises(InputError, match="create it first"):
        designs.export("sim14", tmp_path / "no" / f"a{suffix}", wires=3, depth=1)


def test_exports_that_cannot_be_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.svg, \.png or \.qasm"):
        designs.export("sim14", tmp_path / "a.gif", wires=3, depth=1)
    with pytest.raises(UnknownName, match="drawer"):
        designs.export("sim14", tmp_path / "a.svg", wires=3, depth=1, drawer="pen")
    with pytest.raises(UnknownName, match="did you mean 'sim14'"):
        designs.export("sim144", tmp_path / "a.svg", wires=3, depth=1)
