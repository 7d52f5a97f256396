"""Make the record of a run from live objects (grounds, cells, the source); no other module of the report needs them."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b
from importlib.metadata import version
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qlogad import documents
from qlogad.arrays import Ints
from qlogad.evaluate.drift import Changes
from qlogad.experiment.cell import PARTS, Cell, CellOutcome
from qlogad.experiment.data import Training
from qlogad.experiment.drift import changes, unseen_by_day
from qlogad.experiment.experiment import Contender
from qlogad.experiment.fit_rule import is_random
from qlogad.experiment.ground import STRATA, Ground, Part, shared_sequences
from qlogad.experiment.runner import Executed, PreparedRun, outcomes
from qlogad.features.features import Features
from qlogad.features.view import any_apart
from qlogad.report.columns import (
    APART,
    MERGED,
    CellFacts,
    ContenderFacts,
    Cut,
    CutFacts,
    Odd,
    PartFacts,
    Rows,
    ScoredCell,
    ScoredParts,
)
from qlogad.report.convergence import history_of
from qlogad.report.manifest import commit
from qlogad.report.record import Record

__all__ = ["begun", "ended"]


def begun(prepared: PreparedRun) -> Record:
    """A record without cells: everything known before training."""
    experiment, source = prepared.experiment, prepared.source
    shared = shared_sequences(prepared.grounds)
    return Record(
        name=experiment.name,
        question=experiment.question,
        injected=experiment.data.inject,
        assumed=source.assumed,
        data_warnings=tuple(source.events.intake.warnings),
        judge=experiment.judge,
        declared=experiment.judge,
        entrants=tuple(_facts_of(contender, experiment.data.training) for contender in experiment.contenders),
        cuts=tuple(_cut(made, shared_N, prepared) for made, shared_N in zip(prepared.grounds, shared, strict=True)),
        cells=(),
        failed={},
        manifest=_facts(prepared),
    )


def ended(record: Record, prepared: PreparedRun, wanted: Sequence[Cell], executed: Executed) -> Record:
    """The record with all finished cells.

    Args:
        record: the result of `begun(prepared)`.
        wanted: every cell of the experiment.
        executed: the outcome of running them; failed cells are listed and never counted as results.
    """
    finished = list(outcomes(wanted))
    grounds = {made.cut: made for made in prepared.grounds}
    plans: list[Any] = [plan for _, outcome in finished for plan in outcome.facts["plans"]]
    distinct = [plan for place, plan in enumerate(plans) if plan not in plans[:place]]
    return replace(
        record,
        cells=tuple(_scored_cell(cell, outcome, grounds[cell.cut]) for cell, outcome in finished),
        failed={str(cell): executed.failed[cell.identity] for cell in wanted if cell.identity in executed.failed},
        manifest={**record.manifest, "engine": {**record.manifest["engine"], "plans": distinct}},
        reused=executed.reused,
    )


def _facts(prepared: PreparedRun) -> dict[str, Any]:
    """The facts known before training, except those computed for evaluation."""
    experiment, events = prepared.experiment, prepared.source.events
    packages = ("qlogad", "torch", "numpy", "scipy", "pandas", "scikit-learn", "pennylane", "qiskit", "matplotlib", "pillow")
    return {
        "experiment": {key: value for key, value in documents.plain(experiment).items() if key not in ("document", "judge")},
        "window": documents.plain(prepared.source.window),
        "data_digest": events.digest,
        "semi_real": experiment.data.inject is not None,
        "labels_assumed_normal": prepared.source.assumed,
        "intake": {
            "lines": events.intake.lines,
            "records": events.intake.records,
            "joined": events.intake.joined,
            "left_out": events.intake.left_out,
            "blank": events.intake.blank,
            "quarantined": len(events.intake.quarantine),
            "reasons": events.intake.reasons(),
            "warnings": events.intake.warnings,
        },
        "windows": len(prepared.source.windows),
        "windows_of_unknown_label": prepared.source.unknown,
        "engine": {"rates": documents.plain(prepared.speeds), "plans": []},
        "versions": {name: version(name) for name in packages},
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "commit": commit(),
    }


def _facts_of(contender: Contender, training: Training) -> ContenderFacts:
    detector = contender.build()
    params = detector.get_params(deep=False)
    return ContenderFacts(
        contender.name,
        contender.track(training),
        seeded=is_random(detector),
        made=contender.grid is not None,
        epochs=int(params["epochs"]) if "epochs" in params else None,
        fpr=float(detector.fpr) if detector.threshold == "fpr" else None,
        by_hand=None if isinstance(detector.threshold, str) else float(detector.threshold),
    )


def _cut(made: Ground, shared_N: Ints, prepared: PreparedRun) -> Cut:
    parts = {name: getattr(made, name) for name in ("train", "validation", "test", "in_flight")}
    kinds = ("", *sorted({str(kind) for name in PARTS for kind in parts[name].kind_W} - {""}))
    changed = changes(made, prepared.source, prepared.experiment.data)
    facts = CutFacts(
        made.cut,
        made.ordered_by,
        made.base,
        made.train.features.size,
        made.warnings,
        **{name: _part_facts(part, changed.get(name)) for name, part in parts.items()},
        kinds=kinds,
        strata=STRATA,
        forms=(MERGED,) if made.apart is None else (MERGED, APART),
        days=unseen_by_day(made, prepared.source),
    )
    number = {stratum: place for place, stratum in enumerate(STRATA)}
    stratum_N = np.asarray([number.get(stratum, -1) for stratum in made.stratum_N.tolist()], dtype=np.int64)
    flight_N = np.arange(len(made.in_flight.features))
    merged = ScoredParts(
        _rows(made.test, kinds, made.sequence_N, shared_N, stratum_N),
        _rows(made.in_flight, kinds, flight_N, flight_N, np.full(len(flight_N), -1)),
    )
    if made.apart is None:
        return Cut(facts, {MERGED: merged})
    row_W, flight_W = made.test.features.row_W, made.in_flight.features.row_W
    apart = ScoredParts(
        _rows(made.apart.test, kinds, made.sequence_N[row_W], shared_N[row_W], stratum_N[row_W]),
        _rows(made.apart.in_flight, kinds, flight_W, flight_W, np.full(len(flight_W), -1)),
    )
    return Cut(facts, {MERGED: merged, APART: apart})


def _part_facts(part: Part, changed: Changes | None) -> PartFacts:
    return PartFacts(len(part.label_W), len(part.features), int((part.label_W == 0).sum()), part.unseen, changed)


def _rows(part: Part, kinds: Sequence[str], sequence_N: Ints, shared_N: Ints, stratum_N: Ints) -> Rows:
    features = part.features
    first_N, last_N = _ends(features)
    number = {kind: place for place, kind in enumerate(kinds)}
    return Rows(
        label_N=part.labels.window_N,
        weight_N=features.weight_N,
        seen_N=features.seen_N,
        sequence_N=sequence_N,
        shared_N=shared_N,
        digest_N=_digests(features),
        stratum_N=stratum_N,
        length_N=features.lengths_N,
        first_line_N=first_N,
        last_line_N=last_N,
        row_W=features.row_W,
        window_W=part.windows_W,
        start_W=part.start_W,
        kind_W=np.asarray([number[str(kind)] for kind in part.kind_W], dtype=np.int64),
    )


def _ends(features: Features) -> tuple[Ints, Ints]:
    """The first and the last source line of each row; -1 for a row without events."""
    line_E1 = np.append(features.event_line_E, -1)
    empty_N = features.lengths_N == 0
    ends = (features.offsets_N1[:-1], features.offsets_N1[1:] - 1)
    first_N, last_N = (np.where(empty_N, -1, line_E1[place_N]).astype(np.int64) for place_N in ends)
    return first_N, last_N


def _digests(features: Features) -> NDArray[np.uint64]:
    """A digest of each row's sequence of templates; all events unseen in training count as equal."""
    known = [blake2b(template.encode(errors="surrogatepass"), digest_size=8).digest() for template in features.vocabulary]
    words = np.frombuffer(b"".join([*known, bytes(8)]), dtype="<u8")[features.ids_E].tobytes()
    rows = [blake2b(words[start:end], digest_size=8).digest() for start, end in pairwise((8 * features.offsets_N1).tolist())]
    return np.frombuffer(b"".join(rows), dtype="<u8").astype(np.uint64)


