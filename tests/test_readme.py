"""The README's claims run: its Python, its TOML, and the names of the commands and experiments in it."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from qlogad import names
from qlogad.experiment import Experiment
from qlogad.sweep.study import Study

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.S)


@pytest.mark.parametrize("code", blocks("python"))
def test_the_python_in_the_readme_runs(code: str, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


@pytest.mark.parametrize("text", blocks("toml"))
def test_the_toml_in_the_readme_is_an_experiment_or_a_study(text: str) -> None:
    content = tomllib.loads(text)
    if "base" in content:
        assert len(Study.from_document(content).entrants) == 2
    elif "grid" in content:  # of the experiment above it
        above = tomllib.loads(next(block for block in blocks("toml") if "[[contender]]" in block))
        made = [one.name for one in Experiment.from_document(above | content).contenders if one.grid]
        assert len(made) == 8
        assert "quantum chen depth=2" in made
    else:
        assert len(Experiment.from_document(content).contenders) == 3


@pytest.mark.parametrize("command", sorted(set(re.findall(r"^qlogad (\w+(?: describe)?)", "\n".join(blocks("sh")), flags=re.M))))
def test_every_command_in_the_readme_exists_and_gives_an_example(command: str) -> None:
    done = subprocess.run([sys.executable, "-m", "qlogad.cli", *command.split(), "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    assert "Example: qlogad" in done.stdout


def test_every_shipped_experiment_is_in_the_readme_and_no_other() -> None:
    table = README.partition("| shipped experiment |")[2].partition("\n\n")[0]
    shipped = {path.stem for path in names.data_folder("experiments").glob("*.toml") if not path.stem.endswith(".sweep")}
    assert set(re.findall(r"^\| `([\w-]+)`", table, flags=re.M)) == shipped


def test_every_link_leads_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (Path(__file__).parent.parent / target).exists(), target


def test_the_table_in_the_readme_is_the_one_in_results() -> None:
    shown = re.search(r"<!-- table: (\S+), cut (\S+) -->\n(.*?)\n<!-- end -->", README, flags=re.S)
    assert shown is not None
    source = (
        (Path(__file__).parent.parent / shown[1]).read_text(encoding="utf-8").split(f"### Cut {shown[2]}")[1].split("\n### ")[0]
    )
    head, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in shown[3].splitlines() if "---" not in line)
    first, *all_lines = (
        [cell.strip() for cell in line.strip("|").split("|")] for line in source.splitlines() if line.startswith("| ")
    )
    found = {line[0]: dict(zip(first, line, strict=True)) for line in all_lines if len(line) == len(first) and line[0] != first[0]}
    assert len(rows) == len(set(found)) > 10
    for row in rows:
        assert row == [found[row[0]][column] for column in head]
