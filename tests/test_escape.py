"""Whatever a log, a label or a name says, it is only shown."""

import csv
import io
import re
import unicodedata
import warnings
from itertools import chain
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from matplotlib.figure import Figure
from matplotlib.text import Text

from qlogad import escape, files

HOSTILE = (
    "\x1b]0;owned\x07",
    "\x1b[2J\x1b[31m",
    "a|b",
    "![x](http://a)",
    "[x](javascript:a)",
    "[x][y]",
    "[x]: http://a",
    "<script>alert(1)</script>",
    "&lt;b&gt; &#27; &amp;",
    "one\r\ntwo\rthree",
    "\b\b\b\x7f\x9b31m\x85\u2028\u2029",
    "\u202egpj.exe \u2066\u200b\ufeff\u200d\xad",
    "[bold red]x[/] [link=http://a]y[/link]",
    "=HYPERLINK(1)",
    "+1",
    "-1+1",
    "@SUM(1)",
    "\t=1",
    "\r=1",
    " =1",
    "\uff1d1",
    "$x^2$ $$ \\$ $",
    "`code` ``` ~~~ ~~gone~~",
    "*a* **b** _c_ __d__ a_b_c",
    "# title",
    "- item",
    "+",
    "3. three",
    "7)",
    "===",
    "---",
    "> quoted",
    "    indented",
    "\\",
    "\\|",
    "\\`x`",
    "www.example.org a@b.example",
    "\ud800",
    "_hidden",
    "'\"",
    "{a} %s {0}",
)
TEXTS = st.one_of(
    st.sampled_from(HOSTILE),
    st.lists(st.sampled_from(HOSTILE), max_size=4).map("".join),
    st.text(max_size=30),
    st.text(alphabet="\\`*_{}[]()<>#+-.!|~$&;:@=/w \t\n\ra1", max_size=25),
)
MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def _inert(line: str) -> bool:
    return line.isprintable() and not any(unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp", "Cs") for c in line)


@given(TEXTS)
def test_a_terminal_shows_one_line_and_obeys_nothing(text: str) -> None:
    shown = escape.terminal(text)
    assert _inert(shown)
    assert shown == text or not text.isprintable()
    assert escape.terminal(shown) == shown


@given(TEXTS, TEXTS)
def test_a_layout_keeps_its_own_line_ends_and_nothing_else(one: str, two: str) -> None:
    assert all(map(_inert, escape.layout(f"{one}\n{two}").split("\n")))


@given(TEXTS)
def test_markdown_shows_the_text_and_does_nothing(text: str) -> None:
    line = escape.markdown(text)
    tokens = MARKDOWN.parse(line)
    if not line:
        assert not text.strip()
        return
    assert [token.type for token in tokens] == ["paragraph_open", "inline", "paragraph_close"], line
    inside = tokens[1].children or []
    assert {token.type for token in inside} <= {"text", "text_special"}, line
    assert "".join(token.content for token in inside) == escape.terminal(text).strip()
    assert _inert(line)
    assert "<" not in line
    assert "![" not in line
    assert not re.search(r"(https?|ftp)://|www\.\w", line)


@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=3), TEXTS)
def test_a_table_of_markdown_has_the_cells_it_was_given(cells: list[tuple[str, str]], head: str) -> None:
    tokens = MARKDOWN.parse(escape.table([list(row) for row in cells], "github", headers=[head, "other"]))
    inline = [token for token in tokens if token.type == "inline"]
    assert tokens[0].type == "table_open"
    assert tokens[-1].type == "table_close"
    assert {child.type for token in inline for child in token.children or []} <= {"text", "text_special"}
    found = ["".join(child.content for child in token.children or []) for token in inline]
    assert found == [escape.terminal(cell).strip() for cell in (head, "other", *(cell for row in cells for cell in row))]


@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=3), TEXTS)
def test_a_table_of_a_terminal_is_made_of_inert_lines(cells: list[tuple[str, str]], head: str) -> None:
    lines = escape.table([list(row) for row in cells], "simple", headers=[head, "other"]).split("\n")
    assert len(lines) == 2 + len(cells)
    assert all(map(_inert, lines))


@given(TEXTS)
def test_a_cell_of_a_csv_file_is_no_formula_and_one_line(text: str) -> None:
    cell = escape.csv(text)
    assert _inert(cell)
    assert not re.match(r"[\s=+\-@\uff1d\uff0b\uff0d\uff20]*[=+\-@\uff1d\uff0b\uff0d\uff20]", cell)


@given(st.lists(TEXTS, min_size=1, max_size=4), TEXTS)
def test_a_frame_becomes_a_csv_file_with_its_numbers_as_they_are_and_its_text_inert(texts: list[str], head: str) -> None:
    frame = pd.DataFrame({"n": -np.arange(1.0, len(texts) + 1), "t": pd.Series(texts, dtype=object)})
    frame.columns = pd.Index(["n", f"{head}t"], dtype=object)
    found = list(csv.reader(io.StringIO(escape.csv_table(frame, "%.3g"))))
    assert found[0] == ["n", escape.csv(f"{head}t")]
    assert found[1:] == [[f"{-n:g}", escape.csv(text)] for n, text in enumerate(texts, 1)]


@given(
    st.lists(st.lists(st.one_of(TEXTS, st.integers(), st.floats(allow_nan=False)), min_size=2, max_size=4), min_size=1, max_size=3)
)
def test_rows_become_a_csv_file_with_numbers_as_numbers(rows: list[list[str | float]]) -> None:
    found = list(csv.reader(io.StringIO(escape.csv_rows(rows, ".17g"))))
    assert [len(row) for row in found] == [len(row) for row in rows]
    for cell, written in zip(chain(*found), chain(*rows), strict=True):
        assert cell == escape.csv(written) if isinstance(written, str) else type(written)(cell) == written


def test_every_csv_file_is_written_by_the_one_writer() -> None:
    package = Path(escape.__file__).parent
    by_hand = re.compile(r"\bcsv\.(writer|DictWriter)|\.to_csv\(")
    assert [path.name for path in package.rglob("*.py") if by_hand.search(path.read_text())] == ["escape.py"]


@given(TEXTS)
def test_a_page_shows_the_text_and_no_element(text: str) -> None:
    assert not set(escape.html(text)) & set("<>\"'")
    assert _inert(escape.html(text))


@given(TEXTS)
def test_a_legend_shows_every_label(text: str) -> None:
    axis = Figure().subplots()
    axis.plot([0], [0], label=escape.label(text))
    assert [shown.strip() for shown in axis.get_legend_handles_labels()[1]] == [escape.terminal(text).strip()] * bool(text)


@pytest.mark.sample(8)
@pytest.mark.parametrize("text", [text for text in HOSTILE if text.isprintable()])
def test_a_figure_shows_names_as_they_are(text: str, tmp_path: Path) -> None:
    figure = Figure()
    axis = figure.subplots()
    axis.plot([0, 1], [1e-3, 1e3], label=escape.label(text))
    axis.set(title=text, ylabel=text, yscale="log")
    axis.set_xticks([0, 1], [text, "b"])
    figure.suptitle(text)
    figure.legend()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")
        for ending in ("svg", "png"):
            files.write_figure(figure, tmp_path / f"f.{ending}")
    shown = [one for one in figure.findobj(Text) if one.get_text().strip() == escape.terminal(text).strip()]
    assert len(shown) >= 4
    assert not any(one.get_parse_math() or one.get_usetex() for one in shown)
    ElementTree.parse(tmp_path / "f.svg")
