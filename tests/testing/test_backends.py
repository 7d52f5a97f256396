"""Every backend keeps the contract of backends."""

import numpy as np
import pytest
import torch

from qlogad import names, seeds
from qlogad.backend.abilities import Abilities
from qlogad.backend.backend import Backend, open_backend
from qlogad.backend.exact import Exact
from qlogad.backend.ledger import Ledger, LedgerFile
from qlogad.backend.sampled import SampledBackend
from qlogad.backend.service import Immediate
from qlogad.backend.target import Answer, Target
from qlogad.errors import BackendError, UnknownName
from qlogad.testing.backends import check_backend

RATES = "depolarizing=0.01,depolarizing2=0.05,amplitude_damping=0.02,phase_damping=0.02,bit_flip=0.01,readout=0.02"
APART = {"braket": [pytest.mark.braket]}  # backends that live in an environment of their own


def apart(*specs):
    return [pytest.param(spec, marks=APART.get(spec.partition(":")[0], [])) for spec in specs]


EXACT = apart(
    *(name for name in names.known("backend") if name not in {"ibm", "ledger"}),
    "exact:gates",
    "exact:phase",
    "aer:mps",
    "aer:density_matrix",
    "pennylane:default.mixed",
    "pennylane:lightning.qubit",
)
OTHERS = apart(
    f"exact:{RATES}",
    f"aer:{RATES}",
    f"aer:{RATES},shots=500",
    "aer:shots=200",
    "aer:mps,shots=200",
    "pennylane:default.qubit,shots=300",
    "pennylane:lightning.qubit,shots=300",
    "braket:shots=200",
)


some_or_all = pytest.mark.parametrize("all_of_them", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["some", "all"])


@some_or_all
@pytest.mark.parametrize("spec", EXACT)
def test_backend(spec, all_of_them, drawn):
    circuits = range(12) if all_of_them else drawn.sample(range(12), 3)
    tolerance = 1e-9 if spec == "aer:mps" else 1e-12  # matrix products drop small singular values
    check_backend(spec, tolerance=tolerance, circuits=circuits)


def test_a_device_of_pennylane_that_shifts_angles(drawn):
    check_backend("pennylane:reference.qubit", tolerance=1e-12, circuits=[drawn.randrange(2)])  # a second for each gradient


@some_or_all
@pytest.mark.parametrize("spec", OTHERS)
def test_noise_and_shots(spec, all_of_them, drawn):
    check_backend(spec, tolerance=1e-9, circuits=range(8) if all_of_them else drawn.sample(range(8), 4))


@some_or_all
@pytest.mark.parametrize("spec", ["aer:fake_manila", "aer:fake_torino,shots=1000,level=1"])
def test_snapshots_of_devices(spec, all_of_them, drawn):
    check_backend(spec, circuits=range(4) if all_of_them else drawn.sample(range(4), 2))


@some_or_all
@pytest.mark.parametrize("spec", ["ibm:fake_manila", "ibm:fake_torino,shots=500"])
def test_devices_through_the_runtime(spec, all_of_them, drawn):
    check_backend(spec, circuits=range(3) if all_of_them else drawn.sample(range(3), 2))


@pytest.mark.braket
@pytest.mark.parametrize("spec", ["braket:depolarizing2=0.1,readout=0.02", f"braket:{RATES},shots=500"])
def test_density_matrices_of_braket(spec):
    check_backend(spec, tolerance=1e-9, circuits=2)  # 10 ms a row


class Silent(SampledBackend, Backend):
    """Breaks the contract: it says it is noisy, or sampled, and gives ideal readouts; or its shots go by the place of a row."""

    name = "silent"

    def __init__(self, *, noise: bool = False, shots: int | None = None, scale: float = 1.0, by_place: bool = False) -> None:
        super().__init__(Lying(noise, shots, scale, by_place))


class Lying(Target):
    name = "lying"
    abilities = Abilities(max_wires=4)

    def __init__(self, noise: bool, shots: int | None, scale: float, by_place: bool) -> None:
        self.noise, self.shots, self._scale, self._by_place = noise, shots, scale, by_place

    def evaluate(self, lifted, angles_MA, *, rows):
        weights_0, angles_1MA = torch.zeros(1, 0, dtype=torch.float64), torch.from_numpy(angles_MA)[None]
        mean_MK = Exact().bind(lifted.circuit, weights_0)(angles_1MA)[0].numpy().round(12)  # the last bits go by the batch
        if self.shots is None:
            return Answer(mean_MK, None, len(rows))
        error_MK = np.sqrt((1 - mean_MK**2).clip(0) / self.shots)
        names = range(len(rows)) if self._by_place else rows
        noise_MK = np.stack([seeds.generator(0, name).normal(size=mean_MK.shape[1]) for name in names])
        return Answer((mean_MK + error_MK * noise_MK).clip(-1, 1), self._scale * error_MK, len(rows))


@pytest.mark.parametrize(
    ("settings", "law"),
    [
        ({"noise": True}, "ideal readouts"),
        ({"noise": True, "shots": 1000}, "ideal readouts"),
        ({"shots": 1000, "scale": 0.5}, "what the errors say|not close"),
        ({"shots": 1000, "scale": 2.0}, "what the errors say"),
        ({"shots": 1000, "by_place": True}, "depends on others"),
    ],
)
def test_a_backend_that_lies_is_found_out(settings, law):
    with pytest.raises(AssertionError, match=law):
        check_backend(Silent(**settings))


@pytest.mark.parametrize("name", apart(*names.known("backend")))
def test_backend_is_found_by_its_file(name, tmp_path):
    spec = name
    if name == "ledger":
        with LedgerFile(tmp_path / "hardware.jsonl") as file:
            Ledger(file, "nothing yet", Lying(False, None, 1.0, False), Immediate(Lying(False, None, 1.0, False)))
        spec = f"ledger:{tmp_path}/hardware.jsonl"
    backend = open_backend(spec)
    assert isinstance(backend, Backend)
    assert type(backend) is names.find("backend", name)
    assert backend.name == name


def test_unknown_backends_are_refused():
    with pytest.raises(UnknownName, match="did you mean 'exact'"):
        open_backend("exat")
    with pytest.raises(BackendError, match="did you mean 'phase'"):
        open_backend("exact:phas")
    with pytest.raises(BackendError, match=r"'no\.such'"):
        open_backend("pennylane:no.such")
