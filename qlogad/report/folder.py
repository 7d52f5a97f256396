"""The results folder of an experiment: record.npz, and what is made of it: manifest.json, runs.csv, table.md, alarms.csv, figures.

Committed files hold numbers and line numbers only. `alarms.md` shows the original log lines, needs the data set, and is git-ignored:
third-party logs are not ours to publish.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from pkgutil import iter_modules

from qlogad import escape, files
from qlogad.report import alarms, figures, manifest
from qlogad.report.drawing import ENDINGS, written
from qlogad.report.record import FILE, Record
from qlogad.report.table import table

__all__ = ["Checked", "check", "figure_names", "made", "write"]

DRAWN_BY = ("matplotlib", "pillow")  # other versions draw other bytes


@dataclass(frozen=True)
class Checked:
    """What became of comparing a results folder with its record."""

    differ: tuple[str, ...] = ()  # files that are not what the record gives
    skipped: str = ""  # why some were not compared


def figure_names() -> list[str]:
    """The figures of a report, by the files of qlogad/report/figures.

    >>> figure_names()
    ['learning-curves', 'pr-curves', 'timeline']
    """
    return sorted(module.name.replace("_", "-") for module in iter_modules(figures.__path__))


def write(record: Record, folder: Path) -> None:
    """Write record.npz and all that is made of it; a figure that the record no longer gives is removed."""
    record.save(folder)
    for name, content in _files(record):
        if content is None:
            files.remove(folder / name)
        else:
            files.write(folder / name, content)


def made(record: Record) -> dict[str, bytes]:
    """Everything that is made of a record, by file name."""
    return {name: content for name, content in _files(record) if content is not None}


def _files(record: Record, *, drawn: bool = True) -> Iterator[tuple[str, bytes | None]]:
    """The files in turn; None for one that the record does not give."""
    yield "manifest.json", manifest.text_of(record).encode()
    yield "runs.csv", escape.csv_table(record.frame(), "%.7g").encode()
    yield "table.md", table(record).encode()
    yield "alarms.csv", alarms.text_of(record).encode() if record.cells else None
    for name in figure_names() if drawn else ():
        figure = import_module(f"{figures.__name__}.{name.replace('-', '_')}").draw(record)
        content = dict.fromkeys(ENDINGS) if figure is None else written(figure)
        yield from ((f"{name}{ending}", one) for ending, one in content.items())


def check(folder: Path) -> Checked:
    """Compare the files of a results folder with what its record gives.

    Raises:
        ResultError: its record is damaged, or of another version.
    """
    if not (folder / FILE).exists():
        return Checked(skipped=f"it has no {FILE}: it is older than records are; run its experiment again to make one")
    record = Record.load(folder)
    drawn_by = record.manifest.get("versions", {})
    others = [f"{name} {drawn_by.get(name)}" for name in DRAWN_BY if drawn_by.get(name) != version(name)]
    differ = [name for name, content in _files(record, drawn=not others) if _content(folder / name) != content]
    return Checked(tuple(differ), f"figures were not compared: they were drawn by {' and '.join(others)}" if others else "")


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None
