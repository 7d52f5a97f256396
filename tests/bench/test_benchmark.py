"""Laws of every benchmark there is: its fields are its options, bounded and explained, and it writes the report that it returns."""

import dataclasses
import json
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from qlogad import names
from qlogad.bench.benchmark import Benchmark
from qlogad.bounds import Between
from qlogad.errors import InputError
from tests.command_line import qlogad


@pytest.mark.parametrize("name", names.known("benchmark"))
def test_fields_are_options_with_bounds_and_a_line_of_help(name: str) -> None:
    cls = names.find("benchmark", name)
    assert issubclass(cls, Benchmark)
    assert dataclasses.asdict(cls()) == {field.name: field.default for field in dataclasses.fields(cls)}
    shown = qlogad("bench", name, "--help")
    assert shown.returncode == 0
    words = " ".join(shown.stdout.split())
    for field, hint in get_type_hints(cls, include_extras=True).items():
        kind, *told = get_args(hint)
        assert f"--{field} " in words
        assert [" ".join(one.split()) in words for one in told if isinstance(one, str)] == [True]
        bounds = [one for one in told if isinstance(one, Between)]
        assert bool(bounds) == (kind is int)
        for bound in bounds:
            with pytest.raises(InputError, match=field):
                cls(**{field: int(bound.low) - 1})


def test_a_benchmark_writes_the_report_that_it_returns(tmp_path: Path) -> None:
    told: list[str] = []
    found = names.find("benchmark", "layer")(repeats=1).run(tmp_path, lambda what, count: told.append(what))
    assert told
    assert found.report.is_relative_to(tmp_path)
    assert found.report.read_text(encoding="utf-8") == found.text
    assert json.loads(json.dumps(found.facts)) == found.facts
