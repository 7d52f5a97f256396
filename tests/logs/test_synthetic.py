"""The simulated cluster: the same bytes for a seed, a truth that fits its labels, and anomalies that are what their name says."""

import hashlib
import os
import re
import subprocess
import sys
from collections import Counter, defaultdict
from dataclasses import fields, replace
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

from qlogad.documents import from_mapping
from qlogad.errors import DocumentError, InputError
from qlogad.logs.bgl import Bgl, parse_line
from qlogad.logs.dataset import Intake, LogRecord
from qlogad.logs.reading.raw_lines import read_lines
from qlogad.logs.simulated_cluster import KINDS, START, Kind, Line, ProcessTree, Step, make_world
from qlogad.logs.synthetic import Synthetic, as_request, line_text

BASE = Synthetic(lines=12_000, seed=3)
MANY = replace(BASE, rate=0.4)  # enough of every kind
ORDER = Synthetic(lines=30_000, seed=5, kinds=("order",), rate=0.3, noise=0.0, drift=0.0, workflows=4)


@cache
def truth(dataset: Synthetic) -> tuple[Line, ...]:
    return tuple(dataset.truth())


def requests(dataset: Synthetic) -> dict[str, list[Line]]:
    found: dict[str, list[Line]] = defaultdict(list)
    for line in truth(dataset):
        if line.session:
            found[line.session].append(line)
    return found


def templates(lines: list[Line]) -> list[str]:
    return [line.template.text for line in lines]


def whole(lines: list[Line]) -> bool:
    """Seen to its end."""
    return lines[-1].template.text.startswith(("closed with", "acknowledged"))


def sha(dataset: Synthetic) -> str:
    return hashlib.sha256("".join(f"{line_text(line)}\n" for line in truth(dataset)).encode()).hexdigest()


# --- bytes
def test_the_bytes_of_a_seed_never_change() -> None:
    """Where this fails the generator has changed: raise `_FORMAT`, so that digests of results tell the two apart."""
    assert sha(Synthetic(lines=3000)) == "a95813115831cacceda5fc28ad7d888c866e71c1e73eb3b38f3f46ac7bb6592f"


def test_another_process_with_another_hash_seed_writes_the_same_bytes(tmp_path: Path) -> None:
    code = "import sys; from qlogad.logs.synthetic import Synthetic; Synthetic(lines=2500, seed=8).write(sys.argv[1])"
    for salt in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": salt}
        subprocess.run([sys.executable, "-c", code, str(tmp_path / salt)], env=environment, check=True)
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()
    assert hashlib.sha256((tmp_path / "1").read_bytes()).hexdigest() == sha(Synthetic(lines=2500, seed=8))


def test_seeds_differ() -> None:
    assert len({sha(Synthetic(lines=200, seed=seed)) for seed in range(8)}) == 8


@pytest.mark.parametrize("lines", [1, 2, 999, 5000])
def test_a_shorter_log_is_the_beginning_of_a_longer_one(lines: int) -> None:
    assert [line_text(line) for line in truth(replace(MANY, lines=lines))] == [line_text(line) for line in truth(MANY)[:lines]]


@pytest.mark.parametrize("name", ["log", "log.gz", "log.xz"])
def test_records_are_what_the_written_file_says(name: str, tmp_path: Path) -> None:
    dataset = replace(MANY, lines=4000)
    dataset.write(tmp_path / name)
    read, own = Intake(), Intake()
    parsed: list[LogRecord] = []
    for line in read_lines(tmp_path / name, read):
        record = parse_line(line.text, line.number, line.offset)
        assert isinstance(record, LogRecord)
        parsed.append(as_request(record))
    assert list(dataset.records(own)) == parsed
    assert (own.lines, own.records, own.blank, own.quarantine) == (4000, 4000, 0, [])
    assert [as_request(record) for record in Bgl(str(tmp_path / name)).records(Intake())] == parsed


@pytest.mark.parametrize("name", ["log", "log.gz", "log.xz"])
def test_writing_twice_gives_the_same_file(name: str, tmp_path: Path) -> None:
    files = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        replace(BASE, lines=500).write(tmp_path / folder / name)
        files.append((tmp_path / folder / name).read_bytes())
    assert files[0] == files[1]


def test_lines_are_found_again() -> None:
    wanted = [1, 77, 4096, 12_000]
    assert BASE.text(wanted) == {number: line_text(truth(BASE)[number - 1]) for number in wanted}
    assert BASE.text([]) == {}


