"""Every data set keeps its contract on a small log of its own, a new one by existing."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest

from qlogad import names
from qlogad.documents import digest
from qlogad.errors import DataError, DocumentError
from qlogad.logs.bgl import Bgl
from qlogad.logs.dataset import Dataset, File, Intake, LogRecord, RawLine
from qlogad.logs.reading.raw_lines import file_digest, pick_lines, read_lines
from qlogad.testing.datasets import check_dataset
from qlogad.testing.laws import Outcome
from tests.logs.samples import SAMPLES


def settings_of(name: str, folder: Path) -> dict[str, Any]:
    assert name in SAMPLES, f"a small log of '{name}' is needed: write one in tests/logs/samples.py"
    return {key: value for key, value in SAMPLES[name](folder).data.items() if key not in {"dataset", "window"}}


@pytest.mark.parametrize("name", names.known("dataset"))
def test_a_dataset_keeps_its_contract(name: str, tmp_path: Path) -> None:
    check_dataset(names.find("dataset", name), **settings_of(name, tmp_path))


@pytest.mark.parametrize("given", ["path", "train", "normal"])
def test_a_dataset_of_several_files_keeps_it(given: str, tmp_path: Path) -> None:
    log = settings_of("sequences", tmp_path)["path"]
    text = Path(log).read_text().replace(",1,", ",0,")
    files = [tmp_path / "one.csv", tmp_path / "two.csv"]
    for number, file in enumerate(files):
        file.write_text(text.replace("\nw", f"\nw{number}."))
    check_dataset(names.find("dataset", "sequences"), **{"anomalous": None, given: tuple(map(str, files))})


def test_a_sample_is_needed() -> None:
    with pytest.raises(DocumentError, match=r"the fields of Bgl \(--set KEY=VALUE\): path: is required"):
        check_dataset(Bgl)


@dataclass(frozen=True)
class Plain(Dataset):
    """Keeps the contract; what inherits from it breaks one law. A line is: seconds session message."""

    path: File
    labels: File | None = None
    unit: Literal["s", "ms"] = "s"

    masks: ClassVar[tuple[tuple[str, str], ...]] = (("NUM", r"\d+"),)
    mask_starts: ClassVar[str] = "0-9"

    def records(self, intake: Intake) -> Iterator[LogRecord]:
        return self.read(read_lines(self.path, intake), intake)

    def read(self, lines: Iterator[RawLine], intake: Intake) -> Iterator[LogRecord]:
        for line in lines:
            found = self.parse(line)
            if found is None:
                intake.set_aside(line.number, line.offset, "not a plain line")
                continue
            intake.records += 1
            yield found

    def parse(self, line: RawLine) -> LogRecord | None:
        time, _, rest = line.text.partition(" ")
        session, _, message = rest.partition(" ")
        if not time.isdecimal() or not session:
            return None
        seconds = int(time) / (1 if self.unit == "s" else 1000)
        return LogRecord(line.number, line.offset, seconds, (session,), "INFO", "plain", message, -1)

    def source_digest(self) -> str:
        return digest("plain", self.unit, file_digest(self.path), file_digest(self.labels) if self.labels else "")

    def text(self, lines: Iterable[int]) -> dict[int, str]:
        return pick_lines(self.path, lines)

    def session_labels(self) -> Mapping[str, int] | None:
        if self.labels is None:
            return None
        rows = (line.text.split(",") for line in read_lines(self.labels, Intake()))
        return {name: int(label) for name, label in rows}


class Drops(Plain):
    """Breaks the contract: a line that it does not understand is neither counted as parsed nor quarantined."""

    def read(self, lines: Iterator[RawLine], intake: Intake) -> Iterator[LogRecord]:
        for line in lines:
            if found := self.parse(line):
                intake.records += 1
                yield found


class Skips(Plain):
    """Breaks the contract: it counts the lines that it wants to."""

    def records(self, intake: Intake) -> Iterator[LogRecord]:
        for record in super().records(intake):
            intake.lines = intake.records
            yield record


class Counts(Plain):
    """Breaks the contract: every reading gives other times."""

    readings: ClassVar[list[int]] = []

    def parse(self, line: RawLine) -> LogRecord | None:
        found = super().parse(line)
        self.readings.append(line.number)
        return found and found._replace(time=found.time + len(self.readings))


class Guesses(Plain):
    """Breaks the contract: a label is a probability."""

    def parse(self, line: RawLine) -> LogRecord | None:
        found = super().parse(line)
        return found and found._replace(label=2)


class Eternal(Plain):
    """Breaks the contract: a time that no calendar has."""

    def parse(self, line: RawLine) -> LogRecord | None:
        found = super().parse(line)
        return found and found._replace(time=float("inf"))


class Backwards(Plain):
    """Breaks the contract: records come from the end."""

    def read(self, lines: Iterator[RawLine], intake: Intake) -> Iterator[LogRecord]:
        return iter([*super().read(lines, intake)][::-1])


class Misplaces(Plain):
    """Breaks the contract: an offset is a line number."""

    def parse(self, line: RawLine) -> LogRecord | None:
        found = super().parse(line)
        return found and found._replace(offset=line.number)


class OffByOne(Plain):
    """Breaks the contract: the text is that of the next line."""

    def text(self, lines: Iterable[int]) -> dict[int, str]:
        wanted = list(lines)
        return {number: text for number in wanted for text in pick_lines(self.path, [max(1, number - 1)]).values() if number <= 40}


class Alone(Plain):
    """Breaks the contract: its windows are sessions, and it names none."""

    def parse(self, line: RawLine) -> LogRecord | None:
        found = super().parse(line)
        return found and found._replace(sessions=())


class OtherNames(Plain):
    """Breaks the contract: labels are of other names than sessions."""

    def session_labels(self) -> Mapping[str, int] | None:
        return {"no such session": 1}


class HalfSplit(Plain):
    """Breaks the contract: most sessions are in neither part."""

    def given_split(self) -> Mapping[str, Literal["train", "test"]] | None:
        return {"s1": "train"}


class WrongHint(Plain):
    """Breaks the contract: the hint for speed changes what is masked."""

    mask_starts: ClassVar[str] = "5-9"


@dataclass(frozen=True)
class Grows(Plain):
    """Breaks the contract: a field is not what was given."""

    more: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "more", self.more + 1)


class Pathless(Plain):
    """Breaks the contract: its options say where its file is."""

    def options(self) -> dict[str, Any]:
        return super().options() | {"log": self.path}


class ByPath(Plain):
    """Breaks the contract: its digest goes by where its file is."""

    def source_digest(self) -> str:
        return digest(self.path, super().source_digest())


class ByLogAlone(Plain):
    """Breaks the contract: its digest leaves out the labels."""

    def source_digest(self) -> str:
        return digest(self.unit, file_digest(self.path))


class Unitless(Plain):
    """Breaks the contract: its digest leaves out a field that changes the records."""

    def source_digest(self) -> str:
        return digest(file_digest(self.path), file_digest(self.labels) if self.labels else "")


class Unpacked(Plain):
    """Breaks the contract: it reads files that are not compressed."""

    def records(self, intake: Intake) -> Iterator[LogRecord]:
        def lines() -> Iterator[RawLine]:
            offset = 0
            for number, raw in enumerate(Path(self.path).read_bytes().splitlines(keepends=True), start=1):
                intake.lines = number
                text = raw.decode("utf-8", "replace").strip()
                if text:
                    yield RawLine(number, offset, text)
                else:
                    intake.blank += 1
                offset += len(raw)

        if not Path(self.path).is_file():
            raise DataError(f"there is no file {self.path}")
        return self.read(lines(), intake)


class Returns(Unpacked):
    """Breaks the contract: a carriage return is part of its messages."""

    def records(self, intake: Intake) -> Iterator[LogRecord]:
        for record in Plain.records(self, intake):
            ends = b"\r\n" in _head(self.path)
            yield record._replace(message=record.message + "\r" * ends)


def _head(path: str) -> bytes:
    content = Path(path).read_bytes()
    return b"" if content.startswith((b"\x1f\x8b", b"BZh", b"\xfd7z")) else content


class LooksAhead(Plain):
    """Breaks the contract: what a line says depends on the last one."""

    def read(self, lines: Iterator[RawLine], intake: Intake) -> Iterator[LogRecord]:
        found = list(super().read(lines, intake))
        return (record._replace(level=found[-1].message) for record in found)


class Swallows(Plain):
    """Breaks the contract: after a line that it does not understand the next one is lost."""

    def read(self, lines: Iterator[RawLine], intake: Intake) -> Iterator[LogRecord]:
        for line in lines:
            found = self.parse(line)
            if found is None:
                intake.set_aside(line.number, line.offset, "not a plain line")
                for lost in lines:
                    intake.set_aside(lost.number, lost.offset, "after a line that is not plain")
                    break
                continue
            intake.records += 1
            yield found


class Fragile(Plain):
    """Breaks the contract: a file without lines ends in an error of Python's own."""

    def records(self, intake: Intake) -> Iterator[LogRecord]:
        found = list(super().records(intake))
        assert found[0].line
        return iter(found)


