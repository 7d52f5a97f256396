"""Small studies on a small log, as documents and as files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest

from qlogad import documents
from qlogad.sweep.study import Study

optuna.logging.set_verbosity(optuna.logging.WARNING)

BASE = """
question = "Small?"
[data]
dataset = "synthetic"
lines = 3000
rate = 0.2
split = { by = "time", cuts = [0.5, 0.7] }
[[contender]]
name = "lstm"
detector = "deeplog"
history = 3
epochs = 2
embedding = 4
core = { kind = "classical", hidden = 4 }
[[contender]]
name = "quantum"
like = "lstm"
core = { kind = "quantum", wires = 3, depth = 1, hidden = 4 }
[[contender]]
name = "2-gram"
detector = "ngram"
"""
Make = Callable[..., Study]


@pytest.fixture(scope="session")
def make(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """A study of the small log; keyword arguments are keys of its document."""
    folder = tmp_path_factory.mktemp("studies")
    (folder / "small.toml").write_text(BASE)

    def made(**keys: Any) -> Study:
        content: dict[str, Any] = {
            "base": "small.toml",
            "objectives": ["validation-loss"],
            "sampler": "random",
            "trials": 4,
            "space": {"lr": {"float": [0.003, 0.1], "log": True}},
            "contender": [{"name": "lstm"}],
        }
        given = {key: value for key, value in (content | keys).items() if value is not None}
        return Study.from_document(documents.parse(documents.dump(given)), name="small-sweep", folder=folder)

    return made


@pytest.fixture
def quiet(tmp_path: Path) -> Path:
    """A folder for results."""
    return tmp_path / "results"
