"""The manifest of a results folder: everything its numbers depend on."""

from __future__ import annotations

import math
import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from qlogad import documents
from qlogad.evaluate.compare import Detectable, detectable
from qlogad.experiment.cell import Cell, Outcome
from qlogad.experiment.experiment import Experiment
from qlogad.experiment.ground import Ground
from qlogad.experiment.runner import Prepared

__all__ = ["commit"]


def finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def manifest_of(prepared: Prepared, finished: Sequence[tuple[Cell, Outcome]]) -> dict[str, Any]:
    experiment, events = prepared.experiment, prepared.source.events
    plans = [plan for _, outcome in finished for plan in outcome.facts["plans"]]
    packages = ("qlogad", "torch", "numpy", "scipy", "pandas", "scikit-learn", "pennylane", "qiskit")
    return {
        "experiment": {key: value for key, value in documents.plain(experiment).items() if key != "document"},
        "window": documents.plain(prepared.source.window),
        "data_digest": events.digest,
        "semi_real": experiment.data.inject is not None,
        "labels_assumed_normal": prepared.source.assumed,
        "intake": {
            "lines": events.intake.lines,
            "records": events.intake.records,
            "blank": events.intake.blank,
            "quarantined": len(events.intake.quarantine),
            "reasons": events.intake.reasons(),
            "warnings": events.intake.warnings,
        },
        "windows": len(prepared.source.windows),
        "windows_of_unknown_label": prepared.source.unknown,
        "cuts": {
            made.cut: {
                "base": made.base,
                "ordered_by": made.ordered_by,
                "vocabulary": made.train.features.size,
                "warnings": list(made.warnings),
                "detectable": {k: finite(v) for k, v in documents.plain(least_detectable(prepared, made)).items()},
            }
            for made in prepared.grounds
        },
        "engine": {
            "rates": documents.plain(prepared.rates),
            "plans": [plan for place, plan in enumerate(plans) if plan not in plans[:place]],
        },
        "versions": {name: version(name) for name in packages},
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "commit": commit(),
        "written": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def notes_of(finished: Sequence[tuple[Cell, Outcome]]) -> list[str]:
    """What contenders warned of while they were trained, each warning once for all seeds."""
    return list(dict.fromkeys(f"note, cut {c.cut}, {c.contender.name}: {text}" for c, o in finished for text in o.facts["notes"]))


def commit() -> str | None:
    """The commit this code is at, with `-dirty` where code, circuits or experiments differ from it; None outside a checkout."""
    package = Path(__file__).parents[1]
    circuits, experiments = (package.parent / name for name in ("circuits", "experiments"))
    places = [str(folder) for folder in (package, circuits, experiments) if folder.is_dir()]
    found = [_git("describe", "--always"), _git("status", "--porcelain", "--", *places, f":(exclude){circuits / 'found'}")]
    return None if None in found else f"{found[0]}-dirty" if found[1] else found[0]


def _git(*command: str) -> str | None:
    try:
        found = subprocess.run(
            ["git", "-C", str(Path(__file__).parent), *command], capture_output=True, text=True, check=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip()


def least_detectable(prepared: Prepared, made: Ground) -> Detectable:
    judge = prepared.experiment.judge
    test = made.test
    family = max(1, len(judge.contrasts))
    return detectable(
        test.labels.window_N,
        test.features.weight_N,
        fpr=_allowed(prepared.experiment),
        family=family,
        alpha=judge.alpha,
        power=judge.power,
    )


def _allowed(experiment: Experiment) -> float | None:
    """The most false alarms that the threshold of any declared contender allows; None where one goes by another rule."""
    named = {name for pair in experiment.judge.contrasts for name in pair}
    detectors = [contender.build() for contender in experiment.contenders if contender.name in named or not named]
    return max(one.fpr for one in detectors) if all(one.threshold == "fpr" for one in detectors) else None
