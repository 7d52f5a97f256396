"""A wheel and an sdist carry the designs, experiments and published archives, and what is installed from them finds them."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CODE = (
    "import qlogad; from qlogad import names; from qlogad.experiment import Experiment; from qlogad.circuit.encoding import assemble;"
    "assemble('angle-y', 'strongly-entangling', 3, 1);"
    "from qlogad.logs.published.fetch import known;"
    "from qlogad.logs.reading.layout import Layout; assert all(Layout(name).complete() for name in names.formats());"
    "print(qlogad.__file__, Experiment.load('quickstart').name, len(names.designs('ansatz')), len(known()), len(names.formats()))"
)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-d", str(folder)], cwd=ROOT, check=True, capture_output=True)
    return folder


def test_an_unpacked_wheel_finds_its_designs(built: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        assert not [name for name in wheel.namelist() if name.startswith(("circuits/", "experiments/", "tests/", "results/"))]
        wheel.extractall(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", CODE], cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    place, name, count, published, formats = done.stdout.split()
    assert Path(place).is_relative_to(tmp_path)
    assert name == "quickstart"
    assert int(count) == len(list((ROOT / "circuits" / "ansatz").glob("*.toml")))
    assert int(published) == len(list((ROOT / "qlogad" / "logs" / "published").glob("*.toml")))
    assert int(formats) == len(list((ROOT / "qlogad" / "logs" / "formats").glob("*.toml")))


def test_the_sdist_holds_what_the_tests_need_and_no_results(built: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as sdist:
        names = {"/".join(name.split("/")[1:]) for name in sdist.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", "circuits/ansatz/sim14.toml", "experiments/quickstart.toml"} <= names
    assert not [name for name in names if name.startswith(("results/", ".venv/"))]
