"""Circuits of other frameworks, converted by the backend of the same name, which is imported only when needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qlogad import names
from qlogad.circuit.circuit import Circuit
from qlogad.errors import DesignError, shown

__all__ = ["read"]

_LARGEST = 20_000_000  # bytes of a .qasm file


def read(circuit: object, *, encoding: bool, **options: Any) -> tuple[Circuit, str]:
    """Convert to a qlogad circuit, with its name: see `Design.from_circuit`."""
    if isinstance(circuit, Circuit):
        return circuit, ""
    if isinstance(circuit, str | Path):
        return _text(circuit, encoding)
    package = type(circuit).__module__.partition(".")[0]
    if package in names.known("backend"):
        return _by(package, circuit, encoding=encoding, **options)
    raise DesignError(
        f"a circuit must be a qlogad, Qiskit or PennyLane circuit, or OpenQASM, got {type(circuit).__name__} {shown(circuit)}; "
        "export it as OpenQASM 3"
    )


def _by(backend: str, circuit: object, **options: Any) -> tuple[Circuit, str]:
    found: tuple[Circuit, str] = names.find("backend", backend).read_circuit(circuit, **options)
    return found


def _text(given: str | Path, encoding: bool) -> tuple[Circuit, str]:
    if isinstance(given, str) and ("\n" in given or "OPENQASM" in given):
        return _by("qiskit", given, encoding=encoding)
    path = Path(given)
    try:
        if path.stat().st_size > _LARGEST:
            raise DesignError(f"{path} has more than {_LARGEST:,} bytes, which is more gates than a design can have")
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DesignError(f"{path} is not UTF-8 text (byte {error.start}), so it is not OpenQASM; check the path") from error
    except OSError as error:
        raise DesignError(f"cannot read {path}: {error.strerror or error}; check the path and its permissions") from error
    try:
        return _by("qiskit", text, encoding=encoding)[0], path.stem
    except DesignError as error:
        raise DesignError(f"{path}: {error}") from error
