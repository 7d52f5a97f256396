"""What `qlogad doctor` tries on a backend."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Check"]


@dataclass(frozen=True)
class Check:
    """A target that should give the readouts of a small circuit, with the package that brings it.

    Args:
        target: what follows the backend's name and a colon; nothing for its usual target.
        package: as `pip` calls it; nothing where it is part of qlogad.
        install: the command that installs the package, where `pip install` alone does not do.
        cuda: it needs a CUDA device.
        device: of the tensors that it is given.
    """

    target: str = ""
    package: str = ""
    install: str = ""
    cuda: bool = False
    device: str = "cpu"
