"""Lookup of components by name: a file's name is the component's name in experiments and on the command line; there is no registry.

"deeplog" is the one `Detector` class in qlogad/detect/sequences/deeplog.py, "sim14" the design circuits/ansatz/sim14.toml. The files of
a kind stand in the kind's folder or in folders of it. Listing reads file names and source text, and imports nothing. Other packages
add components of any kind as entry points (`qlogad.detectors`, `qlogad.backends`, ...: name -> class; see `KINDS`), and designs as
`qlogad.circuits` (name -> folder).
"""

import ast
import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from functools import cache, lru_cache
from importlib import import_module
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from os.path import isdir, isfile
from pathlib import Path
from typing import Any, Literal, NamedTuple

from qlogad.errors import DesignError, DocumentError, UnknownName, did_you_mean, shown

__all__ = [
    "KINDS",
    "data_folder",
    "declared",
    "design_path",
    "designs",
    "documents",
    "entries",
    "find",
    "format_hint",
    "format_path",
    "formats",
    "headline",
    "introduction",
    "is_design_file",
    "known",
    "modules_of",
    "name_of",
    "rooms",
]

Kind = Literal["dataset", "detector", "backend", "view", "parser", "core", "control", "benchmark", "method"]
Role = Literal["ansatz", "encoding"]

KINDS: dict[Kind, tuple[str, str, str]] = {
    "dataset": ("logs", "Dataset", "qlogad.datasets"),
    "detector": ("detect", "Detector", "qlogad.detectors"),
    "backend": ("backend", "Backend", "qlogad.backends"),
    "view": ("features", "View", "qlogad.views"),
    "parser": ("logs/parser", "Parser", "qlogad.parsers"),
    "core": ("nn/core", "Core", "qlogad.cores"),
    "control": ("nn/controls", "Control", "qlogad.controls"),
    "benchmark": ("bench", "Benchmark", "qlogad.benchmarks"),
    "method": (
        "backend/exact/methods",
        "Method",
        "",
    ),  # no entry points: plans, and so the last digits of results, depend on the set of methods
}

_PACKAGE = Path(__file__).parent


def known(kind: Kind) -> list[str]:
    """The names of one kind, sorted; nothing is imported.

    >>> "deeplog" in known("detector")
    True
    """
    return sorted({*_own(kind), *_foreign(kind)})


def find(kind: Kind, name: str) -> type[Any]:
    """The class behind a name.

    Raises:
        UnknownName: there is no such name; the message suggests the nearest one.
        MissingExtra: its file needs a package that is not installed.
    """
    own = _own(kind)
    if name in own:
        found = getattr(import_module(own[name].module), own[name].called)
    elif name in (foreign := _foreign(kind)):
        found = foreign[name].load()
    else:
        raise UnknownName(kind, name, known(kind), format_hint(name) if kind == "dataset" else "")
    if not isinstance(found, type):
        raise TypeError(f"{kind} '{name}' is not a class but {found!r}")
    return found


def modules_of(kind: Kind, words: Iterable[str]) -> list[str]:
    """The modules of the components of one kind that are named by one of the words, sorted; nothing is imported.

    >>> modules_of("detector", ["deeplog", "exact", "no such thing"])
    ['qlogad.detect.sequences.deeplog']
    """
    wanted = set(words)
    own = {one.module for name, one in _own(kind).items() if name in wanted}
    return sorted(own | {entry.module for entry in entries(KINDS[kind][2]) if entry.name in wanted})


def name_of(kind: Kind, cls: type[Any]) -> str | None:
    """The name of a class; None if it is neither part of qlogad nor installed as an entry point.

    >>> name_of("detector", find("detector", "length"))
    'length'
    """
    for name, own in _own(kind).items():
        if (cls.__module__, cls.__qualname__) == (own.module, own.called):
            return name
    package = cls.__module__.partition(".")[0]
    near = {name: entry for name, entry in _foreign(kind).items() if entry.module.partition(".")[0] == package}
    return next((name for name, entry in near.items() if entry.load() is cls), None)


def headline(kind: Kind, name: str) -> str:
    """The first line of the docstring of a component's file, read from the source text.

    >>> headline("detector", "length").startswith("Length: a window is anomalous")
    True
    """
    return introduction(kind, name).split("\n", 1)[0]


def introduction(kind: Kind, name: str) -> str:
    """The docstring of a component's file, read from the source text."""
    return (ast.get_docstring(_tree(kind, name)) or "") if name in _own(kind) else "from another package"


def declared(kind: Kind, name: str) -> dict[str, Any]:
    """What a component's class itself declares with an annotation, read from the source text; None for values that are no literals.

    >>> declared("detector", "count-vector")["reads"], "core" in declared("detector", "deeplog")
    (('ids', 'counts'), True)
    """
    if name not in _own(kind):
        return {}
    body = next(
        node.body for node in _tree(kind, name).body if isinstance(node, ast.ClassDef) and node.name == _own(kind)[name].called
    )
    found: dict[str, Any] = {}
    for node in body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found[node.target.id] = None
            with suppress(ValueError):
                found[node.target.id] = node.value and ast.literal_eval(node.value)
    return found


@cache
def _tree(kind: Kind, name: str) -> ast.Module:
    return ast.parse(_own(kind)[name].source.read_text(encoding="utf-8"))


def designs(role: Role) -> dict[str, Path]:
    """The design files of a role by name, sorted; files in `circuits/found/` count as ansatz designs."""
    folders = [data_folder("circuits") / role]
    if role == "ansatz":
        folders.append(data_folder("circuits") / "found")
    for entry in entries("qlogad.circuits"):
        folders.append(Path(str(entry.load())) / role)
    paths = [path for folder in folders for path in folder.glob("*.toml")]
    return {path.stem: path for path in sorted(paths, key=lambda path: path.stem)}


