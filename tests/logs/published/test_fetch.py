"""Laws of published archives: every one is described as it should be, and fetching it is safe to repeat."""

import dataclasses
import gzip
import random
import re
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qlogad import documents
from qlogad.errors import DocumentError, FetchError, FileError, UnknownName
from qlogad.experiment.data import data_of
from qlogad.logs.dataset import Intake
from qlogad.logs.published.download import Patience, digests
from qlogad.logs.published.fetch import Archive, Licence, default_folder, fetch, known
from tests.logs.http_server import Publisher, serving

QUICK = Patience(stall=5.0, attempts=2, pause=0.0)


@pytest.fixture
def publisher(tmp_path: Path) -> Iterator[Publisher]:
    with zipfile.ZipFile(tmp_path / "packed", "w") as packed:
        packed.writestr("sub/a.log", "one line\n" * 99)
    with serving(Publisher((tmp_path / "packed").read_bytes())) as one:
        yield one


def archive_at(publisher: Publisher, **others: Any) -> Archive:
    licence = Licence("none", "nothing", "https://a.example/licence")
    return Archive(
        title="A", holds="a log", file="A.zip", url=(publisher.url,), source="https://a.example", licence=licence, **others
    )


@pytest.mark.parametrize("name", known())
def test_every_published_archive_is_described_whole(name: str) -> None:
    one = Archive.load(name)
    assert re.fullmatch(r"[a-z][a-z0-9-]*", name)
    assert all(f"/{one.file}" in url for url in one.url)
    assert one.cite
    assert (one.checksum is None) == (one.size is None), "what is confirmed of a file is confirmed together"
    assert one.size is None or one.unpacked is None or one.size < one.unpacked
    comment = next(iter(known()[name].read_text().splitlines()))
    assert comment.startswith("# "), "says where its numbers are from"


@pytest.mark.parametrize("name", [name for name in known() if Archive.load(name).data])
def test_every_data_table_is_one_that_a_dataset_takes(name: str, tmp_path: Path) -> None:
    one = Archive.load(name)
    for unpacked, place in ((False, one.file), (True, one.stem)):
        table = one.table(tmp_path, unpacked=unpacked)
        assert "{" not in documents.dump(table)
        assert f"{tmp_path}/{place}" in documents.dump(table)
        data_of(table, name).open()


LABELS = {
    "anomaly_label.csv": "BlockId,Label\nblk_1,Normal\n",
    "abnormal_label.txt": "Normal:\n+ application_1_0001\n",
    "anomaly_labels.txt": "none\n",
}


@pytest.mark.real
@pytest.mark.parametrize("name", [name for name in known() if Archive.load(name).data])
def test_every_data_table_reads_lines_of_its_kind_without_unpacking(name: str, tmp_path: Path, real_data: Path) -> None:
    """An archive that holds LogHub's sample under the names that the table has."""
    one = Archive.load(name)
    system = {"spirit": "thunderbird", "liberty": "thunderbird"}.get(name, name)
    with tarfile.open(real_data / "loghub_2k" / "loghub_2k_original.tar.xz") as samples:
        member = next(entry for entry in samples if entry.name.lower().endswith(f"/{system}_2k.log"))
        sample = samples.extractfile(member)
        assert sample is not None
        lines = sample.read()
    paths = one.data["path"] if isinstance(one.data["path"], list) else [one.data["path"]]
    packed = tmp_path / one.file
    if paths == ["{archive}"]:
        packed.write_bytes(gzip.compress(lines))
    else:
        with zipfile.ZipFile(packed, "w") as made:  # told by content, whatever its name is
            for path in paths:
                made.writestr(path.removeprefix("{archive}/").replace("*", "application_1_0001", 1).replace("*", "_1"), lines)
            if "labels" in one.data:
                label_file = one.data["labels"].removeprefix("{archive}/")
                made.writestr(label_file, LABELS[Path(label_file).name])
    intake, dataset = Intake(), data_of(one.table(tmp_path), name).open()
    assert len([*dataset.records(intake)]) == intake.lines == 2_000 * len(paths)
    dataset.session_labels()


