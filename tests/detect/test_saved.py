"""Laws of saved detectors: they are data, never code; whatever stands in their files is loaded as it was saved or refused in one line."""

import random
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from qlogad import documents, names
from qlogad.detect.detector import Detector
from qlogad.detect.floors.length import Length
from qlogad.detect.floors.new_event import NewEvent
from qlogad.detect.sequences.deeplog import DeepLog
from qlogad.detect.sequences.deeplog_parameters import DeepLogParameters
from qlogad.detect.windows.autoencoder import Autoencoder
from qlogad.detect.windows.vqc import VQC
from qlogad.errors import InputError, ResultError, UnknownName
from qlogad.nn.controls.control import control
from qlogad.nn.core import Classical, Core, Quantum

random_windows = np.random.default_rng(0).integers(5, size=(40, 6)).tolist()
WINDOWS, HELD = random_windows[:20], random_windows[20:]
LABELS = [int(len(set(window)) < 4) for window in WINDOWS]
ODD = [*WINDOWS, [], [7], [0] * 50]
SMALL = Quantum(wires=2, hidden=3)
KINDS: dict[str, Callable[[], Detector]] = {name: names.find("detector", name) for name in names.known("detector")} | {
    "deeplog": lambda: DeepLog(core=Classical(hidden=3), epochs=1, history=2, embedding=3),
    "deeplog stacked": lambda: DeepLog(
        core=Classical(hidden=3), epochs=1, history=2, layers=2, inputs="one-hot", padding="right", end=True
    ),
    "deeplog-parameters": lambda: DeepLogParameters(
        core=Classical(hidden=3), epochs=1, history=2, embedding=3, parameter_hidden=2, parameter_history=1
    ),
    "deeplog quantum": lambda: DeepLog(core=SMALL, epochs=1, history=2, embedding=3),
    "deeplog same-wrapper": lambda: controlled("same-wrapper"),
    "deeplog same-total": lambda: controlled("same-total"),
    "autoencoder": lambda: Autoencoder(core=Classical(hidden=2), epochs=1),
    "vqc": lambda: VQC(core=SMALL, epochs=1),
    "vqc classical": lambda: VQC(core=Classical(hidden=3), epochs=1),
}
kinds = pytest.mark.parametrize("kind", KINDS)


