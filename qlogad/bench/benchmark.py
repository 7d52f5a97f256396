"""The interface of a benchmark: a file in this folder with one `Benchmark`, whose fields become options of `qlogad bench`."""

from __future__ import annotations

import os
import platform
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from qlogad import documents
from qlogad.bounds import Between

__all__ = ["Benchmark", "BenchmarkResult", "Progress", "Repeats", "this_machine"]

Progress = Callable[[str, int], None]  # called with a step, and a count
Repeats = Annotated[int, Between(1, 10_000), "Repetitions of each step; the median is reported."]


@dataclass(frozen=True)
class BenchmarkResult:
    """The results of a benchmark."""

    facts: object  # for programs, as JSON
    text: str  # for people
    report: Path  # the file written


class Benchmark(ABC):
    """A measurement of this machine.

    A subclass is a frozen dataclass: every field has a default and is `Annotated` with its bounds and one line of help. The first line
    of the file's docstring says what is measured and how long it takes.
    """

    def __post_init__(self) -> None:
        documents.enforce(self)

    @abstractmethod
    def run(self, out: Path, progress: Progress) -> BenchmarkResult:
        """Measure, and write a report to a results folder in `out`.

        Raises:
            InputError: an option names something that cannot be used.
        """


def this_machine(*, load: bool = False) -> str:
    """A description of this machine for reports.

    Args:
        load: include the load average.
    """
    busy = f" (load {os.getloadavg()[0]:.1f})" if load else ""
    return f"{platform.machine()}, {os.cpu_count()} cores{busy}, {platform.system()}, Python {platform.python_version()}"
