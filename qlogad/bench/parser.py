"""Accuracy of Drain and Spell on LogHub's sixteen samples of 2,000 lines, next to Drain3 and the published figures (seconds).

Settings are those published with logparser (github.com/logpai/logparser, benchmark.py of Drain and of Spell); whatever its regular
expressions match is masked before parsing. The samples are Zhu et al.'s (ISSRE 2023, arXiv:2008.06448), the corrected templates Khan et
al.'s (ICSE 2022, doi:10.1145/3510003.3510101), the published figures, of Drain, Jiang et al.'s on them (ISSTA 2024, arXiv:2308.10828,
"Loghub-2k").
"""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd

from qlogad import escape, files
from qlogad.bench.benchmark import Benchmark, BenchmarkResult, Progress
from qlogad.errors import InputError
from qlogad.evaluate.parsing import ParsingAccuracy, parsing
from qlogad.logs.parser.drain import Drain
from qlogad.logs.parser.parser import Parser as LogParser
from qlogad.logs.parser.spell import Spell
from qlogad.logs.parser.templates import PLACEHOLDER

__all__ = ["SETTINGS", "ParserBenchmark", "Sample", "Setting", "ask_drain3", "measure", "samples", "templates", "write"]

Row = dict[str, str | float | None]  # numbers are shares
_IP, _HOST = r"(\d+\.){3}\d+", r"([\w-]+\.){2,}[\w-]+"
_FILE = re.compile(r"(\w+)_2k\.log_structured(_corrected)?\.csv$")
_DRAIN3 = """
import json, sys
from drain3.drain import Drain
given = json.load(sys.stdin)
drain = Drain(depth=given["depth"], sim_th=given["similarity"], max_children=given["max_children"])
found = [drain.add_log_message(text)[0] for text in given["texts"]]
print(json.dumps([[cluster.cluster_id, cluster.get_template()] for cluster in found]))
"""


@dataclass(frozen=True, kw_only=True)
class ParserBenchmark(Benchmark):
    """Accuracy of groups and templates on each system."""

    data: Annotated[Path | None, "The folder of LogHub's samples; by default $QLOGAD_DATA/loghub_2k."] = None
    peers: Annotated[Path | None, "A Python that has drain3."] = None

    def run(self, out: Path, progress: Progress) -> BenchmarkResult:
        rows = measure(samples(self.data), progress, python=self.peers)
        path = write(rows, out / "bench-parser")
        return BenchmarkResult(rows, path.read_text(encoding="utf-8"), path)


@dataclass(frozen=True)
class Setting:
    """The published settings of Drain for one system, and its GA, PA and FTA (None if not among the fourteen)."""

    similarity: float
    depth: int
    masks: tuple[str, ...]
    published: tuple[float, float, float] | None = None
    spell: float = 0.5  # the similarity of Spell


SETTINGS: Mapping[str, Setting] = {
    "Android": Setting(0.2, 6, (r"(/[\w-]+)+", _HOST, r"\b(\-?\+?\d+)\b|\b0[Xx][a-fA-F\d]+\b|\b[a-fA-F\d]{4,}\b"), spell=0.95),
    "Apache": Setting(0.5, 4, (_IP,), (1.000, 0.694, 0.500), spell=0.6),
    "BGL": Setting(0.5, 4, (r"core\.\d+",), (0.963, 0.342, 0.211), spell=0.75),
    "HDFS": Setting(0.5, 4, (r"blk_-?\d+", _IP + r"(:\d+)?"), (0.998, 0.500, 0.323), spell=0.7),
    "HPC": Setting(0.5, 4, (r"=\d+",), (0.887, 0.635, 0.366), spell=0.65),
    "Hadoop": Setting(0.5, 4, (_IP,), (0.948, 0.269, 0.276), spell=0.7),
    "HealthApp": Setting(0.2, 4, (), (0.780, 0.231, 0.109), spell=0.5),
    "Linux": Setting(0.39, 6, (_IP, r"\d{2}:\d{2}:\d{2}"), (0.690, 0.183, 0.435), spell=0.55),
    "Mac": Setting(0.7, 6, (_HOST,), (0.786, 0.217, 0.199), spell=0.6),
    "OpenSSH": Setting(0.6, 5, (_IP, _HOST), (0.789, 0.508, 0.440), spell=0.8),
    "OpenStack": Setting(0.5, 5, (r"((\d+\.){3}\d+,?)+", r"/.+?\s", r"\d+"), (0.733, 0.018, 0.018), spell=0.9),
    "Proxifier": Setting(
        0.6, 3, (r"<\d+\ssec", r"([\w-]+\.)+[\w-]+(:\d+)?", r"\d{2}:\d{2}(:\d{2})*", r"[KGTM]B"), (0.526, 0.000, 0.000), spell=0.85
    ),
    "Spark": Setting(0.5, 4, (_IP, r"\b[KGTM]?B\b", _HOST), (0.922, 0.362, 0.493), spell=0.55),
    "Thunderbird": Setting(0.5, 4, (_IP,), (0.955, 0.046, 0.248), spell=0.5),
    "Windows": Setting(0.7, 5, (r"0x.*?\s",), spell=0.7),
    "Zookeeper": Setting(0.5, 4, (r"(/|)(\d+\.){3}\d+(:\d+)?",), (0.967, 0.497, 0.354), spell=0.7),
}


