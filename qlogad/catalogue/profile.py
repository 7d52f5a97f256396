"""What an unknown log is: `qlogad data describe LOG`. Its layout, times, levels, templates, drift, sessions, labels and dirt, and the
[data] table and the experiment that read it.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from math import isnan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qlogad import documents, escape
from qlogad.errors import DataError, counted, one_line
from qlogad.experiment.data import Data, data_of
from qlogad.logs.clock import clock, duration, stamp
from qlogad.logs.dataset import Dataset, Intake
from qlogad.logs.events import Events, read_events
from qlogad.logs.guess.guess import Guess, guess
from qlogad.logs.guess.log_sample import Dirt, LogSample, dirt_of, take_sample
from qlogad.logs.guess.session_candidates import FEWEST, LONGEST, Candidate, candidates
from qlogad.logs.reading.layout import ROLES, Layout
from qlogad.logs.reading.line_files import LineFiles
from qlogad.logs.reading.raw_lines import blocks, raw_lines
from qlogad.logs.split import SplitBy, make_splits
from qlogad.logs.windows import Window, Windows, make_windows

__all__ = ["Profile", "profile"]

Progress = Callable[[str, int], None]
_TOP = 10  # levels, components, templates shown
_EXAMPLES = 3
_SHOWN = 160  # characters of an example
_WARNING = 300  # characters of a warning
_FIRST = 3  # lines shown with what is read in them
_LOOKED = 8_000  # events in which sessions are looked for
_CUTS = (0.4, 0.55, 0.7)
_PARTS = ((8, 3, 8), (1, 1, 1))  # windows for training, validation and test: what is wanted, what is needed


@dataclass(frozen=True)
class Profile:
    """What a log is, and how it is read."""

    facts: Mapping[str, Any]  # as JSON types
    table: Mapping[str, Any]  # [data]
    notes: tuple[str, ...]  # why the table is as it is
    divisible: bool = True  # whether the log is long enough for training, validation and test

    def experiment(self) -> str:
        """A whole experiment file on the log, for detectors that need no labels.

        Raises:
            DataError: the log is too short for one.
        """
        if not self.divisible:
            raise DataError(f"no experiment to write: {self.notes[0]}")
        contenders: list[dict[str, Any]] = [
            {"name": "new-event", "detector": "new-event"},
            {"name": "length", "detector": "length"},
            {"name": "2-gram", "detector": "ngram", "n": 2},
            {"name": "markov", "detector": "markov", "score": "nll"},
            {"name": "lstm", "detector": "deeplog", "core": {"kind": "classical", "hidden": 16}, "epochs": 60, "score": "nll"},
        ]
        content = {
            "question": "Which windows of this log are unlike those before?",
            "data": self.table,
            "contender": contenders,
            "judge": {"seeds": 2},
        }
        notes = "".join(f"# {escape.terminal(note)}\n" for note in self.notes)
        return f"# Written by: qlogad data describe\n{notes}\n{documents.dump(content)}{_QUANTUM}"

    def text(self) -> str:
        """The page for people, with the [data] table."""
        return "\n".join(
            [*_page(self.facts), "", *(f"# {note}" for note in self.notes), documents.dump({"data": self.table}).rstrip()]
        )


_QUANTUM = """
# the same detector with a circuit in its cell:
# [[contender]]
# name = "quantum"
# like = "lstm"
# core = { kind = "quantum", encoding = "angle-y", ansatz = "strongly-entangling", wires = 4, depth = 1, hidden = 16 }
"""


def profile(log: str, overrides: Sequence[str], progress: Progress, *, whole: bool = False) -> Profile:
    """Look at a log: its layout is guessed on a sample, and so is the rest unless all of it is to be read.

    Args:
        log: a file, a glob, an archive or a file in one.
        overrides: keys of [data]; a format, pattern, syntax or dataset among them is not guessed.
        progress: told what is being done.
        whole: read all of the log.

    Raises:
        DataError: there is no such file, it is no text, or it has no lines.
    """
    progress("looking at a sample", 0)
    sample = take_sample(log)
    texts = sample.texts
    found = guess(texts)
    path = log if log.startswith(("$", "~")) else os.path.abspath(log)
    base: dict[str, Any] = {"dataset": "lines", "path": path}
    own: dict[str, Any] = {}
    for assignment in overrides:
        own = documents.override(own, assignment.removeprefix("data."))
    told = bool(own.keys() & {"dataset", "format", "pattern", "syntax"})
    base |= own if told else {**found.data, **own}
    data = data_of(base, "data describe")
    dataset, events = _read(data, sample, whole, progress)
    choices = _sessions(dataset, events, sample) if not told or "session" not in own else []
    session, window, split, why = _windows(base, events, choices, sample, whole, own)
    table = {**base, **session}
    table |= {"window": _plain(window)} if "window" not in own else {}
    table |= {"split": _plain(split)} if split is not None and "split" not in own else {}
    notes = list(why)
    if session:
        data = data_of(table, "data describe")
        dataset, events = _read(data, sample, whole, progress)
    windows = make_windows(events, window)
    known = windows.label_W[windows.label_W >= 0]
    if "inject" not in own and "labels" not in own:
        length = float(np.median(windows.lengths_W))
        if split is not None and (len(known) == 0 or not (known == 1).any()):
            table["inject"] = _injection(events, length)
            what = "no line of this log is labelled" if len(known) == 0 else "no line that was looked at is labelled anomalous"
            notes.append(f"{what}: windows are taken as normal, and known anomalies are put into held-out ones (inject)")
    data_of(table, "data describe").open()
    progress("templates", 0)
    facts = {
        **_about(log, sample, found, told, table),
        **_seen(data, events, sample, whole, texts, dataset),
        "sessions found": [_candidate(one) for one in choices[:5]],
        "windows": f"by {window.by}: {counted(len(windows), 'window')} in what was looked at, "
        f"median length {np.median(windows.lengths_W):g}",
        "data": documents.plain(table),
        "notes": notes,
    }
    return Profile(facts, table, tuple(notes), split is not None)


def _plain(value: Window | SplitBy) -> dict[str, Any]:
    default = {"validation"}
    return {key: item for key, item in documents.plain(value).items() if item is not None and key not in default}


def _read(data: Data, sample: LogSample, whole: bool, progress: Progress) -> tuple[Dataset, Events]:
    dataset = data.open()
    if whole:
        return dataset, read_events(dataset, lambda lines: progress("lines read", lines))
    return dataset, read_events(dataset, lines=sample.lines)


# ---------------------------------------------------------------- sessions, windows, split


def _layout(dataset: Dataset) -> Layout | None:
    return dataset.layout if isinstance(dataset, LineFiles) else None


def _sessions(dataset: Dataset, events: Events, sample: LogSample) -> list[Candidate]:
    """What could make sessions: what the layout says, else what recurs."""
    if len(events.member_event_M):
        lengths = np.bincount(events.member_session_M)
        covered = len(np.unique(events.member_event_M)) / len(events)
        return [Candidate("as the layout says", {}, len(events.sessions), covered, float(np.median(lengths)), 0.0)]
    layout = _layout(dataset)
    if layout is None or events.parsed:
        return []
    return candidates(_messages(dataset, layout, sample))


def _messages(dataset: Dataset, layout: Layout, sample: LogSample) -> Iterator[tuple[str, dict[str, str]]]:
    lines = sample.lines[:_LOOKED]
    expression = re.compile(layout.expression, re.ASCII) if layout.expression else None
    used = {part for role in ROLES for way in layout.fields(role) for part in way}
    intake = Intake()
    for record in dataset.read(raw_lines(lines, intake), intake):
        others: dict[str, str] = {}
        text = lines[record.line - 1].decode("utf-8", "backslashreplace")
        if expression is not None and (match := expression.fullmatch(text.rstrip("\r"))) is not None:
            others = {name: value for name, value in match.groupdict().items() if value and name not in used}
        elif layout.syntax == "json":
            row = json.loads(text)
            others = {key: str(value) for key, value in row.items() if isinstance(value, (str, int)) and key not in used}
        yield record.message, others


def _windows(
    base: Mapping[str, Any], events: Events, choices: Sequence[Candidate], sample: LogSample, whole: bool, own: Mapping[str, Any]
) -> tuple[dict[str, Any], Window, SplitBy | None, list[str]]:
    """Keys of sessions, windows and split that leave windows in every part, and why; no split where none does."""
    lines = len(events)
    timed = bool(np.isfinite(events.time_E).mean() >= 0.9) if lines else False
    orders: list[Any] = ["time", "order"] if timed else ["order"]
    expected = lines if whole or sample.expected_lines is None else sample.expected_lines
    size = int(np.clip(expected // 100, 2, 100))
    labelled = bool((events.label_E >= 0).any())
    tried: list[tuple[dict[str, Any], Window, str]] = []
    best = next((one for one in choices if one.sensible or (not one.data and _sensible(one))), None)
    if events.parsed:
        tried.append(({}, Window("session"), "windows are the sequences of the file"))
    elif best is not None and not labelled:
        what = "that the layout names" if not best.data else f"by {best.what}"
        tried.append((dict(best.data), Window("session"), f"windows are sessions {what}, {best.sessions} in what was looked at"))
    while size >= 2:
        tried.append(({}, Window("count", size=size), f"no sessions of use were found: windows have {size} lines each"))
        if labelled:
            tried[-1] = ({}, Window("count", size=size), f"labels are of lines: windows have {size} lines each")
        size = size // 2
    if "window" in own:
        tried = [({}, data_of(base, "data describe").window or Window(), "")]
    for wanted in _PARTS:
        for session, window, why in tried:
            windows = _made(base, events, session, window, sample, whole)
            if windows is None:
                continue
            for order in orders:
                cuts = tuple(cut for cut in _CUTS if _leaves(windows, SplitBy(order, (cut,)), wanted))
                if cuts:
                    if best is not None and not session and not labelled and window.by == "count":
                        found = f"{best.sessions} sessions were found ({'as the layout says' if not best.data else best.what})"
                        why = f"{found}, too few for training, validation and test: windows have {window.size} lines each"
                    late = "" if order == "time" or not timed else "; by time, a part would be empty, so the split is by order"
                    return session, window, SplitBy(order, cuts), [f"{why}{late}"] if why else []
    few = f"{counted(lines, 'event')} cannot be cut into training, validation and test: no experiment can run on them; take more of the log"
    session, window, _ = tried[0]
    if _made(base, events, session, window, sample, whole) is None:
        session, window = {}, Window("count", size=1)
    return session, window, None, [few]


def _sensible(one: Candidate) -> bool:
    return one.sessions >= FEWEST and one.covered >= 0.3 and 2 <= one.length <= LONGEST


def _made(
    base: Mapping[str, Any], events: Events, session: Mapping[str, Any], window: Window, sample: LogSample, whole: bool
) -> Windows | None:
    """The windows, those of known label alone if any is; None if there are none."""
    try:
        if session:
            _, events = _read(data_of({**base, **session}, "data describe"), sample, whole, lambda what, count: None)
        windows = make_windows(events, window)
    except DataError:
        return None
    known = np.flatnonzero(windows.label_W >= 0)
    return windows.take(known) if len(known) else windows


def _leaves(windows: Windows, split: SplitBy, wanted: tuple[int, int, int]) -> bool:
    """Whether a split leaves enough windows in every part, normal ones to train on among them."""
    try:
        (parts,) = make_splits(windows, split)
    except DataError:
        return False
    train = parts.train[windows.label_W[parts.train] != 1]
    held = parts.validation[windows.label_W[parts.validation] != 1]
    return all(len(part) >= least for part, least in zip((train, held, parts.test), wanted, strict=True))


def _injection(events: Events, length: float) -> str:
    """What can be done to windows of this length."""
    if len(events.texts) < 2 or length < 2:
        return "repeat:2"
    return "swap:3" if length >= 5 else "swap:1"


# ---------------------------------------------------------------- facts


def _about(log: str, sample: LogSample, found: Guess, told: bool, table: Mapping[str, Any]) -> dict[str, Any]:
    formats = [{"format": one.name, "understood": round(one.understood, 4)} for one in found.tried[:5]]
    return {
        "log": log,
        "files": len(sample.files),
        "bytes": sample.size,
        "lines": sample.expected_lines,
        "looked at": {"lines": len(sample.lines), "all": sample.whole, "beginning only": sample.packed},
        "layout": "as told" if told else found.name,
        "understood": None if told else round(found.understood, 4),
        "formats tried": formats,
    }


def _seen(data: Data, events: Events, sample: LogSample, whole: bool, texts: Sequence[str], dataset: Dataset) -> dict[str, Any]:
    """What the events say."""
    at = np.searchsorted(np.cumsum([0, *map(len, sample.parts)])[1:], events.line_E, "left") if not whole else events.line_E * 0
    intake = events.intake
    parser = data.new_parser(parsed=events.parsed, dataset=dataset).fit(iter(events.texts))
    id_E = np.asarray(parser.ids(list(events.texts)))[events.text_E]
    wanted, top = set[int](), list[tuple[int, int]]()
    ids, counts = np.unique(id_E[id_E >= 0], return_counts=True)
    for place in np.argsort(-counts, kind="stable")[:_TOP]:
        top.append((int(ids[place]), int(counts[place])))
    shown = {number: events.line_E[np.flatnonzero(id_E == number)[:2]].tolist() for number, _ in top}
    third = 2 * len(id_E) // 3
    new = np.setdiff1d(id_E[third:], id_E[:third])
    new = new[new >= 0]
    reasons: dict[str, list[int]] = {}
    for item in intake.quarantine:
        reasons.setdefault(item.reason, []).append(item.line)
    wanted |= {line for lines in shown.values() for line in lines} | {
        line for lines in reasons.values() for line in lines[:_EXAMPLES]
    }
    text_of = dataset.text(wanted) if whole else {line: texts[line - 1] for line in wanted if line <= len(texts)}
    dirt = _dirt(sample, whole)
    labels = Counter(events.label_E.tolist())
    return {
        "events": len(events),
        "times": clock(events.time_E, np.asarray(at), None if whole or sample.whole else sample.expected_lines),
        "levels": _counts(events.level_E, events.levels),
        "components": {
            "number": sum(map(bool, events.components)),
            "most frequent": _counts(events.component_E, events.components),
        },
        "templates": {
            "number": len(ids),
            "of one line": int((counts == 1).sum()),
            "most frequent": [
                {
                    "template": parser.templates[number],
                    "lines": count,
                    "share": round(count / max(1, len(id_E)), 4),
                    "examples": [text_of[line][:_SHOWN] for line in shown[number] if line in text_of],
                }
                for number, count in top
            ],
        },
        "new in the last third": {
            "templates": len(new),
            "share of its lines": round(float(np.isin(id_E[third:], new).mean()), 4) if len(id_E) > third else 0.0,
            "examples": [parser.templates[number][:_SHOWN] for number in new[:_EXAMPLES].tolist()],
        },
        "labels": {name: labels[label] for label, name in ((0, "normal"), (1, "anomalous"), (-1, "unknown")) if labels[label]},
        "dirt": {what: {"lines": count, "examples": dirt.examples.get(what, [])} for what, count in sorted(dirt.counts.items())},
        "quarantined": {
            reason: {"lines": len(lines), "examples": [text_of[line][:_SHOWN] for line in lines[:_EXAMPLES] if line in text_of]}
            for reason, lines in sorted(reasons.items(), key=lambda pair: -len(pair[1]))
        },
        "joined to the line above": intake.joined,
        "warnings": list(intake.warnings),
        "first lines": _first_lines(dataset, sample),
    }


def _first_lines(dataset: Dataset, sample: LogSample) -> list[dict[str, Any]]:
    """The first lines of the log that are events, and what is read in each."""
    lines, intake, found = sample.lines[:_LOOKED], Intake(), list[dict[str, Any]]()
    try:
        for record in islice(dataset.read(raw_lines(lines, intake), intake), _FIRST):
            read = {
                "time": "" if isnan(record.time) else stamp(record.time),
                "level": record.level,
                "component": record.component,
                "session": " ".join(record.sessions),
                "label": {0: "normal", 1: "anomalous"}.get(record.label, ""),
                "message": record.message[:_SHOWN],
            }
            line = lines[record.line - 1].decode("utf-8", "backslashreplace")
            found.append({"line": line[:_SHOWN], "read": {name: text for name, text in read.items() if text}})
    except DataError:  # told where all of the sample is read
        return found
    return found


def _dirt(sample: LogSample, whole: bool) -> Dirt:
    if not whole:
        return sample.dirt
    lines = (line for name in sample.files for block in blocks(name) for line in block.data.split(b"\n")[:-1])
    return dirt_of(lines)


def _counts(code_E: NDArray[np.int32], words: Sequence[str]) -> dict[str, int]:
    """How often each word occurs, the most frequent first."""
    counts = np.bincount(code_E, minlength=len(words))
    order = np.argsort(-counts, kind="stable")[:_TOP]
    return {words[place]: int(counts[place]) for place in order.tolist() if words[place] and counts[place]}


def _candidate(one: Candidate) -> dict[str, Any]:
    return {
        "by": one.what,
        "sessions": one.sessions,
        "share of the lines": round(one.covered, 4),
        "median length": one.length,
        "keys": dict(one.data),
    }


# ---------------------------------------------------------------- the page


def _page(facts: Mapping[str, Any]) -> Iterator[str]:
    looked, times = facts["looked at"], facts["times"]
    about = "all of it" if looked["all"] else "its beginning" if looked["beginning only"] else "beginning, middle and end"
    many = "" if facts["lines"] is None else f", {'' if looked['all'] else 'about '}{facts['lines']:,} lines"
    files = f", {facts['files']} files" if facts["files"] > 1 else ""
    yield f"{one_line(facts['log'])}: {facts['bytes']:,} bytes{files}{many}; looked at {looked['lines']:,} lines ({about})"
    understood = "" if facts["understood"] is None else f", understands {facts['understood']:.1%} of the lines"
    yield f"layout: {facts['layout']}{understood}"
    for one in facts["formats tried"]:
        yield f"  {one['understood']:7.1%}  {one['format']}"
    if "first" in times:
        rate = f", {times['lines per hour']:,g} lines an hour" if times["lines per hour"] else ""
        yield f"times: {times['first']} to {times['last']} (UTC){rate}; {times['without']} events without"
        yield (
            f"  {times['out of order']} out of order (by {duration(times['largest step back, s'])} at most), "
            f"{times['same as the one before']} the same as the one before, {times['jumps ahead']} jumps ahead"
            + (f" (by {duration(times['largest jump ahead, s'])} at most)" if times["jumps ahead"] else "")
        )
    else:
        yield "times: none"
    yield from (f"  warning: {one_line(warning, _WARNING)}" for warning in facts["warnings"])
    yield "the first lines, and what is read in them:"
    for one in facts["first lines"]:
        yield f"  {_short(one['line'])}"
        yield f"    {', '.join(f'{name}: {_short(text)}' for name, text in one['read'].items())}"
    yield f"levels: {_listed(facts['levels'])}"
    components = facts["components"]
    yield f"components: {components['number']}: {_listed(components['most frequent'])}"
    templates = facts["templates"]
    yield f"templates: {templates['number']}, {templates['of one line']} of one line; the most frequent:"
    for one in templates["most frequent"]:
        yield f"  {one['lines']:>7} ({one['share']:.1%})  {_short(one['template'])}"
        yield from (f"           e.g. {_short(example)}" for example in one["examples"][:1])
    new = facts["new in the last third"]
    yield f"new in the last third: {counted(new['templates'], 'template')}, {new['share of its lines']:.1%} of its lines"
    yield from (f"  {_short(example)}" for example in new["examples"])
    yield "sessions found:" if facts["sessions found"] else "sessions found: none"
    for one in facts["sessions found"]:
        yield (
            f"  {_short(one['by'])}: {one['sessions']} sessions, in {one['share of the lines']:.0%} of the lines, "
            f"median length {one['median length']:g}"
        )
    yield f"labels: {_listed(facts['labels'])}"
    yield f"windows: {facts['windows']}"
    for name in ("dirt", "quarantined"):
        yield f"{name}: {'none' if not facts[name] else ''}".rstrip()
        for what, found in facts[name].items():
            yield f"  {what}: {counted(found['lines'], 'line')}"
            yield from (f"    {_short(example)}" for example in found["examples"])
    if facts["joined to the line above"]:
        yield f"joined to the line above: {counted(facts['joined to the line above'], 'line')}"


def _listed(found: Mapping[str, int]) -> str:
    return ", ".join(f"{one_line(name, 60)} {count}" for name, count in found.items()) or "none"


def _short(text: str) -> str:
    return one_line(text, _SHOWN)
