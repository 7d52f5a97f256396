"""Every backend keeps the contract of backends."""

import pytest

from qlogad import names
from qlogad.backend.backend import Backend, open_backend
from qlogad.errors import BackendError, UnknownName
from qlogad.testing import check_backend

SPECS = [*names.known("backend"), "exact:gates", "exact:unitary"]


@pytest.mark.parametrize("spec", SPECS)
def test_backend(spec):
    check_backend(spec, tolerance=1e-9)


def test_lightning_differentiates_in_its_own_way():
    check_backend("pennylane:lightning.qubit", circuits=4, gradient=1e-5)  # its values come back in single precision


@pytest.mark.parametrize("name", names.known("backend"))
def test_backend_is_found_by_its_file(name):
    backend = open_backend(name)
    assert isinstance(backend, Backend)
    assert type(backend) is names.find("backend", name)
    assert backend.name == name


def test_unknown_backends_are_refused():
    with pytest.raises(UnknownName, match="did you mean 'exact'"):
        open_backend("exat")
    with pytest.raises(BackendError, match="did you mean 'unitary'"):
        open_backend("exact:unitari")
    with pytest.raises(BackendError, match=r"'no\.such'"):
        open_backend("pennylane:no.such")