def controlled(name: str) -> Detector:
    core: Core = control(name, SMALL)
    return DeepLog(core=core, epochs=1, history=2, embedding=3)


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder of every kind of detector, fitted."""
    folders = {kind: tmp_path_factory.mktemp("saved") for kind in KINDS}
    for kind, folder in folders.items():
        KINDS[kind]().fit(WINDOWS, LABELS, validation=HELD).save(folder)
    return folders


def copied(folder: Path, to: Path, **changed: bytes | str | None) -> Path:
    """A copy of a saved detector with other files in it."""
    for name in ("detector.toml", "weights.safetensors"):
        content = changed.get(name.partition(".")[0], (folder / name).read_bytes())
        if content is not None:
            (to / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return to


def refused(folder: Path) -> str:
    with pytest.raises(InputError) as caught:
        Detector.load(folder)
    said = str(caught.value)
    assert str(folder) in said
    assert len(said.splitlines()) == 1
    assert len(said) < 1500
    return said


def loaded_or_refused(folder: Path) -> None:
    """What is loaded gives numbers."""
    with suppress(InputError):
        detector = Detector.load(folder)
        detector.predict(ODD) if detector.threshold_ else detector.score_samples(ODD)


# ---------------------------------------------------------------- arrays


def spoiled(array: np.ndarray) -> Iterator[tuple[str, np.ndarray | None]]:
    """Everything that can be wrong with an array."""
    yield "missing", None
    yield "of another type", array.astype(np.float16 if array.dtype == np.float32 else np.float32)
    yield "longer", np.concatenate([array, array[:1]]) if len(array) else np.zeros((1, *array.shape[1:]), dtype=array.dtype)
    yield "of more axes", array[None]
    yield "flat", array.reshape(-1) if array.ndim > 1 else array.reshape(1, -1)
    yield "endless", np.zeros((10**9, 0), dtype=array.dtype)
    if array.dtype.kind == "f" and array.size:
        for value in (np.nan, np.inf, -np.inf):
            other = array.copy()
            other.flat[-1] = value
            yield f"{value}", other
    if array.dtype.kind in "if" and array.size:
        other = array.copy()
        other.flat[0] = -7 if array.dtype.kind == "i" else other.flat[0] + 1
        yield "altered", other


@kinds
def test_an_array_that_is_not_as_it_was_saved_is_refused(kind: str, saved: dict[str, Path], tmp_path: Path) -> None:
    arrays = load_file(saved[kind] / "weights.safetensors")
    copied(saved[kind], tmp_path)
    for name, array in arrays.items():
        for what, other in spoiled(array):
            rest = {key: value for key, value in arrays.items() if key != name}
            save_file(rest if other is None else rest | {name: other}, tmp_path / "weights.safetensors")
            assert refused(tmp_path), (name, what)
    save_file(arrays | {"more": np.zeros(1)}, tmp_path / "weights.safetensors")
    assert "'more'" in refused(tmp_path)
    for other_kind in set(KINDS) - {kind}:
        other = (saved[other_kind] / "weights.safetensors").read_bytes()
        if other != (saved[kind] / "weights.safetensors").read_bytes():  # a control may be as large as what it controls
            refused(copied(saved[kind], tmp_path, weights=other))


@kinds
def test_weights_emptied_torn_or_altered_are_refused(kind: str, saved: dict[str, Path], tmp_path: Path) -> None:
    generator, content = random.Random(0), (saved[kind] / "weights.safetensors").read_bytes()
    header = int.from_bytes(content[:8], "little")
    places = [*range(8), *generator.sample(range(8, header), 10), *generator.sample(range(len(content)), 10)]
    altered = [content[:place] + bytes([content[place] ^ 1 << generator.randrange(8)]) + content[place + 1 :] for place in places]
    for other in (b"", content[:4], *(content[:place] for place in places), *altered, b"\xff" * 8 + content[8:]):
        refused(copied(saved[kind], tmp_path, weights=other))
    (tmp_path / "weights.safetensors").unlink()
    refused(tmp_path)


# ---------------------------------------------------------------- keys


ODD_VALUES = (
    "text",
    "nan",
    "",
    -1,
    10**9,
    2**62,
    10**30,
    1.5,
    float("nan"),
    float("inf"),
    True,
    [],
    [1],
    {},
    {"a": 1},
    "x" * 10**5,
)


def keys(table: Mapping[str, Any], before: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, value in table.items():
        yield (*before, name)
        if isinstance(value, Mapping):
            yield from keys(value, (*before, name))


def changed(table: Mapping[str, Any], path: tuple[str, ...], value: Any) -> dict[str, Any]:
    """A copy with a key replaced; None: without it."""
    name, *rest = path
    inside = changed(table.get(name, {}), tuple(rest), value) if rest else value
    return {key: item for key, item in {**table, name: inside}.items() if item is not None}


MOST = {"history", "epochs", "batch", "patience", "seed", "wires", "depth", "order", "n"}  # how large they may be is their own law


@kinds
@pytest.mark.parametrize("tries", [6, pytest.param(10**6, marks=pytest.mark.slow)])
def test_a_key_that_is_not_as_it_was_saved_is_refused_or_harmless(
    kind: str, tries: int, saved: dict[str, Path], tmp_path: Path
) -> None:
    content = documents.read(saved[kind] / "detector.toml")
    places = list(keys(content))
    cases = [
        (path, value) for path in places for value in ODD_VALUES if path[-1] not in MOST or not isinstance(value, int) or value < 9
    ]
    for path, value in random.Random(kind).sample(cases, min(tries, len(cases))):
        text = documents.dump(changed(content, path, value), infinite=True)
        loaded_or_refused(copied(saved[kind], tmp_path, detector=text))
    for path in random.Random(kind).sample(places, min(tries, len(places))):
        copied(saved[kind], tmp_path, detector=documents.dump(changed(content, path, None), infinite=True))
        if path in {("format",), ("detector",), ("size",), ("digest",), ("params",)}:
            refused(tmp_path)
        else:
            loaded_or_refused(tmp_path)
    for table in {path[:-1] for path in places}:
        more = documents.dump(changed(content, (*table, "module"), "x.y"), infinite=True)
        assert "module" in refused(copied(saved[kind], tmp_path, detector=more))


@kinds
def test_the_essentials_of_a_detector_are_checked(kind: str, saved: dict[str, Path], tmp_path: Path) -> None:
    content = documents.read(saved[kind] / "detector.toml")
    wrong: list[tuple[tuple[str, ...], list[Any]]] = [
        (("format",), [1, 3, "2", 0, -1]),
        (("size",), ["5", -1, 4, 6, 10**6, 2**31, 1.5]),
        (("threshold",), ["0.5", 0.5, []]),
        (("threshold", "value"), ["0.5", "nan", float("nan"), True]),
        (("threshold", "rule"), ["f2", 1]),
        (("threshold", "target"), [-0.1, 1.5, "0.01"]),
        (("threshold", "windows"), [-1, "20", 2.5]),
        (("params",), [[], 1, "fpr"]),
        (("params", "fpr"), ["0.01", 1.0, -0.1, float("nan")]),
        (("params", "threshold"), ["f2", "0.5", True, float("nan"), float("inf"), 1e13]),
        (("params", "no-such-key"), [1]),
        (("no-such-key",), [1]),
        (("plans",), [{}, ["exact"], [{"method": "real"}]]),
    ]
    for path, values in wrong:
        for value in values:
            refused(copied(saved[kind], tmp_path, detector=documents.dump(changed(content, path, value), infinite=True)))
    for text in ("", "format = ", "\0", "[" * 5000, "a" * 10**5, "detector = 'length'"):
        refused(copied(saved[kind], tmp_path, detector=text))


@kinds
def test_a_threshold_beyond_all_scores_is_a_threshold(kind: str, saved: dict[str, Path], tmp_path: Path) -> None:
    content = documents.read(saved[kind] / "detector.toml")
    text = documents.dump(changed(content, ("threshold", "value"), float("inf")), infinite=True)
    assert not Detector.load(copied(saved[kind], tmp_path, detector=text)).predict(ODD).any()


# ---------------------------------------------------------------- code


class Mine(Length):
    """A detector of somebody's own, not installed."""


