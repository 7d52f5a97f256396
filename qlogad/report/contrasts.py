"""The statistics of a run: the intervals of each contender, and the declared contrasts with their verdicts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from qlogad.arrays import Bools, Floats
from qlogad.evaluate.compare import (
    Contrast,
    Difference,
    Interval,
    Paired,
    contrast,
    coverage,
    difference,
    holm,
    interval,
    other_sequences,
)
from qlogad.evaluate.metrics import AREAS, confusion, effective_n
from qlogad.experiment.experiment import Judge
from qlogad.report.columns import Cut, Rows, ScoredCell
from qlogad.report.record import Record

__all__ = ["Judged", "Spans", "judged", "spans"]

SIMULATED = 10.0  # effective sequences: coverage was simulated down to this number, see `qlogad bench coverage`
SETS = 300  # test sets to simulate if there are fewer


# ---------------------------------------------------------------- each contender on its own


@dataclass(frozen=True)
class Spans:
    """The 95 % intervals of every contender, with notes on them."""

    around: Mapping[tuple[str, str], Mapping[str, Interval]]  # (cut, contender) -> metric -> interval; missing without both classes
    notes: Mapping[str, Sequence[str]]  # cut -> a note if its intervals are nominal


def spans(record: Record, metrics: Mapping[str, str]) -> Spans:
    """Intervals of the mean over seeds, for other sequences as frequent as these.

    Args:
        record: its judge sets the number of draws for an interval.
        metrics: name -> title in the tables.
    """
    found: dict[tuple[str, str], dict[str, Interval]] = {}
    notes: dict[str, list[str]] = {cut.name: [] for cut in record.cuts}
    for cut in record.cuts:
        for name, form in cut.forms.items():
            alarms, test = _alarms(record, cut, name), form.test
            notes[cut.name] += _nominal(test, alarms, metrics)
            if not alarms or not 0 < test.label_N.sum() < len(test):
                continue
            sides, draws = list(alarms.values()), record.judge.resamples
            drawn = other_sequences(sides, test.label_N, test.weight_N, test.sequence_N, draws=draws)
            for (contender, alarms_KN), counts in zip(alarms.items(), drawn, strict=True):
                own = [confusion(alarms_N, test.label_N, test.weight_N) for alarms_N in alarms_KN]
                found[cut.name, contender] = {
                    metric: _around(float(np.mean([getattr(one, metric) for one in own])), getattr(counts, metric))
                    for metric in metrics
                }
    return Spans(found, notes)


def _alarms(record: Record, cut: Cut, form: str) -> dict[str, Bools]:
    """(K, N) alarms of every contender of a cut whose rows have this form."""
    found: dict[str, list[Bools]] = {}
    for cell in record.cells:
        if (cell.facts.cut, cell.facts.form) == (cut.name, form):
            found.setdefault(cell.facts.contender, []).append(cell.alarms["test"])
    return {name: np.stack(rows) for name, rows in found.items()}


def _around(value: float, drawn_BK: Floats) -> Interval:
    """The interval of a mean over seeds; it always contains the observed mean."""
    found = interval(np.mean(drawn_BK, axis=1))
    return Interval(min(found.low, value), max(found.high, value), found.level)


def _nominal(test: Rows, alarms: Mapping[str, Bools], metrics: Mapping[str, str]) -> list[str]:
    """A note if a class has fewer sequences than intervals were tested with: their coverage, simulated at these contenders' rates."""
    label_N, weight_N = test.label_N, test.weight_N
    of_class = [np.bincount(test.sequence_N, weights=weight_N * (label_N == label)) for label in (1, 0)]
    few = [effective_n(weight_C) for weight_C in of_class]
    if not alarms or min(few) >= SIMULATED or min(few) == 0:
        return []
    rates = {
        (_rate(alarms_KN, weight_N, label_N == 1, few[0]), _rate(alarms_KN, weight_N, label_N == 0, few[1]))
        for alarms_KN in alarms.values()
    }
    shares = [coverage(list(metrics), label_N, weight_N, recall=recall, fpr=fpr, sets=SETS) for recall, fpr in sorted(rates)]
    told = []
    for metric, name in metrics.items():
        ends = sorted({f"{100 * extreme(share[metric] for share in shares):.0f}" for extreme in (min, max)}, key=float)
        told.append(f"that of {name} covers {' to '.join(ends)} %")
    return [
        f"- intervals of this cut are nominal: {few[0]:.1f} effective anomalous and {few[1]:.1f} normal sequences (fewer than "
        f"{SIMULATED:.0f}); simulated with these multiplicities, at the contenders' rates, {', '.join(told)}"
    ]


