"""Laws of the code that numbers depend on: what is imported counts, whatever the way; wording, types and everything else do not."""

import ast
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import qlogad
from qlogad import documents, import_closure, names

PACKAGE = Path(qlogad.__file__).parent
LATER = "\n_later_edited = 1\n"
SERVE = """
import json, os, sys
from qlogad import names
from qlogad.import_closure import modules
from qlogad.experiment.cell import Cell, remember_code, run_cell
from qlogad.experiment.experiment import Contender
import qlogad.catalogue.analysis
def identities(contenders):
    return {key: Cell(Contender(key, detector, params), 0, "0.5", "normals", "", "", (1, 1), "", "").identity
            for key, (detector, params) in contenders.items()}
for line in sys.stdin:  # each in a process of its own, which has read nothing yet
    if os.fork() == 0:
        print(json.dumps(identities(json.loads(line))), flush=True)
        os._exit(0)
    os.wait()
"""
USED = """
import json, sys, numpy as np
from qlogad import names
from qlogad.documents import from_mapping
from qlogad.features.features import Features, Labels
found = {}
detector, params = json.loads(sys.argv[1])
made = from_mapping(names.find("detector", detector), params, "")
rows = [[0, 1, 2], [0, 1], [2, 1, 0], [1, 1, 1]] * 3
features = Features.from_sequences(rows, views=made.reads)
made.fit(features, Labels(np.arange(12) % 2), validation=(features, Labels(np.arange(12) % 2)))
made.event_score(features)
print(json.dumps([name for name, module in sys.modules.items() if name.startswith("qlogad.") and hasattr(module, "__file__")]))
"""


def contenders() -> dict[str, tuple[str, dict[str, Any]]]:
    """Every detector as it is, and with other cores and backends where it has a core."""
    found: dict[str, tuple[str, dict[str, Any]]] = {name: (name, {}) for name in names.known("detector")}
    for name in names.known("detector"):
        if "core" in names.find("detector", name).__dataclass_fields__:
            cores = [{"kind": "quantum", "backend": backend} for backend in ("exact", "pennylane")]
            found |= {f"{name} {number}": (name, {"core": core}) for number, core in enumerate([*cores, {"kind": "classical"}])}
    return found


class Copy:
    """A copy of the package to be edited, and the identities of cells by it."""

    def __init__(self, folder: Path) -> None:
        self.package = folder / "qlogad"
        shutil.copytree(PACKAGE, self.package, ignore=shutil.ignore_patterns("__pycache__"))
        if not (self.package / "_data").exists():
            shutil.copytree(names.data_folder("circuits"), folder / "circuits")
        environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
        self.environment = environment
        command = [sys.executable, "-c", SERVE]
        self.server = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def identities(self) -> dict[str, str]:
        assert self.server.stdin is not None
        assert self.server.stdout is not None
        self.server.stdin.write(json.dumps(contenders()) + "\n")
        self.server.stdin.flush()
        return dict(json.loads(self.server.stdout.readline()))

    def edited(self, path: Path, addition: str = LATER) -> dict[str, str]:
        """The identities where a file says more, or is new."""
        before = path.read_text() if path.exists() else None
        path.write_text((before or '"""New."""\n') + addition)
        try:
            return self.identities()
        finally:
            path.unlink() if before is None else path.write_text(before)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Copy]:
    made = Copy(tmp_path_factory.mktemp("copy"))
    yield made
    made.server.communicate()


@pytest.fixture(scope="module")
def before(copy: Copy) -> dict[str, str]:
    found = copy.identities()
    assert len(set(found.values())) >= len(names.known("detector"))
    return found


def reworded(text: str) -> str:
    """Without a comment, formatted otherwise, with other docstrings and one where there was none."""
    whole = ast.parse(text)
    for node in ast.walk(whole):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
            said = ast.get_docstring(node, clean=False)
            future = [one for one in node.body if isinstance(one, ast.ImportFrom) and one.module == "__future__"]
            rest = [one for one in node.body[said is not None :] if one not in future]
            node.body = [ast.Expr(ast.Constant(f"Other words than {said}")), *future, *rest]
    return ast.unparse(ast.fix_missing_locations(whole))


