"""A small finished run, and a service double that is found as the backend "double"."""

from dataclasses import replace
from pathlib import Path
from shutil import copytree

import pytest

from qlogad.experiment import Experiment
from qlogad.run import run as run_experiment
from tests.hardware.double import HISTORY, Double, Remote


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    """A small finished run."""
    changes = ["data.lines=3000", "data.split.cuts=[0.6]", "judge.seeds=1", "contender.lstm.unseen=ignore"]  # finite scores
    for name in ("lstm", "quantum"):
        changes += [f"contender.{name}.epochs=1", f"contender.{name}.history={HISTORY}"]
    folder = tmp_path_factory.mktemp("results")
    experiment = Experiment.load("quickstart", changes)
    contenders = tuple(contender for contender in experiment.contenders if contender.name in {"lstm", "quantum"})
    (quantum,) = (contender for contender in contenders if contender.name == "quantum")
    contenders += (replace(quantum, name="gru", params=quantum.params | {"cell": "gru"}),)  # of two layers of circuits
    small = replace(experiment, contenders=contenders, judge=replace(experiment.judge, contrasts=()))
    assert not run_experiment(small, folder, workers=1).failed
    return folder / "quickstart"


@pytest.fixture
def result(run, tmp_path):
    return Path(copytree(run, tmp_path / "results" / "quickstart"))


@pytest.fixture(scope="session")
def service(tmp_path_factory):
    """A function that gives a service double with no jobs and no faults: the one that runs, or another if it was stopped."""
    started = []

    def give():
        if not started or started[-1].stopped:
            started.append(Double(tmp_path_factory.mktemp("service")))
        started[-1].forget()
        return started[-1]

    yield give
    for double in started:
        double.stop()


@pytest.fixture
def double(service, tmp_path, monkeypatch):
    """The service double, which is found as the backend "double"."""
    installed = tmp_path / "site" / "double-1.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: double\nVersion: 1\n")
    (installed / "entry_points.txt").write_text(f"[qlogad.backends]\ndouble = {Remote.__module__}:Remote\n")
    monkeypatch.syspath_prepend(tmp_path / "site")
    return service()
