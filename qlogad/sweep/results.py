"""The results of a study's trials: one row each, the best or the Pareto front, and the files of the results folder."""

from __future__ import annotations

import json
import math
import platform
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from optuna.study import Study as Trials
from optuna.trial import FrozenTrial, TrialState

from qlogad import documents, escape, files
from qlogad.errors import counted, one_line
from qlogad.jobs.address import database, is_path
from qlogad.jobs.attempts import attempts, cause, over
from qlogad.report import convergence
from qlogad.report.manifest import commit
from qlogad.sweep.study import Entrant, Study
from qlogad.sweep.trial import ended_of

__all__ = [
    "Finished",
    "PreparedStudy",
    "before",
    "best",
    "endings",
    "expected_best",
    "params_of",
    "standing",
    "trials_of",
    "warnings",
    "write",
]

SHOWN = 10  # trials in a table


@dataclass(frozen=True)
class Finished:
    """The results of a sweep: rows for programs, text for people."""

    rows: list[dict[str, Any]]
    text: str
    folder: Path
    barren: tuple[str, ...]  # contenders without a completed trial
    warnings: tuple[str, ...] = ()  # about trials that were still improving at their last epoch


@dataclass(frozen=True)
class PreparedStudy:
    """A study with its grounds: everything known before the first trial."""

    study: Study
    folder: Path
    cuts: tuple[str, ...]
    grounds: str  # a digest of all features
    warnings: tuple[str, ...]


def trials_of(study: Study, entrant: Entrant, trials: Trials) -> list[dict[str, Any]]:
    """One row for each finished logical trial, by index; its attempts share a row."""
    chains = attempts(trials.get_trials(deepcopy=False))
    rows, first = [], dict[str, dict[str, Any]]()
    for index in sorted(index for index in chains if study.settings.trials is None or index < study.settings.trials):
        if over(chains[index][-1]):
            row = _row(study, entrant, index, chains[index])
            if row["state"] == "complete":
                one = first.setdefault(chains[index][-1].user_attrs["key"], row)
                if one is not row:  # equal trials share one result, even if both were trained because they ran at the same time
                    row |= {name: one[name] for name in study.settings.objectives} | {"reused from": one["index"]}
            rows.append(row)
    return rows


def _row(study: Study, entrant: Entrant, index: int, chain: Sequence[FrozenTrial]) -> dict[str, Any]:
    last = chain[-1]
    ended = ended_of(last)
    attrs, done = last.user_attrs, last.state == TrialState.COMPLETE
    values = last.values if done and last.values else [None] * len(study.objectives)
    seconds = sum(trial.duration.total_seconds() for trial in chain if trial.duration)
    return {
        "contender": entrant.name,
        "index": index,
        "state": last.state.name.lower(),
        **dict(zip(study.settings.objectives, values, strict=True)),
        **{f"param {name}": last.params[name] for name in sorted(last.params)},
        "weights (all)": attrs.get("weights"),
        **attrs.get("circuit", {}),
        **{name: value for name, value in attrs.items() if name.startswith("rung ")},
        "cause": cause(last) or (attrs.get("pruned", "") if last.state is TrialState.PRUNED else ""),
        "seconds": round(seconds, 3),
        "attempts": len(chain),
        "reused from": attrs.get("reused from"),
        "trainings": ended.of,
        "still improving": ended.improving,
        "improving at epoch": ended.epochs,
    }


def endings(rows: Sequence[Mapping[str, Any]]) -> convergence.Ended:
    """How the trainings of some trials ended, counting each training once."""
    own = [row for row in rows if row["reused from"] is None]
    each = (convergence.Ended(row["still improving"], row["trainings"], row["improving at epoch"]) for row in own)
    return sum(each, convergence.Ended())


