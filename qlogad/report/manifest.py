"""The manifest of a results folder: everything its numbers depend on."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from qlogad import documents
from qlogad.evaluate.compare import Detectable, detectable
from qlogad.report import convergence
from qlogad.report.columns import Cut
from qlogad.report.record import Record, finite

__all__ = ["commit", "least_detectable", "notes_of", "text_of"]


def text_of(record: Record) -> str:
    """The text of manifest.json."""
    facts = dict(record.manifest)
    after = {key: facts.pop(key) for key in ("engine", "versions", "python", "machine", "commit")}
    experiment = {**facts.pop("experiment"), "judge": documents.plain(record.judge)}
    manifest = {
        "experiment": experiment,
        **facts,
        "cuts": {cut.name: _cut(record, cut) for cut in record.cuts},
        **after,
        "written": record.written,
        "notes": [*convergence.warnings(record), *notes_of(record)],
        **({"judged_otherwise": record.otherwise} if record.otherwise else {}),
    }
    return json.dumps(manifest, indent=1, ensure_ascii=False) + "\n"


def _cut(record: Record, cut: Cut) -> dict[str, Any]:
    return {
        "base": cut.facts.base,
        "ordered_by": cut.facts.ordered_by,
        "vocabulary": cut.facts.vocabulary,
        "warnings": list(cut.facts.warnings),
        "detectable": {key: finite(value) for key, value in documents.plain(least_detectable(record, cut)).items()},
    }


def notes_of(record: Record) -> list[str]:
    """The warnings of contenders during training, each once for all seeds."""
    told = [f"note, cut {one.facts.cut}, {one.facts.contender}: {text}" for one in record.cells for text in one.facts.notes]
    return list(dict.fromkeys(told))


def least_detectable(record: Record, cut: Cut) -> Detectable:
    """The smallest difference that the test windows of a cut can show."""
    judge, test = record.judge, cut.merged.test
    family = max(1, len(judge.contrasts))
    return detectable(test.label_N, test.weight_N, fpr=_allowed(record), family=family, alpha=judge.alpha, power=judge.power)


def _allowed(record: Record) -> float | None:
    """The largest false alarm rate allowed by the threshold of a declared contender; None if any uses another rule."""
    named = {name for pair in record.judge.contrasts for name in pair}
    allowed = [one.fpr for one in record.entrants if one.name in named or not named]
    return None if None in allowed else max(fpr for fpr in allowed if fpr is not None)


def commit() -> str | None:
    """The commit of this code, with `-dirty` if code, circuits or experiments differ from it; None outside a checkout."""
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
