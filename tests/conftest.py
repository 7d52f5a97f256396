"""What all tests share: one torch thread, samples drawn anew every day, and the folder of real logs for those marked `real`."""

import os
import random
import tempfile
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path

import pytest
import torch
from hypothesis import settings
from hypothesis.configuration import set_hypothesis_home_dir

torch.set_num_threads(1)
set_hypothesis_home_dir(Path(tempfile.gettempdir()) / f"hypothesis-{os.getuid()}")  # a checkout may be read-only
settings.register_profile("qlogad", deadline=None)  # machines are shared: no law is about seconds
settings.load_profile("qlogad")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real logs; a test marked `real` fails, rather than passes unseen, where it is missing."""
    folder = os.environ.get("QLOGAD_DATA")
    assert folder, "set QLOGAD_DATA to the folder of real logs"
    return Path(folder)


# ---------------------------------------------------------------- samples: of what is exhaustive, and drawn anew every day

SAMPLES: dict[str, list[str]] = defaultdict(list)  # what ran of them, by test


def pytest_addoption(parser: pytest.Parser) -> None:
    today = datetime.now(UTC).date().isoformat()
    parser.addoption("--date", default=today, metavar="2026-11-30", help="draw the samples of that day again; by default of today")


def generator_of(config: pytest.Config, name: str) -> random.Random:
    return random.Random(f"{config.getoption('--date')} {name}")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Of a test marked `sample(n)`, n of its cases stay; the others become slow."""
    cases: dict[str, list[tuple[pytest.Item, int]]] = defaultdict(list)
    for item in items:
        mark = item.get_closest_marker("sample")
        if mark is not None and item.get_closest_marker("slow") is None:
            cases[item.nodeid.partition("[")[0]].append((item, mark.args[0]))
    for name, found in cases.items():
        staying = generator_of(config, name).sample([item for item, _ in found], min(found[0][1], len(found)))
        for item, _ in found:
            if item not in staying:
                item.add_marker(pytest.mark.slow)


@pytest.fixture
def drawn(request: pytest.FixtureRequest) -> random.Random:
    """The generator of the day, for a law that tries some of what there is."""
    request.node.user_properties.append(("drawn", True))  # comes with the report, also from another process
    return generator_of(request.config, request.node.nodeid)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call" and ("sample" in report.keywords or "drawn" in dict(report.user_properties)):
        name, _, case = report.nodeid.partition("[")
        SAMPLES[name].append(case.removesuffix("]"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if SAMPLES:
        terminalreporter.section(f"samples of {config.getoption('--date')} (again with: --date {config.getoption('--date')})")
        for name, found in sorted(SAMPLES.items()):
            terminalreporter.line(f"{name}: {', '.join(sorted(filter(None, found))) or 'drawn within'}")
