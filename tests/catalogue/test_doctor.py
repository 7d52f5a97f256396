"""Laws of the doctor: it looks at every backend, tells how to get what is missing, and believes no backend that gives wrong readouts."""

import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from qlogad import names
from qlogad.backend.backend import Backend
from qlogad.backend.exact import Exact
from qlogad.backend.sampled import SampledBackend
from qlogad.backend.target import Answer, Target
from qlogad.catalogue import doctor
from qlogad.catalogue.doctor import examine
from qlogad.errors import MissingExtra
from qlogad.hardware.forecast import exact_means
from qlogad.logs import store
from qlogad.logs.events import read_events
from qlogad.logs.synthetic import Synthetic


class Tilted(SampledBackend, Backend):
    """Exact readouts, and a thousandth more."""

    name = "tilted"

    def __init__(self) -> None:
        super().__init__(TiltedTarget())


class TiltedTarget(Target):
    name, abilities = "tilted", Exact().abilities

    def evaluate(self, lifted, angles_MA, *, rows):
        return Answer(exact_means(lifted, angles_MA) + 1e-3, None, len(rows))


class Torn(Backend):
    """Cannot run."""

    def bind(self, circuit, weights_GP, **settings):
        raise OSError("libcircuits.so\nis missing")


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What is found where two backends of others are installed that do not work."""
    tmp_path = tmp_path_factory.mktemp("others")
    installed = tmp_path / "others-1.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: others\nVersion: 1\n")
    lines = [f"{cls.__name__.lower()} = {__name__}:{cls.__name__}" for cls in (Tilted, Torn)]
    (installed / "entry_points.txt").write_text("\n".join(["[qlogad.backends]", *lines, ""]))
    told = []
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        patch.chdir(tmp_path)
        rows = {row["what"]: row for row in examine(lambda what, done: told.append(what))}
        assert told == ["torch", *(f"backend {name}" for name in names.known("backend"))]
    return rows


def test_every_package_of_the_project_is_looked_for(found):
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert all(found[Requirement(line).name]["state"] == "ok" for line in project["dependencies"])
    for extra, lines in project["optional-dependencies"].items():
        for package in (Requirement(line).name for line in lines if extra != "dev"):
            others = [one for one, some in project["optional-dependencies"].items() if any(package in line for line in some)]
            row = found[package]
            assert row["state"] == "ok" or any(f"run: pip install 'qlogad[{one}]'" in row["detail"] for one in others)


def test_every_check_of_a_backend_that_can_be_imported_has_a_row(found):
    for name in names.known("backend"):
        try:
            checks = names.find("backend", name).checks
        except MissingExtra:
            continue
        specs = [f"{name}:{check.target}".rstrip(":") for check in checks if check.device == "cpu"]
        assert all(f"backend {spec}" in found for spec in specs)
        assert name in specs


def test_what_is_there_works_and_what_is_not_says_how_to_get_it(found):
    for name in names.known("backend"):
        assert f"backend {name}" in found
    for what, row in found.items():
        assert row["state"] in ("ok", "missing", "broken")
        assert "\n" not in row["detail"]
        if what.startswith("backend") and row["state"] == "missing":
            assert "run: pip" in row["detail"] or "no CUDA" in row["detail"] or "qlogad hardware submit" in row["detail"]
    assert {what for what, row in found.items() if row["state"] == "broken"} == {"backend tilted", "backend torn"}
    assert "off by 1.0e-03" in found["backend tilted"]["detail"]
    assert "libcircuits.so" in found["backend torn"]["detail"]


def test_what_stored_events_take_is_told_and_how_to_be_rid_of_them(tmp_path, monkeypatch):
    place = tmp_path / "a cache"
    monkeypatch.setenv("QLOGAD_CACHE", str(place))
    monkeypatch.delenv("QLOGAD_STORE_GB", raising=False)
    read_events(Synthetic(lines=store.LEAST))
    state, told = doctor._event_store()
    assert state == "ok"
    assert told.startswith("1 log, 0.00 of at most 20 GB")
    subprocess.run(told.rpartition("to empty it: ")[2], shell=True, check=True)
    assert place.is_dir()
    assert store.usage() == store.Usage(0, 0)
    assert doctor._event_store()[1].startswith("0 logs")
    monkeypatch.setenv("QLOGAD_STORE_GB", "0")
    assert "off" in doctor._event_store()[1]
    monkeypatch.setenv("QLOGAD_STORE_GB", "-1")
    assert doctor._event_store()[0] == "broken"
