"""What the READMEs claim runs: their Python, their TOML, and the names of the commands and experiments in them."""

import contextlib
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from _pytest.mark import ParameterSet

from qlogad import names
from qlogad.experiment import Experiment
from qlogad.experiment.data import data_of
from qlogad.sweep.study import Study
from tests.command_line import qlogad

ROOT = Path(__file__).parent.parent
READMES = [ROOT / "README.md", *sorted((ROOT / ".github").glob("*.md"))]
for folder in ("circuits", "experiments", "results", "tests", "qlogad"):
    READMES += sorted((ROOT / folder).rglob("README.md"))
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[ParameterSet]:
    """The blocks of code in a language, named by their file."""
    return [
        pytest.param(block, id=f"{path.relative_to(ROOT)} {number}")
        for path in READMES
        for number, block in enumerate(re.findall(rf"```{language}\n(.*?)```", path.read_text(encoding="utf-8"), flags=re.S), 1)
    ]


@pytest.mark.parametrize("code", blocks("python"))
def test_the_python_in_a_readme_runs(code: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with contextlib.chdir(tmp_path):
        exec(compile(code, "README.md", "exec"), {"__name__": "readme"})
    assert capsys.readouterr().out.strip()


def documents_in(path: Path) -> list[dict[str, Any]]:
    return [tomllib.loads(text) for text in re.findall(r"```toml\n(.*?)```", path.read_text(encoding="utf-8"), flags=re.S)]


@pytest.mark.parametrize(
    "path", [ROOT / "README.md", ROOT / "experiments" / "README.md", ROOT / "qlogad" / "sweep" / "README.md"], ids=str
)
def test_the_toml_in_a_readme_is_an_experiment_or_a_study(path: Path) -> None:
    found = documents_in(path)
    assert found
    for content in found:
        if content.keys() == {"data"}:
            assert data_of(content["data"], str(path)).open().default_window == "session"
        elif "base" in content:
            assert len(Study.from_document(content).entrants) == 2
        elif "grid" in content:  # of the experiment above it
            above = next(one for one in found if "contender" in one)
            made = [one.name for one in Experiment.from_document(above | content).contenders if one.grid]
            assert len(made) == 8
            assert "quantum chen depth=2" in made
        else:
            assert len(Experiment.from_document(content).contenders) == 3


COMMANDS = sorted(
    {
        c
        for p in blocks("(?:sh|bash)?")
        for c in re.findall(r"^qlogad (\w+(?: (?:describe|plan|submit|collect|report))?)", str(p.values[0]), flags=re.M)
    }
)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_in_a_readme_exists_and_gives_an_example(command: str) -> None:
    done = qlogad(*command.split(), "--help")
    assert done.returncode == 0
    assert "Example: qlogad" in done.stdout


def test_every_shipped_experiment_is_in_their_readme_and_no_other() -> None:
    table = (
        (ROOT / "experiments" / "README.md").read_text(encoding="utf-8").partition("| shipped experiment |")[2].partition("\n\n")[0]
    )
    shipped = {path.stem for path in names.data_folder("experiments").glob("*.toml") if not path.stem.endswith(".sweep")}
    assert set(re.findall(r"^\| `([\w-]+)`", table, flags=re.M)) == shipped


@pytest.mark.parametrize("path", READMES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
        assert (path.parent / target).exists(), target


def test_the_readme_is_short() -> None:
    assert len(README.encode()) < 8 * 1024


def test_the_table_in_the_readme_is_the_one_in_results() -> None:
    shown = re.search(r"<!-- table: (\S+), cut (\S+) -->\n(.*?)\n<!-- end -->", README, flags=re.S)
    assert shown is not None
    source = (ROOT / shown[1]).read_text(encoding="utf-8").split(f"### Cut {shown[2]}")[1].split("\n### ")[0]
    head, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in shown[3].splitlines() if "---" not in line)
    first, *all_lines = (
        [cell.strip() for cell in line.strip("|").split("|")] for line in source.splitlines() if line.startswith("| ")
    )
    found = {line[0]: dict(zip(first, line, strict=True)) for line in all_lines if len(line) == len(first) and line[0] != first[0]}
    assert len(rows) == len(set(found)) > 10
    for row in rows:
        assert row == [found[row[0]][column] for column in head]