NAMES = (
    "planted",
    "planted:Model",
    "planted.Model",
    "x.y",
    "x.y:Model",
    "x/y",
    "../x/y",
    "qlogad.detect.floors.length:Length",
    "os:system",
)


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the path, with modules that must not be imported."""
    (tmp_path / "x").mkdir()
    for path in (tmp_path / "planted.py", tmp_path / "x" / "y.py", tmp_path / "x" / "__init__.py"):
        path.write_text("from qlogad.detect.floors.length import Length as Model\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@kinds
@pytest.mark.parametrize("most", [1, pytest.param(len(NAMES), marks=pytest.mark.slow)])
def test_no_file_makes_a_module_be_imported(kind: str, most: int, saved: dict[str, Path], planted: Path) -> None:
    """Names take turns over the kinds; all names with all kinds are a slow law."""
    content = documents.read(saved[kind] / "detector.toml")
    texts = [path for path in keys(content) if isinstance(value_at(content, path), str)]
    modules = set(sys.modules)
    for name in random.Random(kind).sample(NAMES, most):
        for path in [*texts, ("module",), ("class",), ("params", "module"), ("params", "core"), ("params", "core", "kind")]:
            try:
                text = documents.dump(changed(content, path, name), infinite=True)
            except AttributeError:  # a table has no keys below a text
                continue
            loaded_or_refused(copied(saved[kind], planted, detector=text))
        refused(copied(saved[kind], planted, detector=documents.dump(changed(content, ("detector",), name))))
    assert not {"planted", "x", "x.y"} & set(sys.modules)
    assert {name for name in set(sys.modules) - modules if not name.startswith(("qlogad.", "pennylane", "qiskit"))} == set()


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param("braket:arn:aws:braket:eu-north-1::device/qpu/iqm/Garnet", marks=pytest.mark.braket),
        *("ibm:torino", "ibm:ibm_torino,shots=10", "ibm: torino,max_seconds=60", "ibm:fez,mode=session"),
        *(
            "pennylane:qiskit.remote",
            "pennylane:braket.aws.qubit,shots=10",
        ),
    ],
)
def test_no_file_has_circuits_run_on_an_account_of_the_user(spec: str, saved: dict[str, Path], tmp_path: Path) -> None:
    """Somebody else's model names a device that is paid for; only who loads it may choose one."""
    content = documents.read(saved["deeplog quantum"] / "detector.toml")
    copied(saved["deeplog quantum"], tmp_path, detector=documents.dump(changed(content, ("params", "core", "backend"), spec)))
    said = refused(tmp_path)
    assert "one of your accounts" in said
    assert spec[:30] in said
    wanted = Detector.load(saved["deeplog quantum"]).score_samples(ODD)
    assert Detector.load(tmp_path, backend="exact").score_samples(ODD).tolist() == wanted.tolist()


