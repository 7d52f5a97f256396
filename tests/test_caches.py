"""Whoever has no home, no name or a cache that cannot be written is served all the same."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from qlogad import documents

HOMES = {
    "no home, and no name either": {},
    "a home that is not there": {"HOME": "/proc/nowhere"},
    "a home that is a file": {"HOME": "/dev/null"},
    "a cache that is a file": {"HOME": "/proc/nowhere", "XDG_CACHE_HOME": "/dev/null"},
    "a cache below a file": {"XDG_CACHE_HOME": "/dev/null/cache"},
    "a cache that is no absolute path": {"XDG_CACHE_HOME": "cache"},
    "a folder that nobody can write to": {"XDG_CACHE_HOME": "/proc"},
}


@pytest.mark.parametrize("home", HOMES.values(), ids=list(HOMES))
def test_there_is_always_a_cache_that_can_be_written(home: dict[str, str], tmp_path: Path) -> None:
    program = (
        "import os, pwd\n"
        "def nobody(uid): raise KeyError(uid)\n"
        "pwd.getpwuid = nobody\n"  # as of a user without an entry
        "from qlogad import documents\n"
        "documents.settle_caches()\n"
        "folder = documents.cache_folder()\n"
        "(folder / 'x').mkdir(parents=True, exist_ok=True)\n"
        "(folder / 'x' / 'y').write_text('')\n"
        "import matplotlib, getpass\n"
        "print(folder, matplotlib.get_cachedir(), sep='\\n')\n"
    )
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(tmp_path)} | home
    ended = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert not ended.stderr
    assert all(Path(folder).is_relative_to(tmp_path) and Path(folder).is_dir() for folder in ended.stdout.split())


def test_a_temporary_cache_is_nobody_elses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null")
    monkeypatch.delenv("QLOGAD_CACHE", raising=False)
    try:
        documents._temporary_cache.cache_clear()
        mine = documents.cache_folder()
        assert stat.S_IMODE(mine.stat().st_mode) == 0o700
        mine.rmdir()
        (tmp_path / "elsewhere").mkdir()
        mine.symlink_to(tmp_path / "elsewhere")  # as somebody could who knows the name
        documents._temporary_cache.cache_clear()
        assert documents.cache_folder() != mine
        assert stat.S_IMODE(documents.cache_folder().stat().st_mode) == 0o700
        mine.unlink()
        mine.mkdir()
        mine.chmod(0o777)
        documents._temporary_cache.cache_clear()
        assert documents.cache_folder() != mine
    finally:
        documents._temporary_cache.cache_clear()
