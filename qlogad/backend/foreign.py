"""Circuits made elsewhere: whatever is given, what reads it; each framework is imported only where something of it is met."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from qlogad.circuit.circuit import Circuit
from qlogad.errors import DesignError, shown

__all__ = ["read"]

_LARGEST = 20_000_000  # bytes of a .qasm file


def read(circuit: object, *, encoding: bool, **options: Any) -> tuple[Circuit, str]:
    """A circuit of ours, and what it is called: see `Design.from_circuit`."""
    if isinstance(circuit, Circuit):
        return circuit, ""
    if isinstance(circuit, str | Path):
        return _text(circuit, encoding)
    package = type(circuit).__module__.partition(".")[0]
    if package == "qiskit" and isinstance(circuit, sys.modules["qiskit"].QuantumCircuit):
        from qlogad.backend.qiskit import from_qiskit

        return from_qiskit(circuit, encoding=encoding), str(circuit.name)
    if package == "pennylane":
        from qlogad.backend.pennylane import from_pennylane, name_of

        return from_pennylane(circuit, encoding=encoding, **options), name_of(circuit)
    raise DesignError(
        f"a circuit is one of ours, of Qiskit or PennyLane, or OpenQASM, got {type(circuit).__name__} {shown(circuit)}; export it as "
        "OpenQASM 3"
    )


def _text(given: str | Path, encoding: bool) -> tuple[Circuit, str]:
    from qlogad.backend.qiskit import from_qasm

    if isinstance(given, str) and ("\n" in given or "OPENQASM" in given):
        return from_qasm(given, encoding=encoding), ""
    path = Path(given)
    try:
        if path.stat().st_size > _LARGEST:
            raise DesignError(f"{path} holds more than {_LARGEST:,} bytes, more gates than a design may have")
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DesignError(f"{path} is not text in UTF-8 (byte {error.start}), so it is no OpenQASM; check the path") from error
    except OSError as error:
        raise DesignError(f"cannot read {path}: {error.strerror or error}; check the path and its permissions") from error
    try:
        return from_qasm(text, encoding=encoding), path.stem
    except DesignError as error:
        raise DesignError(f"{path}: {error}") from error
