"""The tables of a report: the data before training, results by cut, contrasts, trainings and costs; in full, or fitted to a terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from qlogad import escape
from qlogad.errors import counted
from qlogad.evaluate.metrics import HEADINGS, effective_n
from qlogad.report import contrasts, convergence
from qlogad.report.columns import APART, Cut, CutFacts
from qlogad.report.contrasts import Judged, Spans
from qlogad.report.manifest import least_detectable, notes_of
from qlogad.report.record import Record
from qlogad.report.text import interval_of, item, markdown_table, mean_of, number, signed, span_of, turned

__all__ = ["before", "summary", "table"]

ASSUMED = "no window to be judged is labelled: all were assumed normal before injection, perhaps wrongly"
SPANNED = ("f1", "recall")  # metrics shown with intervals
_MEANING = """\
Higher scores are more anomalous; 1 is an anomaly. Every choice (early stopping, threshold) was made on validation windows; the parser and
the vocabulary were fitted on training windows. Rows are means over seeds; [a, b] is a 95 % interval for other sequences as frequent as
these, if how often a sequence comes says nothing of whether it raises an alarm: exact for recall, and drawn from both classes for F1.
`recall, distinct` counts every distinct sequence once; `F1, unseen` leaves out windows whose sequence occurred in training; MCC 0 and
ROC-AUC 0.5 are chance, and so is a PR-AUC equal to the base rate. Weights are quantum + classical = total; live weights are those that
change a readout. A dash is undefined (no such window)."""


_ASIDE = {"joined": "joined to the line above", "left_out": "left out by level"}


def before(record: Record) -> str:
    """The facts known before training: the data of every cut and the smallest difference it can show."""
    facts = record.manifest
    intake, made = facts["intake"], sum(one.made for one in record.entrants)
    lines = [
        record.question or record.name,
        f"{intake['lines']} lines, {intake['records']} understood, "
        + "".join(f"{intake[key]} {what}, " for key, what in _ASIDE.items() if intake.get(key))
        + f"{intake['blank']} blank, {intake['quarantined']} quarantined{' (see quarantine.md)' if intake['quarantined'] else ''}"
        f" -> {facts['windows']} windows ({facts['windows_of_unknown_label']} more of unknown label left out)",
        *([f"{counted(made, 'contender')} of {len(record.entrants)} made by [grid]"] if made else []),
        "",
        turned(_data_rows(record)),
    ]
    lines += [f"warning: {warning}" for warning in record.data_warnings]
    lines += [f"warning: {ASSUMED}"] if record.assumed else []
    lines += [f"warning, cut {cut.name}: {warning}" for cut in record.cuts for warning in cut.facts.warnings]
    return "\n".join(lines) + "\n"


def _data_rows(record: Record) -> list[dict[str, Any]]:
    rows = []
    for cut in record.cuts:
        facts, rows_N = cut.facts, cut.merged.test
        label_N, weight_N, label_W = rows_N.label_N, rows_N.weight_N, rows_N.label_W
        least = least_detectable(record, cut)
        share = float((label_W == 1).mean()) if len(label_W) else math.nan
        rows.append(
            {
                "cut": cut.name,
                "train (distinct)": f"{facts.train.windows} ({facts.train.distinct})",
                "event types": facts.vocabulary,
                "validation normals": facts.validation.normals,
                "test normals (distinct)": f"{facts.test.normals} ({int((label_N == 0).sum())})",
                "test anomalies (distinct, effective)": f"{int((label_W == 1).sum())} ({int((label_N == 1).sum())}, "
                f"{effective_n(weight_N[label_N == 1]):.1f})",
                "in flight": facts.in_flight.windows,
                "unseen events: train, validation, test, in flight": ", ".join(
                    "-" if math.isnan(part.unseen) else f"{part.unseen:.1%}"
                    for part in (facts.train, facts.validation, facts.test, facts.in_flight)
                ),
                **_changes(facts),
                "base rate": number(share),
                "all-positive F1": number(2 * share / (1 + share)),
                "least detectable difference: recall": number(least.recall),
                "specificity": number(least.false_positive_rate),
            }
        )
    return rows


def _changes(facts: CutFacts) -> dict[str, str]:
    """How many templates are new, vanished and changed in rate against training; nothing in a record that does not have them."""
    found = [part.changes for part in (facts.validation, facts.test, facts.in_flight)]
    told = ", ".join("-" if one is None else f"{one.new} / {one.vanished} / {one.changed}" for one in found)
    return {"templates new / vanished / changed in rate: validation, test, in flight": told} if any(found) else {}


def _day_rows(record: Record) -> list[dict[str, Any]]:
    """The share of unseen events by day, a column for each cut."""
    days = {one.days: one.events for cut in record.cuts for one in cut.facts.days}
    share = {(cut.name, one.days): one.unseen for cut in record.cuts for one in cut.facts.days}
    titles = {cut.name: f"unseen, cut {cut.name}" for cut in record.cuts}
    return [
        {"day (UTC)": day, "events": events}
        | {title: f"{share[name, day]:.1%}" if (name, day) in share else "-" for name, title in titles.items()}
        for day, events in days.items()
    ]


def _spans(record: Record) -> Spans:
    return contrasts.spans(record, {metric: HEADINGS[metric] for metric in SPANNED})


def table(record: Record) -> str:
    """The text of table.md."""
    parts = [f"# {escape.markdown(record.name)}", "", escape.markdown(record.question), ""]
    if record.injected is not None:
        parts += [
            f"**Semi-real**: the anomalies are injected into held-out normal windows (`{record.injected}`); no real label counts.",
            "",
        ]
    if record.otherwise:
        parts += [
            f"**Judged otherwise than declared**, after training: {', '.join(record.otherwise)}. Every contrast is exploratory.",
            "",
        ]
    parts += [item(f"warning: {warning}") for warning in record.data_warnings]
    if record.assumed:
        parts += [f"**No labels**: {ASSUMED}.", ""]
    if record.cuts[0].facts.ordered_by != "time":
        parts += [f"**No time order**: the windows were split by `{record.cuts[0].facts.ordered_by}`.", ""]
    parts += ["## Before training", "", markdown_table(_data_rows(record)), ""]
    if days := _day_rows(record):
        parts += ["Events that are unseen in training, by day:", "", markdown_table(days), ""]
    parts += [item(f"warning, cut {cut.name}: {warning}") for cut in record.cuts for warning in cut.facts.warnings]
    parts += [item(note) for note in notes_of(record)]
    if not record.cells:
        return "\n".join([*parts, "", "No cell has finished."])
    frame, spans = record.frame(), _spans(record)
    trained = convergence.trainings(record)
    parts += [item(f"warning: {text}") for text in convergence.warnings(record)]
    for track in sorted(frame["track"].unique()):
        parts += ["", f"## Results, track: {track}", ""]
        for cut in record.cuts:
            chosen = frame[(frame["track"] == track) & (frame["cut"] == cut.name)]
            parts += [f"### Cut {cut.name}", "", markdown_table(_result_rows(record, chosen, cut, spans)), ""]
            silent = [
                *_by_hand(record, chosen),
                *_silent(record, chosen, cut),
                *_apart(record, chosen, cut),
                *spans.notes[cut.name],
            ]
            parts += [*map(item, silent), ""] if silent else []
            strata = _recall_rows(chosen, [f"stratum {name}" for name in cut.facts.strata], "stratum ")
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
    parts += _contrast_part(record, frame)
    if trained:
        parts += ["", "## Training", "", convergence.NOTE, "", markdown_table(convergence.rows(trained))]
    parts += [
        "",
        "## Cost",
        "",
        _COST_NOTE,
        "",
        markdown_table(_cost_rows(frame)),
        "",
    ]
    if record.failed:
        parts += [
            "## Failed cells, not counted above",
            "",
            *(item(f"{what}: {cause}") for what, cause in record.failed.items()),
            "",
        ]
    parts += ["## How to read this", "", _MEANING, ""]
    if len(record.cuts) > 1:
        parts += [
            f"{len(record.cuts)} cuts of one log overlap in their training windows: they support no claim about other times.",
            "",
        ]
    return "\n".join(parts)


_SHORT = ("contender", "weights (q + c)", "F1 [95 %]", "precision", "recall", "specificity", "MCC", "PR-AUC", "still improving")


def summary(record: Record) -> str:
    """The table, fitted to the width of a terminal; table.md holds the rest."""
    if not record.cells:
        return "no cell has finished"
    parts: list[str] = []
    frame, spans = record.frame(), _spans(record)
    for cut in record.cuts:
        for track in sorted(frame["track"].unique()):
            chosen = frame[(frame["track"] == track) & (frame["cut"] == cut.name)]
            rows = _result_rows(record, chosen, cut, spans)
            short = [{key: row.get(key, row["recall [95 %]"].split(" ")[0]) for key in _SHORT} for row in rows]
            parts += [
                f"cut {cut.name}, track: {track}",
                escape.table(short, "simple"),
                *_by_hand(record, chosen),
                *_silent(record, chosen, cut),
                *_apart(record, chosen, cut),
                *spans.notes[cut.name],
                "",
            ]
    notes = notes_of(record)
    return "\n".join([*parts, *notes, *([""] if notes else []), *_contrast_part(record, frame, "simple")])


def _result_rows(record: Record, chosen: pd.DataFrame, cut: Cut, spans: Spans) -> list[dict[str, Any]]:
    rows = []
    for name in chosen["contender"].unique():
        own = chosen[chosen["contender"] == name]
        whole, distinct, unseen = (own[own["windows"] == part] for part in ("all", "distinct", "unseen"))
        histories = [cell.history for cell in record.cells_of(name, cut) if cell.history is not None]
        around = spans.around.get((cut.name, name), {})
        row = {"contender": name, "weights (q + c)": "{weights_quantum} + {weights_classical}".format(**whole.iloc[0])}
        for metric, heading in HEADINGS.items():
            if metric in SPANNED:
                row[f"{heading} [95 %]"] = span_of(whole[metric], around.get(metric))
            else:
                row[heading] = mean_of(whole[metric])
            if metric == "f1":
                row["sd over seeds"] = number(whole["f1"].std(ddof=1)) if len(whole) > 1 else "-"
            if metric == "recall":
                row["recall, distinct"] = mean_of(distinct["recall"])
        row |= {"F1, distinct": mean_of(distinct["f1"]), "F1, unseen": mean_of(unseen["f1"])}
        rows.append(row | {"seeds": len(whole), "still improving": convergence.still(histories)})
    return rows


def _by_hand(record: Record, chosen: pd.DataFrame) -> list[str]:
    """A line for every contender whose threshold is a number fixed by hand."""
    names = set(chosen["contender"])
    return [
        f"- '{one.name}': its threshold, {one.by_hand:g}, is fixed by hand, not fitted on validation windows"
        for one in record.entrants
        if one.by_hand is not None and one.name in names
    ]


def _silent(record: Record, chosen: pd.DataFrame, cut: Cut) -> list[str]:
    """A line for every contender without alarms because its threshold is the highest score that its test windows reach."""
    lines = []
    by_hand = {one.name for one in record.entrants if one.by_hand is not None}
    for name in [one for one in chosen["contender"].unique() if one not in by_hand]:
        own = record.cells_of(name, cut)
        spans = [
            (float(scores_N.min()), float(scores_N.max()), cell.facts.threshold)
            for cell in own
            if len(scores_N := cell.scores["test"])
        ]
        silent = [threshold for low, high, threshold in spans if low < high == threshold]
        if silent:
            lines.append(
                f"- '{name}' raised no alarm (at {len(silent)} of {counted(len(own), 'seed')}): its threshold, {silent[0]:g}, is the "
                "highest score of any test window, since too many validation normals reach it; raise fpr, train on more windows or for "
                "longer, or take a finer score (score = 'nll' instead of a rank)"
            )
    return lines


def _apart(record: Record, chosen: pd.DataFrame, cut: Cut) -> list[str]:
    """A line about the contenders with one row per window."""
    names = [name for name in chosen["contender"].unique() if record.cells_of(name, cut)[0].facts.form == APART]
    if not names:
        return []
    rows, merged = len(cut.forms[APART].test), len(cut.merged.test)
    named = ", ".join(f"'{name}'" for name in names)
    return [
        f"- {named}: judged on {counted(rows, 'window')} one by one, since more is read of an event than its type; the others on "
        f"{counted(merged, 'distinct row')}, each as often as it occurs; intervals are over sequences of event types in either case"
    ]


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


def _contrast_part(record: Record, frame: pd.DataFrame, style: str = "github") -> list[str]:
    judge = record.judge
    if not judge.contrasts:
        return []
    trained = convergence.trainings(record)
    pairs = contrasts.judged(record, frame)
    rows = [
        {
            "contrast": f"{one.left} - {one.right}{convergence.mark(trained, one.left, one.right)}",
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
    title = "## Declared contrasts" if style == "github" else "declared contrasts"
    note = _note(record, pairs, style) + convergence.marked(trained, judge.contrasts)
    return [title, "", escape.table(rows, style), "", note]


def _note(record: Record, pairs: Sequence[Judged], style: str) -> str:
    """The note below the contrasts."""
    judge = record.judge
    note = "Declared before training; everything else is exploratory."
    if record.otherwise:
        note = f"Judged otherwise than declared before training ({', '.join(record.otherwise)}): exploratory."
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
    return note


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
