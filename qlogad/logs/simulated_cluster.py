"""A simulated cluster: services on nodes work through interleaved requests, and some requests go wrong on purpose.

    World    the workflows of the cluster: each a small grammar of steps, each step a template; drawn from the seed
    Cluster  its endless log: requests start according to a daily load curve, overlap, and are merged by time

A request is a pure function of (seed, its number, its start): a shorter stream is a prefix of a longer one, and injecting anomalies
into some requests leaves the others unchanged. Times are integer microseconds and random draws raw 64-bit words, so rounding cannot
differ between machines. The kinds of anomaly follow the literature (Landauer et al. 2023, doi:10.1016/j.mlwa.2023.100470).
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, chain, count, repeat
from typing import Literal, NamedTuple, TypeVar

from qlogad import documents, seeds

__all__ = [
    "KINDS",
    "OPERATIONS",
    "START",
    "Cluster",
    "Faults",
    "Kind",
    "Line",
    "LogStatement",
    "ProcessTree",
    "Step",
    "Workflow",
    "World",
    "make_world",
]

T = TypeVar("T")
Kind = Literal["new-template", "missing-step", "order", "repetition", "quantity", "latency", "parameter", "contextual"]
KINDS: tuple[Kind, ...] = ("new-template", "missing-step", "order", "repetition", "quantity", "latency", "parameter", "contextual")

START = 1_740_960_000_000_000  # Monday 2025-03-03 00:00 UTC in microseconds since 1970
_MINUTE = 60_000_000
_DAY = 1440 * _MINUTE
_NODES = 4  # nodes of a service
_CURVE = (28, 24, 20, 18, 18, 22, 34, 58, 92, 128, 148, 150, 134, 146, 160, 158, 150, 132, 104, 84, 70, 58, 46, 36)  # load by hour

# --- vocabulary
# SERVICE LEVEL text; <..> are parameters: <lo-hi> a number in that range, for the others see `Cluster._written` and `_common`
_RESOURCES = (
    "account backup bucket certificate cluster container dataset image instance network queue report router snapshot table volume"
)
_VERBS = "create delete update verify"
_OPEN = (
    (
        "GATEWAY INFO accepted connection from <client> port <1024-65535>",
        "AUTH INFO token of <user> in <tenant> holds for <60-3600> s",
    ),
    ("BROKER INFO delivered message <msg> of topic requests", "AUTH INFO service account <user> mapped to <tenant>"),
)
_CLOSE = (
    (
        "AUDIT INFO stored access record <10000-99999> for <user>",
        "GATEWAY INFO closed with status 200, <64-4096> bytes, <total> ms",
    ),
    ("AUDIT INFO stored job record <10000-99999> for <user>", "BROKER INFO acknowledged message <msg> after <total> ms"),
)
OPERATIONS = len(_RESOURCES.split()) * len(_VERBS.split())
_BODY = "API INFO {op}: parsed body of <200-9000> bytes"
_SINGLES = (
    "QUOTA INFO {op}: quota of <tenant> allows it, <1-80> of 100 {res}s in use",
    "QUOTA INFO {op}: reserved <1-64> units for <tenant>",
    "DATABASE INFO {op}: opened transaction <hex> on shard <0-15>",
    "DATABASE INFO {op}: locked row <id> in {res}s, waited <1-400> us",
    "DATABASE INFO {op}: read <1-50> rows about <id>",
    "KEYS INFO {op}: unwrapped data key, version <1-9>",
    "KEYS INFO {op}: signature <hex> holds",
    "POLICY INFO {op}: evaluated <5-60> rules for <user>, decision allow",
    "SCHEDULER INFO {op}: found <3-40> hosts able to take <id>",
    "SCHEDULER INFO {op}: chose <host>, score <100-999>",
    "SCHEDULER INFO {op}: leased <host> for <30-600> s",
    "METADATA INFO {op}: resolved <id> to revision <1-400>",
    "METADATA INFO {op}: labels merged, <2-30> keys in all",
    "BILLING INFO {op}: metered <1-5000> units for <tenant>",
)
_OPTIONS = (
    "CACHE INFO {op}: key <hex> not cached, loading <1-64> KiB",
    "CACHE INFO {op}: invalidated <1-40> keys below <id>",
    "METADATA WARNING {op}: <1-6> deprecated fields converted",
    "DATABASE WARNING {op}: replica lags <90-900> ms, reading from primary",
    "BROKER INFO {op}: mailed <user> about <id>, <300-5000> bytes",
)
_CHOICES = (
    (
        ("CACHE INFO {op}: reused layer <hex>",),
        ("CACHE INFO {op}: layer <hex> absent", "STORAGE INFO {op}: fetched layer in <took> ms"),
    ),
    (
        ("COMPUTE INFO {op}: resumed warm worker",),
        ("COMPUTE INFO {op}: started cold worker <1-64>", "COMPUTE INFO {op}: worker up in <took> ms"),
    ),
    (
        ("NETWORK INFO {op}: direct path to <ip>",),
        ("NETWORK INFO {op}: peer <ip> is remote", "NETWORK INFO {op}: tunnel <hex> raised"),
    ),
    (("DATABASE INFO {op}: index scan over {res}s",), ("DATABASE WARNING {op}: no index on {res}s, full scan in <took> ms",)),
)
_LOOPS = (
    ("STORAGE INFO {op}: wrote chunk <turn>, <1024-65536> KiB at <40-900> MiB/s",),
    ("SCHEDULER INFO {op}: passed over <host>, <64-2048> MiB free",),
    ("WORKER INFO {op}: dispatched task <turn> to slot <1-64>", "WORKER INFO {op}: task <turn> ended with status 0"),
    ("NETWORK INFO {op}: applied rule <turn> of chain <hex>",),
    ("STORAGE INFO {op}: hashed extent <turn> to <hex>", "STORAGE INFO {op}: extent <turn> matches"),
    ("REPLICA INFO {op}: sent segment <turn> to <host>", "REPLICA INFO {op}: segment <turn> confirmed, <1-200> ms round trip"),
)
_TRACKS = (
    (
        "STORAGE INFO {op}: opened device <path>",
        "STORAGE INFO {op}: formatted <8-512> GiB",
        "STORAGE INFO {op}: mounted <path> read-write",
    ),
    (
        "NETWORK INFO {op}: bound port <hex>",
        "NETWORK INFO {op}: leased address <ip>",
        "NETWORK INFO {op}: announced route via <ip>",
    ),
    ("COMPUTE INFO {op}: claimed <1-32> vcpus and <512-65536> MiB", "COMPUTE INFO {op}: guest agent answered after <took> ms"),
    ("IMAGES INFO {op}: located manifest <hex>", "IMAGES INFO {op}: unpacked <2-24> layers", "IMAGES INFO {op}: manifest verified"),
    ("METRICS INFO {op}: registered probe <hex>", "METRICS INFO {op}: first sample after <took> ms"),
    ("DNS INFO {op}: zone serial raised to <10000-99999>", "DNS INFO {op}: record for <id> answers from <2-9> servers"),
)
_FINISH = ("DATABASE INFO {op}: committed, <1-12> rows", "BROKER INFO {op}: published change of <id> at offset <1000-999999>")
_HICCUPS = (
    "GATEWAY WARNING slow client <client>, <64-900> KiB still buffered",
    "AUTH WARNING key set is <300-900> s old, refreshing",
    "DATABASE WARNING lock wait timeout on shard <0-15>, trying again",
    "DATABASE ERROR connection to shard <0-15> reset by peer, trying again",
    "BROKER WARNING partition <0-31> has no leader, waiting",
    "NETWORK WARNING <1-30> packets retransmitted to <ip>",
    "STORAGE ERROR read error on <path>, served from mirror",
    "STORAGE WARNING write cache full, flushing <1-64> MiB",
    "SCHEDULER WARNING host view is <5-60> s old",
    "CACHE ERROR shard <0-15> unreachable, going to database",
)
_BACKGROUND = (
    "KERNEL INFO <1-40> correctable memory errors on rank <0-3>, symbol <0-40>",
    "KERNEL INFO clock adjusted by <1-900> us",
    "KERNEL INFO instruction cache parity error corrected",
    "KERNEL WARNING temperature of socket <0-1> at <70-84> C, throttling",
    "KERNEL WARNING link <0-3> flapped, up again after <10-900> ms",
    "KERNEL ERROR block device <path> reports a pending sector",
    "MONITOR INFO heartbeat <10000-99999>, load <0-31>",
    "MONITOR INFO disk <path> at <20-85> percent",
    "MONITOR INFO <80-900> sockets open, <0-40> in time-wait",
    "MONITOR WARNING swap in use, <1-900> MiB",
    "CRON INFO rotated <path>, <1-900> MiB freed",
    "CRON INFO snapshot of configuration <hex> kept",
    "RUNTIME INFO collected garbage, <1-900> MiB in <2-90> ms",
    "RUNTIME INFO thread pool at <1-64> of 64",
    "MEMBERS INFO view <100-9999> has <40-52> members",
    "MEMBERS WARNING <host> suspected, alive again after <100-4000> ms",
)
_NOVEL = (
    "KERNEL FATAL machine check interrupt, bank <0-7>",
    "KERNEL FATAL data TLB error interrupt at <hex>",
    "STORAGE ERROR checksum mismatch in extent <1-90>, giving it up",
    "STORAGE WARNING journal replayed, <1-90> records lost",
    "DATABASE ERROR deadlock between <hex> and <hex>, victim chosen",
    "DATABASE INFO falling back to single-writer mode",
    "NETWORK ERROR no route to <ip>, unreachable since <1-90> s",
    "NETWORK INFO accepting unsigned peer <ip>",
    "AUTH WARNING signature algorithm none accepted for <user>",
    "AUTH INFO impersonation of <user> enabled",
    "COMPUTE ERROR guest <id> stopped by watchdog",
    "COMPUTE INFO emulating missing instruction at <hex>",
    "SCHEDULER INFO placing <id> without constraints",
    "BROKER ERROR offset <1-999> out of range, skipping ahead",
    "CACHE INFO bypassed by debug switch",
    "WORKER ERROR core dumped to <path>",
)
_LATER = (
    "trace kept",
    "region east",
    "protocol three",
    "compact encoding",
    "zone b",
    "retention standard",
    "schema nine",
    "pool default",
)
_SYNONYMS = {
    "opened": "started", "locked": "pinned", "read": "loaded", "chose": "selected", "reserved": "booked", "wrote": "stored",
    "sent": "shipped", "applied": "installed", "bound": "attached", "metered": "counted", "parsed": "decoded",
}  # fmt: skip
_SERVICE_NAMES = (
    "GATEWAY AUTH BROKER AUDIT API QUOTA DATABASE KEYS POLICY SCHEDULER METADATA BILLING CACHE STORAGE COMPUTE NETWORK WORKER "
    "REPLICA IMAGES METRICS DNS KERNEL"
)
_SERVICES = {name: number for number, name in enumerate(_SERVICE_NAMES.split())}
_SLOT = re.compile(r"<([^>]+)>")
_RANGE = re.compile(r"(\d+)-(\d+)")


# --- world
@dataclass(frozen=True, slots=True, eq=False)
class LogStatement:
    """One logging statement."""

    service: str
    level: str
    text: str  # with its parameters as <..>
    form: str  # the same as a %-format string
    slots: tuple[str | tuple[int, int], ...]

    @classmethod
    def read(cls, line: str) -> LogStatement:
        """Parse "SERVICE LEVEL text"."""
        service, level, text = line.split(" ", 2)
        ranges = [(name, _RANGE.fullmatch(name)) for name in _SLOT.findall(text)]
        slots = tuple((int(match[1]), int(match[2])) if match else name for name, match in ranges)
        return cls(service, level, text, _SLOT.sub("%s", text), slots)

    def reworded(self, version: int, salt: int) -> LogStatement:
        """The template in a later version of the service: sometimes one word differs, more often a detail is added."""
        if version == 0:
            return self
        text = " ".join(_SYNONYMS.get(word, word) for word in self.text.split(" ")) if version % 2 else self.text
        if text == self.text or (version + salt) % 2:
            text = f"{text}, {_LATER[(version + salt) % len(_LATER)]}"
        return LogStatement.read(f"{self.service} {self.level} {text}")


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One line of a workflow, and the time it usually takes in microseconds."""

    template: int  # position in World.templates
    gap: int


