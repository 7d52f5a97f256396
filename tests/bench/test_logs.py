"""The benchmark of logs measures what is there, and says what lacks."""

from pathlib import Path

import pytest

from qlogad import jit
from qlogad.bench.logs import measure, write
from qlogad.errors import InputError

pytestmark = pytest.mark.skipif(not jit.works(), reason="numba is not installed")


def test_a_log_has_all_its_rates(tmp_path: Path) -> None:
    told: list[str] = []
    (row,) = measure(tmp_path / "no-logs", tmp_path / "work", 3_000, lambda log, done: told.append(log))
    assert told == [row.log] == ["bgl-like"]
    assert row.lines == 3_000
    assert row.bytes == (tmp_path / "work" / "bgl.log").stat().st_size
    assert min(row.compiled, row.compiled_cpu, row.compiled_one, row.expressions, row.fit) > 0
    assert row.floor > row.compiled
    assert row.drain3 is None
    table = write([row], tmp_path / "out").read_text()
    assert "| bgl-like | 3,000 |" in " ".join(table.split())
    with pytest.raises(InputError, match="cannot run Drain3"):
        measure(tmp_path / "no-logs", tmp_path / "work", 1_000, lambda log, done: None, python=tmp_path / "python")
