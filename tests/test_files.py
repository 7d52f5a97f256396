"""Laws of files: the old content or the new, whoever writes at the same time; no link is followed; what was damaged is known."""

import json
import os
import random
import resource
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from qlogad import files
from qlogad.errors import FileError, ResultError

ARRAYS = {"a": np.arange(5.0), "b": np.asarray(["x", "yy"]), "c": np.zeros((0, 3), dtype=np.int64)}
FACTS = {"format": 1, "nested": {"list": [1, 2.5, None, "ä"]}, "infinite": float("inf")}


def figure(path: Path) -> None:
    from matplotlib.figure import Figure

    drawn = Figure()
    drawn.subplots().plot([0, 1], [1, 0])
    files.write_figure(drawn, path)


WRITERS: dict[str, Callable[[Path], object]] = {
    "text": lambda path: files.write(path, "new"),
    "bytes": lambda path: files.write(path, b"\0new"),
    "facts": lambda path: files.write_facts(path, FACTS),
    "arrays": lambda path: files.write_arrays(path, ARRAYS),
    "figure.png": figure,
    "figure.svg": figure,
}
writers = pytest.mark.parametrize("name", WRITERS)


@writers
def test_a_link_is_replaced_and_its_target_is_not_written_to(name: str, tmp_path: Path) -> None:
    target, path = tmp_path / "target", tmp_path / name
    target.write_text("somebody's")
    for points_to in (target, tmp_path / "nowhere", tmp_path):
        path.symlink_to(points_to)
        WRITERS[name](path)
        assert not path.is_symlink()
        assert path.stat().st_size
        path.unlink()
    assert target.read_text() == "somebody's"
    assert [one.name for one in tmp_path.iterdir()] == ["target"]


@writers
def test_a_file_that_cannot_be_written_is_named_with_the_mend_and_the_old_one_is_kept(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.mkdir()
    (tmp_path / "file").write_text("kept")
    for place, mend in ((path, "a folder stands in its place"), (tmp_path / "file" / name, "a file stands in its place")):
        with pytest.raises(FileError) as caught:
            WRITERS[name](place)
        assert mend in str(caught.value)
        assert str(place if place == path else place.parent) in str(caught.value)
        assert "\n" not in str(caught.value)
    assert (tmp_path / "file").read_text() == "kept"
    assert sorted(one.name for one in tmp_path.iterdir()) == sorted(["file", name])


@writers
def test_a_full_disk_keeps_the_old_file_and_leaves_no_scratch(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text("old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, limits[1]))  # Python ignores the signal, so writing fails
    try:
        with pytest.raises(FileError, match="cannot write") as caught:
            WRITERS[name](path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert str(path) in str(caught.value)
    assert [one.read_text() for one in tmp_path.iterdir()] == ["old"]


def test_a_reader_meets_a_whole_file_while_many_write(tmp_path: Path) -> None:
    facts, arrays, once, ended = tmp_path / "facts.json", tmp_path / "arrays.npz", tmp_path / "once", threading.Event()
    found: set[str] = set()

    def write(number: int) -> None:
        for _ in range(30):
            files.write_facts(facts, {"number": number, "text": "x" * 1000 * number})
            files.write_arrays(arrays, {"a": np.full(1000 * (number + 1), number)})
            found.add(files.write_once(once, str(number)))

    def read() -> None:
        while not ended.is_set():
            assert len(files.read_facts(facts)["text"]) % 1000 == 0
            assert len(set(files.read_arrays(arrays)["a"])) == 1

    write(0)
    reader = threading.Thread(target=read)
    reader.start()
    some = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for one in some:
        one.start()
    for one in some:
        one.join()
    ended.set()
    reader.join()
    assert found == {"0"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["arrays.npz", "facts.json", "once"]


def damaged(content: bytes, generator: random.Random) -> bytes:
    """Emptied, cut, or some bytes altered."""
    match generator.randrange(3):
        case 0:
            return content[: generator.randrange(len(content))]
        case 1:
            place = generator.randrange(len(content))
            return content[:place] + bytes([content[place] ^ generator.randrange(1, 256)]) + content[place + 1 :]
        case _:
            return content + generator.randbytes(generator.randrange(1, 9))


def test_what_was_written_comes_back_and_damage_anywhere_is_known(tmp_path: Path) -> None:
    generator = random.Random(0)
    path = tmp_path / "file"
    files.write_facts(path, FACTS)
    assert files.read_facts(path) == FACTS
    files.write_arrays(path, ARRAYS)
    stored = files.read_arrays(path)
    assert stored.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(stored[name], array, strict=True)
    for write, read in ((WRITERS["facts"], files.read_facts), (WRITERS["arrays"], files.read_arrays)):
        write(path)
        content, same = path.read_bytes(), read(path)
        for other in [b"", b"\n", b"{}", b"null", b"[1]", *(damaged(content, generator) for _ in range(300))]:
            path.write_bytes(other)
            with suppress(ResultError):
                assert str(read(path)) == str(same), "blanks between the keys of a table are not part of it"
        path.write_bytes(content[:-9])
        with pytest.raises(ResultError, match=f"{path} is damaged"):
            read(path)
    for read in (files.read_facts, files.read_arrays):
        for missing in (tmp_path, tmp_path / "nothing", tmp_path / "file" / "below"):
            with pytest.raises(ResultError):
                read(missing)


def test_a_line_is_as_it_was_written_or_none(tmp_path: Path) -> None:
    generator = random.Random(0)
    record = {"record": "answer", "mean": [[0.25, -1.0]], "text": 'ä"\n'}
    line = files.sealed(record)
    assert files.unsealed(line) == record == files.unsealed(json.dumps(record).encode())
    for _ in range(500):
        found = files.unsealed(damaged(line, generator))
        assert found is None or {name: found.get(name) for name in record} == record


def test_what_is_removed_is_no_target_of_a_link(tmp_path: Path) -> None:
    folder, target = tmp_path / "folder", tmp_path / "target"
    target.mkdir()
    (target / "file").write_text("kept")
    folder.mkdir()
    (folder / "link").symlink_to(target)
    (folder / "loop").symlink_to(folder / "loop")
    for path in (folder, folder, tmp_path / "link"):
        if path.name == "link":
            path.symlink_to(target)
        files.remove(path, folders=True)
        assert not os.path.lexists(path)
    with pytest.raises(FileError, match="move it away"):
        files.remove(target)
    assert (target / "file").read_text() == "kept"


def test_nothing_is_appended_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("somebody's")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with pytest.raises(FileError, match="it is a link"):
        files.append(tmp_path / "link", b"more")
    assert (tmp_path / "target").read_text() == "somebody's"


def test_a_folder_is_cleared_when_nobody_else_is_at_work_there(tmp_path: Path) -> None:
    folder, waited, cleared = tmp_path / "folder", threading.Event(), threading.Event()

    def clear() -> None:
        with files.at_work(folder, cleared.set, waited.set):
            pass

    with files.at_work(folder), files.at_work(folder):
        (folder / "file").write_text("in use")
        other = threading.Thread(target=clear)
        other.start()
        assert waited.wait(60)
        assert not cleared.is_set()
    other.join()
    assert cleared.is_set()
    (folder / "file").unlink()
    with files.at_work(folder):
        pass
    assert not folder.exists(), "a folder in which nothing was written is gone"
