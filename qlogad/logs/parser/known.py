"""Templates from elsewhere: a text file, a table such as LogHub's, another model, or what OpenTelemetry's collector found.

a text file         one template a line, `<*>` for a variable part; `qlogad data parse LOG --out templates.txt` writes one
a table (CSV)       with a column EventTemplate, as LogHub's *_templates.csv
a model             its folder: the templates of its parser
an OTLP export      JSON lines; the attribute log.record.template of its log records
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from qlogad import files
from qlogad.errors import DataError, InputError, shown
from qlogad.logs.dataset import Intake
from qlogad.logs.parser.parser import load_parser
from qlogad.logs.reading.raw_lines import expand, read_lines

__all__ = ["read_templates", "templates_text"]

_COLUMN = "EventTemplate"
_ATTRIBUTE = "log.record.template"  # of OpenTelemetry's semantic conventions
_KINDS = f"give a text file of one template a line, a CSV table with a column {_COLUMN}, a model's folder, or OTLP JSON lines"


def read_templates(path: str | Path) -> tuple[str, ...]:
    """Templates in order, each once, with single blanks. What each kind of file is, is told by its content.

    Args:
        path: the file, plain or compressed, or a model's folder; `~` and `$NAME` are expanded.

    Raises:
        DataError: it is missing or unreadable, or holds no template.
    """
    folder = Path(os.path.expandvars(Path(path).expanduser()))
    found = _of_model(folder) if folder.is_dir() else _of_file(expand(path))
    templates = tuple(dict.fromkeys(text for template in found if (text := " ".join(template.split()))))
    if not templates:
        raise DataError(f"{path} holds no templates; {_KINDS}")
    return templates


def templates_text(templates: Iterable[str]) -> str:
    r"""Templates as a text file that `read_templates` reads.

    >>> templates_text(["stop", "open <*>"])
    'stop\nopen <*>\n'
    """
    return "".join(f"{template}\n" for template in templates if template)


def _of_model(folder: Path) -> Iterator[str]:
    path = folder / "preprocessor.json"
    try:
        yield from load_parser(files.read_facts(path)["pipeline"]["parser"]).templates
    except (InputError, KeyError, TypeError, AttributeError) as error:
        said = f": {error}" if isinstance(error, InputError) else ""
        raise DataError(f"{folder} holds no model whose templates could be read{said}; {_KINDS}") from error


def _of_file(path: Path) -> Iterator[str]:
    intake = Intake()
    lines = [line.text for line in read_lines(path, intake)]
    if intake.quarantine:
        item = intake.quarantine[0]
        raise DataError(f"{path}, line {item.line}: {item.reason}, which is no template; {_KINDS}")
    exported = _of_export(lines, path) if lines and lines[0].lstrip().startswith("{") else None
    if exported is not None:
        return iter(exported)
    return _of_table(lines, path) if lines and _COLUMN in next(csv.reader(lines[:1]), []) else iter(lines)


def _of_table(lines: Sequence[str], path: Path) -> Iterator[str]:
    rows = csv.reader(f"{line}\n" for line in lines)
    place = next(rows).index(_COLUMN)
    try:
        for row in rows:
            if len(row) <= place:
                raise DataError(f"{path}, line {rows.line_num}: the column {_COLUMN} is missing, got {shown(row, 80)}")
            yield row[place]
    except csv.Error as error:
        raise DataError(f"{path}, line {rows.line_num}: {error}; write the table as CSV") from error


def _of_export(lines: Sequence[str], path: Path) -> list[str] | None:
    """The templates of an OTLP export; None where the first line is no JSON, and so a template."""
    found: list[str] = []
    for number, line in enumerate(lines, 1):
        try:
            waiting: list[Any] = [json.loads(line)]
        except (ValueError, RecursionError) as error:
            if number == 1:
                return None
            raise DataError(f"{path}, line {number}: not JSON, unlike the lines before it; {_KINDS}") from error
        while waiting:
            value = waiting.pop()
            if isinstance(value, dict):
                text = value.get("value")
                if value.get("key") == _ATTRIBUTE and isinstance(text, dict) and isinstance(text.get("stringValue"), str):
                    found.append(text["stringValue"])
                waiting.extend(reversed(list(value.values())))
            elif isinstance(value, list):
                waiting.extend(reversed(value))
    return found
