"""What a manifest calls its commit: dirty is what numbers depend on, not what a run writes."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import qlogad
from qlogad.report import manifest

CHECKOUT = Path(qlogad.__file__).parents[1]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This code as it is, committed in a checkout of its own."""
    place = tmp_path_factory.mktemp("checkout")
    for name in ("qlogad", "circuits", "experiments"):
        shutil.copytree(CHECKOUT / name, place / name, ignore=shutil.ignore_patterns("__pycache__"))
    who = ["-c", "user.name=law", "-c", "user.email=law@example.org"]
    for command in (["init", "-q"], ["add", "--all", "."], [*who, "commit", "-q", "-m", "all"]):
        subprocess.run(["git", *command], cwd=place, check=True)
    return place


@pytest.fixture
def told(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], str]:
    """What the code of that checkout would call its commit."""
    monkeypatch.setattr(manifest, "__file__", str(checkout / Path(manifest.__file__).relative_to(CHECKOUT)))
    return lambda: str(manifest.commit())


@pytest.mark.parametrize("name", ["results/x/table.md", "circuits/found/mine.toml", "notes.txt"])
def test_what_a_run_writes_leaves_the_commit_clean(checkout: Path, told: Callable[[], str], name: str) -> None:
    path = checkout / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("written")
    assert told().isalnum()
    path.unlink()


@pytest.mark.parametrize(
    "name", ["qlogad/seeds.py", "circuits/ansatz/sim1.toml", "experiments/quickstart.toml", "qlogad/detect/mine.py"]
)
def test_what_numbers_depend_on_makes_it_dirty(checkout: Path, told: Callable[[], str], name: str) -> None:
    path = checkout / name
    before = path.read_text() if path.exists() else None
    path.write_text(f"{before or ''}\n# edited\n")
    assert told().endswith("-dirty")
    path.unlink() if before is None else path.write_text(before)
    assert told().isalnum()
