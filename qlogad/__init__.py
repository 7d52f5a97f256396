"""qlogad: quantum-classical hybrid experiments in log anomaly detection.

The public names load on first use, so importing the package loads neither torch nor pennylane nor qiskit.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qlogad.circuit.design import Design as Design
    from qlogad.detect.detector import Detector as Detector
    from qlogad.detect.sequences.deeplog import DeepLog as DeepLog
    from qlogad.detect.threshold import Threshold as Threshold
    from qlogad.errors import QlogadError as QlogadError
    from qlogad.experiment.experiment import Experiment as Experiment
    from qlogad.features.features import Features as Features
    from qlogad.features.features import Labels as Labels
    from qlogad.model import Model as Model
    from qlogad.nn.core.classical import Classical as Classical
    from qlogad.nn.core.quantum import Quantum as Quantum
    from qlogad.nn.layer import QuantumLayer as QuantumLayer
    from qlogad.report.record import Record as Record

__all__ = [
    "Classical",
    "DeepLog",
    "Design",
    "Detector",
    "Experiment",
    "Features",
    "Labels",
    "Model",
    "QlogadError",
    "Quantum",
    "QuantumLayer",
    "Record",
    "Threshold",
]

_HOMES = {
    "Classical": "nn.core.classical",
    "DeepLog": "detect.sequences.deeplog",
    "Design": "circuit.design",
    "Detector": "detect.detector",
    "Experiment": "experiment.experiment",
    "Features": "features.features",
    "Labels": "features.features",
    "Model": "model",
    "QlogadError": "errors",
    "Quantum": "nn.core.quantum",
    "QuantumLayer": "nn.layer",
    "Record": "report.record",
    "Threshold": "detect.threshold",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'qlogad' has no attribute '{name}'")
    return getattr(import_module(f"qlogad.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
