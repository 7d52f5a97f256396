"""The code that results depend on: the import closure of modules, compared as syntax trees.

The closure is read from source text; nothing is imported. Comments, docstrings, formatting and imports for type checking
(`if TYPE_CHECKING:`) are ignored; imports inside functions and names that a module loads lazily (`__getattr__`) are followed.
Components looked up by name at run time (`names.find`) are not reached by imports: callers add their modules to the roots. Other
distributions count by their version. A package that is itself imported counts with all its files, unless these are looked up by name.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from qlogad import documents, files, names
from qlogad.errors import ResultError

__all__ = ["code", "modules", "tree"]

_PACKAGE = Path(names.__file__).parent
_DISTRIBUTION = {
    "sklearn": "scikit-learn"
}  # common imports whose distribution has another name: searching all distributions takes half a second
_PARSED = 1_000  # largest number of source files in the cache
_RULES = Path(__file__).read_bytes()  # invalidates entries cached by other versions of this file


class _Source(NamedTuple):
    """What a source file contributes to the closure."""

    digest: str
    imports: tuple[str, ...]  # "package.module" or "package.module:name", with leading dots if relative
    lazy: tuple[str, ...] = ()  # likewise, imports that a module's own `__getattr__` performs on first use


@cache
def code(roots: tuple[str, ...], alone: tuple[str, ...] = ()) -> str:
    """A digest of modules, everything they import, and the versions of other distributions.

    Computed once per process: later edits of files are not noticed.

    Args:
        roots: dotted names of modules.
        alone: dotted names of modules that count without their imports.

    >>> code(("qlogad.seeds",)) == code(("qlogad.seeds",)) != code(("qlogad.files",))
    True
    """
    found = modules(roots)
    for name in alone:
        found.setdefault(name, _path(name))
    own = {name.partition(".")[0] for name in found}
    sources = _sources([path for path in found.values() if path is not None])
    others = {text.partition(":")[0].partition(".")[0] for source in sources.values() for text in source.imports}
    versions = {name: _version(name) for name in sorted(others - own - {""} - sys.stdlib_module_names)}
    trees = {name: sources[path].digest for name, path in sorted(found.items()) if path is not None}
    return documents.digest(versions, trees)


def modules(roots: Iterable[str]) -> dict[str, Path | None]:
    """The import closure of modules within the roots' own packages, with file paths; None for a module without source."""
    found: dict[str, Path | None] = {}
    waiting = [name for root in roots for name in _counted(root)]
    while waiting:
        new = sorted(set(waiting) - set(found))
        found |= {name: _path(name) for name in new}
        sources = _sources([path for name in new if (path := found[name]) is not None])
        waiting = [
            name
            for module in new
            if (path := found[module]) is not None
            for text in sources[path].imports
            for name in _reached(module, path, text)
        ]
    return found


def _reached(module: str, path: Path, text: str) -> Iterator[str]:
    """The modules behind one import statement, restricted to the importing module's package and qlogad."""
    bare = text.lstrip(".")
    if dots := len(text) - len(bare):
        parts = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
        here = ".".join(parts[: len(parts) - dots + 1])
        bare = here + bare if bare.startswith(":") else f"{here}.{bare}"
    where, _, name = bare.partition(":")
    if where.partition(".")[0] in (module.partition(".")[0], _PACKAGE.name):
        inside = f"{where}.{name}"
        if name and _path(inside) is not None:
            yield from _counted(inside)
            return
        yield from _counted(where)
        if (home := _path(where)) is not None:
            for one in _sources([home])[home].lazy:
                if one.endswith(f":{name}"):
                    yield from _reached(where, home, one)


def _counted(name: str) -> Iterator[str]:
    """A module; a package with all files below it."""
    yield name
    path = _path(name)
    if path is not None and path.name == "__init__.py" and path.parent not in _shared():
        for file in path.parent.rglob("*.py"):
            parts = file.relative_to(path.parent).with_suffix("").parts
            yield ".".join((name, *(part for part in parts if part != "__init__")))


