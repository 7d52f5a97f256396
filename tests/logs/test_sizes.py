"""However many different words a log has, and however long one of them is: each stays its own, and only it takes its room."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pytest

from qlogad.experiment.data import Data
from qlogad.experiment.ground import Ground, Source, ground
from qlogad.logs.dataset import Dataset, Intake, LogRecord
from qlogad.logs.events import read_events
from qlogad.logs.split import SplitBy
from qlogad.logs.windows import Window, make_windows

LONG = "7" * 1_000_000
COUNT = 2_000


@dataclass(frozen=True)
class Made(Dataset):
    """Records made on the fly."""

    rows: tuple[LogRecord, ...]
    parsed = True

    def records(self, intake: Intake) -> Iterator[LogRecord]:
        for row in self.rows:
            intake.lines += 1
            intake.records += 1
            yield row

    def source_digest(self) -> str:
        return str(len(self.rows))

    def text(self, lines: Iterable[int]) -> dict[int, str]:
        return {}


def test_seventy_thousand_different_words_stay_different_in_every_column() -> None:
    rows = tuple(LogRecord(n + 1, n, n, (f"s{n}",), f"l{n}", f"c{n}", f"m{n}", 1, f"k{n}") for n in range(70_000))
    events = read_events(Made(rows))
    for place in (0, 1, 127, 128, 255, 256, 32_767, 32_768, 40_000, 65_535, 65_536, 69_999):
        told = [
            events.levels[events.level_E[place]],
            events.components[events.component_E[place]],
            events.texts[events.text_E[place]],
            events.kinds[events.kind_E[place]],
            events.sessions[events.member_session_M[place]],
        ]
        assert told == [f"l{place}", f"c{place}", f"m{place}", f"k{place}", f"s{place}"]
    for codes in (events.level_E, events.component_E, events.text_E, events.member_session_M):
        assert codes.tolist() == list(range(70_000))
    windows = make_windows(events, Window())
    assert windows.kind_W.tolist() == [f"k{n}" for n in range(70_000)]
    assert windows.key_W.tolist() == [f"s{n}" for n in range(70_000)]


def room(thing: object) -> int:
    """Bytes of the arrays of a dataclass, its texts each once."""
    arrays = [value for field in fields(thing) if isinstance(value := getattr(thing, field.name), np.ndarray)]
    return sum(array.nbytes for array in arrays)


@pytest.mark.parametrize("where", ["session", "kind", "level", "component", "message"])
def test_one_word_of_a_million_characters_takes_its_own_room_and_no_other(tmp_path: Path, where: str) -> None:
    def row(n: int) -> LogRecord:
        long = {
            name: LONG if n == COUNT // 2 and name == where else "" for name in ("session", "kind", "level", "component", "message")
        }
        kind = long["kind"] or ("fault" if n % 5 == 0 else "")
        return LogRecord(
            n + 1,
            n,
            float(n),
            (long["session"] or f"s{n}",),
            long["level"],
            long["component"],
            long["message"] or "m",
            n % 5 == 0,
            kind,
        )

    events = read_events(Made(tuple(map(row, range(COUNT)))))
    windows = make_windows(events, Window())
    data = Data(window=Window(), split=SplitBy(cuts=(0.6,)))
    made = ground(data, Source(Made(()), events, windows, 0, Window()), ["ids", "counts"], cut=0)
    parts = [made.train, made.validation, made.test, made.in_flight]
    for thing in (events, windows, *parts, *(part.features for part in parts)):
        assert room(thing) <= 100 * COUNT
    assert where != "session" or LONG in windows.key_W.tolist()
    assert where != "kind" or LONG in windows.kind_W.tolist()
    made.save(tmp_path)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 5 * len(LONG)
    again = Ground.load(tmp_path, made.cut)
    assert again.digest(["ids", "counts"]) == made.digest(["ids", "counts"])
    for one, two in zip(parts, [again.train, again.validation, again.test, again.in_flight], strict=True):
        assert one.kind_W.tolist() == two.kind_W.tolist()
        assert one.features.window_keys_W.tolist() == two.features.window_keys_W.tolist()
        assert one.features.vocabulary == two.features.vocabulary