@pytest.mark.parametrize(
    "spec", ["ibm:fake_manila", "ibm", "pennylane", "pennylane:lightning.qubit,shots=10", "aer:shots=10", "qiskit"]
)
def test_what_runs_here_is_loaded_without_a_word(spec: str, saved: dict[str, Path], tmp_path: Path) -> None:
    content = documents.read(saved["deeplog quantum"] / "detector.toml")
    text = documents.dump(changed(changed(content, ("params", "core", "backend"), spec), ("plans",), None))
    (backend,) = Detector.load(copied(saved["deeplog quantum"], tmp_path, detector=text)).backends()
    assert backend.name == spec.partition(":")[0]


def value_at(table: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        table = table[name]
    return table


def test_a_detector_of_ones_own_is_loaded_by_its_own_class_alone(tmp_path: Path) -> None:
    Mine().fit(WINDOWS, validation=HELD).save(tmp_path)
    assert type(Mine.load(tmp_path)) is Mine
    assert "import the class" in refused(tmp_path)
    with pytest.raises(ResultError):
        Length.load(tmp_path)


def test_a_class_loads_its_own_kind(saved: dict[str, Path]) -> None:
    for kind, folder in saved.items():
        cls = names.find("detector", kind.split()[0])
        assert type(cls.load(folder)) is type(Detector.load(folder)) is cls
        other = NewEvent if cls is Length else Length
        with pytest.raises(ResultError, match=f"not a {other.__name__}"):
            other.load(folder)


def test_an_installed_detector_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = tmp_path / "site" / "mine-1.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1\n")
    (installed / "entry_points.txt").write_text(f"[qlogad.detectors]\nmine = {Mine.__module__}:Mine\n")
    monkeypatch.syspath_prepend(tmp_path / "site")
    Mine().fit(WINDOWS, validation=HELD).save(tmp_path / "model")
    assert documents.read(tmp_path / "model" / "detector.toml")["detector"] == "mine"
    assert type(Detector.load(tmp_path / "model")) is Mine


def test_a_name_that_is_none_is_told_with_the_nearest(saved: dict[str, Path], tmp_path: Path) -> None:
    content = documents.read(saved["length"] / "detector.toml")
    said = refused(copied(saved["length"], tmp_path, detector=documents.dump(changed(content, ("detector",), "lenght"))))
    assert "did you mean 'length'" in said
    with pytest.raises(UnknownName):
        names.find("detector", "lenght")
