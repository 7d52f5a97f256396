"""What is usable here: versions, devices, and a two-qubit circuit with a known answer on every backend and its devices."""

from __future__ import annotations

import math
import platform
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from qlogad import names
from qlogad.errors import BackendError, MissingExtra, ResultError, one_line

__all__ = ["examine"]

_NOISE = 0.2  # what a device may lose of a readout in so short a circuit
_PACKAGES = ("torch", "numpy", "scipy", "pandas", "scikit-learn", "pennylane", "qiskit", "optuna", "pydantic")


@dataclass(frozen=True)
class _Part:
    """The package a backend, or one of its devices, comes with, and how to get it."""

    package: str
    install: str


_PARTS = {
    "pennylane": _Part("pennylane", "pip install qlogad"),
    "pennylane:default.mixed": _Part("pennylane", "pip install qlogad"),
    "pennylane:lightning.qubit": _Part("pennylane-lightning", "pip install pennylane-lightning"),
    "pennylane:lightning.kokkos": _Part("pennylane-lightning-kokkos", "pip install pennylane-lightning-kokkos"),
    "pennylane:lightning.gpu": _Part("pennylane-lightning-gpu", "pip install pennylane-lightning-gpu"),
    "qiskit": _Part("qiskit", "pip install qlogad"),
    "aer": _Part("qiskit-aer", "pip install 'qlogad[aer]'"),
    "aer:density_matrix": _Part("qiskit-aer", "pip install 'qlogad[aer]'"),
    "aer:device=gpu": _Part("qiskit-aer-gpu", "pip uninstall qiskit-aer && pip install qiskit-aer-gpu"),
    "ibm": _Part("qiskit-ibm-runtime", "pip install 'qlogad[ibm]'"),
    "braket": _Part("amazon-braket-sdk", "pip install 'qlogad[braket]'"),
    "braket:braket_dm": _Part("amazon-braket-sdk", "pip install 'qlogad[braket]'"),
}


def examine(progress: Callable[[str, int], None]) -> list[dict[str, Any]]:
    """One row per thing looked at: `what`, `state` (ok, missing, broken), `detail`."""
    rows = [{"what": "python", "state": "ok", "detail": f"{platform.python_version()} on {platform.system()} {platform.machine()}"}]
    for package in _PACKAGES:
        found = _version(package)
        rows.append({"what": package, "state": "ok" if found else "missing", "detail": found or "run: pip install qlogad"})
    progress("torch", 0)
    import torch

    cuda = torch.cuda.is_available()
    told = torch.cuda.get_device_name(0) if cuda else "no CUDA device"
    rows.append({"what": "cuda", "state": "ok" if cuda else "missing", "detail": told})
    for number, spec in enumerate(sorted({*names.known("backend"), *_PARTS})):
        progress(f"backend {spec}", number)
        rows.append({"what": f"backend {spec}", **_try(spec)})
    if cuda:
        rows.append({"what": "backend exact, on cuda", **_try("exact", "cuda")})
    return rows


def _version(package: str) -> str:
    """The installed version, or nothing."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _try(spec: str, device: str = "cpu") -> dict[str, str]:
    """Entangle two qubits after a rotation: <Z0> = <Z1> = cos(angle), whatever simulates it."""
    import torch

    from qlogad.backend.abilities import Key
    from qlogad.backend.backend import open_backend
    from qlogad.circuit.circuit import Angle, Circuit, Gate

    circuit = Circuit(2, (Gate("ry", (0,), (Angle("weight", 0, 1.0, 0.0),)), Gate("cx", (0, 1), ())), ("ZI", "IZ"), 0, 1)
    angle, part = 0.7, _PARTS.get(spec)
    found = "" if part is None else _version(part.package)
    try:
        weights_GP = torch.full((1, 1), angle, dtype=torch.float64, device=device)
        estimate = open_backend(spec).bind(circuit, weights_GP, key=Key(0)).estimate(weights_GP.new_zeros(1, 1, 0))
    except (MissingExtra, ResultError) as error:  # ResultError: no answers were recorded here
        return {"state": "missing", "detail": one_line(error)}
    except BackendError as error:
        if part is not None and not found:
            return {"state": "missing", "detail": f"{part.package} is not installed; run: {part.install}"}
        if "gpu" in spec and not torch.cuda.is_available():
            return {"state": "missing", "detail": "no CUDA device"}
        return {"state": "broken", "detail": one_line(error)}
    except Exception as error:  # whatever a broken installation throws is the finding
        return {"state": "broken", "detail": one_line(f"{type(error).__name__}: {error}")}
    off = float((estimate.mean_GNK - math.cos(angle)).abs().max())
    kind = str(estimate.provenance.get("kind", "exact"))
    allowed = 1e-5 + 6 * float(estimate.error_GNK.max()) + (_NOISE if kind.startswith("noisy") else 0.0)
    told = f"{part.package} {found}; " if part is not None else ""
    return {"state": "ok" if off < allowed else "broken", "detail": f"{told}two-qubit circuit off by {off:.1e} ({kind})"}