def warnings(found: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    """A warning that names the contenders with trials still improving at their last epoch; empty if there are none."""
    return convergence.warning({name: endings(rows) for name, rows in found.items()}, "their values depend")


def params_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters in a trial's row."""
    return {name.removeprefix("param "): value for name, value in row.items() if name.startswith("param ")}


def best(study: Study, rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The best completed trials: best first, or with several objectives the Pareto front, ordered by the first objective."""
    signs = [1 if one.direction == "minimize" else -1 for one in study.objectives]
    done = [row for row in rows if row["state"] == "complete" and row["reused from"] is None]
    score = {id(row): [sign * row[name] for sign, name in zip(signs, study.settings.objectives, strict=True)] for row in done}
    if len(signs) > 1:
        values_NO = np.array([score[id(row)] for row in done]).reshape(-1, len(signs))
        done = [
            row
            for row, own_O in zip(done, values_NO, strict=True)
            if not ((values_NO <= own_O).all(1) & (values_NO < own_O).any(1)).any()
        ]
    return sorted(done, key=lambda row: (score[id(row)], row["index"]))


def expected_best(values: Sequence[float], k: int, direction: str) -> float:
    """The mean, over all subsets of k values, of their best (Dodge et al., EMNLP 2019, arXiv:1909.03004; without replacement).

    >>> expected_best([1.0, 2.0, 3.0], 2, "minimize")
    1.3333333333333333
    """
    ordered = sorted(values, reverse=direction == "maximize")
    n = len(ordered)
    return sum(value * math.comb(n - place, k - 1) for place, value in enumerate(ordered, start=1)) / math.comb(n, k)


def before(prepared: PreparedStudy) -> str:
    study, settings = prepared.study, prepared.study.settings
    lines = [study.question or study.name, _budget(study)]
    lines += [f"contender {entrant.name}: track {study.track(entrant)}" for entrant in study.entrants]
    lines += [f"warning, {text}" for text in prepared.warnings]
    if settings.folds.seeds == 1 and len(prepared.cuts) == 1:
        lines += [
            "one training for each trial: differences of the size of seed noise decide; folds = { seeds = 3 } trains more often"
        ]
    return "\n".join(lines) + "\n"


def _budget(study: Study) -> str:
    settings = study.settings
    trials = "all of the grid" if settings.trials is None else counted(settings.trials, "trial")
    seconds = "" if settings.seconds is None else f", at most {settings.seconds:g} s of wall clock"
    folds = counted(len(study.cuts) * settings.folds.seeds, "training")
    pruner = "" if settings.pruner == "none" else f", pruner {settings.pruner}"
    limits = f"; circuits: {settings.constraints}" if str(settings.constraints) else ""
    return f"each contender: {trials}{seconds}; {folds} a trial; sampler {settings.sampler}{pruner}; seed {settings.seed}{limits}"


def standing(study: Study, entrant: Entrant, rows: Sequence[Mapping[str, Any]], total: int | None, seconds: float | None) -> str:
    states = Counter(row["state"] for row in rows)
    left = "" if seconds is None else f", {max(0.0, seconds):.0f} s left"
    head = f"{entrant.name}: {len(rows)} of {total} trials ({states['pruned']} pruned, {states['fail']} failed){left}"
    return f"{head}\n{_best_table(study, best(study, rows)[:5], 'simple')}"


def _best_table(study: Study, rows: Sequence[Mapping[str, Any]], style: str) -> str:
    if not rows:
        return "no trial has completed yet"
    shown = [
        {"contender": row["contender"], "trial": row["index"]}
        | {name: f"{row[name]:.5g}" for name in study.settings.objectives}
        | {"still improving": str(endings([row])), "seconds": f"{row['seconds']:.1f}", "point": _point(row)}
        for row in rows
    ]
    return escape.table(shown, style)


def _point(row: Mapping[str, Any]) -> str:
    given = params_of(row)
    plain = [f"{key} = {f'{v:.4g}' if isinstance(v, float) else v}" for key, v in given.items() if not key.startswith("design.")]
    rows = [_design_row(given, number) for number in range(1, given.get("design.rows", 0) + 1)]
    return ", ".join([*([f"design: {' · '.join(rows)}"] if rows else []), *plain])


def _design_row(given: Mapping[str, Any], number: int) -> str:
    """One row of a built design as text: "cx ring flip"."""
    key = f"design.{number}"
    turns = [turn for turn in ("flip", "reverse") if given.get(f"{key}.{turn}")]
    return " ".join([given[f"{key}.gate"], given.get(f"{key}.wires") or given[f"{key}.pairs"], *turns])


def write(prepared: PreparedStudy, found: Mapping[str, list[dict[str, Any]]], place: str) -> Finished:
    folder = prepared.folder
    rows = [row for trials in found.values() for row in trials]
    frame = pd.DataFrame(rows)
    files.write(folder / "trials.csv", escape.csv_table(frame, "%.9g"))
    manifest = _manifest(prepared, found, place)
    files.write(folder / "manifest.json", json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")
    text = _table(prepared, found)
    files.write(folder / "table.md", text)
    barren = tuple(name for name, trials in found.items() if not any(row["state"] == "complete" for row in trials))
    clean = [{k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()} for row in rows]
    return Finished(clean, text, folder, barren, tuple(warnings(found)))


def _manifest(prepared: PreparedStudy, found: Mapping[str, list[dict[str, Any]]], place: str) -> dict[str, Any]:
    study = prepared.study
    packages = ("qlogad", "optuna", "torch", "numpy", "scikit-learn")
    return {
        "study": documents.plain(study.document),
        "name": study.name,
        "identity": study.identity(),
        "base": documents.plain(study.base.document),
        "tracks": {entrant.name: study.track(entrant) for entrant in study.entrants},
        "cuts": list(prepared.cuts),
        "features": prepared.grounds,
        "warnings": [*prepared.warnings, *warnings(found)],
        "trials": {name: dict(Counter(row["state"] for row in rows)) for name, rows in found.items()},
        "storage": _storage(place, prepared.folder),
        "versions": {name: version(name) for name in packages},
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "commit": commit(),
        "written": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def _storage(place: str, folder: Path) -> str:
    """The location of the trials as written to the manifest, without secrets."""
    if not is_path(place):
        return str(database(place))
    return "journal.log" if Path(place) == folder / "journal.log" else place


def _table(prepared: PreparedStudy, found: Mapping[str, list[dict[str, Any]]]) -> str:
    study = prepared.study
    several = len(study.objectives) > 1
    base = f"Base: {study.base.name}, cut {', '.join(prepared.cuts)}; {_budget(study)}."
    parts = [f"# {escape.markdown(study.name)}", escape.markdown(study.question), escape.markdown(base)]
    parts += [_MEANING, convergence.NOTE]
    told = [*(f"warning, {text}" for text in prepared.warnings), *(f"warning: {text}" for text in warnings(found))]
    parts += ["\n".join(f"- {escape.markdown(text)}" for text in told)] if told else []
    parts += [escape.table([_summary(study, entrant, found[entrant.name]) for entrant in study.entrants], "github")]
    for entrant in study.entrants:
        rows = best(study, found[entrant.name])
        shown = rows if several else rows[:SHOWN]
        what = "the Pareto front" if several else f"the best {len(shown)}"
        parts += [f"## {escape.markdown(entrant.name)}: {what} ({study.track(entrant)})", _best_table(study, shown, "github")]
    if not several:
        parts += ["## Expected best of k trials", _curve(study, found)]
    parts += [_causes(found)]
    return "\n\n".join(part for part in parts if part) + "\n"


_MEANING = """\
All values are measured on validation windows or on the circuit; no test window was read. The best of many trials looks better than it
is: it is a winner only after fresh seeds, and is judged on test windows only by an experiment. Trials that make equal circuits, up to
gates that commute (unless an objective or a constraint looks at depth), with all else equal are trained once and counted as reused."""


def _summary(study: Study, entrant: Entrant, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    states = Counter(row["state"] for row in rows)
    return {
        "contender": entrant.name,
        "track": study.track(entrant),
        "trials": len(rows),
        "complete": states["complete"],
        "pruned": states["pruned"],
        "failed": states["fail"],
        "reused": sum(row["reused from"] is not None for row in rows),
        "still improving": str(endings(rows)),
        "known first": len(entrant.known),
        **({"from relatives": _share(len(entrant.warm), study.settings.trials)} if study.settings.warm else {}),
        "seconds of trials": f"{sum(row['seconds'] for row in rows):.1f}",
    }


def _share(count: int, trials: int | None) -> str:
    return f"{count} ({count / trials:.0%})" if trials else str(count)


def _curve(study: Study, found: Mapping[str, list[dict[str, Any]]]) -> str:
    """The average best of k trials; reused trials count, since a search without a cache would have trained them."""
    aim = study.objectives[0]
    values = {name: [row[aim.name] for row in rows if row["state"] == "complete"] for name, rows in found.items()}
    most = max((len(some) for some in values.values()), default=0)
    sizes = sorted({2**power for power in range(20) if 2**power <= most} | ({most} if most else set()))
    rows = [
        {"contender": name} | {f"k = {k}": f"{expected_best(some, k, aim.direction):.5g}" if k <= len(some) else "-" for k in sizes}
        for name, some in values.items()
    ]
    return escape.table(rows, "github")


def _causes(found: Mapping[str, list[dict[str, Any]]]) -> str:
    counts = Counter((name, row["state"], _kind(row["cause"])) for name, rows in found.items() for row in rows if row["cause"])
    if not counts:
        return ""
    rows = [{"contender": n, "state": s, "cause": c, "trials": count} for (n, s, c), count in counts.most_common()]
    return f"## Pruned and failed trials, by cause\n\n{escape.table(rows, 'github')}"


def _kind(cause: str) -> str:
    """A cause without its numbers, so that equal causes are counted together; numbers within names stay."""
    return one_line(re.sub(r"(?<![\w.])-?\d+(\.\d+)?(e[+-]?\d+)?(?![\w%-])", "#", cause), 160)