def test_words_are_no_code(copy: Copy, before: dict[str, str]) -> None:
    texts = {path: path.read_text() for path in copy.package.rglob("*.py")}
    for path, text in texts.items():
        path.write_text(f"# A remark.\n{reworded(text)}\n")
    found = copy.identities()
    for path, text in texts.items():
        path.write_text(text)
    assert found == before


ROOMS = ("bench", "cli", "report", "hardware", "sweep", "catalogue", "testing", "jobs")  # named by no contender
IMPORTING = ("detect", "nn", "backend", "features")


def named(contender: tuple[str, dict[str, Any]]) -> set[tuple[names.Kind, str]]:
    """What a contender names, with the kind of each."""
    detector, params = contender
    cls = names.find("detector", detector)
    core = {"kind": "classical"} | params["core"] if "core" in params else documents.plain(getattr(cls(), "core", {}))
    found = {("detector", detector), ("core", core.get("kind", "")), ("backend", core.get("backend", ""))}
    return found | {("view", view) for view in cls.reads}


@dataclass(frozen=True)
class Thing:
    """A file of the package that no contender imports unless it names it: another detector, view, ..., a verb, a report."""

    path: Path
    kind: str = ""
    word: str = ""

    def text(self) -> str:
        """What is added to it: a statement, or the class if the file is new."""
        if self.path.exists():
            return LATER
        folder, base, _ = names.KINDS[self.kind]  # type: ignore[index]
        return f"from qlogad.{folder.replace('/', '.')} import {base}\n\n\nclass New({base}):\n    pass\n"


def others(copy: Copy) -> list[Thing]:
    """All of them, and new ones of every kind, named as nothing is or as a thing of another kind.

    What the exact simulator is made of is left out, for what it computes counts live weights.
    """
    found = [Thing(path) for room in ROOMS for path in (copy.package / room).rglob("*.py")]
    words = {word for kind in names.KINDS for word in names.known(kind)} | {"gru", "fpr", "new-one"}
    for kind, (folder, _, _) in names.KINDS.items():
        own = set(names.known(kind))
        for word in sorted(own | words):
            path = copy.package / folder / word.replace("-", "_")
            path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
            if path.exists() == (word in own):
                found.append(Thing(path, kind, word))
    texts = [path.read_text() for room in IMPORTING for path in (copy.package / room).rglob("*.py")]
    dotted = {one.path: ".".join(one.path.relative_to(copy.package.parent).with_suffix("").parts) for one in found}
    imported = {path for path, module in dotted.items() if any(f"{module} import" in text for text in texts)}
    exact = copy.package / "backend" / "exact"
    return [one for one in found if one.path not in imported and exact not in one.path.parents]


def test_another_thing_is_not_of_the_cell(copy: Copy, before: dict[str, str], drawn: random.Random) -> None:
    """Adding or editing another detector, view, parser, core, control, backend, benchmark, verb or report changes no identity."""
    everything = others(copy)
    old, new = ([one for one in everything if one.path.exists() == there] for there in (True, False))
    for thing in (drawn.choice(old), *drawn.sample(new, 2)):
        found = copy.edited(thing.path, thing.text())
        for key, contender in contenders().items():
            uses = (thing.kind, thing.word) in named(contender)
            where = thing.path.relative_to(copy.package)
            assert (found[key] != before[key]) == uses, f"{where} is {'not of' if uses else 'of'} {key}"


def test_what_a_cell_is_made_of_is_of_it(copy: Copy, before: dict[str, str], drawn: random.Random) -> None:
    for key, contender in drawn.sample(sorted(contenders().items()), 1):
        files = import_closure.modules(("qlogad.experiment.fit_rule", *modules(contender)))
        module, path = drawn.choice([(module, path) for module, path in files.items() if path is not None])
        assert copy.edited(copy.package / path.relative_to(PACKAGE))[key] != before[key], f"{key} does not change with {module}"


def modules(contender: tuple[str, dict[str, Any]]) -> list[str]:
    return [module for kind, word in named(contender) for module in names.modules_of(kind, [word])]


