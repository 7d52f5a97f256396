r"""A layout of a log's own, where no format fits: what its lines have in common is read off them.

    2023-10-27T16:13:52.938Z  INFO 12345 --- [nio-8080-exec-1] c.e.DemoController   : request served
    └ time, by its shape ──┘ └level┘└pid┘    └ thread ───────┘ └ component ─────┘     └ message

From the time on, one piece after another is taken as long as `MOST` of the lines have it: marks, a level, [brackets], a number, a
component before ':' or '-'. The rest is the message; in the few lines that lack a piece, it begins there. Lines of JSON, logfmt and tables
name their fields: values say which is what.
"""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from math import isnan
from typing import Any, NamedTuple

from qlogad.errors import DataError
from qlogad.logs.reading.layout import ROLES, Layout, Role
from qlogad.logs.reading.line_times import LineTimes

__all__ = ["LEVELS", "PLAIN", "derive", "goes_on"]

MOST = 0.94  # of the lines have what is taken for a part of the layout
LEVELS = frozenset(
    (
        *("trace", "debug", "fine", "finer", "finest", "verbose", "config", "detail", "hint", "log", "statement", "audit"),
        *("info", "information", "informational", "notice", "warn", "warning", "error", "err", "severe"),
        *("fatal", "critical", "crit", "alert", "emerg", "emergency", "panic"),
    )
)
PLAIN = Layout(format="<message>")  # every line is its message
_LETTERS = frozenset("VDIWEFN")
_TIMED = 120  # lines in which the shape of times is looked for
_FAR = 120  # characters before a time, at most
_GOES_ON = re.compile(r"\s+\S|at \S|Caused by:|Suppressed:|Traceback |\.\.\. \d+ more|[\w.$]+(?:Exception|Error)\b|[)\]}]")

_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*"
_DAY = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*"
_CLOCK = r"\d\d:\d\d:\d\d"


class _Shape(NamedTuple):
    """What a time looks like."""

    expression: str
    form: str


