"""What can be named: every kind as a list with one line each; one design drawn and counted; anything else described with its keys."""

from __future__ import annotations

import ast
import inspect
import io
import re
import tokenize
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import partial
from typing import Any, Literal, get_type_hints

from qlogad import documents, escape, names
from qlogad.catalogue import analysis
from qlogad.catalogue.analysis import check_column
from qlogad.catalogue.designs import Shown, design_row, role_for, show_design, size_of, width_of
from qlogad.circuit.design import ROLES, Role
from qlogad.errors import InputError, UnknownName

__all__ = ["KINDS", "analysed", "rows", "show"]

Row = dict[str, Any]
_CITATION = re.compile(  # "Du et al., CCS 2017", "Liu, Ting & Zhou, ICDM 2008", "Schuld et al. (2021)"
    r"(?:[A-Z][\w-]+(?:, | & ))*[A-Z][\w-]+(?: et al\.)?(?:, (?:[A-Z][^.;:()]*? )?| \()(?:19|20)\d\d\)?"
)


def rows(kind: str, *, wires: int | None = None, depth: int | None = None, sort: str = "name") -> list[Row]:
    """The name and a one-line description of everything of a kind, sorted by a column; imports nothing heavy.

    Args:
        kind: one of `KINDS`.
        wires: for ansatz and encoding: the width at which costs are counted, 4 by default.
        depth: for ansatz: number of layers, 1 by default.
        sort: the column.

    Raises:
        UnknownName: there is no such kind.
        InputError: there is no such column or circuit size, or the kind has no wires.
    """
    if kind not in KINDS:
        raise UnknownName("kind of thing to list", kind, KINDS)
    found = KINDS[kind](*size_of(kind, wires, depth))
    if kind in ROLES and sort in analysis.COLUMNS and sort not in found[0]:
        raise InputError(f"the column '{sort}' is measured; add --analyse")
    check_column(sort, list(found[0]))
    return sorted(found, key=lambda row: (isinstance(row[sort], str), row[sort]))  # numbers first, then text such as "-"


def _things(kind: names.Kind, wires: int, depth: int) -> list[Row]:
    return [{"name": name, "what": names.headline(kind, name)} for name in names.known(kind)]


def _detectors(wires: int, depth: int) -> list[Row]:
    """With what each may learn from, the views it reads, whether a core stands in it, and the first work that its file cites."""
    found = []
    for name in names.known("detector"):
        declared = names.declared("detector", name)
        cited = _CITATION.search(names.introduction("detector", name).replace("\n", " "))
        found.append(
            {
                "name": name,
                "track": "supervised" if declared.get("supervised") else "normal-only",
                "views": ", ".join(view for view in declared.get("reads") or () if view != "ids") or "ids",
                "core": "yes" if "core" in declared else "-",
                "paper": cited.group(0) if cited else "-",
                "what": names.headline("detector", name),
            }
        )
    return found


def _designs(role: Role, wires: int, depth: int) -> list[Row]:
    return [design_row(name, role, wires, depth) for name in names.designs(role)]


def _documents(kind: Literal["experiment", "study"], wires: int, depth: int) -> list[Row]:
    return [{"name": name, "question": documents.read(path).get("question", "")} for name, path in names.documents(kind).items()]


def _formats(wires: int, depth: int) -> list[Row]:
    return [{"name": name, "what": documents.read(path).get("what", "")} for name, path in names.formats().items()]


def _objectives(wires: int, depth: int) -> list[Row]:
    from qlogad.sweep.objectives import OBJECTIVES

    return [{"name": name, "aim": one.direction, "what": one.what} for name, one in OBJECTIVES.items()]


KINDS: Mapping[str, Callable[[int, int], list[Row]]] = {
    **{f"{kind}s": partial(_things, kind) for kind in names.KINDS},
    "detectors": _detectors,
    **{role: partial(_designs, role) for role in ROLES},
    "experiments": partial(_documents, "experiment"),
    "studies": partial(_documents, "study"),
    "objectives": _objectives,
    "formats": _formats,
}


