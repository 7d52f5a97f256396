"""Escape untrusted text (log lines, names, messages, labels) for each output format: one function per format.

Text stays readable but inert: no terminal control codes, no marks that reverse or hide text (Unicode TR 36),
Markdown's links, images and table rules (CommonMark 0.31, GFM), HTML, formulas of spreadsheets (OWASP, CSV injection), TeX in figures.
"""

from __future__ import annotations

import csv as _csv
import html as _html
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["csv", "csv_rows", "csv_table", "figure", "html", "label", "layout", "markdown", "table", "terminal"]

_NAMED = {"\t": "\\t", "\n": "\\n", "\r": "\\r"}


def terminal(text: object) -> str:
    r"""One line, safe for a terminal: unprintable characters (control codes, line ends, bidirectional and invisible marks) are escaped.

    >>> terminal("a\x1b]0;b\a"), terminal("two\nlines"), terminal("safe\u202eexe.txt")
    ('a\\x1b]0;b\\x07', 'two\\nlines', 'safe\\u202eexe.txt')
    """
    text = str(text)
    return text if text.isprintable() else "".join(c if c.isprintable() else _code(c) for c in text)


def _code(character: str) -> str:
    number = ord(character)
    width = 2 if number < 0x100 else 4 if number < 0x10000 else 8
    return _NAMED.get(character) or f"\\{' xuU'[width.bit_length() - 1]}{number:0{width}x}"


def layout(text: object) -> str:
    r"""Text of several lines for a terminal: line ends are kept, the rest is as in `terminal`.

    >>> layout("one\ntwo\x1b[2J")
    'one\ntwo\\x1b[2J'
    """
    return "\n".join(terminal(line) for line in str(text).split("\n"))


_INLINE = re.compile(
    r"""[\\`*~|$]                                            # escapes, code, emphasis, strike-through, columns, formulas
    | (?<![^\W_])_ | _(?![^\W_])                             # emphasis; not within words
    | !(?=\[) | (?<=!)\[ | \](?=[(\[:])                   # images, links
    | (?<=[A-Za-z]):(?=//) | (?<=mailto): | (?<=xmpp): | (?<=[Ww]{3})\. | (?<=\S)@(?=\w)  # links without brackets""",
    re.VERBOSE,
)
_BLOCK = re.compile(r"(?:\d{1,9}(?=[.)](?:\s|$)))?([-+](?=\s|$|[-+\s]+$)|#(?=#*(?:\s|$))|=(?==*\s*$)|(?<=\d)[.)])")


def markdown(text: object) -> str:
    r"""One line of Markdown that renders as the plain text, anywhere on a line and in tables.

    >>> print(markdown("![x](http://a) | <script>"), markdown("# 1"), markdown("F1 [0.60, 0.75]"))
    \!\[x\](http\://a) \| &lt;script&gt; \# 1 F1 [0.60, 0.75]
    """
    shown = _cell(text).strip()
    found = _BLOCK.match(shown)
    return shown if found is None else f"{shown[: found.start(1)]}\\{shown[found.start(1) :]}"


def _cell(text: object) -> str:
    """Markdown for the inside of a line."""
    shown = re.sub(r"&(?=#?\w+;)", "&amp;", terminal(text))
    return _INLINE.sub(r"\\\g<0>", shown).replace("<", "&lt;").replace(">", "&gt;")


def csv(text: object) -> str:
    """The text of a CSV cell: one line, with a quote before anything that a spreadsheet would take for a formula.

    >>> csv("=1+1"), csv("a - b"), csv(" @sum")
    ("'=1+1", 'a - b', "' @sum")
    """
    shown = terminal(text)
    return f"'{shown}" if re.match(r"(\\[trn]|\s)*[=+\-@\uff1d\uff0b\uff0d\uff20]|\\[trn]", shown) else shown


def html(text: object) -> str:
    """Text for HTML, inside an element or a quoted attribute.

    >>> html("<script>&'")
    '&lt;script&gt;&amp;&#x27;'
    """
    return _html.escape(terminal(text))


def label(text: object) -> str:
    r"""The label of a line in a figure; matplotlib omits labels with a leading underscore from the legend.

    >>> label("a\x07"), label("_a")
    ('a\\x07', ' _a')
    """
    plain = terminal(text)
    return f" {plain}" if plain.startswith("_") else plain


def figure(drawn: Figure) -> None:
    """Make all texts of a figure plain: no TeX between dollars, no invisible characters. Tick numbers stay."""
    from matplotlib.text import Text
    from matplotlib.ticker import FixedFormatter, FuncFormatter  # ticks with custom labels

    written = {
        tick
        for axes in drawn.axes
        for axis in (axes.xaxis, axes.yaxis)
        if not isinstance(axis.get_major_formatter(), (FixedFormatter, FuncFormatter))
        for tick in (*axis.get_ticklabels(which="both"), axis.get_offset_text())
    }
    for text in drawn.findobj(lambda artist: isinstance(artist, Text) and artist not in written):
        assert isinstance(text, Text)
        text.set_parse_math(False)
        text.set_usetex(False)
        text.set_text(layout(text.get_text()))


def table(
    rows: Sequence[Mapping[str, Any]] | Sequence[Sequence[Any]],
    style: str,
    headers: Sequence[str] | None = None,
    **how: Any,
) -> str:
    """Rows as a table for Markdown ("github") or a terminal ("simple"), every cell and header escaped for it.

    Args:
        rows: mappings with equal keys, which are the headers, or sequences.
        style: the output format.
        headers: column names, if rows are sequences.
        how: further arguments of `tabulate`.
    """
    from tabulate import tabulate

    escaped = _cell if style == "github" else terminal
    if headers is None:
        headers = list(dict.fromkeys(key for row in rows if isinstance(row, Mapping) for key in row))
    cells = [[row.get(key) for key in headers] if isinstance(row, Mapping) else row for row in rows]
    shown = [["" if cell is None else escaped(cell) for cell in row] for row in cells]
    text: str = tabulate(shown, headers=[escaped(name) for name in headers], tablefmt=style, disable_numparse=True, **how)
    return text


def csv_rows(rows: Iterable[Iterable[str | float]], float_format: str) -> str:
    """Rows, the headers first, as the text of a CSV file; every text cell is escaped, numbers stay numbers.

    >>> print(csv_rows([("=a", "b"), (-0.25, -3)], ".3g"), end="")
    '=a,b
    -0.25,-3
    """
    written = io.StringIO()
    writer = _csv.writer(written, lineterminator="\n")
    for row in rows:
        writer.writerow(
            [csv(cell) if isinstance(cell, str) else f"{cell:{float_format if isinstance(cell, float) else ''}}" for cell in row]
        )
    return written.getvalue()


def csv_table(frame: pd.DataFrame, float_format: str) -> str:
    """A frame as the text of a CSV file without its index, every header and text cell escaped."""
    import pandas as pd

    shown = frame.rename(columns=csv)
    for place in range(len(shown.columns)):
        cells = shown.iloc[:, place].tolist()
        if any(isinstance(cell, str) for cell in cells):
            shown.isetitem(place, pd.Series([csv(cell) if isinstance(cell, str) else cell for cell in cells], shown.index, object))
    return str(shown.to_csv(index=False, float_format=float_format))
