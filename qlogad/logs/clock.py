"""How the times of a log go on from line to line: span, rate, steps back, repetitions and jumps."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np

from qlogad.arrays import Floats, Ints

__all__ = ["clock", "duration", "stamp"]

_HOUR = 3600.0


def clock(time_E: Floats, part_E: Ints, lines: int | None) -> dict[str, Any]:
    """First and last time, rate, and where the clock does not go on as it should; steps between two parts of a sample do not count.

    >>> found = clock(np.array([0.0, 60.0, 30.0, 30.0]), np.zeros(4, dtype=np.int64), None)
    >>> found["out of order"], found["largest step back, s"], found["same as the one before"]
    (1, 30.0, 1)

    Args:
        time_E: seconds since 1970, NaN where there is none, in the order of the lines.
        part_E: the part of the sample that each event is of.
        lines: of the whole log if the events are a sample of it; None: they are all of it.
    """
    known = np.isfinite(time_E)
    if not known.any():
        return {"without": int((~known).sum())}
    time, part = time_E[known], part_E[known]
    first, last = float(time.min()), float(time.max())
    step = np.diff(time)[part[1:] == part[:-1]]
    same = int((step == 0).sum())
    back, ahead = step[step < 0], np.sort(step[step > 0])[::-1]
    usual = float(np.quantile(ahead, 0.99)) if len(ahead) else 0.0
    jumps = ahead[(ahead > max(_HOUR, 100 * usual))]
    span = max(last - first, 1e-9)
    rate = (len(time) if lines is None else lines) / span
    return {
        "first": stamp(first),
        "last": stamp(last),
        "lines per hour": float(f"{rate * _HOUR:.3g}") if span > 1 else None,
        "lines per day": float(f"{rate * 24 * _HOUR:.3g}") if span > 1 else None,
        "without": int((~known).sum()),
        "out of order": len(back),
        "largest step back, s": round(float(-back.min()), 3) if len(back) else 0.0,
        "same as the one before": same,
        "jumps ahead": len(jumps),
        "largest jump ahead, s": round(float(jumps[0]), 3) if len(jumps) else 0.0,
    }


def stamp(seconds: float) -> str:
    """A time in UTC as people read it.

    >>> stamp(0.5)
    '1970-01-01 00:00:00.500'
    """
    return datetime.fromtimestamp(seconds, UTC).isoformat(" ", "milliseconds").removesuffix("+00:00")


def duration(seconds: float) -> str:
    """A span of time as people read it.

    >>> duration(0.25), duration(90), duration(7_200), duration(8_322_670)
    ('0.25 s', '90 s', '2 h', '96.3 days')
    """
    for least, size, unit in ((48 * _HOUR, 24 * _HOUR, "days"), (2 * _HOUR, _HOUR, "h"), (180.0, 60.0, "min")):
        if seconds >= least:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"