def _rate(alarms_KN: Bools, weight_N: Floats, of_class_N: Bools, n: float) -> float:
    """The rate of alarms in a class, kept half a sequence away from 0 and 1."""
    own_N = weight_N * of_class_N
    return round((n * float(np.mean(alarms_KN @ own_N)) / float(own_N.sum()) + 0.5) / (n + 1), 2)


# ---------------------------------------------------------------- declared contrasts


@dataclass(frozen=True, eq=False)
class Judged:
    """A declared contrast, left minus right, with its statistics and verdict."""

    left: str
    right: str
    fixed: tuple[str, ...]  # the sides without randomness
    seeds: Contrast  # over seeds, on these sequences; p and interval are NaN if neither side has randomness
    sequences: Difference | None  # over sequences, with these seeds; None if a cell or a class is missing
    p_holm: float
    verdict: str

    @property
    def nominal(self) -> bool:
        """Whether the interval over sequences rests on fewer of them than were tested; never if the two sides do not differ at all."""
        one = self.sequences
        return one is not None and min(one.effective_n, one.evidence) < SIMULATED and bool(np.nan_to_num(one.drawn_B).any())


def judged(record: Record, frame: pd.DataFrame) -> list[Judged]:
    """Every declared contrast, p adjusted over all of them; one without p still counts as a member of the family.

    Args:
        record: all cells, and the declared contrasts.
        frame: its rows.
    """
    judge = record.judge
    cells = {name: [one for one in record.cells if one.facts.contender == name] for pair in judge.contrasts for name in pair}
    seeded = {one.name: one.seeded for one in record.entrants}
    fixed = [name for name, own in cells.items() if own and (not seeded[name] or _is_fixed(own))]
    whole = frame[frame["windows"] == "all"]
    both = (whole["n_anomalies"] > 0) & (whole["n_anomalies"] < whole["n"])  # with one class only, F1 is undefined or always 0
    whole = whole.assign(**{judge.metric: whole[judge.metric].where(both)})
    found = []
    for pair in judge.contrasts:
        still = tuple(name for name in dict.fromkeys(pair) if name in fixed)
        values = [_values(whole, name, judge, one=name in still) for name in pair]
        over_sequences = _over_sequences(record, [cells[name] for name in pair], still)
        found.append((still, _over_seeds(values, bool(still)), _over_seeds(values, bool(still), _level(judge)), over_sequences))
    adjusted = holm([over_seeds.p for _, over_seeds, _, _ in found])
    return [
        Judged(*pair, still, over_seeds, over_sequences, float(p), _verdict(strict, over_sequences, float(p), len(still), judge))
        for pair, (still, over_seeds, strict, over_sequences), p in zip(judge.contrasts, found, adjusted, strict=True)
    ]


def _level(judge: Judge) -> float:
    """The confidence level of the intervals behind a verdict, Bonferroni-corrected for the family of contrasts."""
    return 1 - judge.alpha / len(judge.contrasts)


def _is_fixed(cells: Sequence[ScoredCell]) -> bool:
    """Whether a contender's results are the same for all of several seeds, at every cut."""
    firsts: dict[str, ScoredCell] = {}
    pairs = [(cell, firsts.setdefault(cell.facts.cut, cell)) for cell in cells]
    return len(pairs) > len(firsts) and all(
        np.array_equal(one.scores["test"], first.scores["test"]) and np.array_equal(one.alarms["test"], first.alarms["test"])
        for one, first in pairs
    )


