"""Expectation values and their standard errors from probabilities or counts of outcomes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np

from qlogad import seeds
from qlogad.arrays import Floats
from qlogad.circuit.readout import bases, is_projector

__all__ = ["draw", "read_chances", "read_counts"]


def draw(chances_MBD: Floats, rows: Sequence[str], shots: int) -> Floats:
    """Draw shots in each basis, as shares of outcomes; the draws of a row depend only on its name and probabilities."""
    chances_MBD = np.clip(chances_MBD, 0, None)
    chances_MBD /= chances_MBD.sum(axis=2, keepdims=True)
    draws = [
        seeds.generator(0, row, "shots").multinomial(shots, chances_BD) for row, chances_BD in zip(rows, chances_MBD, strict=True)
    ]
    return np.stack(draws) / shots


def read_chances(words: Sequence[str], chances_MBD: Floats, shots: int | None) -> tuple[Floats, Floats | None]:
    """The readouts mean_MK and their standard errors from the shares of outcomes in each basis.

    Args:
        words: the circuit's readouts.
        chances_MBD: for each of `bases(words)` the share of every outcome, 0 to 2^W - 1; wire 0 is the most significant bit.
        shots: the number of shots behind the shares; None: exact probabilities, without standard errors.
    """
    basis_K = [_basis(word, bases(words)) for word in words]
    values_KD = np.stack([_outcomes(word) for word in words])
    mean_MK = np.einsum("mkd,kd->mk", chances_MBD[:, basis_K], values_KD)
    return mean_MK, None if shots is None else _errors(words, mean_MK, shots)


def read_counts(words: Sequence[str], counts: Sequence[Sequence[Mapping[str, int]]]) -> tuple[Floats, Floats]:
    """The readouts mean_MK and their standard errors from counts: for each row and each of `bases(words)`, a mapping from outcomes such as
    "0110" (letter k is wire k) to counts.

    >>> read_counts(("ZI", "11"), [[{"00": 3, "11": 1}]])[0].tolist()
    [[0.5, 0.25]]
    """
    basis_K = [_basis(word, bases(words)) for word in words]
    mean_MK, error_MK = np.zeros((2, len(counts), len(words)))
    for m, row in enumerate(counts):
        for k, (word, basis) in enumerate(zip(words, basis_K, strict=True)):
            shots = sum(row[basis].values())
            mean_MK[m, k] = sum(_value(word, outcome) * times for outcome, times in row[basis].items()) / shots
            error_MK[m, k] = _errors([word], mean_MK[m, k][None, None], shots)[0, 0]
    return mean_MK, error_MK


def _basis(word: str, found: Sequence[str]) -> int:
    """The index of a basis that covers a word."""
    axes = "Z" * len(word) if is_projector(word) else word
    return next(place for place, basis in enumerate(found) if all(one in ("I", two) for one, two in zip(axes, basis, strict=True)))


def _value(word: str, outcome: str) -> float:
    """The value of a word for an outcome: 1 or -1, for a projector 1 or 0."""
    if is_projector(word):
        return float(word == outcome)
    return float((-1) ** sum(letter != "I" and bit == "1" for letter, bit in zip(word, outcome, strict=True)))


@lru_cache(maxsize=1024)
def _outcomes(word: str) -> Floats:
    """`_value` of every outcome (2^W,)."""
    values_D: Floats = np.ones(1)
    for letter in word:
        two = {"I": (1, 1), "0": (1, 0), "1": (0, 1)}.get(letter, (1, -1))
        values_D = np.asarray(np.kron(values_D, np.array(two, dtype=np.float64)))
    return values_D


def _errors(words: Sequence[str], mean_MK: Floats, shots: int) -> Floats:
    """Standard errors of means over shots, from Laplace's estimate (x + 1) / (n + 2), so that 0 of n has an error above 0."""
    projector_K = np.array([is_projector(word) for word in words])
    share_MK = np.where(projector_K, mean_MK, (1 + mean_MK) / 2)
    share_MK = (np.clip(share_MK, 0, 1) * shots + 1) / (shots + 2)
    fixed_K = np.array([set(word) == {"I"} for word in words])
    reach_K = np.where(fixed_K, 0.0, np.where(projector_K, 1.0, 2.0))
    return np.asarray(reach_K * np.sqrt(share_MK * (1 - share_MK) / shots))
