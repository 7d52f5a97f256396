"""The results folder of an experiment: record.npz, and the files made from it: manifest.json, runs.csv, table.md, alarms.csv, figures.

Committed files hold numbers and line numbers only. `alarms.md` and `quarantine.md` show the original log lines, need the data
set, and are git-ignored, because third-party logs may not be published.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
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

__all__ = ["Checked", "check", "figure_names", "folders", "is_result", "write"]

_GLYPH = re.compile(rb"((?:id=\"|href=\"#)[A-Za-z-]+-)[0-9a-f]+(?=\")")

Progress = Callable[[str, int], None]

DRAWN_BY = ("matplotlib", "pillow")  # other versions write other bytes


@dataclass(frozen=True)
class Checked:
    """The outcome of comparing a results folder with its record."""

    differ: tuple[str, ...] = ()  # files that differ from what the record gives
    skipped: str = ""  # which files were not compared, and why


def figure_names() -> list[str]:
    """The names of the report's figures: the files in qlogad/report/figures.

    >>> "timeline" in figure_names()
    True
    """
    return sorted(module.name.replace("_", "-") for module in iter_modules(figures.__path__))


def write(record: Record, folder: Path, progress: Progress = lambda what, count: None) -> None:
    """Write record.npz and all files made from it; a figure that the record no longer gives is removed.

    Args:
        record: what to write.
        folder: created if missing.
        progress: called for each file, with the number of files made before.
    """
    record.save(folder)
    for number, (name, content) in enumerate(_files(record)):
        progress(name, number)
        if content is None:
            files.remove(folder / name)
        else:
            files.write(folder / name, content)


def _files(record: Record, *, drawn: bool = True) -> Iterator[tuple[str, bytes | None]]:
    """The files in order, as (name, content); the content is None for a file that the record does not give."""
    yield "manifest.json", manifest.text_of(record).encode()
    yield "runs.csv", escape.csv_table(record.frame(), "%.7g").encode()
    yield "table.md", table(record).encode()
    yield "alarms.csv", alarms.text_of(record).encode() if record.cells else None
    for name in figure_names() if drawn else ():
        figure = import_module(f"{figures.__name__}.{name.replace('-', '_')}").draw(record)
        content = dict.fromkeys(ENDINGS) if figure is None else written(figure)
        yield from ((f"{name}{ending}", one) for ending, one in content.items())


def folders(place: Path) -> list[Path]:
    """The results folders of experiments in a folder, sorted; folders of benchmarks and studies are not included."""
    return sorted(filter(is_result, place.glob("*")))


def is_result(path: Path) -> bool:
    """Whether a path is the results folder of an experiment."""
    return (path / FILE).exists() or (path / "runs.csv").exists()


def check(folder: Path, progress: Progress = lambda what, count: None) -> Checked:
    """Compare the files of a results folder with what its record gives.

    Args:
        folder: the results folder.
        progress: called for each file, with the number of files compared before.

    Raises:
        ResultError: its record is damaged or of another version.
    """
    if (folder / "runs.csv").exists() and not (folder / FILE).exists():
        return Checked(skipped=f"all: the folder has no {FILE} (made by an earlier version); run its experiment again")
    record = Record.load(folder)
    drawn_by = record.manifest.get("versions", {})
    others = [f"{name} {drawn_by.get(name)}" for name in DRAWN_BY if drawn_by.get(name) != version(name)]
    differ = []
    for number, (name, content) in enumerate(_files(record, drawn=not others)):
        progress(f"{folder.name}/{name}", number)
        if _drawn(_content(folder / name)) != _drawn(content):
            differ.append(name)
    return Checked(tuple(differ), f"its figures, which were drawn by {' and '.join(others)}" if others else "")


def _drawn(content: bytes | None) -> bytes | None:
    """A file without matplotlib's glyph numbers in SVG, which differ between processes although the shapes do not."""
    return None if content is None else _GLYPH.sub(rb"\1", content) if content.startswith(b"<?xml") else content


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None