@pytest.mark.sample(1)
@pytest.mark.parametrize("key", sorted(contenders()))
def test_what_is_imported_in_a_fit_is_in_the_closure(key: str) -> None:
    detector, params = contenders()[key]
    given = json.dumps(
        [detector, params | ({"epochs": 1} if "epochs" in names.find("detector", detector).__dataclass_fields__ else {})]
    )
    used = subprocess.run([sys.executable, "-c", USED, given], capture_output=True, text=True, check=True)
    known = import_closure.modules(("qlogad.documents", *modules(contenders()[key])))
    files = {module: PACKAGE.parent / module.replace(".", "/") for module in json.loads(used.stdout)}
    assert {module for module, path in files.items() if not path.is_dir()} <= set(known)


STYLES = (
    "from {top} import {name}",
    "import {top}.{name}",
    "from . import {name}",
    "from .{name} import thing",
    "from {top}.{name} import thing as other",
    "def later():\n    from .{name} import thing",
    "class Holder:\n    def later(self):\n        if True:\n            import {top}.{name}",
    "try:\n    from .{name} import thing\nexcept ImportError:\n    pass",
)
TYPES = (
    "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .{name} import thing",
    "import typing\nif typing.TYPE_CHECKING:\n    import {top}.{name}",
    '"""from .{name} import thing"""',
    "# from .{name} import thing",
)


def test_every_way_of_importing_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In packages of other people, drawn at random; so the same files, and no others, make the digest."""
    monkeypatch.syspath_prepend(tmp_path)
    number = random.Random()
    for trial in range(20):
        top, nodes = f"foreign_{os.getpid()}_{trial}", [f"m{place}" for place in range(8)]
        (tmp_path / top).mkdir()
        (tmp_path / top / "__init__.py").write_text("")
        reached = {}
        for name in nodes:
            real, types = (number.sample(nodes, number.randrange(3)) for _ in range(2))
            lines = [number.choice(STYLES).format(top=top, name=other) for other in real]
            lines += [number.choice(TYPES).format(top=top, name=other) for other in types if other not in real]
            (tmp_path / top / f"{name}.py").write_text("\n".join(["thing = 1", *number.sample(lines, len(lines)), ""]))
            reached[name] = set(real)
        expected, waiting = set(), {"m0"}
        while waiting - expected:
            expected |= waiting
            waiting = set().union(*(reached[name] for name in expected))
        assert set(import_closure.modules((f"{top}.m0",))) == {f"{top}.{name}" for name in expected}


def test_a_package_that_is_imported_itself_counts_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    top = f"whole_{os.getpid()}"
    (tmp_path / top / "below").mkdir(parents=True)
    for name in ("__init__", "one", "below/__init__", "below/two"):
        (tmp_path / top / f"{name}.py").write_text("")
    assert set(import_closure.modules((top,))) == {top, f"{top}.one", f"{top}.below", f"{top}.below.two"}
    assert set(import_closure.modules((f"{top}.one",))) == {f"{top}.one"}
    assert {name for name in import_closure.modules(("qlogad.backend.exact",)) if name.startswith("qlogad.backend.exact.")} >= {
        ".".join(("qlogad", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")
        for path in (PACKAGE / "backend" / "exact").rglob("*.py")
        if path.parent.name == "methods"
    }


def test_a_name_that_is_loaded_on_first_use_counts_where_it_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    for public in qlogad.__all__:
        module = f"uses_{public.lower()}_{os.getpid()}"
        (tmp_path / f"{module}.py").write_text(f"from qlogad import {public}\n")
        home = getattr(qlogad, public).__module__
        assert set(import_closure.modules((module,))) == {module, "qlogad"} | set(import_closure.modules((home,)))


def test_a_damaged_cache_costs_time_alone(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from qlogad.import_closure import code; print(code(('qlogad.documents',)))"]
    environment = {**os.environ, "QLOGAD_CACHE": str(tmp_path)}
    said = []
    for content in (None, b"", b"{", b'{"seal": 1}', b'{"a": [1], "b": 2, "seal": "x"}'):
        for path in (tmp_path / "code").glob("*"):
            path.write_bytes(content or b"")
        said.append(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
    assert len(set(said)) == 1
    assert list((tmp_path / "code").glob("*.json"))
