"""Events as a Parquet file, for pandas and whatever else reads one; https://parquet.apache.org/docs/file-format."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from qlogad import files
from qlogad.arrays import Ints, Numbers
from qlogad.logs.events import Events
from qlogad.logs.reading.pieces import Ragged

__all__ = ["write_parquet"]

_ROWS = 1 << 18  # events of a row group


def write_parquet(events: Events, path: str | Path) -> None:
    r"""Write a row for each event: line, offset, time, label, kind, level, component, message, values, sessions.

    `time` is in seconds since 1970, `message` masked, `values` and `sessions` are lists. A group of rows at a time is in memory. What is no
    Unicode text is written as `\udc80`.

    >>> import tempfile, pandas
    >>> from qlogad.logs.events import read_events
    >>> from qlogad.logs.synthetic import Synthetic
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_parquet(read_events(Synthetic(lines=100)), f"{folder}/events.parquet")
    ...     table = pandas.read_parquet(f"{folder}/events.parquet")
    >>> len(table), int(table["line"].iloc[-1]), list(table.columns[:4])
    (100, 100, ['line', 'offset', 'time', 'label'])

    Raises:
        FileError: the file cannot be written.
    """
    import pyarrow.parquet

    def fill(file: Any) -> None:
        tables = _tables(events)
        first = next(tables)
        with pyarrow.parquet.ParquetWriter(file, first.schema, compression="zstd") as writer:
            writer.write_table(first)
            for table in tables:
                writer.write_table(table)

    files.write_by(path, fill)


def _tables(events: Events) -> Iterator[Any]:
    """The rows in groups, at least one group."""
    import pyarrow

    names = ("kinds", "levels", "components", "texts", "sessions")
    words = {name: pyarrow.array(map(_unicode, getattr(events, name)), pyarrow.string()) for name in names}
    values_E = events.values_E if isinstance(events.values_E, Ragged) else Ragged.of(events.values_E)

    def coded(codes: Numbers, name: str) -> Any:
        return pyarrow.DictionaryArray.from_arrays(pyarrow.array(codes.astype(np.int32)), words[name])

    for first in range(0, max(len(events), 1), _ROWS):
        own = slice(first, first + _ROWS)
        rows = len(events.line_E[own])
        start, end = np.searchsorted(events.member_event_M, [first, first + rows])
        sessions_E1 = np.searchsorted(events.member_event_M[start:end], np.arange(first, first + rows + 1))
        sessions = words["sessions"].take(pyarrow.array(events.member_session_M[start:end]))
        yield pyarrow.table(
            {
                "line": events.line_E[own],
                "offset": events.offset_E[own],
                "time": events.time_E[own],
                "label": events.label_E[own],
                "kind": coded(events.kind_E[own], "kinds"),
                "level": coded(events.level_E[own], "levels"),
                "component": coded(events.component_E[own], "components"),
                "message": coded(events.text_E[own], "texts"),
                "values": _strings(values_E, values_E.offsets_E1[first : first + rows + 1]),
                "sessions": pyarrow.LargeListArray.from_arrays(sessions_E1, sessions),
            }
        )


def _strings(values_E: Ragged, offsets_E1: Ints) -> Any:
    """The values of some consecutive events."""
    import pyarrow

    ends_V1 = values_E.ends_V1[offsets_E1[0] : offsets_E1[-1] + 1]
    buffers = [None, pyarrow.py_buffer(ends_V1 - ends_V1[0]), pyarrow.py_buffer(values_E.text_B[ends_V1[0] : ends_V1[-1]])]
    values = pyarrow.Array.from_buffers(pyarrow.large_string(), len(ends_V1) - 1, buffers)
    try:
        values.validate(full=True)
    except pyarrow.ArrowInvalid:  # surrogates, which UTF-8 has not
        own = Ragged(np.array([0, len(ends_V1) - 1]), ends_V1, values_E.text_B)[0]
        values = pyarrow.array(map(_unicode, own), pyarrow.large_string())
    return pyarrow.LargeListArray.from_arrays(offsets_E1 - offsets_E1[0], values)


def _unicode(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
