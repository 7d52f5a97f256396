"""Style and output of figures: colours, names, legends below the panels in as many columns as fit; PNG, and SVG beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING

from qlogad import escape, files

if TYPE_CHECKING:
    from matplotlib.figure import Figure, SubFigure

__all__ = ["ALARM", "ENDINGS", "INK", "STYLES", "legend", "named", "save", "written"]

INK = "#30363d"
ALARM = "#c2410c"
STYLES = ("-", "--", "-.", ":")
ENDINGS = (".png", ".svg")


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, and as SVG beside it."""
    for ending, content in written(figure).items():
        files.write(path.with_suffix(ending), content)


def written(figure: Figure) -> dict[str, bytes]:
    """The files that `save` writes, by suffix; equal figures give equal files."""
    import matplotlib

    with matplotlib.rc_context({"svg.hashsalt": "qlogad"}):  # otherwise identifiers are random
        return {ending: files.figure_bytes(figure, ending.removeprefix("."), dpi=110) for ending in ENDINGS}


def named(name: str, width: int) -> str:
    """A name as shown in figures, in lines of at most `width` characters."""
    return "\n".join(escape.label(line) for line in wrap(escape.terminal(name), width) or [""])


def legend(figure: Figure | SubFigure, handles: Sequence[object], labels: Sequence[str], columns: int = 4) -> None:
    """A legend below the panels that shows every name in full: in as many columns as fit, with long names on several lines."""
    if not handles:
        return
    width = figure.get_window_extent().width
    characters = max(12, int(width / figure.dpi * 72 / 5.2) - 8)  # at eight points, beside the line
    shown = [named(label, characters) for label in labels]
    for count in range(min(columns, len(shown)), 0, -1):
        drawn = figure.legend(handles, shown, loc="outside lower center", ncols=count, fontsize=8, frameon=False)  # type: ignore[call-overload]
        if drawn.get_window_extent().width <= 0.98 * width or count == 1:
            break
        drawn.remove()
    whole = figure.figure
    whole.set_size_inches(whole.get_figwidth(), whole.get_figheight() + drawn.get_window_extent().height / figure.dpi)