def analysed(
    kind: str, *, sort: str = "name", progress: Callable[[str, int], None], wires: int | None = None, depth: int | None = None
) -> list[Row]:
    """Every ansatz or encoding with its measures, sorted by a column.

    Raises:
        InputError: the kind cannot be analysed, or there is no such column.
    """
    for role in ROLES:
        if kind == role:
            wires, depth = size_of(kind, wires, depth)
            return analysis.table(role, wires=wires, depth=depth, sort=sort, progress=progress)
    raise InputError(f"only ansatz and encoding can be analysed, got '{kind}'; leave out --analyse")


def show(name: str, *, wires: int | None = None, depth: int | None = None, analyse: bool = False, role: str | None = None) -> Shown:
    """Draw and count a design, and analyse it on request; or describe any other named thing, with its keys.

    Args:
        name: of an ansatz or encoding, or a design file; or of anything else that `qlogad list` lists.
        wires: the circuit's width.
        depth: for an ansatz: number of layers, 1 by default.
        analyse: measure the circuit.
        role: "ansatz" or "encoding", for a file that could be either; by default read from its content, else from its folder.

    Raises:
        UnknownName: nothing has this name.
        DesignError: the file is not a design, or does not exist at this width.
    """
    if role is None and not names.is_design_file(name):
        drawn = any(name in names.designs(one) for one in ROLES)
        for kind in names.KINDS:
            if name in names.known(kind) and (kind in ("detector", "dataset") or not drawn):
                return _show_keys(name, kind)
        if not drawn and name in names.formats():
            return _show_format(name)
    found, note = role_for(name, role)
    return show_design(name, found, note, *size_of(found, width_of(name, found, wires), depth), analyse)


def _show_format(name: str) -> Shown:
    """What a format reads, a line of it, and its keys as a user would write them."""
    table = documents.read(names.format_path(name))
    what, example = table.pop("what", ""), table.pop("example", "")
    text = f"{name}: {what}\n\n{escape.terminal(example)}\n\n{documents.dump(table)}"
    return Shown(text, {"name": name, "kind": "format", "what": what, "example": example, "keys": table})


def _show_keys(name: str, kind: names.Kind) -> Shown:
    cls = names.find(kind, name)
    said = _meanings(cls)
    keys = []
    for field in fields(cls) if is_dataclass(cls) else ():
        if not field.init:
            continue
        default: Any = "required"
        if field.default is not MISSING:
            default = documents.plain(field.default)
        elif field.default_factory is not MISSING:
            default = documents.plain(field.default_factory())
        keys.append(
            {
                "key": field.name,
                "default": default,
                "type": field.type.__name__ if isinstance(field.type, type) else str(field.type).removeprefix("typing."),
                "meaning": said.get(field.name, ""),
            }
        )
    table = escape.table(keys, "simple") if keys else ""
    presets = documents.plain(getattr(cls, "presets", {}))
    written = "\n".join(f'preset = "{preset}" stands for\n\n{documents.dump(values)}' for preset, values in presets.items())
    about = "\n\n".join(text for text in (inspect.getdoc(inspect.getmodule(cls)), inspect.getdoc(cls), table, written) if text)
    return Shown(f"{name}: {about}", {"name": name, "kind": kind, "keys": keys, **({"presets": presets} if presets else {})})


def _meanings(cls: type) -> dict[str, str]:
    """What annotations and the comments beside the fields of a class, and of those it inherits from, say."""
    hints = get_type_hints(cls, include_extras=True)
    said = {name: [one for one in getattr(hint, "__metadata__", ()) if isinstance(one, str)] for name, hint in hints.items()}
    found = {name: words[0] for name, words in said.items() if words}
    for each in reversed(cls.__mro__):
        try:
            source = inspect.cleandoc("\n" + inspect.getsource(each))
        except (OSError, TypeError):  # of what is built in, or has no source
            continue
        body = ast.parse(source).body[0]
        if not isinstance(body, ast.ClassDef):
            continue
        comments = {
            token.start[0]: token.string.lstrip("# ").rstrip()
            for token in tokenize.generate_tokens(io.StringIO(source).readline)
            if token.type == tokenize.COMMENT
        }
        for statement in body.body:
            if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                lines = range(statement.lineno, (statement.end_lineno or statement.lineno) + 1)
                words = [comments[line] for line in lines if line in comments]
                if words:
                    found[statement.target.id] = " ".join(words)
    return found
