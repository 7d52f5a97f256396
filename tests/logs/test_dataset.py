"""Laws of every data set: it reads lines that come from elsewhere as it reads its own, and its options say how, never where."""

import gzip
from pathlib import Path

import pytest

from qlogad import names
from qlogad.errors import DataError
from qlogad.experiment.data import data_of
from qlogad.logs.dataset import Dataset, Intake
from qlogad.logs.raw_lines import raw_lines, read_lines

from .samples import SAMPLES

every = pytest.mark.parametrize("name", names.known("dataset"))


def opened(name: str, folder: Path) -> tuple[Dataset, Path]:
    assert name in SAMPLES, f"a small log of '{name}' is needed: write one in tests/logs/samples.py"
    sample = SAMPLES[name](folder)
    return data_of(sample.data, "sample").open(), sample.log


@every
def test_lines_from_elsewhere_are_the_records_of_the_source(name: str, tmp_path: Path) -> None:
    dataset, log = opened(name, tmp_path)
    own = Intake()
    wanted = list(dataset.records(own))
    reader = type(dataset).reader(dataset.options(), "options")
    packed = tmp_path / "packed"
    packed.write_bytes(gzip.compress(log.read_bytes()))
    with open(log, "rb") as stream:
        for source in (str(log), packed, stream, log.read_text().splitlines(), log.read_bytes().splitlines(keepends=True)):
            intake = Intake()
            assert list(reader.read(raw_lines(source, intake), intake)) == wanted
            assert (intake.lines, intake.records, intake.blank) == (own.lines, own.records, own.blank)


@every
def test_options_name_no_file(name: str, tmp_path: Path) -> None:
    dataset, _ = opened(name, tmp_path)
    assert str(tmp_path) not in repr(dataset.options())
    assert type(dataset).reader(dataset.options(), "options").options() == dataset.options()


@pytest.mark.parametrize("content", [b"\xff\n\n a\0b\r\n\nx", b"", b"\xef\xbb\xbfone\ntwo", b"y" * (1 << 20) + b"y\nz\n"])
def test_lines_by_themselves_are_those_of_their_file(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(content)
    mine, own = Intake(), Intake()
    assert list(raw_lines(content.splitlines(keepends=True), mine)) == list(read_lines(tmp_path / "log", own))
    assert mine == own


def test_what_is_no_line_is_refused() -> None:
    with pytest.raises(DataError, match="a line of a log is text or bytes, got 97"):
        list(raw_lines(b"a", Intake()))  # type: ignore[arg-type]