def _shapes() -> Iterator[_Shape]:
    """The shapes of times, the most telling first."""
    zone = r" ?(?:Z|UTC|GMT|[-+]\d\d(?::?\d\d)?)"
    for mark in (r"\.", ","):
        yield _Shape(rf"\d{{4}}-\d\d-\d\d[T ]{_CLOCK}{mark}\d{{1,9}}{zone}", "iso")
        yield _Shape(rf"\d{{4}}-\d\d-\d\d[T ]{_CLOCK}{mark}\d{{1,9}}", "iso")
    yield _Shape(rf"\d{{4}}-\d\d-\d\d[T ]{_CLOCK}{zone}", "iso")
    yield _Shape(rf"\d{{4}}-\d\d-\d\d[T ]{_CLOCK}", "iso")
    fractions = [(r"\.\d{1,9}", ".%f"), (r",\d{1,9}", ",%f"), (r":\d{3}\b", ":%f"), ("", "")]
    whole = [
        (rf"\d{{4}}/\d\d/\d\d[ ]{_CLOCK}", "%Y/%m/%d %H:%M:%S"),
        (rf"\d{{4}}\.\d\d\.\d\d[ ]{_CLOCK}", "%Y.%m.%d %H:%M:%S"),
        (rf"\d{{1,2}}/{_MONTH}/\d{{4}}:{_CLOCK} [-+]\d{{4}}", "%d/%b/%Y:%H:%M:%S %z"),
        (rf"\d{{1,2}}/{_MONTH}/\d{{4}}:{_CLOCK}", "%d/%b/%Y:%H:%M:%S"),
        (rf"\d{{1,2}}/{_MONTH}/\d{{4}} {_CLOCK}", "%d/%b/%Y %H:%M:%S"),
        (rf"\d{{1,2}}-{_MONTH}-\d{{4}} {_CLOCK}", "%d-%b-%Y %H:%M:%S"),
        (rf"\d{{1,2}} {_MONTH} \d{{4}} {_CLOCK}", "%d %b %Y %H:%M:%S"),
        (rf"{_DAY} {_MONTH} +\d{{1,2}} {_CLOCK} \d{{4}}", "%a %b %d %H:%M:%S %Y"),
        (rf"{_MONTH} +\d{{1,2}}, \d{{4}} \d{{1,2}}:\d\d:\d\d [AP]M", "%b %d, %Y %I:%M:%S %p"),
        (rf"{_MONTH} +\d{{1,2}}, \d{{4}}, \d{{1,2}}:\d\d:\d\d [AP]M", "%b %d, %Y, %I:%M:%S %p"),
        (rf"{_MONTH} +\d{{1,2}} \d{{4}} {_CLOCK}", "%b %d %Y %H:%M:%S"),
        (rf"\d\d\.\d\d\.\d{{4}} {_CLOCK}", "%d.%m.%Y %H:%M:%S"),
        (r"\d{1,2}/\d{1,2}/\d{4} \d{1,2}:\d\d:\d\d [AP]M", "%m/%d/%Y %I:%M:%S %p"),
        (r"\d{1,2}/\d{1,2}/\d{4}, \d{1,2}:\d\d:\d\d [AP]M", "%m/%d/%Y, %I:%M:%S %p"),
        (rf"\d\d/\d\d/\d{{4}} {_CLOCK}", "%m/%d/%Y %H:%M:%S"),
        (rf"\d\d/\d\d/\d{{4}} {_CLOCK}", "%d/%m/%Y %H:%M:%S"),
        (rf"\d{{8}} {_CLOCK}", "%Y%m%d %H:%M:%S"),
        (rf"\d{{8}}-{_CLOCK}", "%Y%m%d-%H:%M:%S"),
        (rf"\d\d/\d\d/\d\d {_CLOCK}", "%y/%m/%d %H:%M:%S"),
        (r"\d{6} \d{6}", "%y%m%d %H%M%S"),
        (rf"{_MONTH} +\d{{1,2}} {_CLOCK}", "%b %d %H:%M:%S"),
        (rf"\d\d-\d\d {_CLOCK}", "%m-%d %H:%M:%S"),
        (rf"\d\d\d\d {_CLOCK}", "%m%d %H:%M:%S"),
    ]
    for expression, form in whole:
        for digits, directive in [("", "")] if form.endswith(("%Y", "%p", "%z")) else fractions:
            yield _Shape(expression + digits, form + directive)
    yield _Shape(r"(?:1\d{9}|9\d{8})(?:\.\d+)?(?![\d.])", "s")
    for more, unit in ((3, "ms"), (6, "us"), (9, "ns")):
        yield _Shape(rf"1\d{{{9 + more}}}(?!\d)", unit)
    yield _Shape(r"(?<=\[) *\d{1,9}\.\d{6}(?=\])", "s")  # the kernel's: seconds since it started
    for digits, directive in fractions:
        yield _Shape(rf"{_CLOCK}{digits}", f"%H:%M:%S{directive}")


SHAPES = tuple(_shapes())


def goes_on(text: str) -> bool:
    """Whether a line looks as if it went on with the event above: indented, or part of a stack trace."""
    return _GOES_ON.match(text) is not None


def derive(texts: Sequence[str]) -> Layout | None:
    """A layout that fits most lines of a log; None if they have nothing in common.

    >>> derive([f"28.11.2026 10:00:{n:02} [api] WARN  job {n} took {n * n} ms" for n in range(60)]).time_format
    '%d.%m.%Y %H:%M:%S'

    Args:
        texts: of the lines, in order. A table begins with its header.
    """
    if not texts:
        return None
    for named in (_json, _table, _logfmt):
        if (found := named(texts)) is not None:
            return found
    return _of_text([text for text in texts if not goes_on(text)] or list(texts))


# ---------------------------------------------------------------- lines of text


def _of_text(texts: Sequence[str]) -> Layout | None:
    shape = _time(texts)
    if shape is None:
        return None
    pattern = re.compile(shape.expression, re.ASCII)
    found = [(text, match) for text in texts if (match := pattern.search(text[:_FAR])) is not None]
    before, said = _before([text[: match.start()] for text, match in found])
    after = _after([text[match.end() :] for text, match in found], said)
    return Layout(pattern=f"{before}(?P<Time>{shape.expression}){after}", time_format=shape.form, **said)


