"""circuits/README.md shows what the package does: its drawings are those of draw(), its files and rows build."""

import re
import tomllib

import pytest

from qlogad import names
from qlogad.circuit.design import Design
from qlogad.circuit.draw import draw
from qlogad.circuit.encoding import assemble
from qlogad.circuit.wiring import PATTERNS

README = (names.data_folder("circuits") / "README.md").read_text(encoding="utf-8")
TREE = '{ on = "tree", rows = [{ gate = "ry", on = "each" }, { gate = "cx", on = "linear", flip = true }] }'
LEVELS = (
    '{ on = "levels", rows = [{ gate = "ry", on = "each", share = "wires" }, { gate = "cz", on = "odd" }, '
    '{ gate = "cx", on = "even", flip = true }] }'
)


def rows(*texts):
    return Design.from_mapping(tomllib.loads(f"layer = [{', '.join(texts)}]"), "ansatz").build(4)


def is_shown(drawing):
    lines = [re.sub(r"^\d: | ⟨Z⟩$", "", line).strip() for line in drawing.splitlines()]
    return all(line in README for line in lines)


@pytest.mark.parametrize("on", ["ring", "walk", "linear", "pairs", "tree"])
def test_patterns_are_drawn(on):
    assert is_shown(draw(rows(f'{{ gate = "cx", on = "{on}" }}')))


def test_groups_are_drawn():
    for text in (TREE, LEVELS):
        assert text in README
        assert is_shown(draw(rows(text)))
    assert is_shown(draw(rows('{ gate = "cz", on = "even" }', '{ gate = "cz", on = "odd" }')))


def test_the_first_file_is_a_file_and_its_drawing_is_its_own():
    text = re.search(r"```toml\n(.*?)```", README, re.DOTALL).group(1)
    design = Design.from_mapping(tomllib.loads(text), "ansatz")
    assert design.layer == Design.load("qulog", "ansatz").layer
    assert draw(assemble("angle-x", "qulog", 3, 1)) in README


def test_every_pattern_is_named():
    assert all(f"`{on}`" in README or f" {on} " in README for on in PATTERNS)
