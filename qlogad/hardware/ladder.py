"""The ladder: one trained model from exact numbers to a device, rung by rung, computed from the campaigns recorded in the ledger.

    exact ── shots ── noise ── noise and shots (simulated, stand-in, device) ── mitigated          a rung is a column

A column holds numbers of one kind: exact expectation values of a noisy circuit are never mixed with sampled ones. Agreement, F1 and
specificity are means over the runs of a closed loop, with intervals for other sequences as frequent as these; expectation errors are
root mean squares over all rows of all runs against the exact readouts at the same angles, so they exclude errors of earlier rounds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from qlogad import escape, files
from qlogad.arrays import Bools, Floats
from qlogad.detect.threshold import Threshold
from qlogad.errors import ResultError, counted
from qlogad.evaluate.compare import interval, other_sequences
from qlogad.evaluate.metrics import confusion
from qlogad.hardware import figures
from qlogad.hardware.campaign import Collected, Heard, Repetition, replay

__all__ = ["Ladder", "LadderRung", "causes", "drifted", "ladders", "write"]

KINDS = {"exact": "exact", "shots": "shots", "noisy-exact": "noise, no shots", "noisy-shots": "noise and shots"}
LEVEL = 0.001  # of the test for drift, over all runs and references of one rung
FEW = 3  # with fewer runs, the cause of a flip is not determined
BANDS = 4  # of the margin
EXACT = "exact"

Values = dict[str, float | int | str]


def drifted(references: Sequence[Sequence[Heard]]) -> Bools:
    """Runs whose reference circuits deviate from the median run, (R,).

    The mean over a run's rounds of each readout of each reference row is compared with its median over runs, in standard errors pooled
    over runs; the median adds the factor 1 + pi / (2 runs) to the variance. A run has drifted if its smallest p times the number of
    tests is below 0.001 (Bonferroni, as readouts of one circuit depend on one another).

    Args:
        references: for each run, the reference rows of each round; rounds with equal circuits have equal angles.
    """
    runs = len(references)
    if runs < 2 or not all(run and run[0].error_MK is not None and len(run[0].mean_MK) for run in references):
        return np.zeros(runs, dtype=np.bool_)
    mean_RT, variance_RT = (np.stack(each) for each in zip(*map(_by_reference, references), strict=True))
    away_RT = np.abs(mean_RT - np.median(mean_RT, axis=0)) / np.sqrt(variance_RT.mean(axis=0) * (1 + np.pi / (2 * runs)))
    return np.asarray(2 * norm.sf(away_RT.max(axis=1)) * away_RT.size < LEVEL)


def _by_reference(run: Sequence[Heard]) -> tuple[Floats, Floats]:
    """The mean over rounds of every readout of every reference row, by circuit, and its variance; both flattened."""
    circuits: dict[Any, list[Heard]] = {}
    for one in run:
        circuits.setdefault(one.lifted.circuit, []).append(one)
    means = [np.mean([one.mean_MK for one in same], axis=0).ravel() for same in circuits.values()]
    variances = [np.sum([_errors(one) ** 2 for one in same], axis=0).ravel() / len(same) ** 2 for same in circuits.values()]
    return np.concatenate(means), np.concatenate(variances)


def _errors(one: Heard) -> Floats:
    return np.zeros_like(one.mean_MK) if one.error_MK is None else one.error_MK


def causes(flips_RN: Bools, drifted_R: Bools, *, sampled: bool) -> NDArray[np.str_]:
    """The cause of flips for each row, (N,); "" if its decision never flips.

    bias: it flips in more than half of the runs, or nothing is sampled. Otherwise drift: it flips only in runs that have drifted.
    Otherwise shot noise. With fewer than three runs of a sampled rung: "not told".
    """
    runs = len(flips_RN)
    ever_N, most_N = flips_RN.any(axis=0), 2 * flips_RN.sum(axis=0) > runs
    steady_N = flips_RN[~drifted_R].any(axis=0)
    rest_N = np.where(steady_N, "shot noise", "drift")
    if sampled and runs < FEW:
        return np.where(ever_N, "not told", "")
    return np.where(~ever_N, "", np.where(most_N | (not sampled), "bias", rest_N))


@dataclass(frozen=True, eq=False)
class LadderRung:
    """One campaign as a column of the ladder."""

    collected: Collected
    recalibrated: bool = False  # whether to use the thresholds fixed on validation windows run by the campaign itself

    @property
    def name(self) -> str:
        """The backend as requested, the label, and which threshold decides if there are two."""
        asked = self.collected.asked
        threshold = f", {'recalibrated' if self.recalibrated else 'clean'} threshold" if asked.validation else ""
        return asked.to + (f" ({asked.label})" if asked.label else "") + threshold

    @cached_property
    def judged(self) -> list[Repetition]:
        """The runs of a closed loop that have a threshold."""
        known = self.collected.recalibrated
        return [run for run in self.collected.runs if run.scores_N is not None and (run.number in known or not self.recalibrated)]

    @cached_property
    def thresholds(self) -> list[Threshold]:
        """The threshold of each run."""
        clean, known = self.collected.threshold, self.collected.recalibrated
        return [known[run.number] if self.recalibrated else clean for run in self.judged]

    @cached_property
    def alarms_RN(self) -> Bools:
        """The decisions of each run, (R, N)."""
        pairs = zip(self.thresholds, self.judged, strict=True)
        found = [threshold(run.scores_N) for threshold, run in pairs if run.scores_N is not None]
        return np.array(found, dtype=bool).reshape(len(found), len(self.collected.features))

    @cached_property
    def flips_RN(self) -> Bools:
        """Where decisions differ from those of the exact scores at the clean threshold, (R, N)."""
        return np.asarray(self.alarms_RN != self.collected.threshold(self.collected.exact_N))

    @property
    def mitigated(self) -> bool:
        """Whether error mitigation or suppression was used."""
        return self.collected.spent.told.get("mitigation", "none") != "none"

    @property
    def place(self) -> str:
        """Where it ran: device, stand-in or simulator."""
        return "device" if self.collected.device else "stand-in" if "stand-in" in self.collected.spent.told else "simulator"

    @property
    def height(self) -> tuple[int, int, bool]:
        """The sort key of rungs: from exact numbers to the device."""
        return (
            list(KINDS).index(self.collected.kind),
            ("simulator", "stand-in", "device").index(self.place),
            self.mitigated,
        )

    @cached_property
    def drifted_R(self) -> Bools:
        """Runs whose reference circuits deviate from the median run, (R,)."""
        return drifted([[heard for run in layers for heard in run.references] for layers in self.finished])

    @cached_property
    def finished(self) -> list[list[Repetition]]:
        """The finished runs, one list per layer of circuits in open loop, since each layer is a campaign of its own."""
        by_number: dict[int, list[Repetition]] = {}
        for run in self.collected.runs:
            by_number.setdefault(run.number, []).append(run)
        most = max(map(len, by_number.values()), default=0)
        return [layers for layers in by_number.values() if len(layers) == most]

    @cached_property
    def cause_N(self) -> NDArray[np.str_]:
        """The cause of flips for each row, (N,); see `causes`."""
        drifted_R = (
            self.drifted_R if self.flips_RN.shape[0] == len(self.drifted_R) else np.zeros(len(self.flips_RN), dtype=np.bool_)
        )
        return causes(self.flips_RN, drifted_R, sampled=self.collected.forecast.cost.shots > 0)

    @cached_property
    def heard(self) -> list[Heard]:
        """The answers to every call of every finished run."""
        return [one for run in self.collected.runs for one in run.heard]

    def errors(self, by: str) -> dict[str, float]:
        """Root mean square errors of the readouts, by `readout` or by `step`."""
        off: dict[str, list[Floats]] = {}
        for one in self.heard:
            error_MK = one.mean_MK - one.exact_MK
            if by == "readout":
                for k, word in enumerate(one.lifted.circuit.readout):
                    off.setdefault(word, []).append(error_MK[:, k])
            else:
                for step in np.unique(one.step_M):
                    off.setdefault(str(step + 1), []).append(error_MK[one.step_M == step].ravel())
        return {name: _rms(np.concatenate(each)) for name, each in off.items()}

    def facts(self) -> Values:
        """The values of the column."""
        one, spent, told = self.collected, self.collected.spent, self.collected.spent.told
        low, high = one.forecast.range
        found: Values = {
            "kind": KINDS[one.kind],
            "where": self.place,
            "mitigation": told.get("mitigation", "none"),
            "shots": one.forecast.cost.shots // max(one.forecast.cost.executions, 1) or "-",
            "runs": f"{len(self.finished)} of {one.asked.repeats}",
        }
        if len(self.alarms_RN):
            found |= (
                {"threshold": float(np.mean([threshold.value for threshold in self.thresholds]))} if one.asked.validation else {}
            )
            found |= _decisions(one, self.alarms_RN) | {"rows that ever flip": int(self.flips_RN.any(axis=0).sum())}
            found |= {f"of these by {why}": int((self.cause_N == why).sum()) for why in ("bias", "drift", "shot noise", "not told")}
        found |= _readouts(self.heard)
        references = [ref for run in one.runs for ref in run.references if len(ref.mean_MK)]
        if references:
            found["reference error, rms"] = _rms(np.concatenate([(ref.mean_MK - ref.exact_MK).ravel() for ref in references]))
            found["runs that drifted"] = int(self.drifted_R.sum())
        return found | {
            "depth": told.get("depth", one.forecast.cost.depth),
            "two-qubit gates": told.get("two-qubit gates", one.forecast.cost.two_qubit_gates),
            "jobs": spent.jobs,
            "executions": spent.executions,
            "shots in all": spent.shots,
            "QPU seconds, planned": f"{one.forecast.cost.seconds:,.0f} ({low:,.0f} to {high:,.0f})",
            "QPU seconds, told": "-" if spent.seconds is None else spent.seconds,
            "calibrated": told.get("calibrated", "-"),
        }


def _decisions(one: Collected, alarms_RN: Bools) -> Values:
    """Agreement, F1 and specificity of a closed loop: means over runs, intervals over sequences, spread over runs."""
    weight_N = one.features.weight_N
    numbers: dict[bytes, int] = {}
    sequence_N = np.array([numbers.setdefault(row.tobytes(), len(numbers)) for row in one.features.rows()])
    agree_RN = alarms_RN == one.threshold(one.exact_N)
    agreement_R = np.average(agree_RN, axis=1, weights=weight_N)
    (drawn,) = other_sequences([agree_RN], np.ones(len(weight_N)), weight_N, sequence_N)  # recall, with all rows as one class
    found = _spread("agreement with exact", agreement_R, drawn.recall)
    if 0 < one.label_N.sum() < len(one.label_N):
        (drawn,) = other_sequences([alarms_RN], one.label_N, weight_N, sequence_N)
        runs = [confusion(alarms_N, one.label_N, weight_N) for alarms_N in alarms_RN]
        for name, metric in (("F1", "f1"), ("specificity", "specificity")):
            found |= _spread(name, np.array([float(getattr(run, metric)) for run in runs]), getattr(drawn, metric))
    return found


def _spread(name: str, values_R: Floats, drawn_BR: Floats) -> Values:
    around, mean = interval(drawn_BR.mean(axis=1)), float(values_R.mean())
    found: Values = {name: mean, f"{name} low": min(around.low, mean), f"{name} high": max(around.high, mean)}
    return found | ({f"{name}, sd over runs": float(values_R.std(ddof=1))} if len(values_R) > 1 else {})


def _readouts(heard: Sequence[Heard]) -> Values:
    """The error of expectation values: in total, its part from shots, and the rest."""
    if not heard:
        return {}
    error = _rms(np.concatenate([(one.mean_MK - one.exact_MK).ravel() for one in heard]))
    shots = _rms(np.concatenate([_errors(one).ravel() for one in heard]))
    return {
        "expectation error, rms": error,
        "of which shot noise": shots,
        "of which bias": float(np.sqrt(max(error**2 - shots**2, 0.0))),
        "rows compared": sum(len(one.mean_MK) for one in heard),
    }


def _rms(values: Floats) -> float:
    return float(np.sqrt(np.mean(values**2)))


# ---------------------------------------------------------------- all rungs of a model

_MEANING = """\
A column is one campaign, and holds numbers of one kind. Agreement, F1 and specificity are means over the runs of a closed loop on windows
chosen to hold as many anomalies as normal ones and many near the threshold: they compare columns, and are no estimate for the whole test
part. A recalibrated threshold is what the detector's rule finds on validation windows that the same run scored on the same backend; the
clean one was fixed on exact scores, and no test window is near either. [a, b] is a 95 % interval for other sequences as frequent as these.
Expectation errors are against exact readouts at the angles that were run; their bias is what is left of the square of the error without
that of the shots. A step is a round of the closed loop; in open loop, the first that would ask the row. A flip is a decision other than
the exact one. Its cause, for each row: **bias**, it flips in more than half of the runs, or nothing is sampled; else **drift**, it flips
only in runs whose reference circuits answered otherwise than in most runs (p < 0.001, Bonferroni over runs and references); else **shot
noise**. Fewer than three sampled runs do not tell. Planned seconds are the device's, of a stand-in those of the device that it stands
for; told are those that a service counted."""


@dataclass(frozen=True, eq=False)
class Ladder:
    """All rungs of one trained model on the same windows, lowest first."""

    rungs: tuple[LadderRung, ...]

    @property
    def name(self) -> str:
        """The model and its windows."""
        asked, one = self.rungs[0].collected.asked, self.rungs[0].collected
        odd = int(one.features.weight_N[one.label_N == 1].sum())
        return (
            f"{asked.contender}, seed {asked.seed}, cut {asked.cut}: {counted(asked.windows, 'window')} of choice {asked.choice} "
            f"({odd} anomalies, {len(one.features)} distinct), {counted(asked.references, 'reference')} a round"
        )

    def of(self, mode: str) -> list[LadderRung]:
        """The rungs of one mode."""
        return [rung for rung in self.rungs if rung.collected.asked.mode == mode]

    def tables(self, mode: str) -> dict[str, dict[str, Values]]:
        """Title -> rung -> its column of values."""
        rungs = self.of(mode)
        if not rungs:
            return {}
        found: dict[str, dict[str, Values]] = {"": {rung.name: rung.facts() for rung in rungs}}
        for by in ("readout", "step"):
            found[f"Expectation error, rms, by {by}"] = {rung.name: dict(rung.errors(by)) for rung in rungs}
        if mode == "closed":
            found[""] = {EXACT: self._exact()} | found[""]
            found["Share of flipped decisions by distance of the exact score from the threshold"] = {
                rung.name: self._bands(rung) for rung in rungs
            }
        return found

    def facts(self) -> dict[str, Any]:
        """The ladder as plain data: the model, and its columns by mode and title."""
        return {"model": self.name} | {mode: self.tables(mode) for mode in ("closed", "open")}

    def _exact(self) -> Values:
        one = self.rungs[0].collected
        sure = {f"agreement with exact {end}": 1.0 for end in ("low", "high")}  # the exact rung agrees with itself
        return {"kind": EXACT, "where": "engine", "runs": "1"} | _decisions(one, one.threshold(one.exact_N[None])) | sure

    def _bands(self, rung: LadderRung) -> Values:
        away_N = np.abs(rung.collected.margin_N)
        edges = np.unique(np.quantile(away_N, np.arange(1, BANDS) / BANDS, method="lower"))  # no sums: scores may be infinite
        band_N = np.searchsorted(edges, away_N)
        return {
            f"{away_N[band_N == band].min():.3g} to {away_N[band_N == band].max():.3g} ({counted(int((band_N == band).sum()), 'row')})": (
                float(rung.flips_RN[:, band_N == band].mean()) if len(rung.flips_RN) else "-"
            )
            for band in np.unique(band_N)
        }


def ladders(result: Path) -> tuple[list[Ladder], dict[str, str]]:
    """The ladder of every model that was run on a backend; and, by campaign name, why some campaigns are left out.

    Raises:
        ResultError: nothing was submitted.
    """
    found, skipped = replay(result)
    models: dict[tuple[object, ...], list[LadderRung]] = {}
    for one in found:
        asked = one.asked
        if not one.runs:
            skipped[str(asked)] = f"no run has finished: {one.stopped[0]}"
            continue
        key = (asked.contender, asked.seed, asked.cut, asked.cell, asked.windows, asked.choice, asked.references)
        models.setdefault(key, []).append(LadderRung(one))
        if one.recalibrated:
            models[key].append(LadderRung(one, recalibrated=True))
    return [Ladder(tuple(sorted(rungs, key=lambda rung: rung.height))) for rungs in models.values()], skipped


def write(models: Sequence[Ladder], folder: Path) -> Path:
    """Write ladder.md, ladder.csv and ladder.png; returns the path of the first.

    Raises:
        ResultError: there is no rung.
    """
    if not models:
        raise ResultError(f"nothing in {folder} can be replayed; submit a campaign with: qlogad hardware submit {folder}")
    path = folder / "ladder.md"
    parts = [f"# Ladder of {escape.markdown(folder.name)}", ""]
    for model in models:
        parts += [f"## {escape.markdown(model.name)}", ""]
        for mode in ("closed", "open"):
            for title, columns in model.tables(mode).items():
                parts += [f"{title}:" if title else f"### {mode.capitalize()} loop", "", _markdown(columns), ""]
    files.write(path, "\n".join([*parts, "## How to read this", "", _MEANING, ""]))
    files.write(folder / "ladder.csv", _csv(models))
    figures.ladder([_drawn(model) for model in models], folder / "ladder.png")
    return path


def _markdown(columns: Mapping[str, Values]) -> str:
    fullest = sorted(columns.values(), key=len, reverse=True)  # the longest column first, for the order of rows
    names = dict.fromkeys(name for column in fullest for name in column if not name.endswith((" low", " high")))
    rows = [[name, *(_cell(column, name) for column in columns.values())] for name in names]
    text: str = escape.table(rows, "github", ["", *columns])
    return text


def _cell(column: Values, name: str) -> str:
    value = column.get(name, "-")
    text = f"{value:.3f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else value
    return f"{text} [{column[f'{name} low']:.2f}, {column[f'{name} high']:.2f}]" if f"{name} low" in column else text


def _csv(models: Sequence[Ladder]) -> str:
    """One line per measured value, one column per rung."""
    tables = [
        (model.name, mode, title, columns)
        for model in models
        for mode in ("closed", "open")
        for title, columns in model.tables(mode).items()
    ]
    rungs = list(dict.fromkeys(name for *_, columns in tables for name in columns))
    rows = [
        (model, mode, title, name, *("" if (value := columns.get(rung, {}).get(name, "-")) == "-" else value for rung in rungs))
        for model, mode, title, columns in tables
        for name in dict.fromkeys(name for column in columns.values() for name in column)
    ]
    return escape.csv_rows([("model", "loop", "table", "measure", *rungs), *rows], ".6g")


def _drawn(model: Ladder) -> figures.Climb:
    """The contents of a model's figure."""
    closed = model.tables("closed").get("", {})
    decisions = {
        measure: {
            rung: (float(column[measure]), float(column[f"{measure} low"]), float(column[f"{measure} high"]))
            for rung, column in closed.items()
            if f"{measure} low" in column
        }
        for measure in ("agreement with exact", "F1", "specificity")
    }
    steps: dict[tuple[str, str], dict[str, float]] = {
        (rung.name, rung.collected.asked.mode): rung.errors("step") for rung in model.rungs if rung.heard
    }
    flips = {rung.name: rung.flips_RN.mean(axis=0) for rung in model.of("closed") if len(rung.flips_RN)}
    return figures.Climb(model.name, decisions, steps, model.rungs[0].collected.margin_N, flips)