@dataclass(frozen=True, slots=True, eq=False)
class ProcessTree:
    """A piece of grammar: its parts in sequence, optional, as alternatives, repeated, or interleaved."""

    kind: Literal["sequence", "maybe", "either", "loop", "together"]
    parts: tuple[ProcessTree | Step, ...]
    low: int = 1  # turns of a loop
    high: int = 1

    def __post_init__(self) -> None:
        documents.enforce(self)


@dataclass(frozen=True, slots=True, eq=False)
class Workflow:
    """The grammar of one operation, and the order constraints between its templates."""

    name: str  # "volume.create"
    resource: str
    own: range  # its own templates; the others are shared with other workflows
    grammar: ProcessTree
    loops: tuple[ProcessTree, ...]
    once: frozenset[int]  # templates that occur at most once
    needed: frozenset[int]  # templates that every request has exactly once
    before: frozenset[tuple[int, int]]  # (a, b): no request has b before a
    weight: int  # relative frequency


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """The templates and workflows of a cluster."""

    templates: tuple[LogStatement, ...]
    workflows: tuple[Workflow, ...]
    hiccups: range  # positions in `templates`: harmless warnings and errors
    background: range  # lines that nodes write outside any request
    novel: range  # lines written by anomalous requests only
    phases: tuple[int, ...]  # when in its cycle a template is reworded, in millionths; -1: never reworded


