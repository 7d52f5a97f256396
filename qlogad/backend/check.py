"""Checks that `qlogad doctor` runs on a backend."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Check"]


@dataclass(frozen=True)
class Check:
    """A target that should reproduce the readouts of a small circuit, and the package that it needs.

    Args:
        target: the part after the backend's name and a colon; empty for the default target.
        package: its name for `pip`; empty if part of qlogad.
        install: the command that installs the package, if a plain `pip install` does not.
        cuda: whether it needs a CUDA device.
        device: device of its input tensors.
    """

    target: str = ""
    package: str = ""
    install: str = ""
    cuda: bool = False
    device: str = "cpu"
