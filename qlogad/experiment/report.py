"""The results folder of an experiment: manifest.json, runs.csv, table.md, alarms.csv, figures; and alarms.md, which stays local.

Committed files hold numbers and line numbers only. `alarms.md` shows the original log lines and is git-ignored: third-party logs are
not ours to publish.
"""

from __future__ import annotations

import json
import math
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from qlogad import documents, escape, files
from qlogad.errors import counted
from qlogad.evaluate.compare import Contrast, Detectable, Interval, detectable
from qlogad.evaluate.metrics import effective_n
from qlogad.experiment import alarms, contrasts, figures, learning
from qlogad.experiment.cell import Cell, Outcome
from qlogad.experiment.contrasts import Spans
from qlogad.experiment.experiment import Experiment
from qlogad.experiment.ground import STRATA, Ground
from qlogad.experiment.record import judge_cell
from qlogad.experiment.runner import Executed, Prepared, outcomes
from qlogad.nn.history import History

__all__ = ["Record", "before", "commit", "write"]

_ASSUMED = "nothing to be judged has a label, so every window was taken as normal before the injection, even if it is not"
_SPANNED = {"f1": "F1", "recall": "recall"}  # metrics that the tables give intervals for
_MEANING = """\
Higher scores are more anomalous; 1 is an anomaly. Every choice (early stopping, threshold) was made on validation windows; the parser and
the vocabulary were fitted on training windows. Rows are means over seeds; [a, b] is a 95 % interval for other sequences as frequent as
these, if how often a sequence comes says nothing of whether it raises an alarm: exact for recall, and drawn from both classes for F1.
`recall, distinct` counts every distinct sequence once; `F1, unseen` leaves out windows whose sequence occurred in training; MCC 0 and
ROC-AUC 0.5 are chance, and so is a PR-AUC equal to the base rate. Weights are quantum + classical = total; live weights are those that
change a readout. A dash is undefined (no such window)."""


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
        _data_table(prepared, "simple"),
    ]
    lines += [f"warning: {warning}" for warning in intake.warnings]
    lines += [f"warning: {_ASSUMED}"] if prepared.source.assumed else []
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
    manifest = _manifest(prepared, finished) | {"notes": [*learning.warnings(learning.trainings(finished)), *_notes(finished)]}
    files.write(folder / "manifest.json", json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")
    spans = contrasts.spans(prepared.grounds, finished, prepared.experiment.judge.resamples, _SPANNED)
    files.write(folder / "table.md", _table(prepared, finished, frame, causes, spans))
    if finished:
        _figures(prepared, finished, folder)
        alarms.write(prepared, finished, folder)
    return Record(
        [{k: _clean(v) for k, v in row.items()} for row in rows],
        _summary(prepared, finished, frame, spans),
        causes,
        learning.warnings(learning.trainings(finished)),
        executed.reused,
        len(wanted),
    )


def _clean(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _manifest(prepared: Prepared, finished: Sequence[tuple[Cell, Outcome]]) -> dict[str, Any]:
    experiment, events = prepared.experiment, prepared.source.events
    plans = [plan for _, outcome in finished for plan in outcome.facts["plans"]]
    packages = ("qlogad", "torch", "numpy", "scipy", "pandas", "scikit-learn", "pennylane", "qiskit")
    return {
        "experiment": {key: value for key, value in documents.plain(experiment).items() if key != "document"},
        "window": documents.plain(prepared.source.window),
        "data_digest": events.digest,
        "semi_real": experiment.data.inject is not None,
        "labels_assumed_normal": prepared.source.assumed,
        "intake": {
            "lines": events.intake.lines,
            "records": events.intake.records,
            "blank": events.intake.blank,
            "quarantined": len(events.intake.quarantine),
            "reasons": events.intake.reasons(),
            "warnings": events.intake.warnings,
        },
        "windows": len(prepared.source.windows),
        "windows_of_unknown_label": prepared.source.unknown,
        "cuts": {
            made.cut: {
                "base": made.base,
                "ordered_by": made.ordered_by,
                "vocabulary": made.train.features.size,
                "warnings": list(made.warnings),
                "detectable": {k: _clean(v) for k, v in documents.plain(_detectable(prepared, made)).items()},
            }
            for made in prepared.grounds
        },
        "engine": {
            "rates": documents.plain(prepared.rates),
            "plans": [plan for place, plan in enumerate(plans) if plan not in plans[:place]],
        },
        "versions": {name: version(name) for name in packages},
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "commit": commit(),
        "written": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def _notes(finished: Sequence[tuple[Cell, Outcome]]) -> list[str]:
    """What contenders warned of while they were trained, each warning once for all seeds."""
    return list(dict.fromkeys(f"note, cut {c.cut}, {c.contender.name}: {text}" for c, o in finished for text in o.facts["notes"]))


def commit() -> str | None:
    """The commit this code is at, with `-dirty` where code, circuits or experiments differ from it; None outside a checkout."""
    package = Path(__file__).parents[1]
    circuits, experiments = (package.parent / name for name in ("circuits", "experiments"))
    places = [str(folder) for folder in (package, circuits, experiments) if folder.is_dir()]
    found = [_git("describe", "--always"), _git("status", "--porcelain", "--", *places, f":(exclude){circuits / 'found'}")]
    return None if None in found else f"{found[0]}-dirty" if found[1] else found[0]


def _git(*command: str) -> str | None:
    try:
        found = subprocess.run(
            ["git", "-C", str(Path(__file__).parent), *command], capture_output=True, text=True, check=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip()


def _detectable(prepared: Prepared, made: Ground) -> Detectable:
    judge = prepared.experiment.judge
    test = made.test
    family = max(1, len(judge.contrasts))
    return detectable(
        test.labels.window_N,
        test.features.weight_N,
        fpr=_allowed(prepared.experiment),
        family=family,
        alpha=judge.alpha,
        power=judge.power,
    )


def _allowed(experiment: Experiment) -> float | None:
    """The most false alarms that the threshold of any declared contender allows; None where one goes by another rule."""
    named = {name for pair in experiment.judge.contrasts for name in pair}
    detectors = [contender.build() for contender in experiment.contenders if contender.name in named or not named]
    return max(one.fpr for one in detectors) if all(one.threshold == "fpr" for one in detectors) else None


def _data_table(prepared: Prepared, style: str) -> str:
    rows = []
    for made in prepared.grounds:
        train, held, test, flight = made.train, made.validation, made.test, made.in_flight
        label_N, weight_N = test.labels.window_N, test.features.weight_N
        least = _detectable(prepared, made)
        share = float((test.label_W == 1).mean()) if len(test.label_W) else math.nan
        rows.append(
            {
                "cut": made.cut,
                "train (distinct)": f"{len(train.label_W)} ({len(train.features)})",
                "event types": train.features.size,
                "validation normals": int((held.label_W == 0).sum()),
                "test normals (distinct)": f"{int((test.label_W == 0).sum())} ({int((label_N == 0).sum())})",
                "test anomalies (distinct, effective)": f"{int((test.label_W == 1).sum())} ({int((label_N == 1).sum())}, "
                f"{effective_n(weight_N[label_N == 1]):.1f})",
                "in flight": len(flight.label_W),
                "unseen events: train, validation, test, in flight": ", ".join(
                    "-" if math.isnan(part.unseen) else f"{part.unseen:.1%}" for part in (train, held, test, flight)
                ),
                "base rate": _number(share),
                "all-positive F1": _number(2 * share / (1 + share)),
                "least detectable difference: recall": _number(least.recall),
                "specificity": _number(least.false_positive_rate),
            }
        )
    return _markdown(rows) if style == "github" else _turned(rows)


def _turned(rows: list[dict[str, Any]]) -> str:
    """Cuts as columns: fits a terminal."""
    table = [[key, *(row[key] for row in rows)] for key in rows[0] if key != "cut"]
    text: str = escape.table(table, "simple", ["cut", *(row["cut"] for row in rows)])
    return text


def _markdown(rows: list[dict[str, Any]]) -> str:
    text: str = escape.table(rows, "github")
    return text


def _item(text: str) -> str:
    """A line of a list in Markdown."""
    return f"- {escape.markdown(text.removeprefix('- '))}"


def _number(value: float, digits: int = 3) -> str:
    if math.isnan(value):
        return "-"
    return "not even 1" if math.isinf(value) else f"{value:.{digits}f}"


def _table(
    prepared: Prepared, finished: list[tuple[Cell, Outcome]], frame: pd.DataFrame, causes: dict[str, str], spans: Spans
) -> str:
    experiment = prepared.experiment
    parts = [f"# {escape.markdown(experiment.name)}", "", escape.markdown(experiment.question), ""]
    if experiment.data.inject is not None:
        parts += [
            f"**Semi-real**: the anomalies are injected into held-out normal windows (`{experiment.data.inject}`); no real label counts.",
            "",
        ]
    parts += [_item(f"warning: {warning}") for warning in prepared.source.events.intake.warnings]
    if prepared.source.assumed:
        parts += [f"**No labels**: {_ASSUMED}.", ""]
    if prepared.grounds[0].ordered_by != "time":
        parts += [f"**No time order**: the windows were split by `{prepared.grounds[0].ordered_by}`.", ""]
    parts += ["## Before training", "", _data_table(prepared, "github"), ""]
    parts += [_item(f"warning, cut {made.cut}: {warning}") for made in prepared.grounds for warning in made.warnings]
    parts += [_item(note) for note in _notes(finished)]
    if not finished:
        return "\n".join([*parts, "", "No cell has finished."])
    trained = learning.trainings(finished)
    parts += [_item(f"warning: {text}") for text in learning.warnings(trained)]
    for track in sorted(frame["track"].unique()):
        parts += ["", f"## Results, track: {track}", ""]
        for made in prepared.grounds:
            chosen = frame[(frame["track"] == track) & (frame["cut"] == made.cut)]
            parts += [f"### Cut {made.cut}", "", _markdown(_result_rows(chosen, finished, made, spans)), ""]
            silent = [*_silent(chosen, finished, made), *spans.notes[made.cut]]
            parts += [*map(_item, silent), ""] if silent else []
            strata = _recall_rows(chosen, [f"stratum {name}" for name in STRATA], "stratum ")
            if strata:
                parts += [_STRATA_NOTE, ""]
                parts += [_markdown(_with_flight(strata, chosen)), ""]
            kinds = [name for name in chosen["windows"].unique() if name.startswith("kind ")]
            if len(kinds) > 1:
                parts += [
                    "Recall by kind of anomaly (how many in brackets):",
                    "",
                    _markdown(_recall_rows(chosen, kinds, "kind ")),
                    "",
                ]
    parts += _contrast_part(prepared, finished, frame)
    if trained:
        parts += ["", "## Training", "", learning.NOTE, "", _markdown(learning.rows(trained))]
    parts += [
        "",
        "## Cost",
        "",
        _COST_NOTE,
        "",
        _markdown(_cost_rows(frame)),
        "",
    ]
    if causes:
        parts += ["## Failed cells, not counted above", "", *(_item(f"{what}: {cause}") for what, cause in causes.items()), ""]
    parts += ["## How to read this", "", _MEANING, ""]
    if len(prepared.grounds) > 1:
        parts += [
            f"{len(prepared.grounds)} cuts of one log overlap in their training windows: they support no claim about other times.",
            "",
        ]
    return "\n".join(parts)


_SHORT = ("contender", "weights (q + c)", "F1 [95 %]", "precision", "recall", "specificity", "MCC", "PR-AUC", "still improving")


def _summary(prepared: Prepared, finished: list[tuple[Cell, Outcome]], frame: pd.DataFrame, spans: Spans) -> str:
    """The table in the width of a terminal; table.md holds the rest."""
    parts: list[str] = []
    for made in prepared.grounds:
        for track in sorted(frame["track"].unique()) if finished else []:
            chosen = frame[(frame["track"] == track) & (frame["cut"] == made.cut)]
            rows = _result_rows(chosen, finished, made, spans)
            short = [{key: row.get(key, row["recall [95 %]"].split(" ")[0]) for key in _SHORT} for row in rows]
            parts += [
                f"cut {made.cut}, track: {track}",
                escape.table(short, "simple"),
                *_silent(chosen, finished, made),
                *spans.notes[made.cut],
                "",
            ]
    parts += [*_notes(finished), ""] if _notes(finished) else []
    return "\n".join([*parts, *_contrast_part(prepared, finished, frame, "simple")] if finished else ["no cell has finished"])


def _result_rows(chosen: pd.DataFrame, finished: list[tuple[Cell, Outcome]], made: Ground, spans: Spans) -> list[dict[str, Any]]:
    rows = []
    for name in chosen["contender"].unique():
        own = chosen[chosen["contender"] == name]
        whole, distinct, unseen = (own[own["windows"] == part] for part in ("all", "distinct", "unseen"))
        own_outcomes = [o for c, o in finished if c.contender.name == name and c.cut == made.cut]
        around = spans.around.get((made.cut, name), {})
        f1, recall = (_span(whole[metric], around.get(metric)) for metric in _SPANNED)
        first = whole.iloc[0]
        rows.append(
            {
                "contender": name,
                "weights (q + c)": f"{first['weights_quantum']} + {first['weights_classical']}",
                "F1 [95 %]": f1,
                "sd over seeds": _number(whole["f1"].std(ddof=1)) if len(whole) > 1 else "-",
                "precision": _mean(whole["precision"]),
                "recall [95 %]": recall,
                "recall, distinct": _mean(distinct["recall"]),
                "specificity": _mean(whole["specificity"]),
                "MCC": _mean(whole["mcc"]),
                "PR-AUC": _mean(whole["pr_auc"]),
                "ROC-AUC": _mean(whole["roc_auc"]),
                "F1, distinct": _mean(distinct["f1"]),
                "F1, unseen": _mean(unseen["f1"]),
                "seeds": len(whole),
                "still improving": learning.still([h for o in own_outcomes if (h := learning.history_of(o)) is not None]),
            }
        )
    return rows


def _silent(chosen: pd.DataFrame, finished: list[tuple[Cell, Outcome]], made: Ground) -> list[str]:
    """A line for every contender without an alarm because its threshold is the highest score that its test windows reach."""
    lines = []
    for name in chosen["contender"].unique():
        own = [o for c, o in finished if c.contender.name == name and c.cut == made.cut]
        spans = [
            (float(o.scores["test"].min()), float(o.scores["test"].max()), o.facts["threshold"])
            for o in own
            if len(o.scores["test"])
        ]
        silent = [threshold for low, high, threshold in spans if low < high == threshold]
        if silent:
            lines.append(
                f"- '{name}' raised no alarm (at {len(silent)} of {counted(len(own), 'seed')}): its threshold, {silent[0]:g}, is the "
                "highest score of any test window, since too many validation normals reach it; raise fpr, train on more windows or for "
                "longer, or take a finer score (score = 'nll' instead of a rank)"
            )
    return lines


def _mean(values: pd.Series) -> str:
    """The mean over seeds; where it is undefined at some of them (no alarm, say), of how many it is the mean."""
    defined = values.dropna()
    if len(defined) in (0, len(values)):
        return _number(float(values.mean()))
    return f"{_number(float(defined.mean()))} ({len(defined)} of {len(values)} seeds)"


def _span(values: pd.Series, around: Interval | None) -> str:
    if around is None:
        return "-"
    return f"{_number(float(values.mean()))} [{_number(around.low, 2)}, {_number(around.high, 2)}]"


def _recall_rows(chosen: pd.DataFrame, names: Sequence[str], prefix: str) -> list[dict[str, Any]]:
    rows = []
    for contender in chosen["contender"].unique():
        own = chosen[chosen["contender"] == contender]
        row = {"contender": contender}
        for name in names:
            part = own[own["windows"] == name]
            row[f"{name.removeprefix(prefix)} ({int(part['n_anomalies'].iloc[0])})"] = _mean(part["recall"])
        rows.append(row)
    return rows


def _with_flight(rows: list[dict[str, Any]], chosen: pd.DataFrame) -> list[dict[str, Any]]:
    flight = chosen[chosen["windows"] == "in flight"].groupby("contender")
    return [{**row, "in flight, F1": _mean(flight.get_group(row["contender"])["f1"])} for row in rows]


def _contrast_part(
    prepared: Prepared, finished: list[tuple[Cell, Outcome]], frame: pd.DataFrame, style: str = "github"
) -> list[str]:
    judge = prepared.experiment.judge
    if not judge.contrasts:
        return []
    trained = learning.trainings(finished)
    pairs = contrasts.judged(prepared.grounds, finished, frame, judge)
    rows = [
        {
            "contrast": f"{one.left} - {one.right}{learning.mark(trained, one.left, one.right)}",
            f"{judge.metric} difference": _signed(one.seeds.mean),
            "over seeds [95 %]": _around(one.seeds),
            "over sequences [95 %]": _around(one.sequences.interval() if one.sequences else None),
            "sequences judged differently": _number(one.sequences.told_apart if one.sequences else math.nan, 1)
            + (" (nominal)" if one.nominal else ""),
            "p": _number(one.seeds.p),
            "p, Holm": _number(one.p_holm),
            "verdict": one.verdict,
            "sd between cuts": _number(one.seeds.between_cuts),
            "sd between seeds": _number(one.seeds.between_seeds),
            "undefined cells": one.seeds.undefined,
        }
        for one in pairs
    ]
    note = "Declared before training; everything else is exploratory."
    if tested := [one.seeds.seeds for one in pairs if not math.isnan(one.seeds.p)]:
        least = 2.0 ** (1 - max(tested))
        note += f" With {counted(max(tested), 'seed')} the smallest possible p is {least:.2g}"
        note += f", {min(1.0, least * len(pairs)):.2g} after Holm's correction" if len(pairs) > 1 else ""
        note += ": no difference can be significant." if least * len(pairs) > judge.alpha else "."
    fixed = list(dict.fromkeys(name for one in pairs for name in one.fixed))
    if fixed:
        names = ", ".join(escape.markdown(f"'{name}'") if style == "github" else f"'{name}'" for name in fixed)
        note += (
            f" No randomness: {names}; such a side is one value for every cut, not one for every seed, and its contrasts have no p."
        )
    note += _CLAIM.format(level=f"{100 * (1 - judge.alpha / len(pairs)):.4g}", alpha=judge.alpha)
    if any(one.nominal for one in pairs):
        note += _NOMINAL
    if any(one.sequences is None for one in pairs):
        note += " A verdict is a dash where a side has no cell at some cut, or a cut's test part lacks anomalies or normals."
    note += learning.marked(trained, judge.contrasts)
    title = "## Declared contrasts" if style == "github" else "declared contrasts"
    return [title, "", escape.table(rows, style), "", note]


_CLAIM = (
    " p and the interval over seeds speak of new seeds on these very windows; the interval over sequences of other windows like them, with"
    " these seeds: a resample draws the distinct sequences once, for both sides, all seeds and all cuts. A verdict needs both intervals,"
    " at the {level} % that the family asks for, to leave out zero, p (Holm) of at most {alpha:g} where there is one, and enough sequences"
    " that the two sides judge differently (an effective number, seeds averaged, each by how far it moves the metric; of an area, that"
    " are there). The least detectable difference above is that of one"
    " detector pair on one cut."
)
_NOMINAL = (
    f" Nominal: fewer than {contrasts.SIMULATED:.0f} sequences are judged differently, or are there of one class, and the 95 % interval"
    " over sequences covered 0.68 to 0.97 in simulation (`qlogad bench coverage`)."
)


def _around(found: Interval | Contrast | None) -> str:
    return "-" if found is None or math.isnan(found.low) else f"[{_signed(found.low)}, {_signed(found.high)}]"


def _signed(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:+.3f}"


def _cost_rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    whole = frame[frame["windows"] == "all"]
    rows = []
    for name in whole["contender"].unique():
        own = whole[whole["contender"] == name]
        span = {
            column: f"{own[column].min()}" + (f" - {own[column].max()}" if own[column].nunique() > 1 else "") for column in _COST
        }
        rows.append(
            {
                "contender": name,
                **{title: span[column] for column, title in _COST.items()},
                "fit, s": _number(float(own["fit_seconds"].mean()), 2),
                "score, s": _number(float(own["score_seconds"].mean()), 2),
            }
        )
    return rows


_STRATA_NOTE = (
    "Recall by the cheapest floor that finds the anomaly (1 % false alarms on validation normals), and F1 of in-flight windows:"
)
_COST_NOTE = (
    "Circuit executions are those of simulated forward passes in training and scoring, the padding of scoring batches included; a device"
    " would be asked for the distinct ones only. Seconds are wall clock on the machine that ran it and vary from run to run."
)
_COST = {
    "weights_quantum": "weights: quantum",
    "weights_quantum_live": "of these live",
    "weights_classical": "classical",
    "weights_total": "total",
    "circuit_executions": "circuit executions",
}


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
