"""Records of runs that never were: whatever a record can hold, drawn at random."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from qlogad.experiment.experiment import Judge
from qlogad.nn.epochs import Epoch, History
from qlogad.report.columns import CellFacts, ContenderFacts, Cut, CutFacts, Odd, PartFacts, Rows, ScoredCell, ScoredParts
from qlogad.report.record import Record

STRATA = ("easy", "hard")


def rows(random: np.random.Generator, size: int) -> Rows:
    label_N = (np.arange(size) % 4 == 0).astype(np.int64)
    weight_N = random.integers(1, 4, size)
    row_W = np.repeat(np.arange(size), weight_N)
    number_N = np.arange(size)
    return Rows(
        label_N=label_N,
        weight_N=weight_N.astype(float),
        seen_N=random.random(size) < 0.5,
        sequence_N=number_N,
        shared_N=number_N,
        digest_N=random.integers(0, 2**64, size, dtype=np.uint64),
        stratum_N=np.where(label_N == 1, random.integers(0, len(STRATA), size), -1),
        length_N=random.integers(0, 9, size),
        first_line_N=random.integers(-1, 99, size),
        last_line_N=random.integers(-1, 99, size),
        row_W=row_W,
        window_W=random.permutation(len(row_W)),
        start_W=1e9 + 60.0 * np.arange(len(row_W)),
        kind_W=label_N[row_W],
    )


def apart(merged: Rows) -> Rows:
    """The same windows, each a row."""
    windows = np.arange(len(merged.row_W))
    columns = {name: values[merged.row_W] for name, values in vars(merged).items() if name.endswith("_N")}
    return replace(merged, **columns | {"weight_N": np.ones(len(windows)), "row_W": windows})


def cell(random: np.random.Generator, cut: Cut, form: str, name: str, seed: int, epochs: int) -> ScoredCell:
    test, flight = cut.forms[form].test, cut.forms[form].in_flight
    parts = {"test": test, "in_flight": flight}
    scores = {part: random.random(len(one)) + one.label_N for part, one in parts.items()}
    threshold = float(random.choice([0.9, 1.0, 1.1]))
    alarms = {part: one > threshold for part, one in scores.items()}
    highest = np.flatnonzero(alarms["test"])[:20]
    numbers = (random.integers(-1, 9, len(highest)) for _ in range(3))
    trained = [
        Epoch(n, random.random(), random.random() if random.random() < 0.9 else None, 0.1, n == epochs)
        for n in range(1, epochs + 1)
    ]
    facts = CellFacts(
        name,
        seed,
        cut.name,
        form,
        f"{random.integers(2**60):x}",
        cut.facts.base,
        threshold,
        {"total": 7, "quantum": 3, "live": 2, "classical": 4} if epochs else {"total": 7},
        executions=int(random.integers(99)),
        fit_seconds=float(random.random()),
        score_seconds=float(random.random()),
        notes=("a note",) if random.random() < 0.3 else (),
        best=epochs or None,
    )
    expected = random.integers(-1, 9, (len(highest), 3))
    return ScoredCell(facts, scores, alarms, Odd(highest, *numbers, expected), History(tuple(trained), epochs) if epochs else None)


def record(
    seed: int = 0,
    names: Sequence[str] = ("a", "b", "c"),
    cuts: int = 1,
    seeds: int = 2,
    size: int = 30,
    epochs: int = 4,
    forms: Sequence[str] = ("merged",),
) -> Record:
    """A record; contenders stand on its forms in turn, and every second one has no randomness and no training."""
    random = np.random.default_rng(seed)
    counts = PartFacts(9, 8, 7, 0.25)
    made, cells = [], []
    for number in range(cuts):
        head = (f"0.{number + 1}", "time", "feed", 12, ("a warning",), counts, counts, counts, counts)
        parts = [rows(random, size), rows(random, size // 3)]
        held = {name: ScoredParts(*([apart(part) for part in parts] if name == "apart" else parts)) for name in forms}
        made.append(Cut(CutFacts(*head, ("", "odd"), STRATA, tuple(forms)), held))
        for place, name in enumerate(names):
            plain = place % 2 == 1
            for one in range(1 if plain else seeds):
                cells.append(cell(random, made[-1], forms[place % len(forms)], name, one, 0 if plain else epochs))
    judge = Judge(seeds=seeds, contrasts=((names[0], names[-1]),) if len(names) > 1 else (), resamples=20)
    entrants = [ContenderFacts(name, "normal-only", place % 2 == 0, False, epochs, 0.01) for place, name in enumerate(names)]
    facts = {"experiment": {"name": "own"}, "engine": {"plans": []}, "versions": {}, "python": "3", "machine": "m", "commit": None}
    return Record(
        "own",
        "Is it?",
        None,
        False,
        ("read",),
        judge,
        judge,
        tuple(entrants),
        tuple(made),
        tuple(cells),
        {"d, seed 0": "why"},
        facts,
    )