@dataclass(frozen=True, slots=True)
class Faults:
    """The rates, kinds and severity of anomalous requests."""

    kinds: tuple[Kind, ...]
    rates: tuple[float, ...]  # share of requests, by kind
    severity: float

    def __post_init__(self) -> None:
        documents.enforce(self)


class Dice:
    """Random integers from a named stream."""

    __slots__ = ("word",)

    def __init__(self, seed: int, *names: str | int) -> None:
        raw = seeds.generator(seed, *names).bit_generator.random_raw
        words = (word for size in chain((96,), repeat(64)) for word in raw(size).tolist())
        self.word: Callable[[], int] = words.__next__

    def below(self, n: int) -> int:
        """0 .. n - 1."""
        return self.word() * n >> 64

    def between(self, low: int, high: int) -> int:
        """low .. high, inclusive."""
        return low + (self.word() * (high - low + 1) >> 64)

    def chance(self, p: float) -> bool:
        """True with probability p."""
        return (self.word() >> 11) < p * 9007199254740992.0

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """The items in random order."""
        pool = list(items)
        return [pool.pop(self.below(len(pool))) for _ in range(len(pool))]


@lru_cache(maxsize=4)
def make_world(seed: int, workflows: int) -> World:
    """The world of a seed, with 2 to `OPERATIONS` workflows."""
    operations = [(resource, verb) for resource in _RESOURCES.split() for verb in _VERBS.split()]
    assert 2 <= workflows <= len(operations), workflows
    book = _Book(Dice(seed, "world"))
    opened = [[book.step(line, 1, 40) for line in lines] for lines in _OPEN]
    closed = [[book.step(line, 1, 40) for line in lines] for lines in _CLOSE]
    made = []
    for rank, (resource, verb) in enumerate(book.dice.shuffled(operations)[:workflows]):
        side = book.dice.below(2)
        book.names = {"op": f"{resource}.{verb}", "res": resource}
        made.append(_workflow(book, opened[side], closed[side], 60 // (3 + rank)))
    hiccups, background, novel = book.add(_HICCUPS), book.add(_BACKGROUND), book.add(_NOVEL)
    steady = {step.template for steps in (*opened, *closed) for step in steps} | {*hiccups, *novel}
    phases = [-1 if i in steady else book.dice.below(1_000_000) for i in range(len(book.templates))]
    return World(tuple(book.templates), tuple(made), hiccups, background, novel, tuple(phases))


class _Book:
    """Collects templates, workflow by workflow."""

    def __init__(self, dice: Dice) -> None:
        self.dice = dice
        self.templates: list[LogStatement] = []
        self.names: dict[str, str] = {}

    def step(self, line: str, low: int, high: int) -> Step:
        """A step with a new template and a typical duration between `low` and `high` milliseconds."""
        for name, value in self.names.items():
            line = line.replace(f"{{{name}}}", value)
        self.templates.append(LogStatement.read(line))
        return Step(len(self.templates) - 1, self.dice.between(low, high) * 1000)

    def add(self, lines: Sequence[str]) -> range:
        """Add templates outside any workflow; returns their positions."""
        self.templates += [LogStatement.read(line) for line in lines]
        return range(len(self.templates) - len(lines), len(self.templates))

    def run(self, lines: tuple[str, ...], low: int, high: int) -> ProcessTree:
        """New steps in sequence."""
        return ProcessTree("sequence", tuple(self.step(line, low, high) for line in lines))


def _workflow(book: _Book, opened: list[Step], closed: list[Step], weight: int) -> Workflow:
    dice, first = book.dice, len(book.templates)
    body = book.step(_BODY, 2, 60)
    lows = [dice.between(1, 2) for _ in range(dice.between(1, 2))]
    loops = [
        ProcessTree("loop", (book.run(lines, 2000, 16000),), low, low + dice.between(1, 2))
        for low, lines in zip(lows, dice.shuffled(_LOOPS), strict=False)
    ]
    tracks = [book.run(lines[: dice.between(2, 3)], 2000, 12000) for lines in dice.shuffled(_TRACKS)[:2]]
    open_ended: list[ProcessTree | Step] = dice.shuffled(
        [
            *loops,
            ProcessTree("maybe", (book.step(dice.shuffled(_OPTIONS)[0], 20, 900),)),
            ProcessTree("either", tuple(book.run(lines, 100, 6000) for lines in dice.shuffled(_CHOICES)[0])),
            ProcessTree("together", tuple(tracks)),
        ]
    )
    singles = [book.step(line, 20, 900) for line in dice.shuffled(_SINGLES)[: len(open_ended) - 1]]
    middle = [part for pair in zip(open_ended, singles, strict=False) for part in pair] + open_ended[
        -1:
    ]  # keeps the variable parts apart
    finish = [book.step(line, 10, 400) for line in _FINISH]
    grammar = ProcessTree("sequence", (*opened, body, *middle, *finish, *closed))
    _, before = _order(grammar)
    return Workflow(
        name=book.names["op"],
        resource=book.names["res"],
        own=range(first, len(book.templates)),
        grammar=grammar,
        loops=tuple(loops),
        once=frozenset(_leaves(grammar, {"loop"})),
        needed=frozenset(_leaves(grammar, {"loop", "maybe", "either"})),
        before=frozenset(before),
        weight=weight,
    )


def _leaves(part: ProcessTree | Step, without: set[str]) -> list[int]:
    if isinstance(part, Step):
        return [part.template]
    return [] if part.kind in without else [leaf for inner in part.parts for leaf in _leaves(inner, without)]


def _order(part: ProcessTree | Step) -> tuple[list[int], set[tuple[int, int]]]:
    """The templates of a piece of grammar, and the pairs whose order is fixed."""
    if isinstance(part, Step):
        return [part.template], set()
    leaves: list[int] = []
    before: set[tuple[int, int]] = set()
    for inner in part.parts:
        more, known = _order(inner)
        before |= known
        if part.kind == "sequence":
            before |= {(a, b) for a in leaves for b in more}
        leaves += more
    return leaves, set() if part.kind == "loop" else before


# --- requests
class Line(NamedTuple):
    """One line of the log, with its ground truth."""

    time: int  # microseconds since 1970
    request: int  # number of the request, in order of start; -1 for a line outside any request
    place: int  # position within the request
    session: str  # "req-3f5a91c2"; "" for a line outside any request
    node: str
    template: LogStatement
    message: str
    kind: Kind | Literal[""]  # what is wrong with this line


@dataclass(slots=True)
class _Event:
    time: int
    template: int
    took: int  # microseconds
    turn: int = 1  # of the enclosing loop
    wrong: bool = False
    wild: int = -1  # the slot whose value is out of range


def _expand(
    part: ProcessTree | Step, dice: Dice, time: int, out: list[_Event], turn: int, more: tuple[ProcessTree, int] | None
) -> int:
    """Append the events of one run through a piece of grammar; returns its end time. `more`: a loop and its surplus turns."""
    if isinstance(part, Step):
        word = dice.word()
        took = part.gap * ((1 << 23) + (word >> 40)) >> 24  # half to one and a half times the typical duration
        took = took * 3 if word & 31 == 0 else took
        out.append(_Event(time + took, part.template, took, turn))
        return time + took
    if part.kind == "together":
        ends, tracks = [], []
        for inner in part.parts:
            track: list[_Event] = []
            ends.append(_expand(inner, dice, time, track, turn, more))
            tracks += track
        out += sorted(tracks, key=lambda event: event.time)
        return max(ends)
    if part.kind == "maybe" and dice.below(2):
        return time
    parts = part.parts
    if part.kind == "either":
        parts = (parts[dice.below(len(parts))],)
    turns = dice.between(part.low, part.high) if part.kind == "loop" else 1
    excess = more is not None and more[0] is part
    if more is not None and excess:
        turns = part.high + more[1]
    for number in range(1, turns + 1):
        first = len(out)
        for inner in parts:
            time = _expand(inner, dice, time, out, number if part.kind == "loop" else turn, more)
        if excess and number > part.high:
            for event in out[first:]:
                event.wrong = True
    return time


def _insert(events: list[_Event], place: int, template: int, took: int, wrong: bool) -> None:
    """Insert an event before position `place` and delay all that follow."""
    for event in events[place:]:
        event.time += took
    events.insert(place, _Event(events[place - 1].time + took, template, took, events[place - 1].turn, wrong))


def _inject(kind: Kind, events: list[_Event], workflow: Workflow, world: World, dice: Dice, severity: float) -> None:
    """Inject an anomaly into one request and mark the events that show it. The kind "quantity" is injected by `_expand`."""
    several = max(1, round(severity))
    match kind:
        case "order":
            far = dice.between(1, max(1, round(3 * severity)))
            pairs = _pairs(events, workflow, far) or _pairs(events, workflow, 1)
            a, b = pairs[dice.below(len(pairs))]
            a.template, a.turn, a.took, b.template, b.turn, b.took = b.template, b.turn, b.took, a.template, a.turn, a.took
            a.wrong = b.wrong = True
        case "missing-step":
            for _ in range(several):
                places = [i for i in range(1, len(events) - 1) if events[i].template in workflow.needed]
                if not places:
                    break
                place = places[dice.below(len(places))]
                gap = events[place].time - events[place - 1].time
                del events[place]
                for event in events[place:]:
                    event.time -= gap
                events[place].wrong = True
        case "repetition":
            places = [i for i, event in enumerate(events) if event.template in workflow.once]
            place = places[dice.below(len(places))]
            for _ in range(max(1, round(2 * severity))):
                _insert(events, place + 1, events[place].template, events[place].took, True)
        case "latency":
            place = dice.between(1, len(events) - 1)
            extra = max(events[place].took, 1_000_000) * max(2, round(30 * severity))
            for event in events[place:]:
                event.time += extra
            events[place].took += extra
            events[place].wrong = True
        case "parameter":
            slots = [(e, i) for e in events for i, slot in enumerate(world.templates[e.template].slots) if isinstance(slot, tuple)]
            event, event.wild = slots[dice.below(len(slots))]
            event.wrong = True
        case "contextual" | "new-template":
            foreign = world.novel if kind == "new-template" else _foreign(world, workflow, dice)
            for _ in range(several):
                place = dice.between(1, len(events) - 1)
                _insert(events, place, foreign[dice.below(len(foreign))], dice.between(50_000, 900_000), True)


def _pairs(events: list[_Event], workflow: Workflow, far: int) -> list[tuple[_Event, _Event]]:
    """Pairs of events `far` positions apart whose exchanged order occurs in no normal request."""
    return [(a, b) for a, b in zip(events, events[far:], strict=False) if (a.template, b.template) in workflow.before]


def _foreign(world: World, workflow: Workflow, dice: Dice) -> range:
    others = [other.own for other in world.workflows if other is not workflow]
    return others[dice.below(len(others))]


# --- stream
@dataclass(frozen=True)
class Cluster:
    """A running simulated cluster: a world with a load, anomalies, noise and drift."""

    world: World
    seed: int
    per_day: int  # requests started per simulated day
    drift: float  # share of the templates reworded per simulated day
    noise: float  # share of requests with a harmless warning or error
    faults: Faults

    def stream(self) -> Iterator[Line]:
        """The endless log from `START` on, ordered by time; memory holds only the requests in progress."""
        waiting: list[Line] = []
        number = 0
        for minute in count():
            dice, start = Dice(self.seed, "minute", minute), START + minute * _MINUTE
            for moment in self._arrivals(dice, minute):
                waiting += self.request(number, start + moment)
                number += 1
            waiting += self._background(dice, start)
            waiting.sort()
            done = bisect_left(waiting, (start + _MINUTE,))
            yield from waiting[:done]
            del waiting[:done]

    def _arrivals(self, dice: Dice, minute: int) -> list[int]:
        """Start times of the requests of one minute; their number is binomial, its mean interpolates the hourly load curve."""
        hour, past = divmod(minute % 1440, 60)
        load = _CURVE[hour] * (60 - past) + _CURVE[(hour + 1) % 24] * past
        share, whole = self.per_day * load, 1440 * 60 * sum(_CURVE) // 24
        trials = 4 * (share // whole + 1)
        return sorted(dice.below(_MINUTE) for _ in range(trials) if dice.below(whole * trials) < share)

    def _background(self, dice: Dice, start: int) -> list[Line]:
        kinds = self.world.background
        lines = []
        for place in range(dice.below(3)):
            template = kinds[min(dice.below(len(kinds)), dice.below(len(kinds)))]
            node, time = _place(dice.below(len(_SERVICES)), dice.below(_NODES)), start + dice.below(_MINUTE)
            chosen = self._wording(template, time, 0)
            lines.append(Line(time, -1, place, "", node, chosen, chosen.form % tuple(_common(s, dice) for s in chosen.slots), ""))
        return lines

    def request(self, number: int, start: int) -> list[Line]:
        """Every line of one request."""
        world, dice = self.world, Dice(self.seed, "request", number)
        ill, which, what = dice.word(), dice.word(), dice.below(_weights(world)[-1])
        workflow = world.workflows[bisect_right(_weights(world), what)]
        kind = self._fault(ill, which)
        trouble = Dice(self.seed, "fault", number) if kind else dice
        events: list[_Event] = []
        _expand(workflow.grammar, dice, start, events, 1, self._excess(workflow, trouble) if kind == "quantity" else None)
        if dice.chance(self.noise):
            hiccup = world.hiccups[dice.below(len(world.hiccups))]
            _insert(events, dice.between(1, len(events) - 1), hiccup, dice.between(200_000, 3_000_000), False)
        if kind and kind != "quantity":
            _inject(kind, events, workflow, world, trouble, self.faults.severity)
        return self._written(number, start, workflow, events, kind, dice)

    def _excess(self, workflow: Workflow, dice: Dice) -> tuple[ProcessTree, int]:
        """A loop and its surplus turns."""
        loop = workflow.loops[dice.below(len(workflow.loops))]
        return loop, max(1, round(2 * self.faults.severity * loop.high))

    def _fault(self, ill: int, which: int) -> Kind | Literal[""]:
        """The kind of anomaly, or "": one draw decides whether, another which, so that a higher rate only adds anomalies."""
        shares = list(accumulate(self.faults.rates))
        if not shares or (ill >> 11) >= shares[-1] * 9007199254740992.0:
            return ""
        return self.faults.kinds[bisect_right(shares, (which >> 12) * shares[-1] / 4503599627370496.0)]

    def _written(
        self, number: int, start: int, workflow: Workflow, events: list[_Event], kind: Kind | Literal[""], dice: Dice
    ) -> list[Line]:
        session, side = _session(self.seed, number), dice.below(_NODES)
        names = {
            "id": f"{workflow.resource[:3]}-{_hex(dice)}",
            "user": f"user-{dice.between(1, 60)}",
            "tenant": f"tenant-{dice.between(100, 160)}",
            "client": _address(dice),
            "msg": _hex(dice),
        }
        lines = []
        for place, event in enumerate(events):
            template = self._wording(event.template, event.time, side)
            values = []
            for slot_number, slot in enumerate(template.slots):
                if slot_number == event.wild and isinstance(slot, tuple):
                    high = slot[1] + 1
                    values.append(str(high * (2 + round(48 * self.faults.severity)) + dice.below(high)))
                elif slot == "took":
                    values.append(str(event.took // 1000))
                elif slot == "total":
                    values.append(str((event.time - start) // 1000))
                elif slot == "turn":
                    values.append(str(event.turn))
                else:
                    values.append(names[slot] if isinstance(slot, str) and slot in names else _common(slot, dice))
            message = f"{template.form % tuple(values)} [{session}]"
            node = _place(_SERVICES[template.service], side)
            lines.append(Line(event.time, number, place, session, node, template, message, kind if event.wrong else ""))
        return lines

    def _wording(self, template: int, time: int, side: int) -> LogStatement:
        """A template in its version at a time; new versions are rolled out to a service node by node."""
        found = self.world.templates[template]
        phase = self.world.phases[template]
        if not self.drift or phase < 0:
            return found
        passed = (time - START) // _MINUTE - 240 * side
        version = (passed * round(self.drift * 1e6) // 1440 + phase) // 1_000_000
        return _reworded(found, version, phase) if version > 0 else found


@lru_cache(maxsize=1 << 12)
def _reworded(template: LogStatement, version: int, salt: int) -> LogStatement:
    return template.reworded(version, salt)


@lru_cache(maxsize=8)
def _weights(world: World) -> list[int]:
    return list(accumulate(workflow.weight for workflow in world.workflows))


@lru_cache(maxsize=1 << 10)
def _place(service: int, side: int) -> str:
    rack, slot = divmod(service + side * len(_SERVICES), 8)
    return f"R{rack:02d}-M{slot // 4}-N{slot % 4}"


def _session(seed: int, number: int) -> str:
    """A session id, distinct for the first 2^32 requests: odd multiplication and xor-shift are invertible."""
    word = (number * 0x9E3779B1 + _salt(seed)) & 0xFFFFFFFF
    return f"req-{word ^ (word >> 15):08x}"


@lru_cache(maxsize=8)
def _salt(seed: int) -> int:
    return seeds.derive(seed, "sessions")


def _hex(dice: Dice) -> str:
    return f"{dice.between(0x10000000, 0x9FFFFFFF):08x}"


def _address(dice: Dice) -> str:
    word = dice.word()
    return f"10.{word & 15}.{(word >> 8) & 255}.{(word >> 16) & 255}"


def _common(slot: str | tuple[int, int], dice: Dice) -> str:
    """The value of a parameter that is independent of the request."""
    if isinstance(slot, tuple):
        return str(dice.between(*slot))
    if slot == "hex":
        return _hex(dice)
    if slot == "ip":
        return _address(dice)
    if slot == "host":
        return _place(dice.below(len(_SERVICES)), dice.below(_NODES))
    assert slot == "path", slot
    return f"/data/d{dice.below(12)}/{_hex(dice)}"
