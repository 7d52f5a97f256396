"""One seed, many independent named streams: the same seed and names give the same numbers on every machine, in any order of use.

A stream's seed is a hash of (seed, names), so adding a stream never changes another one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

__all__ = ["derive", "generator", "torch_default", "torch_generator"]


def derive(seed: int, *names: str | int) -> int:
    """A 63-bit seed for the stream `names` of `seed`.

    >>> derive(0, "weights") == derive(0, "weights"), derive(0, "weights") == derive(0, "batches")
    (True, False)
    """
    text = "\x1f".join([str(int(seed)), *map(str, names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, *names: str | int) -> np.random.Generator:
    """A numpy generator for the stream `names` of `seed`."""
    return np.random.Generator(np.random.PCG64(derive(seed, *names)))


def torch_generator(seed: int, *names: str | int) -> torch.Generator:
    """A torch (CPU) generator for the stream `names` of `seed`."""
    import torch

    return torch.Generator().manual_seed(derive(seed, *names))


@contextmanager
def torch_default(seed: int, *names: str | int, device: str = "cpu") -> Iterator[None]:
    """Context in which torch's global generator draws the stream `names` of `seed`; its state is restored on exit.

    For modules that take no generator, such as `torch.nn.Linear` for its initial weights and `torch.nn.Dropout` for its masks.

    >>> import torch
    >>> with torch_default(0, "head"):
    ...     first = torch.nn.Linear(2, 2)
    >>> with torch_default(0, "head"):
    ...     torch.equal(torch.nn.Linear(2, 2).weight, first.weight)
    True
    """
    import torch

    cuda = torch.device(device).type == "cuda"
    with torch.random.fork_rng([device] if cuda else []):
        torch.default_generator.manual_seed(derive(seed, *names))
        if cuda:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(derive(seed, *names))
        yield
