"""Read tables, one row per line: separated by comma, tab, semicolon, bar or blanks, quoted or not; or JSON Lines.

Columns are found by name, in any order, and others are ignored. A line that lacks a needed column is set aside, never guessed.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from itertools import chain, islice
from typing import Any, Literal, NamedTuple, NoReturn

from qlogad.errors import DataError, counted, shown
from qlogad.logs.dataset import Intake, label_of
from qlogad.logs.reading.raw_lines import RawLine, read_lines

__all__ = ["Cell", "Column", "TableRow", "items_of", "read_label", "read_labels", "read_table", "rows_of"]

Column = Literal["id", "keys", "label", "first", "last"]
Cell = str | list[str]  # a list if the file has a JSON list
Split = Callable[[str], list[str] | None]

_SPELLINGS: dict[Column, tuple[str, str]] = {  # column: its accepted names, in lower case without "_", "-", "#" and blanks
    "id": (
        "identifiers",
        "blockid id sessionid session windowid window instanceid instance containerid sequenceid traceid requestid caseid",
    ),
    "keys": (
        "event sequences",
        "keys events eventids eventkeys eventsequence eventsequences eventtraces sequence sequences logkeys logsequence features templates",
    ),
    "label": ("labels", "label labels anomaly isanomaly anomalous isanomalous abnormal isabnormal groundtruth target"),
    "first": ("start times", "firstts first start starttime startts firsttime timestamp"),
    "last": ("end times", "lastts last end endtime endts lasttime"),
}
_COLUMN_OF: dict[str, Column] = {name: column for column, (_, names) in _SPELLINGS.items() for name in names.split()}
_CALLED: dict[Column, str] = {"id": "BlockId", "keys": "keys", "label": "Label", "first": "first_ts", "last": "last_ts"}
_DELIMITERS = (",", "\t", ";", "|")
_SAMPLE = 20  # number of lines from which the format is detected
_SHOWN = 8  # largest number of column names shown in a message

_UNCLOSED = "a quote or bracket that does not close"
_NAMELESS = "an event without a name"
_NOTHING = ("None", "nan", "NaN", "null")
_MARKS = re.compile(r"""[][{},;|\t'"]""")
_TWICE = "a key twice"
_NUMBERED = re.compile(r"[A-Za-z]?\d+")
_NAMED = re.compile(r"\s*([\w./-]*\w)\s*(?::|=>?|->)(?:\s+(\S.*)|(?=[^,;|\t:=>]+$)(?=\S+\s+\S)(\S.*))")
_ITEM = re.compile(r"""'((?:[^'\\]|\\.)*+)'|"((?:[^"\\]|\\.)*+)"|([^\s,;'"]++)""")
_LIST = r"""\[(?:[^\[\]"']|"(?:[^"\\]|\\.)*+"|'(?:[^'\\]|\\.)*+')*+\]|\([^()"]*+\)"""  # brackets inside strings do not count


class TableRow(NamedTuple):
    """One row of a table: the cells of the requested columns."""

    line: RawLine
    place: int  # 1-based line number in its own file
    cells: Mapping[Column, Cell]


class _Dialect(NamedTuple):
    """The format of the lines of one file."""

    header: bool
    columns: dict[Column, int]
    width: int
    split: Split


def read_table(
    path: str, intake: Intake, needed: Sequence[Column], more: Sequence[Column] = (), unnamed: Sequence[tuple[Column, ...]] = ()
) -> Iterator[TableRow]:
    """The rows of a table in order; its header counts as blank, and `intake` records the lines that are not rows.

    Args:
        path: the file, compressed or not.
        intake: counts the lines; the caller counts the records.
        needed: required columns.
        more: optional columns.
        unnamed: the columns of a table without a header, by the number of columns.

    Raises:
        DataError: a required column is missing or ambiguous; the message names the file, the line and the fix.
    """
    return rows_of(path, read_lines(path, intake), intake, needed, more, unnamed)


def rows_of(
    name: str,
    lines: Iterator[RawLine],
    intake: Intake,
    needed: Sequence[Column],
    more: Sequence[Column] = (),
    unnamed: Sequence[tuple[Column, ...]] = (),
) -> Iterator[TableRow]:
    """`read_table` for lines in memory; `name` is used in error messages."""
    before = intake.lines
    sample = list(islice(lines, _SAMPLE))
    if not sample:
        return
    where, wanted = f"{name}, line {sample[0].number - before}", (*needed, *more)
    first = sample[0].text.strip()
    if first.startswith(("{", "[{", "[[")) or first == "[":
        if not first.startswith("{") or first == "{":
            raise DataError(f"{where}: a JSON document with several windows; write one object per line (JSON Lines)")
        yield from _json_rows(where, chain(sample, lines), before, intake, needed, wanted)
        return
    dialect = _dialect(where, [line.text for line in sample], needed, wanted, unnamed)
    rows = chain(sample, lines)
    if dialect.header:
        intake.blank += 1
        next(rows)
    places = tuple(dialect.columns.items())
    for line in rows:
        found = dialect.split(line.text)
        if "\r" in line.text:
            intake.set_aside(line.number, line.offset, "a carriage return inside the line")
        elif found is None:
            intake.set_aside(line.number, line.offset, _UNCLOSED)
        elif len(found) != dialect.width:
            intake.set_aside(line.number, line.offset, f"not {counted(dialect.width, 'column')}")
        else:
            yield TableRow(line, line.number - before, {column: found[place].strip() for column, place in places})


def items_of(cell: Cell) -> list[str] | str:
    """Parse a list in a cell in its usual spellings: its items, or the reason why it is not a list.

    >>> items_of("5 22 5"), items_of("['E5', 'E22']"), items_of('["E5", "E22"]'), items_of("[E5,E22]"), items_of("5, 22;5")
    (['5', '22', '5'], ['E5', 'E22'], ['E5', 'E22'], ['E5', 'E22'], ['5', '22', '5'])
    >>> items_of("[5 22 ... 5]")
    'a list cut short by ...'
    """
    if isinstance(cell, list):
        return cell
    if cell.replace(" ", "").isalnum():  # the usual case, and fast
        return cell.split()
    listed = cell[:1] + cell[-1:] in {"[]", "()"}
    if not listed and not _MARKS.search(cell):
        return cell.split()
    inside = cell[1:-1] if listed else cell
    found = _ITEM.findall(inside)
    bare = {item for _, _, item in found}
    if any(mark in item for item in bare for mark in "[]{}"):
        return "a set, counts or a list of lists, not one sequence" if listed or cell[0] == "{" else _UNCLOSED
    if '"' in (rest := _ITEM.sub("", inside)) or "'" in rest:
        return _UNCLOSED
    if "..." in bare:
        return "a list cut short by ..."
    items = ["".join(parts) for parts in found]
    return _NAMELESS if "" in items or (listed and not bare.isdisjoint(_NOTHING)) else items


def read_label(text: Cell, where: str) -> int:
    """Parse a label in a table; see `label_of`.

    Raises:
        DataError: the word is not a known label; the message names its position.
    """
    try:
        return label_of(text if isinstance(text, str) else " ".join(text))
    except DataError as error:
        raise DataError(f"{where}: {error}") from None


def read_labels(path: str) -> dict[str, int]:
    """Read a label file: 1 anomaly, 0 normal, -1 unknown, by identifier.

    Raises:
        DataError: the identifier or label column is missing, a row cannot be read, or two rows contradict each other.
    """
    intake = Intake()
    labels: dict[str, int] = {}
    for row in read_table(path, intake, ("id", "label")):
        where, name = f"{path}, line {row.place}", row.cells["id"]
        if not isinstance(name, str) or not name:
            raise DataError(f"{where}: no identifier; write one in every row")
        label = read_label(row.cells["label"], where)
        if labels.setdefault(name, label) != label:
            raise DataError(f"{where}: {shown(name)} is labelled both normal and anomalous; keep one of the rows")
    if intake.quarantine:
        line, _, reason = min(intake.quarantine)
        raise DataError(f"{path}, line {line}: {reason}; correct the line, so that no label is lost")
    if not intake.blank and not labels:
        raise DataError(f"{path} is empty; a label file begins with a line such as BlockId,Label")
    return labels


def _json_rows(
    where: str, lines: Iterator[RawLine], before: int, intake: Intake, needed: Sequence[Column], wanted: Sequence[Column]
) -> Iterator[TableRow]:
    """The rows of JSON Lines: one object per line, whose keys are the columns."""
    checked = False
    for line in lines:
        found = _object(line.text)
        if isinstance(found, str):
            intake.set_aside(line.number, line.offset, found)
            continue
        columns = _columns(list(found), wanted)
        if not checked and any(column not in columns for column in needed):
            _refuse(where, list(found), needed)
        checked, values = True, list(found.values())
        cells = {column: _as_cell(values[places[0]]) for column, places in columns.items()}
        if any(len(places) > 1 for places in columns.values()):
            intake.set_aside(line.number, line.offset, "two keys for one column")
        elif any(column not in columns for column in needed):
            intake.set_aside(line.number, line.offset, "a key is missing")
        elif None in cells.values():
            intake.set_aside(line.number, line.offset, "a value that is not a string, a number or a list of them")
        else:
            yield TableRow(line, line.number - before, {column: cell for column, cell in cells.items() if cell is not None})


def _object(text: str) -> dict[str, Any] | str:
    """A JSON object, or the reason why it is not one."""
    try:
        found = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        return _TWICE if str(error) == _TWICE else "not JSON"
    return found if isinstance(found, dict) else "not a JSON object"


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError(_TWICE)
    return found


def _as_cell(value: Any) -> Cell | None:
    if isinstance(value, list):
        items = [item if isinstance(item, str) else str(item) for item in value if isinstance(item, (str, int, float))]
        return items if len(items) == len(value) else None
    if isinstance(value, dict):
        return None
    return "" if value is None else str(value).strip()


def _dialect(
    where: str, sample: list[str], needed: Sequence[Column], wanted: Sequence[Column], unnamed: Sequence[tuple[Column, ...]]
) -> _Dialect:
    """Detect the format of a file from its first lines."""
    first = sample[0]
    best: tuple[int, int, str, list[str]] = (0, 0, "", [])
    for delimiter in _DELIMITERS:
        cells = _splitter(delimiter)(first) or []
        best = max(best, (len(_columns(cells, wanted)), len(cells), delimiter, cells), key=lambda found: found[:2])
    named, _, delimiter, cells = best
    words = _splitter(" ")(first) or []
    if len(words) > len(cells) and len(_columns(words, wanted)) > max(named, 1):
        delimiter, cells = " ", words
    columns = _columns(cells, wanted)
    if all(column in columns for column in needed):
        for column, places in columns.items():
            if len(places) > 1:
                twice = " and ".join(shown(cells[place].strip()) for place in places)
                raise DataError(f"{where}: the columns {twice} both name {_SPELLINGS[column][0]}; rename one of them")
        split = _splitter(delimiter)
        places_of = {column: places[0] for column, places in columns.items()}
        if delimiter == " " and places_of.get("keys") == len(words) - 1 and set(places_of) <= {"id", "label", "keys"}:
            split = _rest(split, len(words)) if len(places_of) == len(words) else split  # excludes times, which may contain blanks
        if len(cells) == 1:
            split = _alone(split)
        return _Dialect(True, places_of, len(cells), split)
    named_by = {len(names): {column: place for place, column in enumerate(names)} for names in unnamed}
    if 2 in named_by and not columns:
        pairs = {delimiter: sum(map(_is_pair, map(_splitter(delimiter), sample))) for delimiter in (":", *_DELIMITERS)}
        likely = max(pairs, key=pairs.__getitem__)
        if 2 * pairs[likely] > len(sample):
            return _checked(where, sample, _Dialect(False, named_by[2], 2, _splitter(likely)))
    several = any(len(_splitter(delimiter)(first) or []) > 1 for delimiter in (",", ";", "|"))
    mixed = "\t" in first.strip() and any(" " in cell.strip() for cell in first.split("\t"))  # otherwise tabs separate events
    if several or mixed or (columns and len(cells) > 1) or 1 not in named_by:
        _refuse(where, cells, needed)
    return _checked(where, sample, _Dialect(False, named_by[1], 1, _splitter(",")))


def _is_pair(cells: list[str] | None) -> bool:
    """Whether the cells can be an identifier and a sequence."""
    return cells is not None and len(cells) == 2 and not _MARKS.search(cells[0]) and not isinstance(items_of(cells[1].strip()), str)


def _checked(where: str, sample: Sequence[str], dialect: _Dialect) -> _Dialect:
    """The format of a table without a header; raises for a first line that must be an unknown header: the only line without digits."""

    def items(text: str) -> list[str]:
        cells = dialect.split(text)
        found = items_of(cells[dialect.columns["keys"]].strip()) if cells and len(cells) == dialect.width else []
        return [] if isinstance(found, str) else found

    first, *others = map(items, sample)
    digits = [any(character.isdigit() for character in item) for row in others for item in row]
    if digits and all(digits) and not any(character.isdigit() for character in sample[0]) and len(first) == 1:
        _refuse(where, dialect.split(sample[0]) or [sample[0]], ("keys",))
    return dialect


def _refuse(where: str, cells: Sequence[str], needed: Sequence[Column]) -> NoReturn:
    names = [shown(cell.strip()) for cell in cells[:_SHOWN]] + ["..."] * (len(cells) > _SHOWN)
    wants = " and ".join(f"{_SPELLINGS[column][0]} (named '{_CALLED[column]}')" for column in needed)
    counts = "keys" in needed and 2 * sum(bool(_NUMBERED.fullmatch(cell.strip())) for cell in cells) > len(cells) > 2
    order = "; event counts have no order; write the events of a sequence between blanks or in [ ]" if counts else ""
    raise DataError(f"{where}: a column of {wants} is needed; name it in the first line, which has {', '.join(names)}{order}")


def _columns(cells: Sequence[str], wanted: Sequence[Column]) -> dict[Column, list[int]]:
    """The positions of the columns, found by name."""
    found: dict[Column, list[int]] = {}
    for place, cell in enumerate(cells):
        column = _COLUMN_OF.get(_plain(cell))
        if column in wanted and column is not None:
            found.setdefault(column, []).append(place)
    return found


def _plain(name: str) -> str:
    return re.sub(r"[\s_#-]+", "", name[:100]).lower()


@cache
def _splitter(delimiter: str) -> Split:
    """A function from a line to its cells, unquoted; None if a quote does not close."""
    if delimiter == ":":
        return _called
    if delimiter == " ":
        field, plain = re.compile(rf'\s*+(?:"((?:[^"]|"")*+)"|({_LIST})|([^\s"]++))(?:\s++|$)'), None
    else:
        blank, mark = (r"[^\S\t]*+" if delimiter == "\t" else r"\s*+"), re.escape(delimiter)
        field = re.compile(rf'{blank}(?:"((?:[^"]|"")*+)"{blank}|({_LIST}){blank}|([^{mark}]*+))(?:{mark}|$)')
        plain = delimiter

    def split(text: str) -> list[str] | None:
        if '"' not in text and "[" not in text and "(" not in text:
            return text.split(plain)
        cells: list[str] = []
        end = 0
        while end < len(text) or (cells and plain and text[end - 1] == plain):
            match = field.match(text, end)
            if match is None:
                return None
            quoted, listed, bare = match.groups()
            if bare is not None and bare.count('"') % 2:  # a field that spans several lines starts or ends here
                return None
            cells.append(quoted.replace('""', '"') if quoted is not None else listed if listed is not None else bare)
            if match.end() == end:
                break
            end = match.end()
        return cells

    return split


def _called(text: str) -> list[str] | None:
    """Split an identifier from its sequence: "blk_7: 5 22 5" or "blk_7 -> 5 22 5"."""
    found = _NAMED.fullmatch(text)
    return [text] if found is None else [found[1], found[2] or found[3]]


def _alone(split: Split) -> Split:
    """The single cell of a line, whose list items may be separated by the delimiter of columns."""

    def whole(text: str) -> list[str] | None:
        cells = split(text)
        return [text] if cells and len(cells) > 1 and all(len(cell.split()) == 1 for cell in cells) else cells

    return whole


def _rest(split: Split, width: int) -> Split:
    """Cells separated by blanks; the last may contain blanks itself."""

    def last_takes_all(text: str) -> list[str] | None:
        return text.split(None, width - 1) if '"' not in text and "[" not in text and "(" not in text else split(text)

    return last_takes_all
