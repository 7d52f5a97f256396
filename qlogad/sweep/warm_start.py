"""Warm starts: a study first tries points that were good in related studies, of other width, depth or data.

    warm = ["results/narrow-sweep"]          results folders of earlier studies, in the study file
    warm_share = 0.25                        at most this share of the trials starts from them

A related study's trials are compared by rank, since values on other data are not comparable; several studies take turns. Parameters
that both spaces contain are carried over; the sampler chooses the rest (a depth beyond the new axis, for example).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

import pandas as pd

from qlogad import escape
from qlogad.circuit.design import Design
from qlogad.errors import DocumentError, InputError, one_line, shown
from qlogad.sweep.objectives import Objective
from qlogad.sweep.space import ChoiceAxis, FloatAxis, IntAxis, Space, Value

__all__ = ["carry", "ranked", "relatives"]

Params = Mapping[str, Any]


def relatives(
    space: Space, contender: str, folders: Sequence[str | Path], aim: Objective, count: int
) -> tuple[dict[str, Value], ...]:
    """The points of a space nearest to the best ones of earlier studies, at most `count`, without duplicates.

    Args:
        space: of the new study.
        contender: name of the contender, the same in all studies.
        folders: results folders of earlier studies.
        aim: the objective to rank by.
        count: of points.

    Raises:
        DocumentError: a folder holds no study, or no trials of this contender and objective.
    """
    studies = [ranked(folder, contender, aim) for folder in folders]
    found: list[dict[str, Value]] = []
    for params in chain.from_iterable(zip_longest(*studies)):
        point = carry(params, space) if params is not None else {}
        if point and point not in found:
            found.append(point)
    return tuple(found[:count])


def ranked(folder: str | Path, contender: str, aim: Objective) -> list[Params]:
    """The parameters of a study's completed trials, best first, without repeated designs.

    Raises:
        DocumentError: the folder holds no such trials.
    """
    path = Path(folder) / "trials.csv"
    if not path.is_file():
        raise DocumentError(f"warm: {shown(str(folder), 100)} holds no trials.csv; name the results folder of a finished study")
    columns = ("contender", "state", "reused from")
    try:
        frame = pd.read_csv(path, dtype=object, keep_default_na=False)
        missing = [name for name in columns if name not in frame]
    except (OSError, ValueError) as error:
        raise DocumentError(f"warm: {path} cannot be read ({one_line(error, 100)}); run its study again") from error
    if missing:
        raise DocumentError(
            f"warm: {path} lacks the column '{missing[0]}', so it is not a study's, or damaged; run its study again"
        )
    if aim.name not in frame:
        raise DocumentError(f"warm: the study in {shown(str(folder), 100)} did not measure {aim.name}; choose one that did")
    chosen = frame[(frame["contender"] == escape.csv(contender)) & (frame["state"] == "complete") & (frame["reused from"] == "")]
    if chosen.empty:
        there = ", ".join(sorted(set(frame["contender"])))
        raise DocumentError(
            f"warm: {shown(str(folder), 100)} has no completed trial of contender {shown(contender)}; it has: {there}"
        )
    numbers = pd.to_numeric(chosen[aim.name], errors="coerce")
    chosen, numbers = chosen[numbers.notna()], numbers[numbers.notna()]
    values = numbers * (1 if aim.direction == "minimize" else -1)
    names = [name for name in frame if name.startswith("param ")]
    rows = chosen.loc[values.sort_values(kind="stable").index, names].to_dict("records")
    return [{str(name).removeprefix("param "): text for name, text in row.items() if text != ""} for row in rows]


def carry(params: Params, space: Space) -> dict[str, Value]:
    """Convert a point of another space, with values as text, to this space; values that do not fit are left out.

    >>> carry({"core.depth": "2.0", "lr": "0.5"}, Space({"core.depth": IntAxis((1, 4)), "lr": FloatAxis((0.001, 0.1))}))
    {'core.depth': 2}
    """
    point: dict[str, Value] = {}
    for key, axis in space.axes.items():
        if key in params and all(point.get(other) == value for other, value in axis.when.items()):
            value = _read(params[key], axis)
            if value is not None and axis.holds(value):
                point[key] = value
    return point | dict(_design(params, space))


def _read(text: Any, axis: IntAxis | FloatAxis | ChoiceAxis) -> Value | None:
    """Parse a value of an axis from text; None if the axis does not contain it."""
    if isinstance(axis, ChoiceAxis):
        return next((one for one in axis.choice if _same(one, str(text))), None)
    try:
        number = float(text)
    except ValueError:
        return None
    if isinstance(axis, FloatAxis):
        return number
    return int(number) if math.isfinite(number) and number == int(number) else None


def _same(value: Value, text: str) -> bool:
    if isinstance(value, (bool, str)):
        return str(value) == text
    try:
        return float(text) == value
    except ValueError:
        return False


def _design(params: Params, space: Space) -> Iterator[tuple[str, Value]]:
    """The rows of the other study's ansatz as values of this space, if it builds ansaetze; named ones are split into rows."""
    if space.design is None or not ("design.rows" in params or "core.ansatz" in params):
        return
    try:
        design = (
            Design.from_mapping(_layer(params), "ansatz")
            if "design.rows" in params
            else Design.load(params["core.ansatz"], "ansatz")
        )
        yield from space.design.located(design).items()
    except (InputError, KeyError, ValueError, OverflowError):  # this space does not contain it, or the other's rows are incomplete
        return


def _layer(params: Params) -> dict[str, Any]:
    """The document of an ansatz given as row parameters."""
    rows = []
    for number in range(1, int(float(params["design.rows"])) + 1):
        key = f"design.{number}"
        on = params.get(f"{key}.wires") or params[f"{key}.pairs"]
        turns = {turn: True for turn in ("flip", "reverse") if str(params.get(f"{key}.{turn}")) == "True"}
        rows.append({"gate": params[f"{key}.gate"], "on": on, **turns})
    return {"layer": rows}
