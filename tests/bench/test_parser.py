"""The benchmark of the parser: samples are found in folders and archives, and real ones give the published figures."""

import json
import sys
import tarfile
from pathlib import Path

import pandas as pd
import pytest

from qlogad.bench.parser import SETTINGS, Sample, drain3, measure, samples, write
from qlogad.errors import InputError

MESSAGES = [f"Receiving block blk_{n} from 10.0.0.{n}:50010" for n in range(1, 5)] + ["Starting thread", "Starting threads now"]
TRUTH = ["Receiving block <*> from <*>"] * 4 + MESSAGES[4:]


def lay(folder: Path, *, kinds: tuple[str, ...] = ("", "_corrected")) -> Path:
    folder.mkdir()
    for kind in kinds:
        frame = pd.DataFrame({"Content": MESSAGES, "EventTemplate": TRUTH})
        frame.to_csv(folder / f"HDFS_2k.log_structured{kind}.csv", index=False)
    return folder


def test_a_sample_that_the_settings_fit_is_parsed_without_a_fault(tmp_path: Path) -> None:
    plain = lay(tmp_path / "plain")
    (tmp_path / "packed").mkdir()
    with tarfile.open(tmp_path / "packed" / "both.tar.xz", "w:xz") as archive:
        archive.add(plain, "HDFS")
    assert samples(plain) == samples(tmp_path / "packed") == {"HDFS": Sample(tuple(MESSAGES), tuple(TRUTH), tuple(TRUTH))}
    rows = measure(samples(plain), lambda what, done: None)
    assert [row["system"] for row in rows] == ["HDFS", "mean"]
    assert {rows[0][f"{name}: qlogad"] for name in ("GA, first", "GA", "PA", "FTA")} == {1.0}
    path = write(rows, tmp_path / "out")
    assert json.loads((tmp_path / "out" / "bench.json").read_text()) == rows
    assert not any(message in path.read_text() for message in MESSAGES), "numbers only"


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"lacks samples .*HDFS"):
        samples(lay(tmp_path / "half", kinds=("",)))
    with pytest.raises(InputError, match="lacks samples"):
        samples(tmp_path / "nowhere")
    with pytest.raises(InputError, match="drain3"):
        drain3(Sample(("a",), ("a",), ("a",)), SETTINGS["HDFS"], tmp_path / "python")
    with pytest.raises(InputError, match="drain3"):
        drain3(Sample(("a",), ("a",), ("a",)), SETTINGS["HDFS"], Path(sys.executable))  # which has none, being no dependency


@pytest.mark.real
def test_published_settings_give_the_published_grouping_accuracy(real_data: Path) -> None:
    """But on Proxifier, where logparser's own masks count as disagreement."""
    rows = measure(samples(real_data / "loghub_2k"), lambda what, done: None)
    assert {str(row["system"]) for row in rows} == {*SETTINGS, "mean"}
    for row in rows:
        if row["GA: published"] is not None and row["system"] not in ("Proxifier", "mean"):
            assert row["GA, first: qlogad"] == pytest.approx(row["GA: published"], abs=0.0021)