def _values(whole: pd.DataFrame, name: str, judge: Judge, *, one: bool) -> Floats:
    """(cuts, seeds) values of the declared metric, NaN if a cell is missing or the metric undefined; one column without randomness."""
    own = whole[whole["contender"] == name].pivot_table(index="cut", columns="seed", values=judge.metric, dropna=False)
    own = own.reindex(index=sorted(whole["cut"].unique()), columns=range(judge.seeds))
    return np.asarray(own.bfill(axis=1).iloc[:, :1] if one else own, dtype=np.float64)


def _over_seeds(values: Sequence[Floats], fixed: bool, level: float = 0.95) -> Contrast:
    """The contrast over seeds; without p if a side has no randomness, without interval if neither has any."""
    found = contrast(values[0] - values[1], level=level)
    return replace(found, p=math.nan) if fixed else found


def _over_sequences(record: Record, sides: Sequence[Sequence[ScoredCell]], fixed: Sequence[str]) -> Difference | None:
    """The difference over resamples of the test sequences shared by all cuts, with cuts and seeds fixed."""
    cuts = []
    for cut in record.cuts:
        by_seed = [{cell.facts.seed: cell for cell in side if cell.facts.cut == cut.name} for side in sides]
        random = [set(own) for own, side in zip(by_seed, sides, strict=True) if side and side[0].facts.contender not in fixed]
        seeds = sorted(set.intersection(*random)) if random else [0]  # those completed by every side that has randomness
        if not seeds or not all(by_seed) or not 0 < cut.merged.test.label_N.sum() < len(cut.merged.test):
            return None
        chosen = [
            [own.get(seed, own[min(own)]) for seed in (seeds if side[0].facts.contender not in fixed else seeds[:1])]
            for own, side in zip(by_seed, sides, strict=True)
        ]
        cuts.append(_paired(cut, chosen, record.judge.metric))
    return difference(record.judge.metric, cuts, resamples=record.judge.resamples) if cuts else None


def _paired(cut: Cut, sides: Sequence[Sequence[ScoredCell]], metric: str) -> Paired:
    """Two sides on the same rows; on windows if only one of them has merged rows."""
    what = "scores" if metric in AREAS else "alarms"
    left_KN, right_KN = (np.stack([getattr(cell, what)["test"] for cell in side]) for side in sides)
    left, right = (cut.forms[side[0].facts.form].test for side in sides)
    if left is right:
        return Paired(left_KN, right_KN, left.label_N, left.weight_N, left.shared_N)
    windows_W = np.ones(len(left.row_W))
    return Paired(left_KN[:, left.row_W], right_KN[:, right.row_W], left.label_W, windows_W, left.shared_N[left.row_W])


def _verdict(over_seeds: Contrast, over_sequences: Difference | None, p_holm: float, fixed: int, judge: Judge) -> str:
    """The verdict on the left side; `over_seeds` is at the level of the family, `fixed` counts sides without randomness."""
    if over_sequences is None or math.isnan(over_seeds.mean):
        return "-"
    least = judge.alpha / len(judge.contrasts)
    around = over_sequences.interval(_level(judge))
    if around.low <= 0 <= around.high:
        return "not told apart"
    if math.isnan(around.low) or 2.0 ** (1 - over_sequences.evidence) > least:  # not even if all of them favoured one side
        return "too few sequences to tell"
    if (fixed == 0 and 2.0 ** (1 - over_seeds.seeds) > least) or (fixed == 1 and over_seeds.seeds < 2):
        return "too few seeds to tell"
    if p_holm > judge.alpha or over_seeds.low <= 0 <= over_seeds.high:
        return "not told apart"
    return "ahead" if over_sequences.mean > 0 else "behind"
