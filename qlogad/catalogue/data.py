"""Summaries of data sets: `qlogad data describe`."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from qlogad import documents, names
from qlogad.arrays import Floats
from qlogad.errors import DataError, InputError, did_you_mean, one_line
from qlogad.logs.clock import clock, stamp
from qlogad.logs.quarantine import by_reason
from qlogad.logs.reading.archives import inside

if TYPE_CHECKING:
    from qlogad.experiment.experiment import Contender
    from qlogad.logs.dataset import Dataset
    from qlogad.logs.events import Events

__all__ = ["describe", "facts_text", "is_log", "what"]

_FIRST = 3  # lines shown
_SHOWN = 160  # characters of a line


def what(name: str) -> str:
    """What a name is: "a dataset", "an experiment file", "a log", or "none of these"."""
    if name in names.known("dataset") and not Path(name).is_file():
        return "a dataset"
    if name.endswith(".toml") or name in names.documents("experiment"):
        return "an experiment file"
    path = os.path.expandvars(os.path.expanduser(name))
    there = os.path.exists(path) or inside(Path(path)) is not None or any(mark in name for mark in "*?[")
    return "a log" if there or os.sep in name else "none of these"


def is_log(name: str) -> bool:
    """Whether a name is a log: not a dataset, nor an experiment file."""
    return what(name) == "a log"


def describe(name: str, overrides: Sequence[str], progress: Callable[[str, int], None]) -> dict[str, Any]:
    """Summarise a data set: an account of every line, templates, windows, labels and the parts of each cut."""
    from qlogad.experiment.experiment import Experiment
    from qlogad.experiment.ground import open_source, splits

    if name in names.known("dataset"):
        table: dict[str, Any] = {"dataset": name}
        for assignment in overrides:
            table = documents.override(table, assignment.removeprefix("data."))
        content = {"data": table, "contender": [{"name": "new-event", "detector": "new-event"}]}
        data, contenders = Experiment.from_document(content, where="data describe").data, {}
    elif name.endswith(".toml") or name in names.documents("experiment"):
        experiment = Experiment.load(name, overrides)
        data, contenders = experiment.data, {contender.name: _made_of(contender) for contender in experiment.contenders}
    else:
        hint = f": {instead}" if (instead := names.format_hint(name)) else did_you_mean(name, names.known("dataset"))
        raise InputError(
            f"'{name}' is neither a log nor a dataset nor an experiment file{hint}; known datasets: {', '.join(names.known('dataset'))}"
        )
    source = open_source(data, lambda lines: progress("lines read", lines), judged=False)
    events, windows, intake = source.events, source.windows, source.events.intake
    time_E = events.time_E[np.isfinite(events.time_E)]
    facts: dict[str, Any] = {
        "dataset": data.dataset,
        "lines": intake.lines,
        "understood": intake.records,
        **({"joined to the event above": intake.joined} if intake.joined else {}),
        **({"left out by level": intake.left_out} if intake.left_out else {}),
        "blank": intake.blank,
        "quarantined": len(intake.quarantine),
        "quarantine reasons": intake.reasons(),
        "quarantined lines": {
            f"{group.reason}, line {line}": one_line(text, _SHOWN)
            for group in by_reason(intake, source.dataset.text)
            for line, text in group.examples.items()
        },
        "first lines": _examples(source.dataset, events),
        **({"warnings": list(intake.warnings)} if intake.warnings else {}),
        "from": stamp(float(time_E.min())) if len(time_E) else "no times",
        "to": stamp(float(time_E.max())) if len(time_E) else "no times",
        **({"clock": _clock(events.time_E)} if len(time_E) else {}),
        "sessions": len(events.sessions),
        "distinct masked messages": len(events.texts),
        "windows": f"{len(windows)} by {source.window.by}",
        "windows of unknown label": source.unknown,
        "anomalous windows": int((windows.label_W == 1).sum()),
        "kinds": {
            str(kind): int(count)
            for kind, count in zip(*np.unique(windows.kind_W[windows.label_W == 1], return_counts=True), strict=True)
        },
        "digest": events.digest,
    }
    if not events.parsed:
        texts = (events.texts[code] for code in events.text_E)
        parser = data.new_parser(dataset=source.dataset).fit(texts)
        facts["templates (parser fitted on everything)"] = len(parser.templates)
    facts |= {"contenders": contenders} if contenders else {}
    try:
        found = splits(data, source)
    except DataError as error:
        return facts | {"cuts": f"none: {error}"}
    for split in found:
        label = {part: windows.label_W[getattr(split, part)] for part in ("train", "validation", "test", "in_flight")}
        facts[f"cut {split.name}"] = {part: f"{len(v)} windows, {int((v == 1).sum())} anomalous" for part, v in label.items()}
    return facts


def _examples(dataset: Dataset, events: Events) -> dict[str, str]:
    """The first lines that became events, escaped, by line number."""
    wanted = list(dict.fromkeys(events.line_E[:_FIRST].tolist()))
    return {f"line {line}": one_line(text, _SHOWN) for line, text in sorted(dataset.text(wanted).items())}


def _made_of(contender: Contender) -> str:
    """A short description of a contender: its detector, and its values of a grid."""
    like = f", like {contender.like}" if contender.like else ""
    control = f", {contender.control}" if contender.control else ""
    varied = ", ".join(f"{key} = {value}" for key, value in (contender.grid or {}).items() if key != "control")
    return f"{contender.detector}{like}{control}{': ' if varied else ''}{varied}"


def _clock(time_E: Floats) -> dict[str, Any]:
    """How times go on from event to event, in the order of the lines."""
    found = clock(time_E, np.zeros(len(time_E), dtype=np.int64), None)
    return {key: value for key, value in found.items() if key not in ("first", "last", "lines per hour", "lines per day")}


def facts_text(facts: dict[str, Any]) -> str:
    """Facts as text."""
    lines = []
    for key, value in facts.items():
        if isinstance(value, dict):
            lines.append(f"{key}:" if value else f"{key}: none")
            lines += [f"  {name or '(no kind given)'}: {item}" for name, item in value.items()]
        else:
            lines.append(f"{key}: {', '.join(map(str, value)) or 'none' if isinstance(value, list) else value}")
    return "\n".join(lines)
