"""The data set interface: a source of parsed log lines, with labels if the source has them.

One concrete data set per file of this folder; the file's name is its name in experiments (`dataset = "hdfs"`). A concrete data set
is a frozen dataclass: its fields are keys of the `[data]` table, next to `dataset`, `window`, `split`, ...
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self, get_args, get_type_hints

from qlogad import documents
from qlogad.errors import DataError, shown

__all__ = ["Dataset", "File", "Intake", "LogRecord", "Quarantined", "RawLine", "label_of"]

WindowKind = Literal["session", "count", "time"]

_FILE = "a file of the source"
File = Annotated[str, _FILE]  # the type of a field that holds a path: not part of `options`


class RawLine(NamedTuple):
    """One line of a source."""

    number: int  # 1-based
    offset: int  # offset of its first byte in the uncompressed stream
    text: str  # without the newline


class LogRecord(NamedTuple):
    """One successfully parsed log line."""

    line: int  # 1-based line number in its source
    offset: int  # byte offset of its first byte in the uncompressed stream
    time: float  # seconds since 1970-01-01 UTC by the log's own clock; NaN if the line has no time
    sessions: tuple[str, ...]  # the session identifiers the line names (an HDFS line can name several blocks)
    level: str  # "INFO", "FATAL", ...; "" if the format has none
    component: str  # the component that wrote the line (class, service, node); "" if the format has none
    message: str  # the free text that the parser turns into a template
    label: int  # 1 anomaly, 0 normal, -1 unknown
    kind: str = ""  # the kind of anomaly (BGL's alert category, an injected kind); "" if not an anomaly


class Quarantined(NamedTuple):
    """One line that was set aside, with the reason. Its text is not kept."""

    line: int
    offset: int
    reason: str


@dataclass
class Intake:
    """Counts of the lines of a source by outcome, so that nothing is dropped silently.

    `lines == records + joined + left_out + blank + len(quarantine)` holds when a source has been read to its end.
    """

    lines: int = 0  # lines read
    records: int = 0  # lines parsed
    blank: int = 0  # lines without content: empty ones, the header of a table
    joined: int = 0  # lines that go on with the event above, such as those of a stack trace
    left_out: int = 0  # lines of levels that a key leaves out
    quarantine: list[Quarantined] = field(default_factory=list)
    test_from: int | None = None  # the first line of the files that are given for testing; None: no files define the split
    warnings: list[str] = field(default_factory=list)  # warnings about input that was read but is probably a mistake

    def set_aside(self, line: int, offset: int, reason: str) -> None:
        """Put one line into quarantine."""
        self.quarantine.append(Quarantined(line, offset, reason))

    def reasons(self) -> dict[str, int]:
        """The number of lines set aside for each reason, most frequent first."""
        counts: dict[str, int] = {}
        for item in self.quarantine:
            counts[item.reason] = counts.get(item.reason, 0) + 1
        return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))


_NORMAL = "0 - normal false no success succeeded successful pass passed ok benign healthy inlier nofailure"
_ANOMALY = "1 anomaly abnormal anomalous true yes fail failed failure fault faulty error alert outlier"
_UNKNOWN = "-1 unknown unlabelled unlabeled nan none null na n/a <na> ?"
_LABELS = {"": -1} | {
    word: label for label, words in ((0, _NORMAL), (1, _ANOMALY), (-1, _UNKNOWN)) for word in words.split()
}  # in lower case, without "_"


def label_of(text: str) -> int:
    """Parse a label in its usual spellings, case-insensitively: 1 anomaly, 0 normal, -1 unknown.

    >>> label_of("Anomaly"), label_of("normal"), label_of("Success"), label_of("FAIL"), label_of("1.0"), label_of("")
    (1, 0, 0, 1, 1, -1)

    Raises:
        DataError: the word is not known.
    """
    word, _, zeros = text.strip().lower().replace("_", "").partition(".")  # 1.0 is 1
    try:
        return _LABELS[f"{word}.{zeros}" if zeros.strip("0") else word]
    except KeyError:
        raise DataError(
            f"{shown(text)} is not a label; write Normal or Anomaly, Success or Fail, 0 or 1, or leave it empty if unknown"
        ) from None


class Dataset(ABC):
    """A source of labelled log lines. Subclasses are frozen dataclasses; reading one twice gives the same records."""

    parsed: bool = False  # True if messages are event ids already (no parser runs)
    default_window: WindowKind = "session"
    masks: tuple[tuple[str, str], ...] = ()  # (name, regular expression): variable parts to mask before parsing
    mask_starts: str = ""  # first characters of masked parts, as inside [...]; only a hint for speed, "" if unknown
    third_party: ClassVar[bool] = True  # True: its lines must never enter committed results

    @abstractmethod
    def records(self, intake: Intake) -> Iterator[LogRecord]:
        """Every line in source order; lines that cannot be parsed are recorded in `intake`.

        Raises:
            DataError: the source is missing, unreadable or not of this format at all.
        """

    def read(self, lines: Iterator[RawLine], intake: Intake) -> Iterator[LogRecord]:
        """Parse lines in this data set's format from any source; its own files are not read.

        Fitted models read logs with this method. The lines of a table start with its header. Labels in other files are not available.

        Raises:
            DataError: this data set can only read its own files.
        """
        raise DataError(
            f"{type(self).__name__} can only read its own files, so a model cannot read its lines; implement its method `read`"
        )

    def options(self) -> dict[str, Any]:
        """Its fields as a document, without files: how lines are read, not where they are."""
        own, files = fields(self), self.file_fields()  # type: ignore[arg-type]
        return {f.name: value for f in own if f.name not in files and (value := getattr(self, f.name)) is not None}

    @classmethod
    def file_fields(cls) -> tuple[str, ...]:
        """The names of the fields that hold paths: those whose type is or contains `File`."""
        hints = get_type_hints(cls, include_extras=True)
        return tuple(f.name for f in fields(cls) if _is_file(hints[f.name]))  # type: ignore[arg-type]

    @classmethod
    def reader(cls, options: Mapping[str, Any], where: str) -> Self:
        """A data set with these options and without files, to call `read` on.

        Args:
            options: as returned by `options`.
            where: the name used in error messages.

        Raises:
            DocumentError: the options do not fit this data set.
        """
        names = {f.name for f in fields(cls)}  # type: ignore[arg-type]
        return documents.from_mapping(
            cls, {**({"path": "-"} if "path" in names else {}), **documents.plain(options)}, where, strict=True
        )

    @abstractmethod
    def source_digest(self) -> str:
        """A digest of everything the records depend on (file contents, generator parameters)."""

    @abstractmethod
    def text(self, lines: Iterable[int]) -> dict[int, str]:
        """The original text of the given 1-based line numbers, reread from the source."""

    def session_labels(self) -> Mapping[str, int] | None:
        """Labels by session (1 anomaly, 0 normal); None if labels belong to lines."""
        return None

    def given_split(self) -> Mapping[str, Literal["train", "test"]] | None:
        """The part (train or test) of each session if the source defines it, else None."""
        return None


def _is_file(hint: object) -> bool:
    """Whether a field's annotation is or contains `File`."""
    return _FILE in getattr(hint, "__metadata__", ()) or any(map(_is_file, get_args(hint)))