@dataclass(frozen=True)
class Sample:
    """One system's messages with their true templates, original and corrected."""

    messages: tuple[str, ...]
    original: tuple[str, ...]
    corrected: tuple[str, ...]


def samples(folder: Path | None = None) -> dict[str, Sample]:
    """The samples below a folder, by system: `NAME_2k.log_structured.csv` and `..._corrected.csv`, in tar archives or as files.

    Args:
        folder: None: `$QLOGAD_DATA/loghub_2k`.

    Raises:
        InputError: one file of a pair is missing, or there are no samples.
    """
    folder = folder or Path(os.environ.get("QLOGAD_DATA", "")) / "loghub_2k"
    tables: dict[tuple[str, bool], pd.DataFrame] = {}
    for name, content in _files(folder):
        if (found := _FILE.search(name)) and found[1] in SETTINGS:
            tables[found[1], bool(found[2])] = pd.read_csv(io.BytesIO(content), dtype=str, keep_default_na=False)
    both = [name for name in SETTINGS if (name, False) in tables and (name, True) in tables]
    if missing := sorted({name for name, _ in tables} - {*both}) or ["all"] * (not both):
        raise InputError(
            f"{folder} lacks samples of LogHub ({', '.join(missing)}): it should hold NAME_2k.log_structured.csv (github.com/logpai/loghub)"
            " and NAME_2k.log_structured_corrected.csv (github.com/logpai/logparser), in folders or tar archives; name it with --data"
        )
    return {
        name: Sample(tuple(tables[name, False]["Content"]), *(tuple(tables[name, kind]["EventTemplate"]) for kind in (False, True)))
        for name in both
    }


