"""Means of Pauli words, and probabilities of basis states, from state vectors.

A Pauli word P maps basis state b to i^(number of Y) sign_b |b xor flips>, so <P> is a signed sum over b of
conj(psi[b xor flips]) psi[b]; words of I and Z alone flip nothing and are signs on the probabilities.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from qlogad.circuit.readout import is_projector

__all__ = ["Readout"]

_TABLE = 2**12  # up to this many amplitudes, signs are a table and sums one product; beyond, they are folded wire by wire


class Readout:
    """The means of K readouts.

    Args:
        words: Pauli words or basis states, one letter per wire.
        like: a real tensor of the wanted precision and device.
    """

    def __init__(self, words: Sequence[str], like: Tensor) -> None:
        by_flips: dict[int, list[int]] = {}
        projectors = [place for place, word in enumerate(words) if is_projector(word)]
        for place, word in enumerate(words):
            if not is_projector(word):
                by_flips.setdefault(_mask(word, "XY"), []).append(place)
        self._groups: list[_SameFlips | _Projectors] = [
            _SameFlips(flips, [words[place] for place in places], like) for flips, places in by_flips.items()
        ]
        if projectors:
            self._groups.append(_Projectors([words[place] for place in projectors], like))
        order = [*(place for places in by_flips.values() for place in places), *projectors]
        self._back = None if order == sorted(order) else torch.tensor(order, device=like.device).argsort()

    def __call__(self, psi_GND: Tensor) -> Tensor:
        """State vectors -> mean_GNK, real."""
        means = torch.cat([group(psi_GND) for group in self._groups], dim=-1)
        return means if self._back is None else means.index_select(-1, self._back)


class _Projectors:
    """The probabilities of some basis states."""

    def __init__(self, words: list[str], like: Tensor) -> None:
        states = [int(word, 2) for word in words]
        self._whole = states == list(range(2 ** len(words[0])))
        self._states = torch.tensor(states, device=like.device)

    def __call__(self, psi_GND: Tensor) -> Tensor:
        chosen = psi_GND if self._whole else psi_GND.index_select(-1, self._states)
        return torch.view_as_real(chosen).square().sum(-1)


class _SameFlips:
    """Words with X or Y on the same wires."""

    def __init__(self, flips: int, words: list[str], like: Tensor) -> None:
        self._words, size = words, 2 ** len(words[0])
        basis = torch.arange(size, device=like.device) if flips or size <= _TABLE else None
        self._partner = basis ^ flips if flips and basis is not None else None
        self._turns = [word.count("Y") % 4 for word in words]
        self._signs_Dk = (
            None if basis is None or size > _TABLE else torch.stack([_signs(word, basis) for word in words], dim=1).to(like)
        )

    def __call__(self, psi_GND: Tensor) -> Tensor:
        if self._partner is None:
            return self._sums(torch.view_as_real(psi_GND).square().sum(-1))
        products = psi_GND.index_select(-1, self._partner).conj() * psi_GND
        parts = (
            self._sums(products.real),
            self._sums(products.imag),
        )  # of the sum s; i^k s has the real parts Re s, -Im s, -Re s, Im s
        return torch.stack([parts[turn % 2][..., k] * (1, -1, -1, 1)[turn] for k, turn in enumerate(self._turns)], dim=-1)

    def _sums(self, values_GND: Tensor) -> Tensor:
        """The signed sums over the basis, (G, N, k)."""
        if self._signs_Dk is not None:
            return values_GND @ self._signs_Dk
        return torch.stack([_fold(values_GND, word) for word in self._words], dim=-1)


def _fold(values_GND: Tensor, word: str) -> Tensor:
    """One signed sum, halving the number of values wire by wire."""
    for letter in word:
        zero, one = values_GND.chunk(2, dim=-1)
        values_GND = zero - one if letter in "YZ" else zero + one
    return values_GND[..., 0]


def _mask(word: str, letters: str) -> int:
    return int("".join("1" if letter in letters else "0" for letter in word), 2)


def _signs(word: str, basis: Tensor) -> Tensor:
    """(-1)^(bits under Z or Y): Y|0> = i|1>, Y|1> = -i|0>."""
    signs = torch.ones_like(basis)
    for wire, letter in enumerate(reversed(word)):
        if letter in "YZ":
            signs = signs * (1 - 2 * (basis >> wire & 1))
    return signs