def _scored_cell(cell: Cell, outcome: CellOutcome, made: Ground) -> ScoredCell:
    history = history_of(outcome.facts["training"])
    facts = CellFacts(
        contender=cell.contender.name,
        seed=cell.seed,
        cut=cell.cut,
        form=APART if any_apart(cell.contender.reads) else MERGED,
        identity=cell.identity,
        base=outcome.facts["base"],
        threshold=outcome.facts["threshold"],
        weights=outcome.facts["weights"],
        executions=outcome.facts["executions"],
        fit_seconds=outcome.facts["fit_seconds"],
        score_seconds=outcome.facts["score_seconds"],
        notes=tuple(outcome.facts["notes"]),
        best=None if history is None else history.best,
    )
    return ScoredCell(
        facts, outcome.scores, outcome.alarms, _odd(outcome.odd, made.of(cell.contender.reads).test.features), history
    )


def _odd(found: Mapping[str, Ints], features: Features) -> Odd:
    row_A, place_A = found["row"], found["place"]
    at_A = np.where(place_A < 0, -1, features.offsets_N1[row_A] + place_A)  # -1 selects the appended last entry, which means none
    line_A, event_A = (np.append(values_E, -1)[at_A].astype(np.int64) for values_E in (features.event_line_E, features.ids_E))
    return Odd(row_A, place_A, line_A, event_A, found["expected"])