class Nameless(Plain):
    """Breaks the contract: a missing file reads as an empty one."""

    def records(self, intake: Intake) -> Iterator[LogRecord]:
        return super().records(intake) if Path(self.path).exists() else iter(())


class Deaf(Plain):
    """Breaks the contract: it reads lines from elsewhere in another way."""

    def records(self, intake: Intake) -> Iterator[LogRecord]:
        return (record._replace(component="file") for record in super().records(intake))


class Forgets(Plain):
    """Breaks the contract: a reader has not the options it is made from."""

    @classmethod
    def reader(cls, options: Mapping[str, Any], where: str) -> Any:
        return cls("-", unit="ms")


@pytest.fixture
def sample(tmp_path: Path) -> dict[str, str]:
    lines = [f"{1_000_000_000 + 7 * n} s{n % 5} event {n % 3} took {n} ms" for n in range(40)]
    lines.insert(30, "no such line")
    (tmp_path / "plain.log").write_text("".join(f"{line}\n" for line in lines))
    (tmp_path / "labels.csv").write_text("".join(f"s{n},{int(n == 3)}\n" for n in range(5)))
    return {"path": str(tmp_path / "plain.log"), "labels": str(tmp_path / "labels.csv")}


BROKEN: list[tuple[type[Dataset], str]] = [
    (Drops, "every line is accounted for"),
    (Skips, "every line is accounted for"),
    (Counts, "reading repeats"),
    (Guesses, "records are well formed: a label"),
    (Eternal, "records are well formed: a time"),
    (Backwards, "records are in the order of lines"),
    (Misplaces, "offsets are those of the lines"),
    (OffByOne, "text gives the lines asked for"),
    (Alone, "they have what its default windows need"),
    (OtherNames, "labels by session belong to its sessions"),
    (HalfSplit, "a given split names its sessions"),
    (WrongHint, "masks are the same with and without their first characters"),
    (Grows, "its fields are a document"),
    (Pathless, "options name no file"),
    (ByPath, "the digest goes by content: equal files"),
    (ByLogAlone, "the digest goes by content: .* labels"),
    (Unitless, "the digest goes by content: unit"),
    (Unpacked, "packed files give the same"),
    (Returns, "line ends make no difference"),
    (LooksAhead, "a log that goes on keeps its beginning"),
    (Swallows, "garbage harms no other line"),
    (Fragile, "a file of another kind is refused or quarantined: IndexError"),
    (Nameless, "a missing file is named"),
    (Deaf, "lines from elsewhere are read as its own"),
    (Forgets, "its options make a reader"),
]


