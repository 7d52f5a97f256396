"""The record of a run: everything needed to evaluate and draw it again without the data set, the cells or retraining.

record.npz      a table of facts as JSON, and columns (columns.py); no text of the log, nothing executable
manifest.json   the same facts, readable, with the time of writing
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from qlogad import documents, escape, files
from qlogad.errors import DocumentError, ResultError, did_you_mean, shown
from qlogad.evaluate.metrics import HEADINGS
from qlogad.experiment.experiment import Judge
from qlogad.report.columns import CellFacts, ContenderFacts, Cut, CutFacts, ScoredCell, packed, unpacked
from qlogad.report.rows import judge_cell
from qlogad.report.text import mean_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FILE", "Record"]

FILE = "record.npz"
FORMAT = 1


@dataclass(frozen=True)
class _Facts:
    """The JSON table of record.npz."""

    format: int
    name: str
    question: str
    assumed: bool
    data_warnings: tuple[str, ...]
    judge: Judge
    declared: Judge
    entrants: tuple[ContenderFacts, ...]
    cuts: tuple[CutFacts, ...]
    cells: tuple[CellFacts, ...]
    failed: Mapping[str, str]
    manifest: Mapping[str, Any]
    injected: str | None = None


@dataclass(frozen=True, eq=False)
class Record:
    """The record of a run; `Record.load(folder)` reads it, `run(experiment)` returns it.

    >>> record = Record.load("results/quickstart")  # doctest: +SKIP
    >>> record.frame().query("windows == 'all'").groupby("contender")["f1"].mean()  # doctest: +SKIP
    """

    name: str
    question: str
    injected: str | None  # the injection that made anomalies from normal windows
    assumed: bool  # no window to be judged was labelled: all were assumed normal before injection
    data_warnings: tuple[str, ...]  # raised while reading the data
    judge: Judge  # how contenders are judged
    declared: Judge  # how they were to be judged, as declared before training
    entrants: tuple[ContenderFacts, ...]
    cuts: tuple[Cut, ...]
    cells: tuple[ScoredCell, ...]  # the finished ones
    failed: Mapping[str, str]  # cell -> cause
    manifest: Mapping[str, Any]  # everything else that the numbers depend on
    written: str | None = None  # time of writing, in UTC
    reused: int = 0  # cells finished by an earlier run; not stored

    @classmethod
    def load(cls, folder: str | Path) -> Record:
        """Read the record of a results folder.

        Raises:
            ResultError: there is none, or it is damaged or of another version.
        """
        path = Path(folder) / FILE
        if not path.exists():
            raise ResultError(f"{folder} has no {FILE}; run the experiment again, or name a results folder that has one")
        try:
            arrays = files.read_arrays(path)
            facts = documents.from_mapping(_Facts, _facts(arrays.pop("facts", None)), "its facts", strict=True)
            if facts.format != FORMAT:
                raise ResultError(f"it has format {facts.format}, expected {FORMAT}")
            _check(facts)
            cuts, cells = unpacked(facts.cuts, facts.cells, arrays)
            _check_rows(cuts, cells)
        except (DocumentError, ResultError) as error:
            raise ResultError(f"{path} cannot be used: {error}; run the experiment again") from error
        own = {field.name: getattr(facts, field.name) for field in fields(_Facts) if field.name not in ("format", "cuts", "cells")}
        return cls(**own, cuts=cuts, cells=cells, written=_written(Path(folder) / "manifest.json"))

    def save(self, folder: str | Path) -> None:
        """Write record.npz; equal records give equal files."""
        facts = _Facts(
            FORMAT,
            cuts=tuple(cut.facts for cut in self.cuts),
            cells=tuple(cell.facts for cell in self.cells),
            **{f.name: getattr(self, f.name) for f in fields(_Facts) if f.name not in ("format", "cuts", "cells")},
        )
        text = json.dumps({**documents.plain(facts), "manifest": self.manifest}, separators=(",", ":")).encode()
        arrays = {"facts": np.frombuffer(text, dtype=np.uint8), **packed(self.cuts, self.cells)}
        files.write_arrays(Path(folder) / FILE, arrays, compressed=True)

    def judged(self, overrides: Sequence[str]) -> Record:
        """The same cells under another judge, for exploration: `record.judged(["judge.metric=recall"])`.

        Raises:
            DocumentError: a key that was fixed before training, or an invalid contrast.
        """
        content: Mapping[str, Any] = {"judge": documents.plain(self.judge)}
        for assignment in overrides:
            content = documents.override(content, assignment)
        for key in content:
            if key != "judge":
                raise DocumentError(f"{shown(key)} was fixed before training; only the keys of judge can be set")
        judge = documents.from_mapping(Judge, content["judge"], "[judge]")
        if judge.seeds != self.judge.seeds:
            raise DocumentError(
                f"judge.seeds = {self.judge.seeds} was fixed before training; run the experiment again to change it"
            )
        tracks = {one.name: one.track for one in self.entrants}
        for pair in judge.contrasts:
            for name in pair:
                if name not in tracks:
                    raise DocumentError(
                        f"contrast {list(pair)} names an unknown contender {shown(name)}{did_you_mean(name, tracks, most=3)}"
                    )
            if len({tracks[name] for name in pair}) > 1:
                raise DocumentError(f"contrast {list(pair)} compares two tracks")
        return replace(self, judge=judge)

    @property
    def otherwise(self) -> list[str]:
        """The keys of judge that differ from those declared."""
        return [f.name for f in fields(Judge) if getattr(self.judge, f.name) != getattr(self.declared, f.name)]

    def firsts(self, cut: Cut) -> list[ScoredCell]:
        """The first seed's cells of a cut, one per contender."""
        return [cell for cell in self.cells if cell.facts.cut == cut.name and cell.facts.seed == 0]

    def cells_of(self, contender: str, cut: Cut) -> list[ScoredCell]:
        """The cells of a contender at a cut, by seed."""
        return [cell for cell in self.cells if (cell.facts.contender, cell.facts.cut) == (contender, cut.name)]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The rows for JSON: None replaces undefined and infinite numbers."""
        return [{key: finite(value) for key, value in row.items()} for row in self._rows]

    def frame(self) -> pd.DataFrame:
        """Metrics of every cell on every set of windows, as in runs.csv: one row per contender, seed, cut and set."""
        import pandas as pd

        return pd.DataFrame(self._rows)

    @cached_property
    def _rows(self) -> list[dict[str, Any]]:
        cuts, tracks = {cut.name: cut for cut in self.cuts}, {one.name: one.track for one in self.entrants}
        return [row for cell in self.cells for row in judge_cell(cell, cuts[cell.facts.cut], tracks[cell.facts.contender])]

    def __str__(self) -> str:
        return f"{self.name}: {self.question}\n\n{escape.table(self._glance(), 'simple')}"

    def _repr_html_(self) -> str:
        head, rows = f"<b>{escape.html(self.name)}</b>: {escape.html(self.question)}", self._glance()
        titles = "".join(f"<th>{escape.html(title)}</th>" for title in (rows[0] if rows else {}))
        body = "".join(f"<tr>{''.join(f'<td>{escape.html(cell)}</td>' for cell in row.values())}</tr>" for row in rows)
        return f"<p>{head}</p><table><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table>"

    def _glance(self) -> list[dict[str, Any]]:
        """Means over seeds on all test windows."""
        frame = self.frame()
        if frame.empty:
            return []
        groups = frame[frame["windows"] == "all"].groupby(["cut", "contender"], sort=False)
        return [
            {"cut": cut, "contender": name, **{heading: mean_of(own[metric]) for metric, heading in HEADINGS.items()}}
            for (cut, name), own in groups
        ]


def finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _facts(stored: Any) -> dict[str, Any]:
    try:
        found = json.loads(stored.tobytes())
    except (AttributeError, ValueError, RecursionError) as error:
        raise ResultError("it has no facts") from error
    if not isinstance(found, dict):
        raise ResultError("it has no facts")
    return found


def _check(facts: _Facts) -> None:
    """Check that cells refer to existing contenders, cuts and rows."""
    forms, entrants = {cut.cut: cut.forms for cut in facts.cuts}, {one.name for one in facts.entrants}
    if not facts.cuts or len(forms) < len(facts.cuts) or not all(forms.values()):
        raise ResultError("its cuts are not distinct, or have no rows")
    if len(entrants) < len(facts.entrants):
        raise ResultError("two contenders have the same name")
    for cell in facts.cells:
        if cell.contender not in entrants or cell.form not in forms.get(cell.cut, ()):
            raise ResultError(f"it has no contender, cut or rows for the cell '{cell}'")
        if "total" not in cell.weights or math.isnan(cell.threshold):
            raise ResultError(f"the cell '{cell}' has no weights or no threshold")


def _check_rows(cuts: Sequence[Cut], cells: Sequence[ScoredCell]) -> None:
    """Check that alarms refer to existing rows, scores are not NaN, and the kept epoch exists."""
    sizes = {(cut.name, name): len(form.test) for cut in cuts for name, form in cut.forms.items()}
    for cell in cells:
        if len(cell.odd.row_A) and cell.odd.row_A.max() >= sizes[cell.facts.cut, cell.facts.form]:
            raise ResultError(f"the cell '{cell.facts}' has alarms for windows that do not exist")
        if any(np.isnan(scores_N).any() for scores_N in cell.scores.values()):
            raise ResultError(f"the cell '{cell.facts}' has scores that are NaN")
        if cell.history is not None and not 0 <= cell.history.best <= len(cell.history.epochs):
            raise ResultError(f"the cell '{cell.facts}' kept an epoch that was not trained")


def _written(path: Path) -> str | None:
    """The manifest's time of writing; None if it has none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8")).get("written")
    except (OSError, ValueError, AttributeError, RecursionError):
        return None
    return found if isinstance(found, str) and len(found) < 40 else None