@cache
def _shared() -> frozenset[Path]:
    """The folders of files that are looked up by name, and the package itself."""
    return frozenset([_PACKAGE, *(room for kind in names.KINDS for room in names.rooms(kind))])


@cache
def _path(name: str) -> Path | None:
    """The source file of a module, located without importing anything."""
    top, _, rest = name.partition(".")
    spec = find_spec(top) if top not in (_PACKAGE.name, "__main__") else None
    if top == _PACKAGE.name:
        folders = [_PACKAGE]
    elif spec is None:
        return None
    elif spec.submodule_search_locations is None:
        return Path(spec.origin) if spec.origin and spec.origin.endswith(".py") and not rest else None
    else:
        folders = [Path(folder) for folder in spec.submodule_search_locations]
    for folder in folders:
        place = folder.joinpath(*rest.split(".")) if rest else folder
        for path in (place / "__init__.py", place.with_suffix(".py")):
            if path.is_file():
                return path
    return None


@cache
def _version(name: str) -> str:
    with suppress(PackageNotFoundError):
        return version(_DISTRIBUTION.get(name, name))
    there = [version(one) for one in sorted(set(packages_distributions().get(name, ())))]
    return " ".join(there) or "not installed"


# ------------------------------------------------------------ one file


def tree(text: str | bytes) -> ast.Module:
    """The syntax tree of a source text without docstrings, other unused strings, and imports for type checking."""
    whole = ast.parse(text)
    for node in ast.walk(whole):
        for field in ("body", "orelse", "finalbody"):
            if isinstance(statements := getattr(node, field, None), list):
                setattr(node, field, [one for one in statements if not _is_idle(one)])
    return whole


def _is_idle(node: ast.stmt) -> bool:
    if isinstance(node, ast.If):
        return not node.orelse and "TYPE_CHECKING" in (getattr(node.test, "id", ""), getattr(node.test, "attr", ""))
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _imports(whole: ast.Module) -> Iterator[str]:
    for node in ast.walk(whole):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{'.' * node.level}{node.module or ''}:{alias.name}" for alias in node.names)


def _read(content: bytes) -> _Source:
    try:
        whole = tree(content)
    except (SyntaxError, ValueError):  # reported when the file is imported
        return _Source(documents.digest(content), ())
    imports = sorted(set(_imports(whole)))
    is_lazy = any(isinstance(node, ast.FunctionDef) and node.name == "__getattr__" for node in whole.body)
    lazy = sorted(set(_imports(ast.parse(content))) - set(imports)) if is_lazy else ()
    return _Source(documents.digest(ast.dump(whole)), tuple(imports), tuple(lazy))


def _sources(paths: Sequence[Path]) -> dict[Path, _Source]:
    """The parsed files; contents that any process has parsed before come from the cache."""
    known, contents = _cached(), {path: path.read_bytes() for path in paths}
    keys = {path: documents.digest(_RULES, content) for path, content in contents.items()}
    new = {key: _read(contents[path]) for path, key in keys.items() if key not in known}
    if new:
        known |= new
        with suppress(OSError, ResultError):  # without a writable cache folder it only takes longer
            files.write_facts(_cache_path(), {key: list(source) for key, source in list(known.items())[-_PARSED:]})
    return {path: known[key] for path, key in keys.items()}


def _cache_path() -> Path:
    return documents.cache_folder() / "code" / f"{sys.version_info.major}.{sys.version_info.minor}.json"


@cache
def _cached() -> dict[str, _Source]:
    with suppress(ResultError, OSError, TypeError, ValueError):
        facts = files.read_facts(_cache_path())
        return {
            key: _Source(str(digest), tuple(map(str, imports)), tuple(map(str, lazy)))
            for key, (digest, imports, lazy) in facts.items()
        }
    return {}
