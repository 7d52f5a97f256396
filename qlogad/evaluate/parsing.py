"""Accuracy of a parser: grouping accuracy (GA), parsing accuracy (PA), F1 of template accuracy (FTA).

GA: Zhu et al., ICSE-SEIP 2019, arXiv:1811.03509. PA: Dai et al., TSE 2020, arXiv:2001.03038. FTA: Khan et al., ICSE 2022,
doi:10.1145/3510003.3510101, as counted by Jiang et al., ISSTA 2024, arXiv:2308.10828.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from qlogad.errors import DataError

__all__ = ["ParsingAccuracy", "parsing"]


@dataclass(frozen=True)
class ParsingAccuracy:
    """Accuracies of a parser, shares in [0, 1]; higher is better."""

    ga: float  # share of messages whose group is exactly a true group
    pa: float  # share of messages whose template equals the true one, character by character
    fta: float  # harmonic mean of `precision` and `recall`
    precision: float  # share of found templates that are correct for all their messages
    recall: float  # number of such templates, divided by the number of true ones


def parsing(found: Sequence[str], truth: Sequence[str], groups: Sequence[Hashable] | None = None) -> ParsingAccuracy:
    """Compare the template found for each message with its true one.

    Args:
        found: M templates, one per message.
        truth: M true templates.
        groups: M group names, as the parser assigned them. Default: messages with the same template form a group.

    Raises:
        DataError: there are no messages, or the lengths differ.

    >>> parsing(["sent <*>", "sent <*>", "stop"], ["sent <*>", "sent <*>", "stop now"])
    ParsingAccuracy(ga=1.0, pa=0.6666666666666666, fta=0.5, precision=0.5, recall=0.5)
    """
    groups = found if groups is None else groups
    if not len(found) == len(truth) == len(groups) > 0:
        raise DataError(
            f"one found template, true template and group are needed per message, got {len(found)}, {len(truth)} and {len(groups)}"
        )
    found_size, true_size, both = Counter(groups), Counter(truth), Counter(zip(groups, truth, strict=True))
    grouped = sum(size for (group, true), size in both.items() if size == found_size[group] == true_size[true])
    right = Counter(mine for mine, true in zip(found, truth, strict=True) if mine == true)
    whole = sum(right[mine] == count for mine, count in Counter(found).items())
    precision, recall = whole / len(set(found)), whole / len(true_size)
    return ParsingAccuracy(
        ga=grouped / len(truth),
        pa=right.total() / len(truth),
        fta=2 * precision * recall / (precision + recall) if whole else 0.0,
        precision=precision,
        recall=recall,
    )