def test_an_archive_of_ones_own_is_a_file_too(tmp_path: Path, publisher: Publisher) -> None:
    one = archive_at(publisher, lines=3, data={"dataset": "bgl", "path": "{archive}/x"})
    (tmp_path / "own.toml").write_text(documents.dump(one))
    assert Archive.load(str(tmp_path / "own.toml")) == one


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("file", "../A.zip", "file is a plain file name"),
        ("file", "", "file is a plain file name"),
        ("file", ".bashrc", "file is a plain file name"),
        ("url", [], "one address or more"),
        ("url", ["file:///etc/passwd"], "begins with https://"),
        ("source", "nowhere", "begins with https://"),
        ("checksum", "md5:12", "lower-case hexadecimal"),
        ("checksum", f"md5:{'A' * 32}", "lower-case hexadecimal"),
        ("size", 0, "size"),
        ("licence", "MIT", "licence"),
        ("sise", 3, "did you mean 'size'"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_key(key: str, value: object, says: str, tmp_path: Path) -> None:
    content = documents.read(known()["bgl"]) | {key: value}
    (tmp_path / "own.toml").write_text(documents.dump(content))
    with pytest.raises(DocumentError, match=re.escape(says)) as caught:
        Archive.load(str(tmp_path / "own.toml"))
    assert "\n" not in str(caught.value)


def test_a_name_that_is_not_is_told_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="did you mean 'thunderbird'"):
        Archive.load("thunderbrid")


def test_folders_follow_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QLOGAD_DATA", "/somewhere")
    assert default_folder("hdfs") == "$QLOGAD_DATA/hdfs"
    monkeypatch.delenv("QLOGAD_DATA")
    assert default_folder("hdfs") == "data/hdfs"
    assert default_folder("my/own.toml") == "data/own"


def test_what_is_there_is_checked_and_not_fetched_again(tmp_path: Path, publisher: Publisher) -> None:
    (tmp_path / "packed").rename(tmp_path / "whole")
    checksum = f"sha256:{digests(tmp_path / 'whole').sha256}"
    one = archive_at(publisher, size=len(publisher.content), checksum=checksum)
    first = fetch(one, tmp_path / "to", patience=QUICK)
    again = fetch(one, tmp_path / "to", unpacking=True, patience=QUICK)
    assert len(publisher.asked) == 1
    assert first.digests == again.digests
    assert again.unpacked == tmp_path / "to" / "A"
    assert (tmp_path / "to" / "A" / "sub" / "a.log").read_text() == "one line\n" * 99
    assert fetch(one, tmp_path / "to", unpacking=True, patience=QUICK) == again

    (tmp_path / "to" / "A.zip").write_bytes(b"mine")
    with pytest.raises(FetchError, match="move it away"):
        fetch(one, tmp_path / "to", patience=QUICK)
    assert (tmp_path / "to" / "A.zip").read_bytes() == b"mine"


def test_a_file_that_was_replaced_is_never_taken_for_the_published_one(tmp_path: Path, publisher: Publisher) -> None:
    one = archive_at(publisher, checksum=f"md5:{'0' * 32}")
    with pytest.raises(FetchError, match="is published: it was thrown away"):
        fetch(one, tmp_path / "to", patience=QUICK)
    assert not (tmp_path / "to").exists()


def test_space_for_unpacking_is_looked_for_first(tmp_path: Path, publisher: Publisher) -> None:
    one = archive_at(publisher, unpacked=10**15)
    with pytest.raises(FileError, match=r"A\.zip, unpacked, needs 1,000,000,000,000,000 bytes"):
        fetch(one, tmp_path / "to", unpacking=True, patience=QUICK)
    assert not publisher.asked
    assert not (tmp_path / "to").exists()


def test_plain_http_is_said(tmp_path: Path, publisher: Publisher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", publisher.url.removesuffix("/file"))
    told: list[str] = []
    fetch(
        dataclasses.replace(archive_at(publisher), url=("http://a.invalid/A.zip",)),
        tmp_path / "to",
        patience=QUICK,
        tell=told.append,
    )
    assert "plain http" in told[0]
    told.clear()
    fetch(archive_at(publisher), tmp_path / "other", patience=QUICK, tell=told.append)
    assert not told


def test_stems_never_are_the_file(drawn: random.Random) -> None:
    for ending in ("", ".zip", ".tar.gz", ".tgz", ".gz", ".log", ".tar"):
        one = dataclasses.replace(Archive.load("bgl"), file=f"x{drawn.randrange(99)}{ending}")
        assert one.stem not in {one.file, ""}
