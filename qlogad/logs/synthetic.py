"""The built-in data set: the log of a simulated cluster in BGL's format, with injected and individually labelled anomalies.

Any number of lines is generated from a seed, with the same bytes on every machine. A session is a request, whose lines end with its
identifier (`[req-3f5a91c2]`); lines of the nodes themselves belong to no session. See `simulated_cluster.py`.
"""

import gzip
import lzma
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated, NamedTuple

from qlogad import documents
from qlogad.bounds import Between, Seed
from qlogad.documents import digest
from qlogad.errors import DataError
from qlogad.logs.bgl import format_line, parse_line
from qlogad.logs.dataset import Dataset, Intake, LogRecord, RawLine
from qlogad.logs.simulated_cluster import KINDS, OPERATIONS, Cluster, Faults, Kind, Line, make_world

__all__ = ["Injection", "Synthetic", "as_request", "line_text"]

_FORMAT = 1  # increment when the bytes of a seed change


Part = Annotated[float, Between(0, 1)]


class Injection(NamedTuple):
    """One injected anomaly, as visible in the log."""

    number: int  # 1, 2, ... in order of appearance
    kind: Kind
    session: str
    lines: tuple[int, ...]  # the lines that show it, 1-based
    time: float  # time of the first of them, seconds since 1970


@dataclass(frozen=True)
class Synthetic(Dataset):
    """A simulated cluster's log. A shorter log is a prefix of a longer one with the same seed; a higher rate only adds anomalies.

    For anomalies of order only, invisible in counts and event types: `kinds = ["order"]`, `noise = 0`, `drift = 0`.
    """

    lines: Annotated[int, Between(1, 10**8)] = 50_000  # length of the log
    seed: Seed = 0  # another seed, another cluster and log
    kinds: tuple[Kind, ...] = KINDS  # kinds of anomaly to inject
    rate: Part | tuple[Part, ...] = 0.05  # share of anomalous requests, in total or one per kind
    severity: Annotated[float, Between(0, 1_000)] = 1.0  # 0: barely outside the normal range, 1: obvious, or higher
    workflows: Annotated[int, Between(2, OPERATIONS)] = 20  # operations of the cluster; each has 14 to 21 templates
    per_day: Annotated[int, Between(1, 10**8)] = 1_000  # requests started per simulated day
    drift: Annotated[float, Between(0, 1_000)] = 0.005  # share of the templates reworded per simulated day
    noise: Annotated[float, Between(0, 1)] = 0.03  # share of normal requests with a harmless warning or error

    third_party = False
    masks = (
        ("ID", r"\b[a-z]{3}-[0-9a-f]{8}\b"),
        ("IP", r"\b\d{1,3}(?:\.\d{1,3}){3}\b"),
        ("NODE", r"\bR\d\d-M\d-N\d\b"),
        ("PATH", r"(?<![\w/])(?:/\w+)+"),
        ("HEX", r"\b\d[0-9a-f]{7}\b"),
        ("NUM", r"(?<![\w.])\d+(?!\w)"),
    )

    def __post_init__(self) -> None:
        """Check that the fields describe a log."""
        documents.enforce(self, DataError)
        shares = self.rate if isinstance(self.rate, tuple) else (self.rate,)
        if isinstance(self.rate, tuple) and len(self.rate) != len(self.kinds):
            raise DataError(f"rate has {len(self.rate)} shares for {len(self.kinds)} kinds; give one per kind, or one for all")
        if len(set(self.kinds)) != len(self.kinds) or not set(self.kinds) <= set(KINDS):
            raise DataError(f"kinds must be some of {', '.join(KINDS)}, each given once; got {', '.join(self.kinds)}")
        if sum(shares) > 1:
            raise DataError(f"the rates of all kinds must add up to at most 1, got {sum(shares):g}")

    def truth(self) -> Iterator[Line]:
        """Every line with its ground truth."""
        each = len(self.kinds) or 1
        rates = self.rate if isinstance(self.rate, tuple) else (self.rate / each,) * len(self.kinds)
        faults = Faults(self.kinds, rates, self.severity)
        cluster = Cluster(make_world(self.seed, self.workflows), self.seed, self.per_day, self.drift, self.noise, faults)
        return islice(cluster.stream(), self.lines)

    def records(self, intake: Intake) -> Iterator[LogRecord]:
        """Every line, as if the log were written to a file and read with `parse_line` and `as_request`."""
        offset = 0
        for number, line in enumerate(self.truth(), start=1):
            intake.lines += 1
            intake.records += 1
            sessions = (line.session,) if line.session else ()
            level, service = line.template.level, line.template.service
            yield LogRecord(
                number, offset, line.time / 1e6, sessions, level, service, line.message, int(line.kind != ""), line.kind
            )
            offset += _length(line)

    def read(self, lines: Iterator[RawLine], intake: Intake) -> Iterator[LogRecord]:
        """Parse lines of a log written by `write`."""
        for number, offset, text in lines:
            found = parse_line(text, number, offset)
            if isinstance(found, str):
                intake.set_aside(number, offset, found)
                continue
            intake.records += 1
            yield as_request(found)

    def injections(self) -> tuple[Injection, ...]:
        """The injected anomalies in order of appearance, except those entirely beyond the end of the log."""
        found: dict[int, tuple[Line, list[int]]] = {}
        for number, line in enumerate(self.truth(), start=1):
            if line.kind:
                found.setdefault(line.request, (line, []))[1].append(number)
        return tuple(
            Injection(number, line.kind, line.session, tuple(lines), line.time / 1e6)
            for number, (line, lines) in enumerate(found.values(), start=1)
            if line.kind
        )

    def source_digest(self) -> str:
        """Digest of the parameters, which determine every byte."""
        return digest("synthetic", _FORMAT, asdict(self))

    def text(self, lines: Iterable[int]) -> dict[int, str]:
        """The text of the given line numbers, generated again."""
        wanted = set(lines)
        last = max(wanted, default=0)
        return {number: line_text(line) for number, line in enumerate(islice(self.truth(), last), start=1) if number in wanted}

    def write(self, path: str | Path) -> None:
        """Write the log to a file: plain, or compressed if the name ends in .gz or .xz."""
        path = Path(path)
        with open(path, "wb") as plain:
            if path.suffix == ".gz":  # no name or time in the header: equal logs give equal files
                with gzip.GzipFile("", "wb", fileobj=plain, mtime=0) as packed:
                    packed.writelines(self._bytes())
            elif path.suffix == ".xz":
                with lzma.open(plain, "wb") as packed:
                    packed.writelines(self._bytes())
            else:
                plain.writelines(self._bytes())

    def _bytes(self) -> Iterator[bytes]:
        return (f"{line_text(line)}\n".encode("ascii") for line in self.truth())


