"""Contracts of every kind of extension (detectors, data sets, cores, backends, ...), for our tests and those of other packages.

Each kind has a file with its check: `from qlogad.testing import check_detector` loads testing/detectors.py.
"""

from importlib import import_module
from pathlib import Path


def __getattr__(name: str) -> object:
    kind = name.removeprefix("check_")
    if name == kind or not Path(__file__).with_name(f"{kind}s.py").is_file():
        raise AttributeError(f"module 'qlogad.testing' has no attribute '{name}'")
    return getattr(import_module(f"qlogad.testing.{kind}s"), name)
