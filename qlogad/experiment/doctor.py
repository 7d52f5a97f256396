"""What is usable here: versions, devices, and a two-qubit circuit with a known answer on every backend."""

from __future__ import annotations

import math
import platform
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from qlogad import names
from qlogad.errors import MissingExtra, ResultError

__all__ = ["examine"]

_NOISE = 0.2  # what a device may lose of a readout in so short a circuit
_PACKAGES = ("torch", "numpy", "scipy", "pandas", "scikit-learn", "pennylane", "qiskit", "optuna", "pydantic")


def examine(progress: Callable[[str, int], None]) -> list[dict[str, Any]]:
    """One row per thing looked at: `what`, `state` (ok, missing, broken), `detail`."""
    rows = [{"what": "python", "state": "ok", "detail": f"{platform.python_version()} on {platform.system()} {platform.machine()}"}]
    for package in _PACKAGES:
        try:
            rows.append({"what": package, "state": "ok", "detail": version(package)})
        except PackageNotFoundError:
            rows.append({"what": package, "state": "missing", "detail": "run: pip install qlogad"})
    progress("torch", 0)
    import torch

    cuda = torch.cuda.is_available()
    rows.append(
        {
            "what": "cuda",
            "state": "ok" if cuda else "missing",
            "detail": torch.cuda.get_device_name(0) if cuda else "no CUDA device",
        }
    )
    for number, name in enumerate(names.known("backend")):
        progress(f"backend {name}", number)
        rows.append({"what": f"backend {name}", **_try(name)})
    return rows


def _try(name: str) -> dict[str, str]:
    """Entangle two qubits after a rotation: <Z0> = <Z1> = cos(angle), whatever simulates it."""
    import torch

    from qlogad.backend.backend import Key, open_backend
    from qlogad.circuit.circuit import Angle, Circuit, Gate

    circuit = Circuit(2, (Gate("ry", (0,), (Angle("weight", 0, 1.0, 0.0),)), Gate("cx", (0, 1), ())), ("ZI", "IZ"), 0, 1)
    angle = 0.7
    try:
        bound = open_backend(name).bind(circuit, torch.full((1, 1), angle, dtype=torch.float64), key=Key(0))
        found = bound.estimate(torch.zeros(1, 1, 0, dtype=torch.float64))
    except (MissingExtra, ResultError) as error:  # ResultError: no answers were recorded here
        return {"state": "missing", "detail": str(error)}
    except Exception as error:  # whatever a broken installation throws is the finding
        return {"state": "broken", "detail": f"{type(error).__name__}: {error}"}
    off = float((found.mean_GNK - math.cos(angle)).abs().max())
    kind = str(found.provenance.get("kind", "exact"))
    allowed = 1e-5 + 6 * float(found.error_GNK.max()) + (_NOISE if kind.startswith("noisy") else 0.0)
    return {"state": "ok" if off < allowed else "broken", "detail": f"two-qubit circuit off by {off:.1e} ({kind})"}