def line_text(line: Line) -> str:
    """A line of the simulation as text in BGL's format; the category of an anomaly is its kind in capitals."""
    facility = "SVC" if line.session else "RAS"
    template = line.template
    category = line.kind.upper() or "-"
    return format_line(line.time, line.node, facility, template.service, template.level, line.message, category)


def _length(line: Line) -> int:
    """The number of bytes of a line with its newline, computed without formatting it."""
    clock = len(str(line.time // 1_000_000)) + 36  # EPOCH, DATE (10) and DATETIME (26)
    names = 2 * len(line.node) + 3 + len(line.template.service) + len(line.template.level)
    return len(line.kind or "-") + clock + names + len(line.message) + 10  # nine spaces and the newline


def as_request(record: LogRecord) -> LogRecord:
    """Convert a BGL record to this data set: the session is the request named in the message, and the kind is in lower case.

    >>> from qlogad.logs.bgl import parse_line
    >>> line = "ORDER 1 1970.01.01 R00-M0-N0 1970-01-01-00.00.01.500000 R00-M0-N0 SVC API INFO parsed [req-3f5a91c2]"
    >>> record = as_request(parse_line(line))
    >>> record.sessions, record.kind
    (('req-3f5a91c2',), 'order')
    """
    _, bracket, end = record.message.rpartition(" [req-")
    sessions = (f"req-{end[:-1]}",) if bracket and end.endswith("]") else ()
    return record._replace(sessions=sessions, kind=record.kind.lower())
