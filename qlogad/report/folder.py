"""The results folder of an experiment: manifest.json, runs.csv, table.md, alarms.csv, figures; and alarms.md, which stays local.

Committed files hold numbers and line numbers only. `alarms.md` shows the original log lines and is git-ignored: third-party logs are
not ours to publish.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from qlogad import escape, files
from qlogad.errors import counted
from qlogad.experiment.cell import Cell, Outcome
from qlogad.experiment.ground import Ground
from qlogad.experiment.runner import Executed, Prepared, outcomes
from qlogad.nn.history import History
from qlogad.report import alarms, contrasts, figures, learning
from qlogad.report.manifest import finite, manifest_of, notes_of
from qlogad.report.rows import judge_cell
from qlogad.report.table import ASSUMED, SPANNED, data_table, summary, table

__all__ = ["Record", "before", "write"]


@dataclass(frozen=True)
class Record:
    """What a run gives back: rows for machines, text for people."""

    rows: list[dict[str, Any]]
    text: str
    failed: dict[str, str]  # cell -> cause
    warnings: list[str]  # what the numbers are not to be trusted for
    reused: int  # cells that were finished before
    cells: int  # of the experiment


def before(prepared: Prepared) -> str:
    """What is known before training: the data of every cut and the smallest difference it can show."""
    experiment = prepared.experiment
    intake = prepared.source.events.intake
    made = sum(contender.grid is not None for contender in experiment.contenders)
    lines = [
        experiment.question or experiment.name,
        f"{intake.lines} lines, {intake.records} understood, {intake.blank} blank, {len(intake.quarantine)} quarantined"
        f" -> {len(prepared.source.windows)} windows ({prepared.source.unknown} more of unknown label left out)",
        *([f"{counted(made, 'contender')} of {len(experiment.contenders)} made by [grid]"] if made else []),
        "",
        data_table(prepared, "simple"),
    ]
    lines += [f"warning: {warning}" for warning in intake.warnings]
    lines += [f"warning: {ASSUMED}"] if prepared.source.assumed else []
    lines += [f"warning, cut {made.cut}: {warning}" for made in prepared.grounds for warning in made.warnings]
    return "\n".join(lines) + "\n"


def write(prepared: Prepared, wanted: Sequence[Cell], executed: Executed) -> Record:
    """Judge all finished cells and write the folder.

    Args:
        wanted: every cell of the experiment.
        executed: what became of them; failed ones are listed in the table and never counted as results.
    """
    folder = prepared.folder
    causes = {str(cell): executed.failed[cell.identity] for cell in wanted if cell.identity in executed.failed}
    grounds = {made.cut: made for made in prepared.grounds}
    finished = list(outcomes(wanted))
    rows = [row for cell, outcome in finished for row in judge_cell(cell, outcome, grounds[cell.cut])]
    frame = pd.DataFrame(rows)
    files.write(folder / "runs.csv", escape.csv_table(frame, "%.7g"))
    manifest = manifest_of(prepared, finished) | {"notes": [*learning.warnings(learning.trainings(finished)), *notes_of(finished)]}
    files.write(folder / "manifest.json", json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")
    spans = contrasts.spans(prepared.grounds, finished, prepared.experiment.judge.resamples, SPANNED)
    files.write(folder / "table.md", table(prepared, finished, frame, causes, spans))
    if finished:
        _figures(prepared, finished, folder)
        alarms.write(prepared, finished, folder)
    return Record(
        [{k: finite(v) for k, v in row.items()} for row in rows],
        summary(prepared, finished, frame, spans),
        causes,
        learning.warnings(learning.trainings(finished)),
        executed.reused,
        len(wanted),
    )


def _figures(prepared: Prepared, finished: list[tuple[Cell, Outcome]], folder: Path) -> None:
    """First seed of every contender; the timeline shows the last cut."""
    cuts = {
        made.cut: [_line(prepared, made, cell, o) for cell, o in finished if cell.cut == made.cut and cell.seed == 0]
        for made in prepared.grounds
    }
    figures.pr_curves(cuts, folder / "pr-curves.png")
    figures.learning_curves(_curves(finished), folder / "learning-curves.png")
    last = prepared.grounds[-1].cut
    shown = [line for line in cuts[last] if line.name in _headline(prepared)]
    figures.timeline(shown or cuts[last][:4], folder / "timeline.png", cut=last)


def _curves(finished: Sequence[tuple[Cell, Outcome]]) -> dict[str, list[tuple[str, History]]]:
    """The cut and the training of every cell, by contender."""
    found: dict[str, list[tuple[str, History]]] = {}
    for cell, outcome in finished:
        if (history := learning.history_of(outcome)) is not None:
            found.setdefault(cell.contender.name, []).append((cell.cut, history))
    return found


def _headline(prepared: Prepared) -> set[str]:
    named = {name for pair in prepared.experiment.judge.contrasts[:2] for name in pair}
    return named or {contender.name for contender in prepared.experiment.contenders[:3]}


def _line(prepared: Prepared, made: Ground, cell: Cell, outcome: Outcome) -> figures.Line:
    test, injected, assumed = made.test, prepared.experiment.data.inject, prepared.source.assumed
    return figures.Line(
        name=cell.contender.name,
        scores_N=outcome.scores["test"],
        label_N=test.labels.window_N,
        weight_N=test.features.weight_N,
        sequence_N=made.sequence_N,
        row_W=test.features.row_W,
        start_W=test.start_W,
        threshold=outcome.facts["threshold"],
        normal=alarms.status(0, injected, assumed),
        anomaly=alarms.status(1, injected, assumed),
    )