def test_every_parameter_is_in_the_digest() -> None:
    other = {"lines": 9, "seed": 9, "kinds": ("order",), "rate": 0.01, "severity": 2.0, "workflows": 9, "per_day": 9}
    other |= {"drift": 0.0, "noise": 0.0}
    changed = [from_mapping(Synthetic, {"lines": 12_000, "seed": 3, name: value}) for name, value in other.items()]
    assert set(other) == {field.name for field in fields(Synthetic)}
    assert len({dataset.source_digest() for dataset in [BASE, *changed]}) == len(changed) + 1
    assert replace(BASE).source_digest() == BASE.source_digest()


# --- a believable log
def test_time_never_runs_back_and_starts_at_the_start() -> None:
    times = [line.time for line in truth(MANY)]
    assert times[0] >= START
    assert all(a <= b for a, b in pairwise(times))


def test_there_are_several_hundred_templates_and_the_usual_levels() -> None:
    lines = truth(replace(BASE, lines=30_000))
    assert 250 <= len({line.template.text for line in lines}) <= 999
    share = {level: n / len(lines) for level, n in Counter(line.template.level for line in lines if not line.kind).items()}
    assert share["INFO"] > 0.9
    assert 0.005 < share["WARNING"] < 0.08
    assert 0.0005 < share["ERROR"] < share["WARNING"]


def test_requests_overlap_and_differ_in_length() -> None:
    found = [line.session for line in truth(BASE) if line.session]
    assert sum(a != b for a, b in pairwise(found)) > 1.5 * len(set(found))
    assert len({len(lines) for lines in requests(BASE).values()}) > 10


