"""Check what works here: required and optional packages, the event store, and every backend on a circuit with a known answer."""

from __future__ import annotations

import math
import platform
import re
import shlex
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, requires, version
from typing import TYPE_CHECKING, Any

from qlogad import names
from qlogad.errors import BackendError, InputError, MissingExtra, ResultError, counted, one_line

if TYPE_CHECKING:
    from qlogad.backend.check import Check

__all__ = ["examine"]

_NOISE = 0.2  # deviation of a readout allowed for a noisy device in such a short circuit
_ANGLE = 0.7
Row = dict[str, str]


def examine(progress: Callable[[str, int], None]) -> list[dict[str, Any]]:
    """One row per check: `what`, `state` (ok, missing, broken), `detail`."""
    rows = [_row("python", "ok", f"{platform.python_version()} on {platform.system()} {platform.machine()}")]
    extras = _extras()
    for package in extras:
        found = _version(package)
        rows.append(_row(package, "ok" if found else "missing", found or f"run: {_install(package, extras)}"))
    rows.append(_row("event store", *_event_store()))
    progress("torch", 0)
    import torch

    cuda = torch.cuda.is_available()
    rows.append(_row("cuda", "ok" if cuda else "missing", torch.cuda.get_device_name(0) if cuda else "no CUDA device"))
    for number, name in enumerate(names.known("backend")):
        progress(f"backend {name}", number)
        rows += _backend(name, extras, cuda)
    return rows


def _row(what: str, state: str, detail: str) -> Row:
    return {"what": what, "state": state, "detail": detail}


def _event_store() -> tuple[str, str]:
    """The state of the event store, and what it takes."""
    from qlogad.logs import store

    try:
        room = store.room()
    except InputError as error:
        return "broken", one_line(error)
    taken, place = store.usage(), store.folder()
    if not room:
        return "ok", f"off (QLOGAD_STORE_GB is 0); {taken.size / 1e9:.2f} GB are left in {place}"
    found = f"{counted(taken.logs, 'log')}, {taken.size / 1e9:.2f} of at most {room / 1e9:g} GB (QLOGAD_STORE_GB) in {place}"
    return "ok", f"{found}; to empty it: rm -r {shlex.quote(str(place))}"


def _extras() -> dict[str, str]:
    """The packages in qlogad's own metadata, each with the extra that installs it, "" if required; without those of `dev`."""
    try:
        lines = requires("qlogad") or []
    except PackageNotFoundError:  # run from source, not installed
        lines = []
    found: dict[str, str] = {}
    for line in lines:
        package, extra = re.split(r"[^\w.-]", line, maxsplit=1)[0], re.search(r"extra == ['\"]([\w-]+)", line)
        if extra is None or extra[1] != "dev":
            found.setdefault(package, extra[1] if extra else "")
    return found


def _install(package: str, extras: dict[str, str]) -> str:
    """The command that installs a package."""
    if package not in extras:
        return f"pip install {package}"
    return f"pip install 'qlogad[{extras[package]}]'" if extras[package] else "pip install qlogad"


def _version(package: str) -> str:
    """The installed version, or ""."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _backend(name: str, extras: dict[str, str], cuda: bool) -> list[Row]:
    """One row per check of a backend; a single row if it cannot be imported."""
    try:
        checks: tuple[Check, ...] = names.find("backend", name).checks
    except MissingExtra as error:
        return [_row(f"backend {name}", "missing", one_line(error))]
    except Exception as error:  # a broken installation may raise anything; it is reported
        return [_row(f"backend {name}", "broken", one_line(f"{type(error).__name__}: {error}"))]
    rows = []
    for check in checks:
        spec, place = f"{name}:{check.target}" if check.target else name, f", on {check.device}" if check.device != "cpu" else ""
        rows.append(_row(f"backend {spec}{place}", *_try(spec, check, extras, cuda)))
    return rows


def _try(spec: str, check: Check, extras: dict[str, str], cuda: bool) -> tuple[str, str]:
    """The state of one check, and its detail."""
    if check.device == "cuda" and not cuda:
        return "missing", "no CUDA device"
    found = _version(check.package) if check.package else ""
    try:
        off, allowed, kind = _deviation(spec, check.device)
    except (MissingExtra, ResultError) as error:  # ResultError: a ledger without recorded answers
        return "missing", one_line(error)
    except BackendError as error:
        if check.package and not found:
            return "missing", f"{check.package} is not installed; run: {check.install or _install(check.package, extras)}"
        return ("missing", "no CUDA device") if check.cuda and not cuda else ("broken", one_line(error))
    except Exception as error:  # a broken installation may raise anything; it is reported
        return "broken", one_line(f"{type(error).__name__}: {error}")
    told = f"{check.package} {found}; " if check.package else ""
    return "ok" if off < allowed else "broken", f"{told}two-qubit circuit off by {off:.1e} ({kind})"


def _deviation(spec: str, device: str) -> tuple[float, float, str]:
    """The deviation from <Z0> = <Z1> = cos(angle) for two qubits entangled after a rotation; the deviation allowed; the kind of number."""
    import torch

    from qlogad.backend.abilities import Key
    from qlogad.backend.backend import open_backend
    from qlogad.circuit.circuit import Angle, Circuit, Gate

    circuit = Circuit(2, (Gate("ry", (0,), (Angle("weight", 0, 1.0, 0.0),)), Gate("cx", (0, 1), ())), ("ZI", "IZ"), 0, 1)
    weights_GP = torch.full((1, 1), _ANGLE, dtype=torch.float64, device=device)
    estimate = open_backend(spec).bind(circuit, weights_GP, key=Key(0)).estimate(weights_GP.new_zeros(1, 1, 0))
    off = float((estimate.mean_GNK - math.cos(_ANGLE)).abs().max())
    kind = str(estimate.provenance.get("kind", "exact"))
    return off, 1e-5 + 6 * float(estimate.error_GNK.max()) + (_NOISE if kind.startswith("noisy") else 0.0), kind
