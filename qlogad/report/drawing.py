"""Style and output of figures: colours, names, legends below the panels in as many columns as fit; PNG, and SVG beside it.

Files stay small whatever a run had: lines share a budget of points, dense dots are rasterized, coordinates rounded.
"""

from __future__ import annotations

import heapq
import io
import re
from base64 import b64decode, b64encode
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING

import numpy as np

from qlogad import escape, files
from qlogad.arrays import Floats, Ints

if TYPE_CHECKING:
    from matplotlib.figure import Figure, SubFigure

__all__ = ["ALARM", "ENDINGS", "INK", "POINTS", "STYLES", "legend", "named", "save", "thinned", "written"]

INK = "#30363d"
ALARM = "#c2410c"
STYLES = ("-", "--", "-.", ":")
ENDINGS = (".png", ".svg")
POINTS = 6_000  # of all lines of a figure together
_PLACES = re.compile(rb'\b([dxy])="([^"]*)"')  # attributes of SVG that hold coordinates in points
_IMAGE = re.compile(rb"(?<=data:image/png;base64,)[^\"]*")
_LONG = re.compile(rb"-?(\d+)\.\d{2,}")
_LATER = re.compile(rb" ?\nL ")


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, and as SVG beside it."""
    for ending, content in written(figure).items():
        files.write(path.with_suffix(ending), content)


def written(figure: Figure) -> dict[str, bytes]:
    """The files that `save` writes, by suffix; equal figures give equal files."""
    import matplotlib

    with matplotlib.rc_context({"svg.hashsalt": "qlogad"}):  # otherwise identifiers are random
        png, svg = (files.figure_bytes(figure, ending.removeprefix("."), dpi=110) for ending in ENDINGS)
    svg = _IMAGE.sub(lambda found: b64encode(_in_few_colors(b64decode(found[0]))), svg)
    return {".png": _in_few_colors(png), ".svg": _PLACES.sub(lambda found: b'%s="%s"' % (found[1], _short(found[2])), svg)}


def _in_few_colors(png: bytes) -> bytes:
    """An image with a palette of 256 colours, less than half as large."""
    from PIL import Image

    file = io.BytesIO()
    image = Image.open(io.BytesIO(png))
    opaque = image.getextrema()[-1] == (255, 255)
    image.convert("RGB" if opaque else "RGBA").quantize(256, dither=Image.Dither.NONE).save(file, "png", optimize=True)
    return file.getvalue()


def _short(places: bytes) -> bytes:
    """Coordinates rounded to a tenth of a point, below 10 to a hundredth; a line's later points without their letters."""
    return _LATER.sub(b" ", _LONG.sub(lambda number: (b"%.1f" if len(number[1]) > 1 else b"%.2f") % float(number[0]), places))


def thinned(x_T: Floats, y_T: Floats, most: int, keep: Sequence[int] = ()) -> Ints:
    """The places of the points that show a line best: its ends, then always the point farthest from the line drawn so far.

    Args:
        x_T: coordinates in units of the panel's width.
        y_T: coordinates in units of the panel's height.
        most: the number of points, unless the ends and `keep` are more.
        keep: places of points to be kept in any case.

    >>> thinned(np.arange(5.0), np.array([0.0, 0.0, 3.0, 0.0, 0.0]), 3).tolist()
    [0, 2, 4]
    """
    kept = {0, *keep, len(x_T) - 1} if len(x_T) else set()
    waiting = [_farthest(x_T, y_T, start, end) for start, end in pairwise(sorted(kept))]
    heapq.heapify(waiting)
    while len(kept) < most and waiting and (found := heapq.heappop(waiting))[0] < 0:
        _, place, start, end = found
        kept.add(place)
        heapq.heappush(waiting, _farthest(x_T, y_T, start, place))
        heapq.heappush(waiting, _farthest(x_T, y_T, place, end))
    return np.asarray(sorted(kept), dtype=np.int64)


def _farthest(x_T: Floats, y_T: Floats, start: int, end: int) -> tuple[float, int, int, int]:
    """Minus the distance of the farthest point between two points of a line from the straight line through them; then its place."""
    if end - start < 2:
        return 0.0, start, start, end
    across, up = x_T[start:end] - x_T[start], y_T[start:end] - y_T[start]
    dx, dy = x_T[end] - x_T[start], y_T[end] - y_T[start]
    length = float(np.hypot(dx, dy))
    far_T = np.abs(across * dy - up * dx) / length if length else np.hypot(across, up)
    place = int(np.argmax(far_T))
    return -float(far_T[place]), start + place, start, end


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
