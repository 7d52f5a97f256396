"""How fast raw lines become events, by one compiled pass and by regular expressions, next to Drain3 (minutes).

Every rate is of one run on the same file, plain text that the system has in memory; ratios are to what any reader has to do: to read the
bytes and to find where lines end.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, process_time
from typing import Annotated, Any

import numpy as np

from qlogad import documents, escape, files, jit, names
from qlogad.bench.benchmark import Benchmark, BenchmarkResult, Progress, this_machine
from qlogad.bench.parser import ask_drain3
from qlogad.bounds import Between
from qlogad.errors import DataError, InputError
from qlogad.logs.dataset import Dataset, Intake
from qlogad.logs.events import read_pieces
from qlogad.logs.parser.drain import Drain
from qlogad.logs.reading.line_files import LineFiles
from qlogad.logs.reading.mask import Mask
from qlogad.logs.reading.pieces import StringTables
from qlogad.logs.reading.raw_lines import blocks
from qlogad.logs.scan.scanner import SIZE, Scanner
from qlogad.logs.synthetic import Synthetic

__all__ = ["LogsBenchmark", "Rate", "measure", "memory", "stream", "write"]

_LOGS: Mapping[str, tuple[str, str]] = {  # data set, path below $QLOGAD_DATA
    "hdfs": ("hdfs", "hdfs/hdfs_raw_2pct_early.log.xz"),
    "nova": ("faultinjection", "openstack/fi_nova_infoplus.log.xz"),
}
_DRAIN3 = """
import json, resource, sys, time
from drain3 import TemplateMiner
from drain3.template_miner_config import TemplateMinerConfig
from drain3.masking import MaskingInstruction
given = json.load(sys.stdin)
lines = open(given["path"], encoding="utf-8", errors="backslashreplace").read().split("\\n")
config = TemplateMinerConfig()
config.profiling_enabled = False
config.drain_depth, config.drain_sim_th = 5, 0.4
config.masking_instructions = [MaskingInstruction(pattern, name) for name, pattern in given["masks"]]
miner = TemplateMiner(config=config)
begun = time.perf_counter()
for line in lines: miner.add_log_message(line)
fit = time.perf_counter() - begun
begun = time.perf_counter()
for line in lines: miner.match(line)
frozen = time.perf_counter() - begun
print(json.dumps([len(lines) / fit, len(lines) / frozen]))
"""
_MEMORY = """
import resource, sys
from qlogad.bench.logs import stream
print(stream(sys.argv[1], sys.argv[2]), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@dataclass(frozen=True, kw_only=True)
class LogsBenchmark(Benchmark):
    """Rates of reading logs, in lines per second."""

    data: Annotated[Path | None, "The folder of real logs; by default $QLOGAD_DATA. Logs that it lacks are left out."] = None
    lines: Annotated[int, Between(1_000, 10**9), "Lines of each log; real logs are repeated or cut to that."] = 500_000
    peers: Annotated[Path | None, "A Python that has drain3."] = None

    def run(self, out: Path, progress: Progress) -> BenchmarkResult:
        folder = out / "bench-logs"
        rows = measure(self.data, folder / "work", self.lines, progress, python=self.peers)
        path = write(rows, folder)
        return BenchmarkResult([vars(row) for row in rows], path.read_text(encoding="utf-8"), path)


@dataclass(frozen=True)
class Rate:
    """What was measured of one log."""

    log: str
    lines: int
    bytes: int
    floor: float  # lines per second: bytes are read and line ends are found
    compiled: float  # lines to events and templates of a frozen parser, with as many threads as there are cores
    compiled_cpu: float  # the same per second of CPU time
    compiled_one: float  # with one thread
    expressions: float  # by regular expressions
    fit: float  # lines to events, and a parser is fitted on their messages
    peak: float  # MB of memory that a process which reads it takes at most, the program included
    drain3_fit: float | None
    drain3: float | None


def measure(data: Path | None, work: Path, lines: int, progress: Progress, *, python: Path | None = None) -> list[Rate]:
    """The rates of each log that there is, and of one in BGL's format that is made up.

    Args:
        data: the folder of real logs; None: `$QLOGAD_DATA`.
        work: where plain copies go.
        lines: of each.
        progress: called with the log and how many are done.
        python: a Python that has drain3; None leaves its columns empty.

    Raises:
        InputError: numba does not work here, or that Python cannot run Drain3.
    """
    if not jit.works():
        raise InputError("the compiled pass needs numba; run: pip install 'qlogad[fast]'")
    rows = []
    for done, (name, (kind, path)) in enumerate(_plain(data, work, lines).items()):
        progress(name, done)
        rows.append(_rate(name, kind, path, python))
    return rows


def _plain(data: Path | None, work: Path, lines: int) -> dict[str, tuple[str, Path]]:
    """Logs as plain files of so many lines: data set and path by name."""
    found = dict[str, tuple[str, Path]]()
    work.mkdir(parents=True, exist_ok=True)
    for name, (kind, where) in _LOGS.items():
        try:
            source = blocks((data or Path("$QLOGAD_DATA")) / where, size=SIZE)
            text = b"".join(block.data for block in source)
        except DataError:
            continue
        path = work / f"{name}.log"
        _repeat(text, lines, path)
        found[name] = kind, path
    path = work / "bgl.log"
    Synthetic(lines=min(lines, 200_000), rate=0.01).write(work / "made.log")
    _repeat((work / "made.log").read_bytes(), lines, path)
    return found | {"bgl-like": ("bgl", path)}


def _repeat(text: bytes, lines: int, path: Path) -> None:
    many = text.count(b"\n")
    with path.open("wb") as file:
        for _ in range(lines // many):
            file.write(text)
        file.write(b"".join(line + b"\n" for line in text.split(b"\n", lines % many)[: lines % many]))


def _rate(name: str, kind: str, path: Path, python: Path | None) -> Rate:
    dataset = _opened(kind, path)
    mask = Mask(dataset.masks, dataset.mask_starts)
    lines = sum(block.lines for block in blocks(path, size=SIZE))
    floor = _timed(
        lambda: sum(int(np.count_nonzero(np.frombuffer(block.data, np.uint8) == 10)) for block in blocks(path, size=SIZE))
    )[0]
    words = StringTables()
    _read(dataset, Scanner(dataset.layout, mask), StringTables())  # compiled by now
    fit = _timed(lambda: Drain().fit(_read(dataset, Scanner(dataset.layout, mask), words).texts))[0]
    drain = Drain().fit(words.texts)

    def frozen(workers: int | None) -> tuple[float, float]:
        scanner = Scanner(dataset.layout, mask, workers=workers)
        return _timed(lambda: drain.ids(list(_read(dataset, scanner, StringTables()).texts)))

    (many, cpu), (one, _) = frozen(None), frozen(1)
    intake = Intake()
    expressions = _timed(lambda: [0 for _ in read_pieces(dataset, intake, StringTables(), scan=False, mask=mask)])[0]
    theirs = _drain3(path, dataset.masks, python) if python else (None, None)
    return Rate(
        name,
        lines,
        path.stat().st_size,
        lines / floor,
        lines / many,
        lines / cpu,
        lines / one,
        lines / expressions,
        lines / fit,
        memory(kind, path),
        *theirs,
    )


class _LineData(LineFiles, Dataset):
    """Any data set of lines."""


def _opened(kind: str, path: Path) -> _LineData:
    dataset: _LineData = documents.from_mapping(names.find("dataset", kind), {"path": str(path)}, f"dataset '{kind}'")
    return dataset


def _read(dataset: _LineData, scanner: Scanner, words: StringTables) -> StringTables:
    for _ in dataset.pieces(Intake(), words, scanner):
        pass
    return words


def _timed(call: Callable[[], Any]) -> tuple[float, float]:
    """Seconds of wall clock and of CPU time."""
    begun, used = perf_counter(), process_time()
    call()
    return perf_counter() - begun, process_time() - used


def stream(kind: str, path: str) -> int:
    """Read a log and keep nothing but its words; the number of its lines."""
    intake = Intake()
    for _ in read_pieces(_opened(kind, Path(path)), intake, StringTables(), scan=True):
        pass
    return intake.lines


def memory(kind: str, path: Path) -> float:
    """MB that a process which reads a log takes at most, the program and its compiled kernels included."""
    run = subprocess.run([sys.executable, "-c", _MEMORY, kind, str(path)], check=True, capture_output=True, text=True)
    return int(run.stdout.split()[-1]) / 1024


def _drain3(path: Path, masks: Sequence[tuple[str, str]], python: Path) -> tuple[float, float]:
    given = {"path": str(path), "masks": [[name, expression] for name, expression in masks]}
    fit, frozen = ask_drain3(python, _DRAIN3, given)
    return fit, frozen


def write(rows: Sequence[Rate], folder: Path) -> Path:
    """Write bench.json and table.md; returns the table's path."""
    head = [
        "log",
        "lines",
        "bytes a line",
        "floor",
        "compiled",
        "of the floor",
        "per CPU second",
        "one thread",
        "expressions",
        "fit",
        "MB",
    ]
    theirs = any(row.drain3 for row in rows)
    table = []
    for row in rows:
        rates = [row.compiled_cpu, row.compiled_one, row.expressions, row.fit]
        cells = [row.log, f"{row.lines:,}", f"{row.bytes / row.lines:.0f}", _rounded(row.floor), _rounded(row.compiled)]
        cells += [f"{row.compiled / row.floor:.3f}", *map(_rounded, rates), f"{row.peak:.0f}"]
        if theirs:
            cells += [_rounded(row.drain3_fit), _rounded(row.drain3), f"{row.compiled / row.drain3:.1f}" if row.drain3 else "-"]
        table.append(cells)
    head += ["Drain3, fit", "Drain3, frozen", "compiled / Drain3"] if theirs else []
    files.write(folder / "bench.json", json.dumps([vars(row) for row in rows], indent=1) + "\n")
    files.write(
        folder / "table.md", f"# Reading logs\n\n{_HEAD}\n{this_machine(load=True)}\n\n{escape.table(table, 'github', head)}\n"
    )
    return folder / "table.md"


def _rounded(rate: float | None) -> str:
    return "-" if rate is None else f"{rate:,.0f}"


_HEAD = """\
By `qlogad bench logs`. Rates are lines per second of wall clock, of one run on plain files that the system has in memory.
floor: the bytes are read and the ends of lines found. compiled: lines to events and templates by a frozen parser, in one compiled pass
with a thread for each core; one thread; expressions: the same events by regular expressions; fit: as compiled, and a parser is fitted.
MB: the most memory of a process that reads the log, the program included. Drain3: with the same masks, on whole lines; it makes no columns.
"""
