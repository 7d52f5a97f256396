"""The results folder of an experiment: manifest.json, runs.csv, table.md, alarms.csv, figures; and alarms.md, which stays local.

Committed files hold numbers and line numbers only. `alarms.md` shows the original log lines and is git-ignored: third-party logs are
not ours to publish.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from qlogad import escape
from qlogad.errors import counted
from qlogad.evaluate.metrics import effective_n
from qlogad.experiment.cell import Cell, Outcome
from qlogad.experiment.ground import STRATA, Ground
from qlogad.experiment.runner import Prepared
from qlogad.report import contrasts, learning
from qlogad.report.contrasts import Spans
from qlogad.report.manifest import least_detectable, notes_of
from qlogad.report.text import interval_of, item, markdown_table, mean_of, number, signed, span_of, turned

__all__ = []

ASSUMED = "nothing to be judged has a label, so every window was taken as normal before the injection, even if it is not"
SPANNED = {"f1": "F1", "recall": "recall"}  # metrics that the tables give intervals for
_MEANING = """\
Higher scores are more anomalous; 1 is an anomaly. Every choice (early stopping, threshold) was made on validation windows; the parser and
the vocabulary were fitted on training windows. Rows are means over seeds; [a, b] is a 95 % interval for other sequences as frequent as
these, if how often a sequence comes says nothing of whether it raises an alarm: exact for recall, and drawn from both classes for F1.
`recall, distinct` counts every distinct sequence once; `F1, unseen` leaves out windows whose sequence occurred in training; MCC 0 and
ROC-AUC 0.5 are chance, and so is a PR-AUC equal to the base rate. Weights are quantum + classical = total; live weights are those that
change a readout. A dash is undefined (no such window)."""


def data_table(prepared: Prepared, style: str) -> str:
    rows = []
    for made in prepared.grounds:
        train, held, test, flight = made.train, made.validation, made.test, made.in_flight
        label_N, weight_N = test.labels.window_N, test.features.weight_N
        least = least_detectable(prepared, made)
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
                "base rate": number(share),
                "all-positive F1": number(2 * share / (1 + share)),
                "least detectable difference: recall": number(least.recall),
                "specificity": number(least.false_positive_rate),
            }
        )
    return markdown_table(rows) if style == "github" else turned(rows)


def table(
    prepared: Prepared, finished: list[tuple[Cell, Outcome]], frame: pd.DataFrame, causes: dict[str, str], spans: Spans
) -> str:
    experiment = prepared.experiment
    parts = [f"# {escape.markdown(experiment.name)}", "", escape.markdown(experiment.question), ""]
    if experiment.data.inject is not None:
        parts += [
            f"**Semi-real**: the anomalies are injected into held-out normal windows (`{experiment.data.inject}`); no real label counts.",
            "",
        ]
    parts += [item(f"warning: {warning}") for warning in prepared.source.events.intake.warnings]
    if prepared.source.assumed:
        parts += [f"**No labels**: {ASSUMED}.", ""]
    if prepared.grounds[0].ordered_by != "time":
        parts += [f"**No time order**: the windows were split by `{prepared.grounds[0].ordered_by}`.", ""]
    parts += ["## Before training", "", data_table(prepared, "github"), ""]
    parts += [item(f"warning, cut {made.cut}: {warning}") for made in prepared.grounds for warning in made.warnings]
    parts += [item(note) for note in notes_of(finished)]
    if not finished:
        return "\n".join([*parts, "", "No cell has finished."])
    trained = learning.trainings(finished)
    parts += [item(f"warning: {text}") for text in learning.warnings(trained)]
    for track in sorted(frame["track"].unique()):
        parts += ["", f"## Results, track: {track}", ""]
        for made in prepared.grounds:
            chosen = frame[(frame["track"] == track) & (frame["cut"] == made.cut)]
            parts += [f"### Cut {made.cut}", "", markdown_table(_result_rows(chosen, finished, made, spans)), ""]
            silent = [*_silent(chosen, finished, made), *spans.notes[made.cut]]
            parts += [*map(item, silent), ""] if silent else []
            strata = _recall_rows(chosen, [f"stratum {name}" for name in STRATA], "stratum ")
            if strata:
                parts += [_STRATA_NOTE, ""]
                parts += [markdown_table(_with_flight(strata, chosen)), ""]
            kinds = [name for name in chosen["windows"].unique() if name.startswith("kind ")]
            if len(kinds) > 1:
                parts += [
                    "Recall by kind of anomaly (how many in brackets):",
                    "",
                    markdown_table(_recall_rows(chosen, kinds, "kind ")),
                    "",
                ]
    parts += _contrast_part(prepared, finished, frame)
    if trained:
        parts += ["", "## Training", "", learning.NOTE, "", markdown_table(learning.rows(trained))]
    parts += [
        "",
        "## Cost",
        "",
        _COST_NOTE,
        "",
        markdown_table(_cost_rows(frame)),
        "",
    ]
    if causes:
        parts += ["## Failed cells, not counted above", "", *(item(f"{what}: {cause}") for what, cause in causes.items()), ""]
    parts += ["## How to read this", "", _MEANING, ""]
    if len(prepared.grounds) > 1:
        parts += [
            f"{len(prepared.grounds)} cuts of one log overlap in their training windows: they support no claim about other times.",
            "",
        ]
    return "\n".join(parts)


_SHORT = ("contender", "weights (q + c)", "F1 [95 %]", "precision", "recall", "specificity", "MCC", "PR-AUC", "still improving")


def summary(prepared: Prepared, finished: list[tuple[Cell, Outcome]], frame: pd.DataFrame, spans: Spans) -> str:
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
    parts += [*notes_of(finished), ""] if notes_of(finished) else []
    return "\n".join([*parts, *_contrast_part(prepared, finished, frame, "simple")] if finished else ["no cell has finished"])


def _result_rows(chosen: pd.DataFrame, finished: list[tuple[Cell, Outcome]], made: Ground, spans: Spans) -> list[dict[str, Any]]:
    rows = []
    for name in chosen["contender"].unique():
        own = chosen[chosen["contender"] == name]
        whole, distinct, unseen = (own[own["windows"] == part] for part in ("all", "distinct", "unseen"))
        own_outcomes = [o for c, o in finished if c.contender.name == name and c.cut == made.cut]
        around = spans.around.get((made.cut, name), {})
        f1, recall = (span_of(whole[metric], around.get(metric)) for metric in SPANNED)
        first = whole.iloc[0]
        rows.append(
            {
                "contender": name,
                "weights (q + c)": f"{first['weights_quantum']} + {first['weights_classical']}",
                "F1 [95 %]": f1,
                "sd over seeds": number(whole["f1"].std(ddof=1)) if len(whole) > 1 else "-",
                "precision": mean_of(whole["precision"]),
                "recall [95 %]": recall,
                "recall, distinct": mean_of(distinct["recall"]),
                "specificity": mean_of(whole["specificity"]),
                "MCC": mean_of(whole["mcc"]),
                "PR-AUC": mean_of(whole["pr_auc"]),
                "ROC-AUC": mean_of(whole["roc_auc"]),
                "F1, distinct": mean_of(distinct["f1"]),
                "F1, unseen": mean_of(unseen["f1"]),
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


def _recall_rows(chosen: pd.DataFrame, names: Sequence[str], prefix: str) -> list[dict[str, Any]]:
    rows = []
    for contender in chosen["contender"].unique():
        own = chosen[chosen["contender"] == contender]
        row = {"contender": contender}
        for name in names:
            part = own[own["windows"] == name]
            row[f"{name.removeprefix(prefix)} ({int(part['n_anomalies'].iloc[0])})"] = mean_of(part["recall"])
        rows.append(row)
    return rows


def _with_flight(rows: list[dict[str, Any]], chosen: pd.DataFrame) -> list[dict[str, Any]]:
    flight = chosen[chosen["windows"] == "in flight"].groupby("contender")
    return [{**row, "in flight, F1": mean_of(flight.get_group(row["contender"])["f1"])} for row in rows]


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
            f"{judge.metric} difference": signed(one.seeds.mean),
            "over seeds [95 %]": interval_of(one.seeds),
            "over sequences [95 %]": interval_of(one.sequences.interval() if one.sequences else None),
            "sequences judged differently": number(one.sequences.told_apart if one.sequences else math.nan, 1)
            + (" (nominal)" if one.nominal else ""),
            "p": number(one.seeds.p),
            "p, Holm": number(one.p_holm),
            "verdict": one.verdict,
            "sd between cuts": number(one.seeds.between_cuts),
            "sd between seeds": number(one.seeds.between_seeds),
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
                "fit, s": number(float(own["fit_seconds"].mean()), 2),
                "score, s": number(float(own["score_seconds"].mean()), 2),
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