def design_path(role: Role, name: str) -> Path:
    """The file of a design, by name or by path.

    Raises:
        UnknownName: there is no such design.
        DesignError: it is a path to a file that does not exist.
    """
    if is_design_file(name):
        return Path(name)
    files = designs(role)
    if name in files:
        return files[name]
    if isdir(name):
        raise DesignError(f"{role} {shown(name, 100)} is a folder; give one of its .toml files, or a name from: qlogad list {role}")
    if name.endswith((".toml", ".qasm")) or "/" in name:
        hint = did_you_mean(Path(name).stem, files)
        raise DesignError(
            f"there is no {role} file {shown(name, 100)}; check the path, or give a name without folder and ending{hint}"
        )
    raise UnknownName(role, name, files)


def is_design_file(name: str) -> bool:
    """Whether a name is the path of an existing design file."""
    return name.endswith((".toml", ".qasm")) and isfile(name)  # unlike Path.is_file, returns False for invalid paths


def formats() -> dict[str, Path]:
    """The shipped format files by name, sorted.

    >>> "hdfs" in formats()
    True
    """
    return {path.stem: path for path in sorted((_PACKAGE / "logs" / "formats").glob("*.toml"))}


def format_hint(name: str) -> str:
    """How to read a log that is named by its format instead of a data set; "" if there is no such format.

    >>> format_hint("Linux")
    'it is the name of a format; write dataset = "lines", format = "linux"'
    """
    known_as = name.lower()
    return f'it is the name of a format; write dataset = "lines", format = "{known_as}"' if known_as in formats() else ""


def format_path(name: str) -> Path:
    """The file of a format, by name or by path.

    Raises:
        UnknownName: there is no such format.
        DocumentError: it is a path, and there is no such file.
    """
    if name.endswith(".toml"):
        if not isfile(name):
            raise DocumentError(f"there is no format file {shown(name, 100)}; check the path")
        return Path(name)
    files = formats()
    if name not in files:
        raise UnknownName("format", name, files)
    return files[name]


def data_folder(name: Literal["circuits", "experiments"]) -> Path:
    """The folder of design or experiment files: inside the installed package, else at the top of the checkout."""
    packed = _PACKAGE / "_data" / name
    return packed if packed.is_dir() else _PACKAGE.parent / name


def documents(kind: Literal["experiment", "study"]) -> dict[str, Path]:
    """The shipped experiment or study files (*.sweep.toml) by name, sorted.

    >>> "quickstart" in documents("experiment")
    True
    """
    paths = {path.name.removesuffix(".toml"): path for path in sorted(data_folder("experiments").glob("*.toml"))}
    if kind == "study":
        return {name.removesuffix(".sweep"): path for name, path in paths.items() if name.endswith(".sweep")}
    return {name: path for name, path in paths.items() if not name.endswith(".sweep")}


class _Component(NamedTuple):
    """Where a component of this package is: its module, its class, and the file with the class."""

    module: str
    called: str
    source: Path


def rooms(kind: Kind) -> list[Path]:
    """The folders that hold the files of a kind: its own, and those in it that are neither a component nor another kind's.

    >>> [room.name for room in rooms("detector")]
    ['detect', 'floors', 'parts', 'sequences', 'windows']
    """
    folder = _PACKAGE / KINDS[kind][0]
    others = {_PACKAGE / place for place, _, _ in KINDS.values()}
    inner = [path for path in sorted(folder.iterdir()) if (path / "__init__.py").is_file() and path not in others]
    return [folder, *(path for path in inner if not _class_in(path / "__init__.py", KINDS[kind][1]))]


@cache
def _own(kind: Kind) -> dict[str, _Component]:
    """The components of a kind by file name, from the source text."""
    found: dict[str, _Component] = {}
    for room in rooms(kind):
        dotted = ".".join(("qlogad", *room.relative_to(_PACKAGE).parts))
        for path in sorted(room.iterdir()):
            source = path / "__init__.py" if path.is_dir() else path
            if source.suffix == ".py" and source.is_file() and path.stem != "__init__":
                called = _class_in(source, KINDS[kind][1])
                if called is not None:
                    found[path.stem.replace("_", "-")] = _Component(f"{dotted}.{path.stem}", called, source)
    return found


@cache
def _class_in(source: Path, base: str) -> str | None:
    """The class in a file whose bases include `base` but not ABC; None if there is none."""
    text = source.read_text(encoding="utf-8")
    if f"{base})" not in text and f"{base}," not in text:  # parsing takes a millisecond
        return None
    for node in ast.parse(text).body:
        if isinstance(node, ast.ClassDef):
            bases = {one.id for one in node.bases if isinstance(one, ast.Name)}
            if base in bases and "ABC" not in bases:
                return node.name
    return None


def _foreign(kind: Kind) -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entries(KINDS[kind][2])}


def entries(group: str) -> EntryPoints:
    """The entry points of a group; read from disk only if the import path, or a folder on it, has changed since the last call.

    >>> len(entries("qlogad.nothing"))
    0
    """
    return _entries(group, tuple((path, _changed(path)) for path in sys.path))


@lru_cache(maxsize=64)
def _entries(group: str, path: tuple[tuple[str, int], ...]) -> EntryPoints:
    """The entry points of a group, for an import path and when its folders last changed."""
    return entry_points(group=group)


def _changed(path: str) -> int:
    """When a folder, or a packed one, last changed, in nanoseconds; 0 if it does not exist."""
    try:
        return os.stat(path or ".").st_mtime_ns
    except OSError:
        return 0
