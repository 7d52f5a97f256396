"""OpenStack under fault injection, each test with the fault and without.  Cotroneo et al., ESEC/FSE 2019, doi:10.1145/3338906.3338916.

    Test_373 1 neutron/server<TAB>2018-06-26 03:21:17.202 2550 INFO neutron.wsgi [-] 10.0.20.28 "GET / HTTP/1.1" status: 200

A session is a test and its round. Round 1 with a failure is anomalous, round 2 without one normal; the rest (a fault without a visible
failure, a failure without a fault) has no label. Trivial rules do well here, since a failed workload writes errors and stops early;
`mask_levels`, `errors = "drop"` and windows of equal length before `triggers()` take these away.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from qlogad import documents
from qlogad.errors import DataError
from qlogad.logs.dataset import Dataset, File, Intake, LogRecord, RawLine
from qlogad.logs.reading.layout import Layout, masks_of
from qlogad.logs.reading.line_files import Files, LineFiles
from qlogad.logs.reading.line_times import LineTimes
from qlogad.logs.reading.raw_lines import read_lines

__all__ = ["Faultinjection"]

_LABEL_OF = {("1", "FAILURE"): 1, ("2", "NO_FAILURE"): 0}
_ERRORS = ("ERROR", "CRITICAL")
_COLUMNS = ("test", "round", "label", "trigger_first")


@dataclass(frozen=True)
class Faultinjection(LineFiles, Dataset):
    """The logs of one campaign; lines without a time of their own belong to the event above them."""

    path: Files  # lines of one campaign
    labels: File | None = None  # its table of sessions: test, round, label, trigger_first and more
    mask_levels: bool = False  # no line has a level
    errors: Literal["keep", "drop"] = "keep"  # "drop": lines of levels ERROR and CRITICAL are left out

    masks = masks_of("faultinjection")

    def __post_init__(self) -> None:
        documents.enforce(self, DataError)

    @property
    def layout(self) -> Layout:
        """That of all campaigns, without errors where they are dropped."""
        whole = Layout("faultinjection").complete()
        return replace(whole, without=_ERRORS) if self.errors == "drop" else whole

    def is_plain(self) -> bool:
        """Unless levels are masked."""
        return not self.mask_levels

    def records(self, intake: Intake) -> Iterator[LogRecord]:
        """Every line in file order."""
        return self._masked(super().records(intake))

    def read(self, lines: Iterator[RawLine], intake: Intake) -> Iterator[LogRecord]:
        """Lines of any campaign."""
        return self._masked(super().read(lines, intake))

    def session_labels(self) -> Mapping[str, int]:
        """Labels by session, "Test_373 1"; empty without a table: all labels are then unknown."""
        return {name: _LABEL_OF.get((row["round"], row["label"]), -1) for name, row in self._sessions().items()}

    def triggers(self) -> dict[str, float]:
        """When the fault was first triggered, in seconds since 1970 by the log's clock, of every session in which it was."""
        times, found = LineTimes("iso"), dict[str, float]()
        for name, row in self._sessions().items():
            if row["trigger_first"]:
                time = times(row["trigger_first"])
                if isinstance(time, str):
                    raise DataError(f"{self.labels}: session {name} has no trigger time {row['trigger_first']!r}; correct it")
                found[name] = time
        return found

    def pairs(self) -> list[tuple[str, str]]:
        """The sessions of a test with and without the fault, anomalous and normal."""
        labels = self.session_labels()
        tests = [name.rpartition(" ")[0] for name, label in labels.items() if label == 1]
        return [(f"{test} 1", f"{test} 2") for test in tests if labels.get(f"{test} 2") == 0]

    def _masked(self, records: Iterator[LogRecord]) -> Iterator[LogRecord]:
        return (record._replace(level="") for record in records) if self.mask_levels else records

    def _sessions(self) -> dict[str, dict[str, str]]:
        """The rows of the table by session."""
        if self.labels is None:
            return {}
        rows = csv.DictReader((line.text for line in read_lines(self.labels, Intake())), delimiter="\t", restval="")
        missing = [name for name in _COLUMNS if name not in (rows.fieldnames or ())]
        if missing:
            raise DataError(
                f"{self.labels}: the table of sessions needs the columns {', '.join(_COLUMNS)}; missing: {', '.join(missing)}"
            )
        return {f"{row['test']} {row['round']}": row for row in rows}
