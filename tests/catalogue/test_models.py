"""Laws of exported models: they are the run's detector, equal folders each time, and never written over anything else."""

from pathlib import Path

import pytest

from qlogad import Experiment, Model, files
from qlogad.catalogue.models import export
from qlogad.errors import InputError, ResultError, UnknownName
from qlogad.hardware.windows import trained
from qlogad.logs.synthetic import Synthetic
from qlogad.run import run

DOCUMENT = {
    "question": "Is it exported?",
    "data": {"dataset": "synthetic", "lines": 2000, "rate": 0.2, "split": {"by": "time", "cuts": [0.5, 0.6]}},
    "contender": [
        {"name": "2-gram", "detector": "ngram"},
        {"name": "counts", "detector": "pca"},
        {
            "name": "quantum",
            "detector": "deeplog",
            "epochs": 1,
            "history": 2,
            "core": {"kind": "quantum", "wires": 2, "hidden": 2},
        },
    ],
    "judge": {"seeds": 2, "resamples": 20},
}


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("results")
    run(Experiment.from_document(DOCUMENT, name="small"), out, workers=1)
    return out / "small"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(("contender", "seed", "cut"), [("quantum", 1, "0.60"), ("2-gram", None, None), ("counts", 0, "0.50")])
def test_a_model_is_the_runs_detector(contender: str, seed: int | None, cut: str | None, result: Path, tmp_path: Path) -> None:
    origin = export(result, contender, tmp_path / "model", seed=seed, cut=cut)
    assert (origin.experiment, origin.contender, origin.seed, origin.cut) == ("small", contender, seed or 0, cut or "0.50")
    first = contents(tmp_path / "model")
    assert export(result, contender, tmp_path / "model", seed=seed, cut=cut) == origin
    assert contents(tmp_path / "model") == first
    assert not any(str(result).encode() in content for content in first.values())
    Synthetic(lines=2000, rate=0.2).write(tmp_path / "log.gz")
    model = Model.load(tmp_path / "model")
    assert set(model.preprocessor.pipeline.views) == set(model.detector.reads)
    found = model.score(tmp_path / "log.gz")
    wanted = trained(result, contender, seed=seed, cut=cut)
    score_of = dict(zip(found.key_W.tolist(), found.score_W.tolist(), strict=True))
    keys, rows = wanted.test.features.window_keys_W.tolist(), wanted.test.features.row_W
    assert [score_of[key] for key in keys] == wanted.score_N[rows].tolist()
    model.save(tmp_path / "again")
    assert contents(tmp_path / "again") == first


def test_nothing_else_is_written_over(result: Path, tmp_path: Path) -> None:
    export(result, "2-gram", tmp_path / "model")
    before = contents(tmp_path)
    with pytest.raises(InputError, match=r"holds the model of 2-gram, seed 0, cut 0\.50, of small; name a new folder"):
        export(result, "counts", tmp_path / "model")
    with pytest.raises(InputError, match="is not empty and holds no model"):
        export(result, "counts", tmp_path)
    with pytest.raises(InputError, match="is a file; name a folder"):
        export(result, "counts", tmp_path / "model" / "model.toml")
    with pytest.raises(UnknownName, match="did you mean 'quantum'"):
        export(result, "quantun", tmp_path / "new")
    assert contents(tmp_path) == before


def test_what_was_not_kept_is_to_be_run_again(result: Path, tmp_path: Path) -> None:
    kept = result / "work" / "0.50.preprocessor.json"
    content = kept.read_bytes()
    state = files.read_facts(kept)
    state["pipeline"]["base"] = "another"
    try:
        for change in (b"", content[:-9], files.facts_text(state).encode(), None):
            kept.unlink()
            if change is not None:
                kept.write_bytes(change)
            with pytest.raises(ResultError, match=f"run the experiment again: qlogad run small --out {result.parent}"):
                export(result, "2-gram", tmp_path / "new")
            kept.touch()
    finally:
        kept.write_bytes(content)
    assert not (tmp_path / "new").exists()
