"""Any log, by a few keys: how a line looks, what its time, level and message are, what makes a session, what an anomaly.

    dataset = "lines"
    path = "logs/*.log"                                              one, several, globs, archives, files in archives (x.tar.gz/a.log)
    format = "<date> <time> <level> <component>: <message>"          the line with its fields; or the name of a format: qlogad list formats
    time_format = "%d.%m.%Y %H:%M:%S,%f"                             ISO 8601 and numbers are told without it
    time_zone = "Europe/Berlin"
    session_pattern = 'request=(\\w+)'                               or session = "FIELD", or session = "file"
    labels = "labels.csv"                                            by session; or label = "FIELD" and normal = "-", say
    continuation = true                                              stack traces belong to the event above them

The same keys in a file of its own are a format: format = "mine.toml".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from qlogad import documents
from qlogad.errors import DataError
from qlogad.logs.dataset import Dataset, File, Intake, LogRecord
from qlogad.logs.reading.layout import Layout, masks_of
from qlogad.logs.reading.line_files import Files, LineFiles
from qlogad.logs.reading.tables import read_labels

__all__ = ["Lines"]


@dataclass(frozen=True)
class Lines(LineFiles, Layout, Dataset):
    """Lines of a layout of your own, or of a preset. `train` and `test` files define the split (`split = { by = "given" }`)."""

    path: Files | None = None
    train: Files | None = None  # instead of path: a log for training ...
    test: Files | None = None  # ... and one to be judged
    labels: File | None = None  # a table with an identifier and a label column
    labels_by: Literal["session", "line"] = "session"  # what it names: sessions, or lines by number (from 1, through all files)

    def __post_init__(self) -> None:
        documents.enforce(self, DataError)
        whole = Layout(**self._said()).complete()
        object.__setattr__(self, "_whole", whole)
        object.__setattr__(self, "masks", masks_of(self.format))
        object.__setattr__(self, "default_window", "session" if whole.fields("session") else "count")
        self.files()
        if self.labels is not None and self.labels_by == "session" and not whole.fields("session"):
            raise DataError(
                "dataset 'lines': labels are of sessions, and no key says what a session is; write session or session_pattern, or "
                "labels_by = 'line'"
            )

    @property
    def layout(self) -> Layout:
        """The layout with what its preset says."""
        whole: Layout = self.__dict__["_whole"]
        return whole

    def is_plain(self) -> bool:
        """Unless lines are labelled by their numbers."""
        return self.labels is None or self.labels_by == "session"

    def records(self, intake: Intake) -> Iterator[LogRecord]:
        """Every line in file order, labelled by its number where labels are of lines."""
        label_of = read_labels(self.labels) if self.labels is not None and self.labels_by == "line" else {}
        for record in super().records(intake):
            yield record._replace(label=label_of.get(str(record.line), -1)) if label_of else record

    def source_digest(self) -> str:
        """Digest of its files, how they are read, and what the labels name."""
        return documents.digest(super().source_digest(), self.labels_by if self.labels else "")

    def options(self) -> dict[str, Any]:
        """The layout alone: no file is needed to read such lines."""
        return {key: value for key, value in documents.plain(self.layout).items() if value is not None}

    def session_labels(self) -> Mapping[str, int] | None:
        """Labels by session, if there is a table of them; None if lines have labels; else empty: none is known."""
        if self.labels is not None and self.labels_by == "session":
            return read_labels(self.labels)
        return None if self.labels is not None or self.layout.fields("label") else {}

    def _said(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(Layout)}