def _files(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*")):
        if path.name.endswith((".tar", ".tar.xz", ".tar.gz", ".tgz")):
            with tarfile.open(path) as archive:
                for member in archive:
                    content = archive.extractfile(member) if _FILE.search(member.name) else None
                    if content is not None:
                        yield member.name, content.read()
        elif _FILE.search(path.name):
            yield path.name, path.read_bytes()


def masked(message: str, setting: Setting) -> str:
    """A message with the matches of the system's expressions masked, one expression after the other, and repeated blanks merged."""
    return " ".join(reduce(lambda text, mask: re.sub(mask, "<:ANY:>", text), setting.masks, message).split())


def templates(sample: Sample, setting: Setting, parser: LogParser | None = None) -> list[tuple[int, str]]:
    """The group and the template of each message by a parser (Default: Drain), fitted on all messages of the sample."""
    texts = [masked(message, setting) for message in sample.messages]
    fitted = (parser or Drain(setting.depth, setting.similarity)).fit(texts)
    found = fitted.templates
    return [(number, found[number]) for number in fitted.ids(texts).tolist()]


def drain3(sample: Sample, setting: Setting, python: Path) -> list[tuple[int, str]]:
    """The same by Drain3 on the same masked messages, run by a Python that has it.

    Raises:
        InputError: that Python cannot run it.
    """
    texts = [masked(message, setting) for message in sample.messages]
    given = {"texts": texts, "depth": setting.depth, "similarity": setting.similarity, "max_children": Drain.max_children}
    return [(number, template) for number, template in ask_drain3(python, _DRAIN3, given)]


def ask_drain3(python: Path, program: str, given: Mapping[str, object]) -> Any:
    """What a program prints as JSON that is run by a Python with Drain3, and given something as JSON.

    Raises:
        InputError: that Python cannot run it.
    """
    try:
        run = subprocess.run([str(python), "-c", program], input=json.dumps(given), check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        reason = error.stderr.strip().splitlines() if isinstance(error, subprocess.CalledProcessError) else [str(error)]
        raise InputError(
            f"{python} cannot run Drain3 ({reason[-1] if reason else 'it exits without a message'}); --peers is a Python that has drain3"
        ) from error
    return json.loads(run.stdout)


def measure(found: Mapping[str, Sample], progress: Progress, *, python: Path | None = None) -> list[Row]:
    """One row per system, and one of their means.

    Args:
        found: the samples.
        progress: called with the system and how many are done.
        python: a Python that has drain3; None leaves its columns empty.
    """
    rows = []
    for done, (name, sample) in enumerate(found.items()):
        progress(name, done)
        setting = SETTINGS[name]
        row: Row = {"system": name, "depth": str(setting.depth), "similarity": str(setting.similarity)}
        found_by = {"qlogad": templates(sample, setting), "Spell": templates(sample, setting, Spell(setting.spell))}
        found_by |= {"Drain3": drain3(sample, setting, python)} if python else {}
        for parser, parsed in found_by.items():
            first, right = _judged(parsed, sample.original), _judged(parsed, sample.corrected)
            row |= {f"GA, first: {parser}": first.ga}
            row |= {f"{measure}: {parser}": getattr(right, measure.lower()) for measure in ("GA", "PA", "FTA")}
        published = setting.published or (None, None, None)
        rows.append(row | {f"{measure}: published": value for measure, value in zip(("GA", "PA", "FTA"), published, strict=True)})
    numbers = pd.DataFrame(rows).drop(columns=["system", "depth", "similarity"]).astype(float)
    mean: Row = {"system": "mean", "depth": None, "similarity": None}
    return [*rows, mean | {str(key): None if np.isnan(value) else float(value) for key, value in numbers.mean().items()}]


def _judged(parsed: Sequence[tuple[int, str]], truth: Sequence[str]) -> ParsingAccuracy:
    named = [PLACEHOLDER.sub("<*>", template) for _, template in parsed]
    return parsing(named, truth, [number for number, _ in parsed])


def write(rows: Sequence[Row], folder: Path) -> Path:
    """Write bench.json and table.md; returns the table's path."""
    order = ["system", "depth", "similarity"]
    order += [
        f"{name}: {parser}" for name in ("GA, first", "GA", "PA", "FTA") for parser in ("qlogad", "Spell", "Drain3", "published")
    ]
    kept = [key for key in order if any(key in row for row in rows)]
    shown = [[_shown(row.get(key)) for key in kept] for row in rows]
    files.write(folder / "bench.json", json.dumps(list(rows), indent=1) + "\n")
    files.write(folder / "table.md", f"# Drain and Spell\n\n{_HEAD}\n{escape.table(shown, 'github', kept)}\n")
    return folder / "table.md"


def _shown(value: str | float | None) -> str:
    return "-" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)


_HEAD = """\
By `qlogad bench parser` on the LogHub samples of 2,000 lines, parsed with the settings that were published for each system. "qlogad" is
this Drain, "Spell" this Spell.
GA: share of messages whose group is, whole and alone, a true group; PA: share whose template is the true one, character by
character; FTA: F1 of templates. "GA, first" is against the templates as first given, the rest against the corrected ones.
Published figures (Jiang et al. 2024) are logparser's Drain, for fourteen systems, against templates corrected once more; the last
row is the mean of those given. Logparser writes `<*>` for what a mask cuts out, which agrees with nothing; here and in Drain3 it is a
named token, which agrees with itself: that is the difference on Proxifier. Drain3 names a group as each line comes; here the parser
is frozen first, and a line may then go to a template that was not there when it was first met.
"""
