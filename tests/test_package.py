"""Laws about the package as a whole: what it publishes, what it imports, and in which direction."""

import ast
import re
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import qlogad
from qlogad import names

ROOT = Path(qlogad.__file__).parent
MODULES = sorted(path for path in ROOT.rglob("*.py") if "_data" not in path.parts)
LAYERS = [
    "arrays",
    "escape",
    "credentials",
    "errors",
    "bounds",
    "seeds",
    "documents",
    "files",
    "names",
    "installed",
    "jit",
    "import_closure",
    "jobs",
    "logs",
    "circuit",
    "features",
    "backend",
    "nn",
    "evaluate",
    "detect",
    "model",
    "experiment",
    "report",
    "audit",
    "hardware",
    "sweep",
    "live",
    "run",
    "catalogue",
    "bench",
    "testing",
    "cli",
]


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path: Path, *, everywhere: bool = True) -> set[str]:
    tree = parsed(path)
    found: set[str] = set()
    for node in ast.walk(tree) if everywhere else tree.body:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names if node.module == "qlogad"}
    return found


def published(path: Path) -> set[str] | None:
    """What a module says it publishes; None if it does not say."""
    said = [node.value for node in parsed(path).body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"]
    return set(ast.literal_eval(said[0])) if said else None


def layer(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


@pytest.mark.parametrize(
    "path", [p for p in MODULES if layer(p) not in ("__init__", "__main__")], ids=lambda p: str(p.relative_to(ROOT))
)
def test_a_module_imports_only_from_rows_above_it(path: Path) -> None:
    own = LAYERS.index(layer(path))
    for name in imports(path):
        parts = name.split(".")
        if parts[0] == "qlogad" and len(parts) > 1:
            assert LAYERS.index(parts[1]) <= own, f"{path.name} imports {name}"


def test_no_files_import_each_other_in_a_circle() -> None:
    """Nor inside functions, nor for types alone."""
    files = {
        ".".join(("qlogad", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__"): path for path in MODULES
    }
    reached: dict[str, set[str]] = {}
    for name, path in files.items():
        tree = parsed(path)
        found = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module:
                inside = {f"{node.module}.{alias.name}" for alias in node.names}
                found |= inside & set(files) or {node.module}
        reached[name] = (found & set(files)) - {name}
    order = TopologicalSorter(reached)
    order.prepare()  # raises CycleError, which names the circle


def test_a_folder_holds_no_more_than_a_reader_can_survey() -> None:
    """3,500 lines, without the folders in it; but for the backends, a file for each service and simulator."""
    lines: dict[str, int] = {}
    for path in MODULES:
        folder = str(path.parent.relative_to(ROOT))
        lines[folder] = lines.get(folder, 0) + path.read_bytes().count(b"\n")
    assert {folder: count for folder, count in lines.items() if count > 3_500 and folder != "backend"} == {}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_heavy_packages_live_in_their_own_file(path: Path) -> None:
    place = str(path.relative_to(ROOT))
    tops = {name.split(".")[0] for name in imports(path)}
    if "pennylane" in tops:
        assert place in {"backend/pennylane.py", "bench/engine.py", "bench/layer.py", "bench/peers/simulators.py"}
    if "qiskit" in tops:
        assert place in {"backend/qiskit.py", "backend/aer.py", "backend/ibm.py"}
    if {"boto3", "botocore", "braket"} & tops:
        assert place == "backend/braket.py"
    if "torch" in tops:
        assert layer(path) not in {"logs", "circuit", "features", "report", "cli"}
        assert layer(path) != "evaluate" or place in {"evaluate/circuits.py", "evaluate/gram.py"}
    assert "matplotlib" not in {name.split(".")[0] for name in imports(path, everywhere=False)}


def test_kinds_of_arrays_have_one_name_and_one_home() -> None:
    named = {"arrays.py"} | {
        str(path.relative_to(ROOT))
        for path in MODULES
        for node in parsed(path).body
        if isinstance(node, ast.Assign) and ast.unparse(node.value).startswith("NDArray[")
    }
    assert named == {"arrays.py"}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_what_a_module_publishes_exists(path: Path) -> None:
    tree = parsed(path)
    assert ast.get_docstring(tree), "every module opens with the idea"
    public = published(path)
    if public is None:
        assert path.name in ("__init__.py", "__main__.py"), "a module says what it publishes"
        return
    defined = {getattr(node, "name", None) for node in tree.body} | {
        getattr(target, "id", None)
        for node in tree.body
        for whole in (node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else [])
        for target in (whole.elts if isinstance(whole, ast.Tuple) else [whole])
    }
    defined |= {alias.asname or alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert public <= defined


def test_a_public_class_has_a_name_of_its_own() -> None:
    """Two classes of one name would mean two things by one word; a module may publish another's class again."""
    homes: dict[str, list[str]] = {}
    for path in MODULES:
        for node in parsed(path).body:
            if isinstance(node, ast.ClassDef) and node.name in (published(path) or ()):
                homes.setdefault(node.name, []).append(str(path.relative_to(ROOT)))
    assert {name: places for name, places in homes.items() if len(places) > 1} == {}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_that_a_docstring_names_are_there(path: Path) -> None:
    own = {one.name for one in MODULES}
    tree = parsed(path)
    texts = [
        ast.get_docstring(node) or "" for node in ast.walk(tree) if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
    ]
    for name in re.findall(r"(?<![\w/.])\w+\.py\b", "\n".join(texts)):
        assert name in own


def test_the_public_names_are_importable_and_sorted() -> None:
    assert qlogad.__all__ == sorted(qlogad.__all__)
    for name in qlogad.__all__:
        assert getattr(qlogad, name).__name__ == name


def test_importing_the_package_is_light() -> None:
    heavy = ["torch", "pennylane", "qiskit", "pandas", "sklearn", "numpy"]
    code = f"import qlogad, qlogad.cli, sys; print([m for m in {heavy} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_listing_names_imports_none_of_them() -> None:
    code = (
        "from qlogad import names; import sys; "
        "print([names.known(k) for k in names.KINDS], [m for m in sys.modules if m.startswith('qlogad.') and m.count('.') > 1])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip().endswith("[]")
    assert "deeplog" in found.stdout


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        pytest.param(kind, name, marks=[pytest.mark.braket] if name == "braket" else [])
        for kind in sorted(names.KINDS)
        for name in names.known(kind)
    ],
)
def test_every_name_leads_to_its_class(kind: names.Kind, name: str) -> None:
    folder = names.KINDS[kind][0].replace("/", ".")
    package, _, file = names.find(kind, name).__module__.rpartition(".")
    assert file == name.replace("-", "_")
    assert f"{package}.".startswith(f"qlogad.{folder}.")
    assert ROOT.parent.joinpath(*package.split(".")) in names.rooms(kind)