def test_nights_are_quiet() -> None:
    hours = Counter((lines[0].time - START) // 3_600_000_000 % 24 for lines in requests(replace(BASE, lines=60_000)).values())
    assert sum(hours[h] for h in range(10, 16)) > 4 * sum(hours[h] for h in range(6))


def test_request_names_and_places_are_distinct() -> None:
    for lines in requests(MANY).values():
        assert len({line.request for line in lines}) == 1
        assert [line.place for line in lines] == list(range(len(lines)))
    assert len(requests(MANY)) == len({line.request for line in truth(MANY) if line.session})


def test_drift_rewords_templates_and_without_drift_none_is_new() -> None:
    def new_at_the_end(drift: float) -> int:
        lines = [line.template.text for line in truth(Synthetic(lines=60_000, seed=1, rate=0.0, drift=drift, workflows=4))]
        return len(set(lines[-6000:]) - set(lines[:54_000]))

    def gone(drift: float) -> float:
        lines = [line.template.text for line in truth(Synthetic(lines=60_000, seed=1, rate=0.0, drift=drift, workflows=4))]
        first, last = Counter(lines[:6000]), Counter(lines[-6000:])
        return sum(n for text, n in first.items() if text not in last) / 6000

    assert new_at_the_end(0.0) == 0
    assert new_at_the_end(0.3) > 0
    assert gone(0.0) < 0.02 < 0.1 < gone(0.3)


# --- labels and truth
@pytest.mark.parametrize("dataset", [BASE, MANY, ORDER])
def test_the_labelled_lines_are_exactly_those_of_the_injections(dataset: Synthetic) -> None:
    records = list(dataset.records(Intake()))
    injections = dataset.injections()
    told = {(number, injection.kind, injection.session) for injection in injections for number in injection.lines}
    assert told == {(record.line, record.kind, record.sessions[0]) for record in records if record.label}
    assert all((record.label == 1) == (record.kind != "") for record in records)
    assert [injection.number for injection in injections] == list(range(1, len(injections) + 1))
    assert len({injection.session for injection in injections}) == len(injections)
    for injection in injections:
        assert list(injection.lines) == sorted(injection.lines)
        assert injection.time == records[injection.lines[0] - 1].time


def test_rates_are_kept_by_kind() -> None:
    found = len(requests(MANY))
    kinds = Counter(injection.kind for injection in MANY.injections())
    assert set(kinds) == set(KINDS)
    assert abs(sum(kinds.values()) / found - 0.4) < 0.08
    uneven = replace(BASE, kinds=("order", "latency"), rate=(0.3, 0.1))
    counts = Counter(injection.kind for injection in uneven.injections())
    assert abs(counts["order"] / len(requests(uneven)) - 0.3) < 0.08
    assert abs(counts["latency"] / len(requests(uneven)) - 0.1) < 0.06


def test_a_higher_rate_only_adds() -> None:
    few, many = requests(replace(BASE, rate=0.1)), requests(replace(BASE, rate=0.3))
    ill = {session: {line.kind for line in lines} - {""} for session, lines in few.items()}
    for session, kinds in ill.items():
        if kinds and session in many and whole(few[session]) and whole(many[session]):
            assert {line.kind for line in many[session]} - {""} == kinds
    none = requests(replace(BASE, rate=0.0))
    healthy = [
        s for s, lines in many.items() if s in none and whole(lines) and whole(none[s]) and not any(line.kind for line in lines)
    ]
    assert len(healthy) > 100
    assert all(many[session] == none[session] for session in healthy)


# --- what each kind does to a request
def pairs_of(kind: Kind, severity: float = 1.0) -> list[tuple[list[Line], list[Line]]]:
    """(as it should have been, as it was) of every whole request of one kind."""
    ill = requests(replace(BASE, lines=14_000, kinds=(kind,), rate=0.3, severity=severity, noise=0.0))
    well = requests(replace(BASE, lines=14_000, rate=0.0, noise=0.0))
    found = [(well[s], lines) for s, lines in ill.items() if any(line.kind for line in lines) and s in well]
    found = [(a, b) for a, b in found if whole(a) and whole(b) and a[0].template is b[0].template]
    assert len(found) > 50
    return found


def wrong(lines: list[Line]) -> list[int]:
    return [i for i, line in enumerate(lines) if line.kind]


@pytest.mark.parametrize("severity", [0.0, 1.0, 3.0])
def test_order_changes_nothing_but_the_order(severity: float) -> None:
    for well, ill in pairs_of("order", severity):
        assert Counter(templates(well)) == Counter(templates(ill))
        assert [i for i, (a, b) in enumerate(zip(templates(well), templates(ill), strict=True)) if a != b] == wrong(ill)
        assert len(wrong(ill)) == 2
        assert [line.time for line in well] == [line.time for line in ill]


def test_no_healthy_request_shows_an_exchanged_pair() -> None:
    healthy, swapped = set(), []
    for lines in requests(ORDER).values():
        ill = wrong(lines)
        if len(ill) == 2:
            swapped.append((lines[ill[0]].template.text, lines[ill[1]].template.text))
        elif not ill:
            texts = templates(lines)
            healthy |= {(a, b) for i, a in enumerate(texts) for b in texts[i + 1 :]}
    assert len(swapped) > 100
    assert not healthy & set(swapped)


def test_order_anomalies_have_the_count_vectors_of_healthy_requests() -> None:
    """A count vector, an event set or a length tells nothing: healthy requests have the same ones, equally often."""
    healthy: Counter[tuple[tuple[str, int], ...]] = Counter()
    ill: Counter[tuple[tuple[str, int], ...]] = Counter()
    for lines in requests(ORDER).values():
        if whole(lines) or wrong(lines):
            key = tuple(sorted(Counter(templates(lines)).items()))
            (ill if wrong(lines) else healthy)[key] += 1
    assert len(healthy) > 20
    seen = sum(n for key, n in ill.items() if key in healthy) / ill.total()
    again = sum(n for n in healthy.values() if n > 1) / healthy.total()  # what a healthy one finds among the others
    assert seen > 0.9
    assert abs(seen - again) < 0.05


def test_a_missing_step_is_labelled_where_it_is_missed() -> None:
    for well, ill in pairs_of("missing-step"):
        place = wrong(ill)[0]
        before, after = templates(well), templates(ill)
        assert before[:place] == after[:place]
        assert before[place + 1 :] == after[place:]
        assert wrong(ill) == [place]


def test_repetitions_and_insertions_add_the_labelled_lines_only() -> None:
    for kind in ("repetition", "contextual", "new-template"):
        for well, ill in pairs_of(kind):
            assert templates(well) == [line.template.text for line in ill if not line.kind]
            ranks = [line.template.text for line in ill if line.kind]
            if kind == "repetition":
                assert templates(ill)[wrong(ill)[0] - 1] == ranks[0]
                assert len(ranks) == 2
            else:
                assert not set(ranks) & set(templates(well))


def test_contextual_events_are_normal_elsewhere_and_new_ones_nowhere() -> None:
    normal = {line.template.text for line in truth(replace(BASE, lines=30_000, rate=0.0, drift=0.0))}
    drawn = replace(MANY, drift=0.0)
    assert {line.template.text for line in truth(drawn) if line.kind == "contextual"} <= normal
    assert not {line.template.text for line in truth(drawn) if line.kind == "new-template"} & normal


def test_new_events_alone_find_one_kind() -> None:
    normal = {line.template.text for line in truth(replace(BASE, lines=30_000, rate=0.0, drift=0.0))}
    for kind in KINDS:
        found = [line for line in truth(replace(MANY, drift=0.0)) if line.kind == kind]
        assert {line.template.text in normal for line in found} == {kind != "new-template"}


def test_quantity_exceeds_every_normal_count() -> None:
    most: Counter[str] = Counter()
    for lines in requests(replace(BASE, lines=30_000, rate=0.0)).values():
        most |= Counter(templates(lines))
    for dataset in (replace(MANY, kinds=("quantity",)), replace(MANY, kinds=("quantity",), severity=0.0)):
        ill = [lines for lines in requests(dataset).values() if wrong(lines)]
        assert len(ill) > 50
        for lines in ill:
            counts = Counter(templates(lines))
            assert all(counts[lines[i].template.text] > most[lines[i].template.text] for i in wrong(lines))


def test_latency_is_one_long_wait_before_the_labelled_line() -> None:
    for well, ill in pairs_of("latency"):
        assert templates(well) == templates(ill)
        (place,) = wrong(ill)
        late = [b.time - a.time for a, b in zip(well, ill, strict=True)]
        assert set(late[:place]) <= {0}
        assert len(set(late[place:])) == 1
        assert late[place] >= 30_000_000


def test_parameter_changes_one_value_to_one_never_seen() -> None:
    for well, ill in pairs_of("parameter"):
        (place,) = wrong(ill)
        assert templates(well) == templates(ill)
        values, before = values_of(ill[place]), values_of(well[place])
        changed = [number for number, (a, b) in enumerate(zip(before, values, strict=True)) if a != b]
        assert len(changed) == 1
        slot = ill[place].template.slots[changed[0]]
        assert isinstance(slot, tuple)
        assert slot[0] <= int(before[changed[0]]) <= slot[1] < 2 * slot[1] <= int(values[changed[0]])


def values_of(line: Line) -> tuple[str, ...]:
    """The parameters of a line, read from its text."""
    pattern = re.sub(r"<[^>]+>", r"(\\S+?)", re.sub(r"[().\[\]]", r"\\\g<0>", line.template.text))
    match = re.fullmatch(pattern + r" \[req-[0-9a-f]{8}\]", line.message)
    assert match is not None
    return match.groups()


def test_normal_values_lie_in_their_ranges() -> None:
    for line in truth(MANY):
        if line.session and line.kind != "parameter":
            for slot, value in zip(line.template.slots, values_of(line), strict=True):
                assert not isinstance(slot, tuple) or slot[0] <= int(value) <= slot[1]


def test_severity_makes_it_worse() -> None:
    def wait(severity: float) -> float:
        return sum(ill[-1].time - well[-1].time for well, ill in pairs_of("latency", severity)) / 1e6

    assert 0 < wait(0.0) < wait(1.0) < wait(4.0)


# --- grammar
def leaves(part: ProcessTree | Step) -> list[int]:
    return [part.template] if isinstance(part, Step) else [leaf for inner in part.parts for leaf in leaves(inner)]


@pytest.mark.parametrize("seed", range(5))
def test_a_template_has_one_place_in_its_workflow(seed: int) -> None:
    world = make_world(seed, 64)
    for workflow in world.workflows:
        found = leaves(workflow.grammar)
        assert len(found) == len(set(found))
        assert set(workflow.own) <= set(found)
        assert workflow.needed <= workflow.once
        assert not {(b, a) for a, b in workflow.before} & workflow.before
    owned = [template for workflow in world.workflows for template in workflow.own]
    assert len(owned) == len(set(owned))
    assert len({template.text for template in world.templates}) == len(world.templates)


# --- documents
@pytest.mark.parametrize(
    "content",
    [
        {"kinds": ["swap"]},
        {"kinds": ["order", "order"]},
        {"rate": [0.1]},
        {"rate": 1.5},
        {"rate": -0.1},
        {"lines": 0},
        {"drift": -1.0},
        {"noise": 2.0},
        {"per_day": 0},
        {"workflows": 1},
        {"workflows": 65},
        {"severity": -1.0},
        {"sessions": 3},
    ],
)
def test_what_makes_no_log_is_refused(content: dict[str, object]) -> None:
    with pytest.raises((DocumentError, InputError)):
        from_mapping(Synthetic, content)


def test_a_table_of_an_experiment_makes_one() -> None:
    dataset = from_mapping(Synthetic, {"kinds": ["order", "latency"], "rate": [0.02, 0.01], "lines": 100})
    assert dataset == Synthetic(lines=100, kinds=("order", "latency"), rate=(0.02, 0.01))
    assert from_mapping(Synthetic, {"rate": 0.1}).rate == 0.1
