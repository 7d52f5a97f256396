"""The templates of a log, with what looks wrong with them: `qlogad data parse`."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from qlogad import documents, escape, names
from qlogad.errors import DataError, InputError, counted, did_you_mean, one_line
from qlogad.experiment.data import Data, data_of
from qlogad.experiment.experiment import Experiment
from qlogad.logs.dataset import Intake
from qlogad.logs.guess.guess import guess
from qlogad.logs.guess.log_sample import take_sample
from qlogad.logs.parser.parser import Parser
from qlogad.logs.parser.templates import PLACEHOLDER, SLOT, WILDCARD
from qlogad.logs.reading.mask import Mask

__all__ = ["Finding", "Parsed", "Template", "parse", "parsed"]

Progress = Callable[[str, int], None]
TOLD = frozenset({"format", "pattern", "syntax"})  # keys of [data] that say what a line looks like
MANY = 20  # lines that say something of how a token varies
FEW = 3  # values of a token that hardly varies
_EVERY = 1 << 14  # lines between two reports of progress
_SHOWN = 200  # characters of a message or template
_FINDINGS = 30  # shown to people


@dataclass
class Template:
    """A template and the lines that have it."""

    number: int  # the parser's id; -1: lines without a template
    text: str
    lines: int = 0
    first: float = math.nan  # seconds since 1970; NaN where no time is known
    last: float = math.nan
    messages: list[str] = field(default_factory=list)  # distinct masked ones
    examples: list[str] = field(default_factory=list)  # two lines' messages as they stand in the log


@dataclass(frozen=True)
class Finding:
    """Something that looks wrong with some templates."""

    templates: tuple[int, ...]
    what: str


@dataclass(frozen=True)
class Parsed:
    """The templates of a log, the most frequent first."""

    templates: tuple[Template, ...]
    findings: tuple[Finding, ...]
    texts: tuple[str, ...]  # the templates by id
    intake: Intake
    guessed: str | None = None  # the layout that was taken where none was given

    def rows(self) -> list[dict[str, Any]]:
        """A row for each template, as JSON types."""
        return [
            {
                "id": one.number,
                "template": one.text,
                "lines": one.lines,
                "share": one.lines / max(1, self.intake.records),
                "messages": len(one.messages),
                "first": _stamp(one.first),
                "last": _stamp(one.last),
                "examples": one.examples,
            }
            for one in self.templates
        ]

    def facts(self) -> dict[str, Any]:
        """Everything as JSON types."""
        intake = self.intake
        read: dict[str, Any] = {
            "lines": intake.lines,
            "understood": intake.records,
            "blank": intake.blank,
            "quarantined": len(intake.quarantine),
            "quarantine reasons": intake.reasons(),
        }
        findings = [{"templates": list(one.templates), "what": one.what} for one in self.findings]
        read |= {"layout guessed": self.guessed} if self.guessed else {}
        return {**read, "templates": self.rows(), "looks wrong": findings}

    def csv(self) -> str:
        """The rows as the text of a CSV file."""
        head = ("id", "lines", "share", "messages", "first", "last", "template", "example", "another example")
        rows = [
            (
                row["id"],
                row["lines"],
                row["share"],
                row["messages"],
                row["first"] or "",
                row["last"] or "",
                row["template"],
                *[*row["examples"], "", ""][:2],
            )
            for row in self.rows()
        ]
        return escape.csv_rows([head, *rows], ".6g")

    def text(self, top: int | None = None) -> str:
        """For people: templates with their counts and examples, then what looks wrong."""
        intake, parts = self.intake, list[str]()
        for row in self.rows()[:top]:
            span = f", {row['first']} to {row['last']}" if row["first"] else ""
            parts.append(f"{row['id']:>5}  {counted(row['lines'], 'line')} ({row['share']:.2%}){span}")
            parts.append(f"       {_short(row['template']) if row['id'] >= 0 else 'no template'}")
            parts += [f"         e.g. {_short(example)}" for example in row["examples"]]
        if top is not None and top < len(self.templates):
            parts.append(f"       and {len(self.templates) - top} more")
        kinds = sum(one.number >= 0 for one in self.templates)
        parts += [
            "",
            *([f"layout: {one_line(self.guessed, _SHOWN)} (guessed; say another with --format)"] if self.guessed else []),
            f"{intake.lines} lines, {intake.records} understood, {intake.blank} blank, {len(intake.quarantine)} quarantined"
            f" -> {counted(kinds, 'template')}",
            "",
            "what looks wrong:" if self.findings else "nothing looks wrong",
        ]
        for finding in self.findings[:_FINDINGS]:
            shown = ", ".join(map(str, finding.templates[:5])) + (", ..." if len(finding.templates) > 5 else "")
            parts.append(f"  {'template' if len(finding.templates) == 1 else 'templates'} {shown}: {finding.what}")
        more = len(self.findings) - _FINDINGS
        return "\n".join([*parts, *([f"  and {more} more: --json"] if more > 0 else [])])


def parse(
    log: str,
    *,
    dataset: str | None = None,
    layout: str | None = None,
    overrides: Sequence[str] = (),
    progress: Progress,
) -> Parsed:
    """Read a log, fit the parser on all of it, and look at its templates. Memory grows with the distinct masked messages alone.

    Args:
        log: the path of a log, or a data set that needs none, or an experiment file, whose [data] table is read.
        dataset: of what kind the log is; None: "lines".
        layout: of a log of lines: what a line looks like, or the name of a format; None: guessed unless the overrides say it.
        overrides: keys of [data].
        progress: told what is being done, and the number of lines.

    Raises:
        InputError: there is no such log, data set or key, or not one line was understood.
    """
    data, guessed = _data(log, dataset, layout, overrides, progress)
    return replace(parsed(data, progress), guessed=guessed)


def _data(
    log: str, dataset: str | None, layout: str | None, overrides: Sequence[str], progress: Progress
) -> tuple[Data, str | None]:
    """The [data] table, and the layout that was guessed where nothing says one."""
    if dataset is None and layout is None and (log.endswith(".toml") or log in names.documents("experiment")):
        return Experiment.load(log, [f"data.{one.removeprefix('data.')}" for one in overrides]).data, None
    if dataset is None and layout is None and log in names.known("dataset") and not Path(log).exists():
        table: dict[str, Any] = {"dataset": log}
    else:
        known = names.known("dataset")
        if dataset is not None and dataset not in known:
            raise InputError(f"there is no dataset '{dataset}'{did_you_mean(dataset, known)}; known: {', '.join(known)}")
        table = {"dataset": dataset or "lines", "path": log, **({} if layout is None else {"format": layout})}
    own: dict[str, Any] = {}
    for assignment in overrides:
        own = documents.override(own, assignment.removeprefix("data."))
        table = documents.override(table, assignment.removeprefix("data."))
    if table.get("dataset") == "lines" and not TOLD & {*table, *own}:
        found = guess(take_sample(str(table["path"])).texts)
        progress(f"layout: {found.name}", 0)
        return data_of({**table, **found.data, **own}, "data parse"), found.name
    return data_of(table, "data parse"), None


def parsed(data: Data, progress: Progress) -> Parsed:
    """The templates of the log that a [data] table describes."""
    dataset = data.open()
    intake, mask = Intake(), Mask(dataset.masks, dataset.mask_starts)
    found: dict[str, Template] = {}  # by masked message
    for count, record in enumerate(dataset.records(intake), 1):
        text = " ".join(mask(record.message)[0].split())
        one = found.get(text)
        if one is None:
            one = found[text] = Template(-1, text, 0, record.time, record.time, [text], [record.message])
        elif len(one.examples) < 2 and record.message != one.examples[0]:
            one.examples.append(record.message)
        one.lines += 1
        one.first, one.last = _least(one.first, record.time), -_least(-one.last, -record.time)
        if count % _EVERY == 0:
            progress("lines read", intake.lines)
    progress("lines read", intake.lines)
    if not found:
        reasons = ", ".join(f"{count} {reason}" for reason, count in list(intake.reasons().items())[:3])
        raise DataError(
            f"none of {intake.lines} lines was understood ({reasons or 'all blank'}); name what they look like: --format, or --dataset"
        )
    parser = data.new_parser(parsed=dataset.parsed, dataset=dataset)
    repeated = (text for text, one in found.items() for _ in range(one.lines)) if "max_templates" in data.parser else iter(found)
    parser.fit(repeated)
    progress("templates", len(parser.templates))
    grouped: dict[int, Template] = {}
    for (text, one), number in zip(found.items(), parser.ids(list(found)).tolist(), strict=True):
        whole = grouped.setdefault(number, Template(number, parser.templates[number] if number >= 0 else ""))
        whole.lines += one.lines
        whole.first, whole.last = _least(whole.first, one.first), -_least(-whole.last, -one.last)
        whole.messages.append(text)
        if len(whole.examples) < 2:
            whole.examples.append(one.examples[0])
    for whole in grouped.values():
        if len(whole.messages) == 1:
            whole.examples = found[whole.messages[0]].examples
    templates = tuple(sorted(grouped.values(), key=lambda one: (-one.lines, one.number)))
    own = [one for one in templates if one.number >= 0]
    lines = {text: one.lines for text, one in found.items()}
    return Parsed(templates, tuple(_findings(own, lines, parser)), parser.templates, intake)


def _least(one: float, other: float) -> float:
    return other if math.isnan(one) else min(one, other) if not math.isnan(other) else one


def _findings(templates: Sequence[Template], lines: Mapping[str, int], parser: Parser) -> Iterator[Finding]:
    for one in templates:
        firsts = [text.split(" ", 1)[0] for text in one.messages]
        words = list(dict.fromkeys(word for word in firsts if word.isalpha()))
        if len(words) > 1:
            yield Finding(
                (one.number,), f"it merges messages that begin with different words ({_listed(words)}); raise depth or similarity"
            )
        yield from _varying(one, lines, parser)
    yield from _twins(templates)
    lonely = [one.number for one in templates if one.lines == 1]
    if lonely:
        share = f"{counted(len(lonely), 'template')} of {len(templates)} with one line"
        yield Finding(tuple(lonely), f"{share}; what varies in them may need a mask")


def _varying(one: Template, lines: Mapping[str, int], parser: Parser) -> Iterator[Finding]:
    """What the wildcards of a template stand for: hardly anything else, or something else in almost every line."""
    slots = SLOT.findall(one.text)
    if one.lines < MANY or WILDCARD not in slots:
        return
    values = [Counter[str]() for _ in slots]
    for text in one.messages:
        parameters = parser.parameters(one.number, text, PLACEHOLDER.findall(text))
        if len(parameters) != len(slots):  # of a parser whose templates are not made of its messages
            return
        for counter, value in zip(values, parameters, strict=True):
            counter[value] += lines[text]
    for place, (slot, counter) in enumerate(zip(slots, values, strict=True), 1):
        if slot != WILDCARD:
            continue
        found = [value for value, _ in counter.most_common(FEW + 1)]
        what = f"its variable part {place}"
        if len(counter) <= FEW:
            yield Finding(
                (one.number,), f"{what} is one of {len(counter)} ({_listed(found)}): perhaps as many templates; raise similarity"
            )
        elif 2 * len(counter) >= one.lines:
            yield Finding(
                (one.number,), f"{what} is new in almost every line ({len(counter)} values, {_listed(found)}): give it a mask"
            )


def _twins(templates: Sequence[Template]) -> Iterator[Finding]:
    """Templates that differ in one token only."""
    places: dict[tuple[str | None, ...], list[tuple[int, str]]] = {}
    for one in templates:
        tokens = one.text.split()
        for place, token in enumerate(tokens):
            if token != WILDCARD and place:  # other first words are other messages
                places.setdefault((*tokens[:place], None, *tokens[place + 1 :]), []).append((one.number, token))
    for key, found in places.items():
        words = list(dict.fromkeys(token for _, token in found))
        if len(words) > 1:
            place = key.index(None) + 1
            yield Finding(
                tuple(number for number, _ in found),
                f"they differ in token {place} alone ({_listed(words)}); lower similarity, or mask it",
            )


def _listed(words: Sequence[str]) -> str:
    return ", ".join(f"'{one_line(word, 40)}'" for word in words[:3]) + (", ..." if len(words) > 3 else "")


def _short(text: str) -> str:
    return one_line(text, _SHOWN)


def _stamp(seconds: float) -> str | None:
    return None if math.isnan(seconds) else datetime.fromtimestamp(seconds, UTC).isoformat(" ", "seconds").removesuffix("+00:00")
