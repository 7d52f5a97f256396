"""Laws of what `qlogad data parse` shows: every line counted once, templates that are known again, planted faults found."""

import csv
import io
import json
from collections import Counter
from pathlib import Path

import pytest

from qlogad import names
from qlogad.logs.parser.known import read_templates
from tests.command_line import qlogad
from tests.logs.parser.parsers import NEEDED

FORMAT = ("--format", "<time> <message>")


def lay(folder: Path, messages: list[str]) -> Path:
    path = folder / "own.log"
    path.write_text("".join(f"2026-01-01T00:{n // 60 % 60:02d}:{n % 60:02d} {text}\n" for n, text in enumerate(messages)))
    return path


MESSAGES = (
    [f"user u{n}x logged in from host{n % 7}" for n in range(60)]
    + [f"state changed to {('up', 'down')[n % 2]} for volume v{n % 9}q" for n in range(60)]
    + ["link north broken", "link south broken", "disk \x1b[2Jlost"]
)


def parse(path: Path, *more: str) -> dict:
    done = qlogad("data", "parse", str(path), *FORMAT, "--json", *more)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", names.known("parser"))
def test_every_line_is_counted_once_and_what_is_written_is_known(name: str, tmp_path: Path) -> None:
    path, out = lay(tmp_path, MESSAGES), tmp_path / "templates.txt"
    keys = [f"parser.{key}={value}" for key, value in {"name": name, **NEEDED.get(name, {})}.items()]
    sets = [word for key in keys for word in ("--set", key)]
    found = parse(path, *sets, "--out", str(out))
    rows = found["templates"]
    assert sum(row["lines"] for row in rows) == found["understood"] == len(MESSAGES)
    assert sum(row["share"] for row in rows) == pytest.approx(1)
    assert [row["lines"] for row in rows] == sorted((row["lines"] for row in rows), reverse=True)
    said = Counter(" ".join(text.split()) for text in MESSAGES)
    assert all(" ".join(example.split()) in said for row in rows for example in row["examples"])
    assert all(row["first"] <= row["last"] for row in rows)
    assert {row["template"] for row in rows} <= set(read_templates(out))
    again = parse(path, "--set", "parser.name=identity", "--set", f"parser.known={out}") if name != "identity" else found
    if name != "callable":
        assert {row["template"]: row["lines"] for row in again["templates"]} == {row["template"]: row["lines"] for row in rows}


def test_what_looks_wrong_is_told_and_nothing_else(tmp_path: Path) -> None:
    found = parse(lay(tmp_path, MESSAGES), "--set", "masks={}")
    text = {row["id"]: row["template"] for row in found["templates"]}
    told = {
        (text[one["templates"][0]].split()[0], one["what"].partition(";")[0].partition(" (")[0]) for one in found["looks wrong"]
    }
    assert ("user", "its variable part 1 is new in almost every line") in told
    assert ("state", "its variable part 1 is one of 2") in told
    assert any(what.endswith("with one line") for _, what in told)
    assert any(what == "they differ in token 2 alone" for _, what in told)
    merged = parse(lay(tmp_path, ["open file a b c", "close file a b c"]), "--set", "parser.depth=3", "--set", "masks={}")
    assert [one["what"].partition(" (")[0] for one in merged["looks wrong"]] == [
        "it merges messages that begin with different words"
    ]
    assert parse(lay(tmp_path, ["all is well"] * 5))["looks wrong"] == []


def test_what_is_printed_is_escaped_and_says_the_same_to_machines(tmp_path: Path) -> None:
    path = lay(tmp_path, MESSAGES)
    shown = qlogad("data", "parse", str(path), *FORMAT).stdout
    assert "\x1b" not in shown
    assert "\\x1b[2Jlost" in shown
    table = list(csv.DictReader(io.StringIO(qlogad("data", "parse", str(path), *FORMAT, "--csv").stdout)))
    rows = parse(path)["templates"]
    assert [(int(row["id"]), int(row["lines"])) for row in table] == [(row["id"], row["lines"]) for row in rows]
    assert len(qlogad("data", "parse", str(path), *FORMAT, "--top", "1").stdout) < len(shown)


def test_a_cap_leaves_lines_without_a_template(tmp_path: Path) -> None:
    rows = parse(lay(tmp_path, MESSAGES), "--set", "parser.max_templates=1")["templates"]
    assert sorted(row["id"] for row in rows) == [-1, 0]
    assert sum(row["lines"] for row in rows) == len(MESSAGES)


@pytest.mark.parametrize("where", ["argument", "--set path="])
def test_without_a_layout_one_is_guessed_and_told(where: str, tmp_path: Path) -> None:
    path = lay(tmp_path, MESSAGES[:-1])
    other = tmp_path / "other.log"
    other.write_text("nothing that looks like it\n")
    done = qlogad("data", "parse", *([str(path)] if where == "argument" else [str(other), "--set", f"path={path}"]), "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["layout guessed"]
    assert found["understood"] == len(MESSAGES) - 1
    given = parse(path)
    assert "layout guessed" not in given
    assert [(row["template"], row["lines"], row["first"]) for row in found["templates"]] == [
        (row["template"], row["lines"], row["first"]) for row in given["templates"]
    ]
