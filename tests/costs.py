"""Processor seconds of tests and of the processes they start, by test, by folder and by component: `pytest -p tests.costs`.

Unlike seconds of the wall clock, they hardly depend on what else the machine does.
"""

import os
import re
import resource
import time
from collections import defaultdict
from collections.abc import Generator
from pathlib import Path, PurePosixPath
from statistics import fmean

import pytest

from qlogad import names

NAME = "processor seconds"
SHOWN = 20
RUNNING = Path(f"/proc/self/task/{os.getpid()}/children")
COSTS: dict[str, float] = {}  # by test


def spent() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)  # those that have ended
    return time.process_time() + children.ru_utime + children.ru_stime + sum(map(spent_by, RUNNING.read_text().split()))


def spent_by(child: str) -> float:
    """By a running child and those of its own that have ended: the process that workers are forks of goes on between tests."""
    try:
        fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
    except OSError:  # it has just ended
        return 0.0
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def measured(item: pytest.Item) -> Generator[None, object, object]:
    began = spent()
    try:
        return (yield)
    finally:
        item.user_properties.append((NAME, spent() - began))  # comes with the report, also from another process


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, object, object]:
    return (yield from measured(item))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    return (yield from measured(item))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    return (yield from measured(item))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "teardown":
        COSTS[report.nodeid] = sum(float(str(value)) for name, value in report.user_properties if name == NAME)


def by_component(kind: names.Kind) -> list[float]:
    """What the laws parametrized over a kind cost, by name; only names that have any."""
    cases = [(test.partition("[")[2].removesuffix("]"), cost) for test, cost in COSTS.items()]
    found = (
        [cost for case, cost in cases if re.search(rf"(^|-){re.escape(name)}($|-)", case)] for name in names.known(kind)
    )  # a case may have several parts: "deeplog-rank"
    return [sum(costs) for costs in found if costs]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.section(f"{NAME}: {sum(COSTS.values()):.0f} in {len(COSTS)} tests")
    folders: dict[str, float] = defaultdict(float)
    for test, cost in COSTS.items():
        path = PurePosixPath(test.partition("::")[0])
        folders["/".join(path.parts[:2]) if len(path.parts) > 2 else "tests"] += cost
    for table, count in ((folders, len(folders)), (COSTS, SHOWN)):
        for name, cost in sorted(table.items(), key=lambda item: -item[1])[:count]:
            terminalreporter.line(f"{cost:8.1f}  {name}")
    for kind in ("detector", "dataset", "view", "parser", "core", "control", "backend"):
        if costs := by_component(kind):
            terminalreporter.line(
                f"{fmean(costs):8.1f}  for one more {kind}, from {len(costs)}: {min(costs):.1f} to {max(costs):.1f}"
            )