def test_a_sound_dataset_of_anybody_s_keeps_it(sample: dict[str, str]) -> None:
    check_dataset(Plain, **sample)


@pytest.mark.parametrize(("cls", "law"), BROKEN, ids=lambda value: getattr(value, "__name__", ""))
def test_a_dataset_that_breaks_its_contract_is_found_out(cls: type[Dataset], law: str, sample: dict[str, str]) -> None:
    with pytest.raises(AssertionError, match=law):
        check_dataset(cls, **sample)


def test_laws_go_by_what_a_dataset_declares(sample: dict[str, str]) -> None:
    told: dict[str, set[str]] = {"plain": set(), "labelled": set(), "synthetic": set()}
    check_dataset(Plain, tell=lambda outcome: told["labelled"].add(outcome.law), **sample)
    check_dataset(Plain, tell=lambda outcome: told["plain"].add(outcome.law), path=sample["path"])
    check_dataset(names.find("dataset", "synthetic"), tell=lambda outcome: told["synthetic"].add(outcome.law), lines=20)
    assert told["labelled"] - told["plain"] == {"labels by session belong to its sessions"}
    assert "packed files give the same" in told["plain"] - told["synthetic"]


def test_all_laws_are_asked_where_one_is_broken(sample: dict[str, str]) -> None:
    outcomes: list[Outcome] = []
    check_dataset(Drops, tell=outcomes.append, **sample)
    broken = {outcome.law for outcome in outcomes if outcome.broken is not None}
    assert {"every line is accounted for"} <= broken < {outcome.law for outcome in outcomes}
