r"""A layout: how the lines of a log are read, as data. The line itself with its fields named in it, or a table of a format file.

    <date> <time> <level> <component>: <message>            a line as LogHub writes it: fields in <>, anything else as it stands
    \[<Time>\] \[<Level>\] <Content>                        blanks are any white space; a backslash before a mark changes nothing
    <Component>(\[<PID>\])?: <Content>                      what is in ( )? may be missing
    <host> <*> <user> [<time>] "<request>" <status>         <*> is skipped

Zhu et al., Loghub, ISSRE 2023, doi:10.1109/ISSRE59848.2023.00071. A field's name says what it is (`ROLES`), unless a key does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal

from qlogad import documents, names
from qlogad.bounds import Between
from qlogad.errors import DataError, DocumentError, did_you_mean, shown
from qlogad.logs.reading.line_times import LineTimes
from qlogad.logs.reading.masks import GENERAL

__all__ = ["FILE", "LINE", "ROLES", "Field", "Layout", "Role", "Syntax", "expression_of", "format_table", "masks_of"]

Syntax = Literal["text", "json", "logfmt", "csv"]
Role = Literal["time", "level", "component", "message", "session", "label", "kind"]
Field = str | tuple[str, ...] | None

ROLES: dict[
    Role, tuple[str, ...]
] = {  # the fields looked for, first come first served, where a layout does not say which; any case
    "time": ("timestamp", "date time", "datetime", "time", "@timestamp", "ts", "asctime", "date", "epoch"),
    "level": ("level", "severity", "severity_text", "severitytext", "levelname", "loglevel", "log_level", "log.level", "lvl"),
    "component": ("component", "logger", "logger_name", "program", "module", "service", "service.name", "source", "tag", "name"),
    "message": ("content", "message", "msg", "log", "body", "text", "event"),
    "session": ("session", "session_id", "sessionid"),
    "label": ("label",),
    "kind": (),
}
LINE = "line"  # a field that every line has: all of it
FILE = "file"  # another: the name of the file it is in
_TOKEN = re.compile(
    r"<(?P<name>[^<>]*)>|\\(?P<escaped>.)|(?P<blank>\s+)|\((?P<optional>(?:[^()\\]|\\.)*)\)\?|(?P<mark>.)", re.DOTALL
)
_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_BESIDE = frozenset(("what", "example", "masks"))  # keys of a format file that are not of its layout


@dataclass(frozen=True)
class Layout:
    """How the lines of a log are read; what is not said has a meaning of its own, and a preset can say it.

    A field is named by the format, by a group of the pattern, or is a key of a JSON line, with dots into tables. Several names in one text
    are joined by a blank; of a list of texts the first that a line has is taken. Every line also has `line` (its text) and `file`.

    >>> Layout("<date> <time> <level> <component>: <message>", time_format="%y%m%d %H%M%S").complete().fields("time")
    (('date', 'time'),)
    """

    format: str | None = None  # the line with its <fields>; or the name of a format (qlogad list formats), or a format file (.toml)
    pattern: str | None = None  # instead: a regular expression with named groups, which matches a whole line
    syntax: Syntax | None = None  # "text", or lines that name their fields: "json", "logfmt", "csv" with a header
    time: Field = None  # the field of an event's time
    time_format: str | None = (
        None  # "iso"; "s", "ms", "us", "ns" since 1970; or as of strptime; None: ISO or a number, told by its form
    )
    time_zone: str | None = None  # of times that have none: an IANA name or an offset; None: UTC
    year: Annotated[int, Between(1678, 2261)] | None = None  # of the first line, where times have none
    level: Field = None  # "" where levels are to play no part
    levels: Literal["syslog"] | Mapping[str, str] | None = None  # other names of levels; "syslog": severities by number (RFC 5424)
    without: tuple[str, ...] | None = None  # lines of these levels are left out
    component: Field = None  # the field that says what wrote the line
    message: Field = None  # the field of the message, which the parser turns into a template
    session: Field = None  # the field that says to which session a line belongs
    session_pattern: str | None = None  # what names sessions in that field, by default the message: its group, or all of it
    label: Field = None  # the field that says whether a line is anomalous
    normal: str | None = None  # matches the labels of normal lines, whole; all others are anomalous unless `anomalous` says which
    anomalous: str | None = None  # matches the labels of anomalous lines, whole; all others are normal unless `normal` says which
    kind: Field = None  # of an anomalous line
    continuation: bool | str | None = (
        None  # lines that go on with the event above: true: those that are no events; or a pattern of them
    )

    def __post_init__(self) -> None:
        documents.enforce(self, DataError)
        if isinstance(self.levels, str) and self.levels != "syslog":
            raise DataError(
                f"levels must be 'syslog' or a table of other names, such as {{ W = 'WARN' }}, got {shown(self.levels)}"
            )

    def complete(self, where: str = "") -> Layout:
        """The same with what its preset says, and checked: its `format` is a line, or None.

        Args:
            where: what messages begin with.

        Raises:
            DataError, UnknownName: with the key, what was found and the mend.
        """
        said = {field.name: value for field in fields(Layout) if (value := getattr(self, field.name)) is not None}
        if self.format is not None and "<" not in self.format:
            preset = format_table(self.format)
            del said["format"]
            if said.keys() & {"pattern", "syntax"}:  # another way to take lines apart
                preset = {key: value for key, value in preset.items() if key not in {"format", "pattern", "syntax"}}
            said = {key: value for key, value in preset.items() if key not in _BESIDE} | said
        whole = documents.from_mapping(Layout, said, where)
        whole._check(f"{where}: " if where else "")
        return whole

    @property
    def expression(self) -> str:
        """The regular expression of a whole line; "" where lines name their fields. Match it with `re.ASCII`."""
        return expression_of(self.format) if self.format is not None else self.pattern or ""

    def fields(self, role: Role) -> tuple[tuple[str, ...], ...]:
        """The fields that a complete layout takes something from: of several the first that a line has, each joined of its parts."""
        said: Field = getattr(self, role)
        if said is None and role == "session" and self.session_pattern is not None:
            return self.fields("message")
        if said is None and role == "label" and (self.normal is not None or self.anomalous is not None):
            return ((LINE,),)
        ways = [tuple(way.split()) for way in (ROLES[role] if said is None else (said,) if isinstance(said, str) else said)]
        ways = [way for way in ways if way]
        if self.syntax not in {None, "text"}:
            return tuple(ways)
        groups = self._groups()
        found = [tuple(groups[part.lower()] for part in way) for way in ways if all(part.lower() in groups for part in way)]
        return tuple(found[:1] if said is None else found)

    def expected(self) -> str:
        """What a line looks like, for messages."""
        if self.syntax not in {None, "text"}:
            return {"json": "a JSON object", "logfmt": 'key=value key="value" ...', "csv": "a row of the table"}[str(self.syntax)]
        return self.format or " ".join(f"<{group}>" for group in re.compile(self.expression, re.ASCII).groupindex)

    def _groups(self) -> dict[str, str]:
        """The fields of a line of text, by their names in small letters."""
        return {group.lower(): group for group in (*re.compile(self.expression, re.ASCII).groupindex, LINE, FILE)}

    def _check(self, where: str) -> None:
        text = self.syntax in {None, "text"}
        if text and (self.format is None) == (self.pattern is None):
            what = "both format and pattern are given" if self.format else "a format is missing"
            raise DataError(
                f"{where}{what}; write format = '<date> <time> <level> <message>', say, or the name of one: qlogad list formats"
            )
        if not text and (self.format is not None or self.pattern is not None):
            raise DataError(f"{where}lines of syntax '{self.syntax}' name their fields; leave out format and pattern")
        for key in ("pattern", "session_pattern", "normal", "anomalous", "continuation"):
            expression = getattr(self, key)
            if isinstance(expression, str):
                _compiled(expression, f"{where}{key}")
        LineTimes(self.time_format, self.time_zone or "UTC", self.year)
        if text:
            self._check_fields(where)

    def _check_fields(self, where: str) -> None:
        if self.format is not None:
            _compiled(self.expression, f"{where}format")
        groups = self._groups()
        for role in ROLES:
            said: Field = getattr(self, role)
            for way in (said,) if isinstance(said, str) else said or ():
                for part in way.split():
                    if part.lower() not in groups:
                        hint = did_you_mean(part.lower(), groups)
                        known = ", ".join(groups)
                        raise DataError(f"{where}{role} = {shown(way)}: a line has no field {shown(part)}{hint}; it has {known}")
        if not self.fields("message"):
            raise DataError(
                f"{where}no field is the message; call one <message>, or write message = 'FIELD', one of {', '.join(groups)}"
            )


def _compiled(expression: str, where: str) -> None:
    try:
        re.compile(expression, re.ASCII)
    except (re.error, RecursionError, OverflowError) as error:
        raise DataError(f"{where} is no regular expression: {error}; got {shown(expression, 80)}") from None


def format_table(name: str) -> dict[str, Any]:
    """The keys of a format file, by its name or its path; with those of the format that it is based on.

    >>> format_table("hdfs")["format"]
    '<Date> <Time> <Pid> <Level> <Component>: <Content>'

    Raises:
        UnknownName, DocumentError: there is none such, or it stands on itself.
    """
    table, seen = dict[str, Any](), list[str]()
    base: Any = name
    while isinstance(base, str) and "<" not in base:
        if base in seen:
            raise DocumentError(f"the format {shown(base)} is based on itself; write its format as a line with <fields>")
        seen.append(base)
        own = documents.read(names.format_path(base))
        base = own.pop("format", None)
        table = own | table
    return table if base is None else {"format": base} | table


def masks_of(format: str | None) -> tuple[tuple[str, str], ...]:  # noqa: A002
    """The masks of a format, by its name or its path: its own, else the general ones.

    >>> [name for name, _ in masks_of("hdfs")]
    ['BLK', 'IP', 'PATH', 'HEX', 'NUM']

    Raises:
        DocumentError: one is no text.
    """
    table = {} if format is None or "<" in format else format_table(format)
    own = table.get("masks", GENERAL)
    if not isinstance(own, Mapping) or not all(isinstance(expression, str) for expression in own.values()):
        raise DocumentError(f"format {shown(format)}: masks is a table of expressions, {{ NUM = '[0-9]+' }}, got {shown(own, 80)}")
    return tuple(own.items())


def expression_of(line: str) -> str:
    """The regular expression of a line with its fields in <>.

    A field ends where what follows it first stands, so that no line takes more than a few passes; one that ends at a blank has none in it.
    The last field may be missing with the blank before it.

    >>> expression_of("<time> <level>: <message>")
    '(?P<time>\\\\S++)\\\\s++(?P<level>\\\\S.*?):(?:\\\\s+(?P<message>.*))?'

    Raises:
        DataError: two fields touch, one is twice in it, or has a name that is none.
    """
    tokens = list(_TOKEN.finditer(line))
    seen = set[str]()
    places = [place for place, token in enumerate(tokens) if token["name"] is not None] or [len(tokens)]
    parts = [_between(token, line, seen) for token in tokens[: places[0]]]
    for place, following in zip(places, [*places[1:], None], strict=True):
        if place == len(tokens):
            break
        starts = place == 0 or tokens[place - 1]["blank"] is not None
        delimiters = tokens[place + 1 : following]
        marks = "".join(_between(token, line, seen) for token in delimiters)
        if following is None:
            field = _field(tokens[place], ".*" if not delimiters else ".*?", line, seen)
            if place and starts and not delimiters:  # a line may end before its message
                parts[-1] = parts[-1].removesuffix(r"\s++").removesuffix(r"\s+")
                parts.append(rf"(?:\s+{field})?")
            else:
                parts.append(field + marks)
        elif not delimiters:
            raise DataError(
                f"format = {shown(line, 80)}: nothing divides {tokens[place][0]} and {tokens[following][0]}; where does the first one end?"
            )
        elif len(delimiters) == 1 and delimiters[0]["blank"] is not None:
            parts += [_field(tokens[place], r"\S++" if starts else r"\S*+", line, seen), r"\s++"]
        else:
            field = _field(tokens[place], r"\S.*?" if starts else ".*?", line, seen)
            parts += [field, marks] if following == places[-1] else [rf"(?>{field}{marks})"]
    return "".join(parts)


def _field(token: re.Match[str], expression: str, line: str, seen: set[str]) -> str:
    name: str = token["name"]
    if name == "*":
        return f"(?:{expression})"
    if not _NAME.fullmatch(name) or name.lower() in seen:
        why = "is twice in it" if name.lower() in seen else "is no name: letters, digits and _"
        raise DataError(f"format = {shown(line, 80)}: the field <{shown(name)[1:-1]}> {why}")
    seen.add(name.lower())
    return f"(?P<{name}>{expression})"


def _between(token: re.Match[str], line: str, seen: set[str]) -> str:
    """What stands between two fields; an optional part has fields of its own, each of which ends at the next mark."""
    if token["optional"] is None:
        return r"\s+" if token["blank"] is not None else re.escape(token["escaped"] or token["mark"])
    inner = list(_TOKEN.finditer(token["optional"]))
    parts = []
    for place, one in enumerate(inner):
        if one["name"] is None:
            parts.append(_between(one, line, seen))
        else:
            mark = inner[place + 1] if place + 1 < len(inner) else None
            if mark is not None and mark["name"] is not None:
                raise DataError(
                    f"format = {shown(line, 80)}: nothing divides {one[0]} and {mark[0]}; where does the first one end?"
                )
            ends = r"\s" if mark is None or mark["blank"] is not None else re.escape(mark["escaped"] or mark["mark"] or "(")
            parts.append(_field(one, f"[^{ends}]*+", line, seen))
    return f"(?:{''.join(parts)})?"