def _time(texts: Sequence[str]) -> _Shape | None:
    """The shape of times that most lines have, as early in them as any other."""
    ranked = list[tuple[tuple[float, float, int], _Shape]]()
    texts = texts[:: max(1, len(texts) // _TIMED)]
    for place, shape in enumerate(SHAPES):
        pattern, times = re.compile(shape.expression, re.ASCII), LineTimes(shape.form)
        found = [match for text in texts if (match := pattern.search(text[:_FAR])) is not None]
        if len(found) < 0.5 * len(texts):
            continue
        good = sum(not isinstance(second := times(match[0].strip()), str) and not isnan(second) for match in found)
        if good >= 0.5 * len(texts):
            start = sorted(match.start() for match in found)[len(found) // 2]
            ranked.append(((round(good / len(texts), 1), -start, -place), shape))
    return max(ranked)[1] if ranked else None


def _share(matches: int, of: Sequence[object]) -> float:
    return matches / len(of) if of else 0.0


def _before(befores: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """The expression of what stands before the time, and what it says."""
    if _share(sum(not text for text in befores), befores) >= MOST:
        return "", {}
    same, count = Counter(befores).most_common(1)[0]
    marks = all(not character.isalnum() for character in same)
    if _share(count, befores) >= MOST and marks:
        return _literal(same), {}
    if _share(sum(len(text) == 1 and text in _LETTERS for text in befores), befores) >= MOST:
        return "(?P<Level>[A-Z])", {"level": "Level"}
    level = re.compile(r"\[?([A-Za-z]+)\]?:?[\s\[(:|-]+", re.ASCII)
    levels = [match for text in befores if (match := level.fullmatch(text)) is not None and match[1].lower() in LEVELS]
    if _share(len(levels), befores) >= MOST:
        return r"\[?(?P<Level>[A-Za-z]+)\]?:?[\s\[(:|-]+", {"level": "Level"}
    words = [text.split() for text in befores]
    dashes = sum(len(word) == 1 and word[0] == "-" for word in words)
    if dashes and _share(sum(len(word) == 1 for word in words), words) >= MOST and dashes >= 0.5 * len(words):
        return r"(?P<Label>\S+)\s+", {"label": "Label", "normal": "-"}
    return "(?P<Prefix>.*?)", {}


def _literal(text: str) -> str:
    return "".join(r"\s+" if part.isspace() else re.escape(part) for part in re.findall(r"\s+|\S", text))


_NUMBER = re.compile(r"(?:\d+#\d+|\d+)(?=[\s:\]|,;)]|$)", re.ASCII)
_BRACKET = re.compile(r"\[([^\[\]]*)\]")
_WORD = re.compile(r"([A-Za-z]+)(?![\w.$/])", re.ASCII)
_NAMED = r"(?P<Component>[A-Za-z_][\w.$/@()-]*?(?::\d+)?)(?:\[(?P<{0}>[\w-]+)\])?(?:\s*:(?=\s|$)|\s+-(?=\s)|\](?=\s))"
_HOST = re.compile(r"[\w.:@/-]+(?=\s)", re.ASCII)


def _after(rests: Sequence[str], said: Mapping[str, Any]) -> str:
    """The expression of what follows the time; where a line lacks a piece, its message begins."""
    pieces, taken, left = list[str](), {"Level"} if "level" in said else set[str](), list(rests)
    while True:
        run, left = _marks(left)
        pieces.append(run)
        if "Component" in taken:
            break
        piece, left = _piece(left, taken)
        if piece is None:
            break
        pieces.append(piece)
    first, *others = pieces
    expression = ""
    for piece, run in zip(others[-2::-2], others[::-2], strict=True):
        if run.endswith(r"\s+"):
            run = run.removesuffix(r"\s+") + r"(?:\s+|$)"  # a line may end here
        expression = f"(?:{piece}{run}{expression})?"
    return rf"(?:{first}{expression})?\s*(?P<Message>.*)"


def _marks(left: Sequence[str]) -> tuple[str, list[str]]:
    """The marks and blanks that most lines go on with, and what is left of these lines."""
    runs = [re.match(r"[^\w\[(\"'{<*%/]*", text)[0] for text in left]  # type: ignore[index]
    starts = Counter[tuple[str, ...]]()
    for run in runs:
        tokens = [" " if token.isspace() else token for token in re.findall(r"\s+|\S", run)]
        for end in range(len(tokens) + 1):
            starts[tuple(tokens[:end])] += 1
    best = max((tokens for tokens, count in starts.items() if _share(count, left) >= MOST), key=len, default=())
    expression = "".join(r"\s+" if token == " " else re.escape(token) for token in best)
    pattern = re.compile(expression)
    return expression, [text[match.end() :] for text in left if (match := pattern.match(text)) is not None]


def _piece(left: Sequence[str], taken: set[str]) -> tuple[str | None, list[str]]:
    """The next piece of most lines, and what is left of these; None if the message begins."""

    def rest_of(pattern: re.Pattern[str]) -> list[str]:
        return [text[match.end() :] for text in left if (match := pattern.match(text)) is not None]

    if "Level" not in taken:
        words = [match for text in left if (match := _WORD.match(text)) is not None]
        known = sum(match[1].lower() in LEVELS for match in words)
        if _share(known, left) >= MOST:
            taken.add("Level")
            return "(?P<Level>[A-Za-z]+)", rest_of(_WORD)
        letters = re.compile(r"([A-Z])(?=\s)")
        if _share(sum((match := letters.match(text)) is not None and match[1] in _LETTERS for text in left), left) >= MOST:
            taken.add("Level")
            return "(?P<Level>[A-Z])", rest_of(letters)
    inside = [match[1].strip() for text in left if (match := _BRACKET.match(text)) is not None]
    if _share(len(inside), left) >= MOST:
        known = sum(text.lower() in LEVELS for text in inside)
        name = (
            "Level"
            if "Level" not in taken and _share(known, left) >= MOST
            else "Pid"
            if all(map(str.isdigit, inside))
            else "Thread"
        )
        while name in taken:
            name += "2"
        taken.add(name)
        within = r"\[\s*(?P<Level>\w+)\s*\]" if name == "Level" else rf"\[(?P<{name}>[^\[\]]*)\]"
        return within, rest_of(_BRACKET)
    numbers = rest_of(_NUMBER)
    if _share(len(numbers), left) >= MOST and "Pid2" not in taken:
        name = "Pid2" if "Pid" in taken else "Pid"
        taken.add(name)
        return rf"(?P<{name}>\d+(?:#\d+)?)", numbers
    named = _component(left, taken)
    if named is not None:
        return named
    return _constant(left, taken) or (None, list(left))


def _constant(left: Sequence[str], taken: set[str]) -> tuple[str, list[str]] | None:
    """A word of few values before a level, [brackets] or a component: a host, a time zone, a user."""
    found = [match for text in left if (match := _HOST.match(text)) is not None]
    if _share(len(found), left) < MOST or len({match[0] for match in found}) > max(1, 0.02 * len(left)):
        return None
    name = next(name for name in ("Host", "Word", "Word2", "Word3") if name not in taken or name == "Word3")
    rest = [match.string[match.end() :] for match in found]
    beyond = _marks(rest)[1]
    if name in taken or _piece(beyond, {*taken, name, "Pid", "Pid2"})[0] is None:
        return None
    taken.add(name)
    return rf"(?P<{name}>\S+)", rest


def _component(left: Sequence[str], taken: set[str]) -> tuple[str, list[str]] | None:
    """The component of a line before ':', ' -' or ']': of few names."""
    expression = _NAMED.format("Pid" if "Pid" not in taken else "Part")
    pattern = re.compile(expression, re.ASCII)
    found = [match for text in left if (match := pattern.match(text)) is not None]
    if _share(len(found), left) < MOST or len({match["Component"] for match in found}) > max(10, 0.2 * len(left)):
        return None
    taken.add("Component")
    return expression, [match.string[match.end() :] for match in found]


# ---------------------------------------------------------------- lines that name their fields


def _json(texts: Sequence[str]) -> Layout | None:
    rows = list[Mapping[str, Any]]()
    for text in texts:
        if text.startswith("{"):
            try:
                row = json.loads(text)
            except (ValueError, RecursionError):
                continue
            if isinstance(row, dict):
                rows.append(dict(_flat(row)))
    return _named(rows, texts, "json")


def _flat(row: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in row.items():
        if isinstance(value, Mapping) and before.count(".") < 3:
            yield from _flat(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value


_PAIR = re.compile(r'([\w.@-]+)=(?:"((?:[^"\\]|\\.)*)"|(\S*))')


def _logfmt(texts: Sequence[str]) -> Layout | None:
    rows = list[Mapping[str, Any]]()
    for text in texts:
        if _PAIR.sub("", text).strip():
            continue
        rows.append({match[1]: match[2] if match[2] is not None else match[3] for match in _PAIR.finditer(text)})
    return _named(rows, texts, "logfmt")


def _table(texts: Sequence[str]) -> Layout | None:
    """A table whose first line names its columns."""
    delimiter = max(",\t;|", key=texts[0].count)
    try:
        header, *cells = csv.reader(texts, delimiter=delimiter, strict=True)
    except (csv.Error, ValueError):
        return None
    names = [name.strip().lower() for name in header]
    if len(names) < 2 or len(set(names)) < len(names) or not all(re.fullmatch(r"[a-z_@][\w .@/-]{0,40}", name) for name in names):
        return None
    if any(set(names) & {cell.strip().lower() for cell in row} for row in cells[:20] if len(row) == len(names) and row != header):
        return None
    rows = [dict(zip(names, row, strict=True)) for row in cells if len(row) == len(names)]
    return _named(rows, texts[1:], "csv")


def _named(rows: Sequence[Mapping[str, Any]], texts: Sequence[str], syntax: Any) -> Layout | None:
    """The layout of lines that name their fields: names say what is what; where they do not, values."""
    if not rows or len(rows) < 0.5 * len(texts):
        return None
    counts = Counter(key for row in rows for key, value in row.items() if value not in (None, ""))
    keys = [key for key, count in counts.items() if count >= 0.5 * len(rows)]
    said: dict[str, Any] = {"syntax": syntax}

    def values(key: str) -> list[str]:
        return [str(row[key]) for row in rows if row.get(key) not in (None, "")]

    def by_name(role: Role) -> bool:
        return any(name in {key if syntax != "csv" else key.lower() for key in keys} for name in ROLES[role])

    left = [key for key in keys if not any(key in ROLES[role] for role in ROLES)]
    if not by_name("time"):
        for key in left:
            form = _form(values(key))
            if form is not None:
                said["time"] = key
                said |= {} if form == "iso" else {"time_format": form}
                left.remove(key)
                break
    if not by_name("level"):
        for key in left:
            found = values(key)
            if _share(sum(value.lower() in LEVELS for value in found), found) >= MOST:
                said["level"] = key
                left.remove(key)
                break
    if not by_name("message"):
        texts_of = {key: [value for value in values(key) if " " in value.strip()] for key in left}
        longest = max(left, key=lambda key: (len(texts_of[key]) / len(rows) >= 0.2, sum(map(len, values(key)))), default=None)
        if longest is None:
            return None
        said["message"] = longest
    try:
        return Layout(**said).complete()
    except DataError:
        return None


def _form(values: Sequence[str]) -> str | None:
    """The form of the times that these values are; None if they are none."""
    for shape in SHAPES:
        if shape.form.startswith("%H"):
            continue
        times = LineTimes(shape.form)
        good = [value for value in values if re.fullmatch(shape.expression, value, re.ASCII) and not isinstance(times(value), str)]
        if _share(len(good), values) >= MOST:
            return shape.form
    return None
