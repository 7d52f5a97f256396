"""Laws of every data set, on a small sample of its own: no line is lost, and how a file is packed changes nothing."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from functools import cached_property, partial
from math import isnan
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast, get_args, get_origin, get_type_hints

from qlogad import documents
from qlogad.errors import DataError, InputError
from qlogad.logs.dataset import Dataset, Intake, LogRecord
from qlogad.logs.events import read_events
from qlogad.logs.reading.mask import Mask
from qlogad.logs.reading.raw_lines import Lines, expand, open_unpacked, raw_lines
from qlogad.logs.reading.times import EARLIEST, LATEST
from qlogad.seeds import generator
from qlogad.testing.laws import Laws, Tell, assert_refused, refusal

__all__ = ["check_dataset"]

LAWS = Laws["Subject"]()
LEAST = 4  # lines of the sample that have to be understood
GARBAGE = b"\xff\x00 \"no such ' line \xe2\x9c\x97"
LABELS = {-1, 0, 1}


def check_dataset(cls: type[Dataset], *, tell: Tell | None = None, **settings: Any) -> None:
    """Check a data set against its contract, on a small sample of its format.

    Laws are chosen by what it declares: files (fields of type `File`), a method `read`, labels by session, a given split, masks.
    The sample is read some thirty times, from copies of its files that are compressed, cut, damaged, or have other line ends.

    Args:
        cls: the data set's class.
        tell: called with the outcome of each law; None: the first broken law raises an error.
        settings: its fields, among them the paths of the sample: some hundred lines, at least four of them well formed.

    Raises:
        AssertionError: with the name of the broken law; only without `tell`.
        DocumentError: a required field, such as the sample's path, is missing.

    >>> from qlogad.logs.synthetic import Synthetic
    >>> check_dataset(Synthetic, lines=50)
    """
    made = documents.from_mapping(cls, settings, f"the fields of {cls.__name__} (--set KEY=VALUE)")
    with tempfile.TemporaryDirectory() as folder:
        LAWS.hold(Subject(made, Path(folder)), tell)


class Reading(NamedTuple):
    """The records of a source, and what became of its lines."""

    records: list[LogRecord]
    intake: Intake

    def told(self, *left_out: str) -> list[tuple[object, ...]]:
        """The records as values that compare equal (unlike NaN), without some of their fields."""
        kept = [place for place, name in enumerate(LogRecord._fields) if name not in left_out]
        return [tuple(None if record[place] != record[place] else record[place] for place in kept) for record in self.records]


class Subject:
    """A data set on its sample, read once, and copies of the sample."""

    def __init__(self, dataset: Dataset, folder: Path) -> None:
        self.dataset, self.cls, self.folder = dataset, type(dataset), folder
        self.copies = 0

    @cached_property
    def reading(self) -> Reading:
        return reading_of(self.dataset)

    @cached_property
    def files(self) -> dict[str, list[Path]]:
        """The files of the sample, by field."""
        given = {name: getattr(self.dataset, name) for name in self.cls.file_fields()}
        return {
            name: [expand(path) for path in ([paths] if isinstance(paths, str) else paths)]
            for name, paths in given.items()
            if paths
        }

    @cached_property
    def log_field(self) -> str | None:
        """The field that holds the log, if a single file has all lines."""
        if sum(map(len, self.files.values())) == 1:
            return next(iter(self.files))
        if len(self.files.get("path", ())) != 1 or line_count(bytes_of(self.files["path"][0])) != self.reading.intake.lines:
            return None
        return "path"

    @cached_property
    def log(self) -> bytes | None:
        """The lines of the sample: its file unpacked, or what `text` gives if it has none; None if several files hold lines."""
        if self.log_field is not None:
            return bytes_of(self.files[self.log_field][0])
        if self.files:
            return None
        numbers = range(1, self.reading.intake.lines + 1)
        texts = self.dataset.text(numbers)
        return "".join(f"{texts.get(number, '')}\n" for number in numbers).encode()

    def copy(self, change: Callable[[bytes], bytes] = bytes, only: str | None = None) -> Dataset:
        """The data set on copies of its files, unpacked and then changed: all of them, or those of one field."""
        self.copies += 1
        folder = self.folder / str(self.copies)
        folder.mkdir()
        made: dict[str, Any] = {}
        for name, paths in self.files.items():
            targets = [folder / f"{name}{place}" for place in range(len(paths))]
            for path, target in zip(paths, targets, strict=True):
                content = bytes_of(path)
                target.write_bytes(change(content) if only in {None, name} else content)
            single = isinstance(getattr(self.dataset, name), str)
            made[name] = str(targets[0]) if single else tuple(map(str, targets))
        return cast(Dataset, replace(cast(Any, self.dataset), **made))

    def write(self, content: bytes) -> Path:
        self.copies += 1
        path = self.folder / f"{self.copies}.log"
        path.write_bytes(content)
        return path

    def variants(self) -> Iterator[tuple[str, Dataset]]:
        """The data set with one field changed, for every field that is no file and whose other values are known."""
        hints = get_type_hints(self.cls)
        for field in fields(cast(Any, self.dataset)):
            if field.name not in self.cls.file_fields():
                for value in other_values(getattr(self.dataset, field.name), hints[field.name]):
                    try:
                        yield field.name, cast(Dataset, replace(cast(Any, self.dataset), **{field.name: value}))
                    except InputError:  # no such value
                        continue


def reading_of(dataset: Dataset) -> Reading:
    intake = Intake()
    return Reading(list(dataset.records(intake)), intake)


def reading_lines(dataset: Dataset, lines: Lines) -> Reading:
    intake = Intake()
    return Reading(list(dataset.read(raw_lines(lines, intake), intake)), intake)


def everything_of(dataset: Dataset) -> None:
    reading_of(dataset)
    dataset.session_labels()


def bytes_of(path: Path) -> bytes:
    with open_unpacked(path) as file:
        return file.read()


def line_count(content: bytes) -> int:
    return content.count(b"\n") + (not content.endswith(b"\n") and bool(content))


def other_values(value: object, hint: object) -> list[object]:
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, (int, float)):
        return [value + 1, value / 2]
    choices = [one for part in (hint, *get_args(hint)) if get_origin(part) is Literal for one in get_args(part)]
    return [one for one in choices if one != value]


def assert_accounted(reading: Reading) -> None:
    intake = reading.intake
    understood, aside = {record.line for record in reading.records}, [item.line for item in intake.quarantine]
    assert intake.lines == intake.records + intake.joined + intake.left_out + intake.blank + len(aside), (
        f"{intake.lines} lines, but {intake.records} parsed, {intake.joined} joined, {intake.left_out} left out, {intake.blank} blank "
        f"and {len(aside)} in quarantine"
    )
    assert len(understood) == intake.records, (
        f"records come from {len(understood)} lines, and {intake.records} are counted as parsed"
    )
    assert len(set(aside)) == len(aside), "a line is quarantined once"
    assert understood.isdisjoint(aside), "a line is parsed or quarantined, not both"
    assert understood | set(aside) <= set(range(1, intake.lines + 1)), "line numbers run from 1 to the number of lines"
    assert all(item.reason and len(item.reason.splitlines()) == 1 for item in intake.quarantine), "a reason is one line of text"


def assert_well_formed(record: LogRecord) -> None:
    assert isnan(record.time) or EARLIEST <= record.time <= LATEST, (
        f"a time is NaN or lies between 1677 and 2262, got {record.time}"
    )
    assert record.label in LABELS, f"a label is 1, 0 or -1, got {record.label!r}"
    assert record.label == 1 or not record.kind, f"only an anomaly has a kind, got {record.kind!r} with label {record.label}"
    assert isinstance(record.sessions, tuple), f"sessions are a tuple, got {type(record.sessions).__name__}"
    texts = (record.level, record.component, record.message, record.kind, *record.sessions)
    assert all(isinstance(text, str) for text in texts), "level, component, message, kind and sessions are text"
    assert all(record.sessions), "the name of a session is not empty"
    assert len(set(record.sessions)) == len(record.sessions), "a line belongs to a session once"
    assert "\n" not in record.message, "a message is within its line"


# ---------------------------------------------------------------- of its records


@LAWS.law()
def the_sample_is_understood(it: Subject) -> None:
    lines = {record.line for record in it.reading.records}
    reasons = ", ".join(f"{count} {reason}" for reason, count in it.reading.intake.reasons().items())
    assert len(lines) >= LEAST, f"{len(lines)} of {it.reading.intake.lines} lines parsed, at least {LEAST} are needed; {reasons}"


@LAWS.law()
def reading_repeats(it: Subject) -> None:
    again = reading_of(it.dataset)
    assert again.told() == it.reading.told(), "a second reading gives other records"
    assert again.intake == it.reading.intake, "a second reading counts lines differently"


@LAWS.law()
def every_line_is_accounted_for(it: Subject) -> None:
    assert_accounted(it.reading)
    if it.log is not None:
        assert it.reading.intake.lines == line_count(it.log), (
            f"the sample has {line_count(it.log)} lines, and {it.reading.intake.lines} are counted"
        )


@LAWS.law()
def records_are_well_formed(it: Subject) -> None:
    for record in it.reading.records:
        assert_well_formed(record)


@LAWS.law()
def records_are_in_the_order_of_lines(it: Subject) -> None:
    lines = [record.line for record in it.reading.records]
    assert lines == sorted(lines), "records come in source order"


@LAWS.law(when=lambda it: it.log is not None)
def offsets_are_those_of_the_lines(it: Subject) -> None:
    starts = [0]
    for line in cast(bytes, it.log).split(b"\n"):
        starts.append(starts[-1] + len(line) + 1)
    for record in it.reading.records:
        start = starts[record.line - 1]
        assert record.offset == start, f"line {record.line} starts at byte {start}, got offset {record.offset}"


@LAWS.law()
def text_gives_the_lines_asked_for(it: Subject) -> None:
    numbers = sorted({record.line for record in it.reading.records})
    assert it.dataset.text([]) == {}, "no line numbers, no text"
    assert set(it.dataset.text(numbers)) == set(numbers), "one text for each line number"
    some = numbers[1::3]
    assert it.dataset.text(some) == {number: text for number, text in it.dataset.text(numbers).items() if number in set(some)}, (
        "the text of a line depends on which others are asked for"
    )
    assert it.dataset.text([it.reading.intake.lines + 1]) == {}, "there is no line beyond the last"
    if it.log is not None:
        lines = {line.number: line.text for line in raw_lines(it.log.split(b"\n"), Intake())}
        for number, text in it.dataset.text(numbers).items():
            assert text == lines[number], f"the text of line {number} is not that line"


@LAWS.law()
def they_make_a_table_of_events(it: Subject) -> None:
    assert len(read_events(it.dataset)) == len(it.reading.records), "one event for each record"


@LAWS.law(when=lambda it: it.dataset.default_window != "count")
def they_have_what_its_default_windows_need(it: Subject) -> None:
    if it.dataset.default_window == "session":
        assert any(record.sessions for record in it.reading.records), "windows are sessions by default, and no line names one"
    else:
        assert not all(isnan(record.time) for record in it.reading.records), "windows go by time by default, and no line has one"


# ---------------------------------------------------------------- of labels, splits and masks


@LAWS.law(when=lambda it: it.dataset.session_labels() is not None)
def labels_by_session_belong_to_its_sessions(it: Subject) -> None:
    labels = it.dataset.session_labels() or {}
    assert set(labels.values()) <= LABELS, f"a label is 1, 0 or -1, got {sorted(set(labels.values()))}"
    sessions = {session for record in it.reading.records for session in record.sessions}
    assert not labels or sessions & labels.keys(), "no session of the sample is labelled: are sessions and labels named alike?"


@LAWS.law(when=lambda it: it.dataset.given_split() is not None)
def a_given_split_names_its_sessions(it: Subject) -> None:
    parts = it.dataset.given_split() or {}
    assert set(parts.values()) <= {"train", "test"}, f"a part is train or test, got {sorted(set(parts.values()))}"
    missing = {session for record in it.reading.records for session in record.sessions} - parts.keys()
    assert not missing, f"{len(missing)} sessions are in neither part"


@LAWS.law(when=lambda it: bool(it.dataset.masks))
def masks_are_the_same_with_and_without_their_first_characters(it: Subject) -> None:
    quick, plain = Mask(it.dataset.masks, it.dataset.mask_starts), Mask(it.dataset.masks)
    for message in dict.fromkeys(record.message for record in it.reading.records):
        assert quick(message) == plain(message), f"mask_starts misses a part that a mask finds in: {message}"


# ---------------------------------------------------------------- of its fields


@LAWS.law()
def its_fields_are_a_document(it: Subject) -> None:
    again = documents.from_mapping(it.cls, documents.parse(documents.dump(it.dataset)))
    assert again == it.dataset, "it comes back changed from a [data] table"
    assert hash(again) == hash(it.dataset), "a data set is a frozen dataclass"


@LAWS.law()
def options_name_no_file(it: Subject) -> None:
    options = it.dataset.options()
    assert not any(str(path) in repr(options) for paths in it.files.values() for path in paths), "a path is a field of type File"


@LAWS.law()
def the_digest_goes_by_content(it: Subject) -> None:
    """By everything that records and labels depend on, and nothing else."""
    one, two = it.copy(), it.copy()
    assert one.source_digest() == two.source_digest(), "equal files in another place have an equal digest"
    for name in it.files:
        shorter = it.copy(lambda content: content.rstrip().rpartition(b"\n")[0], only=name)
        assert shorter.source_digest() != one.source_digest(), f"the digest is the same for another file as {name}"
    for name, other in it.variants():
        if other.source_digest() == it.dataset.source_digest():
            assert reading_of(other).told() == it.reading.told(), f"{name} changes records, and not the digest"


# ---------------------------------------------------------------- of files


@LAWS.law(when=lambda it: bool(it.files))
def packed_files_give_the_same(it: Subject) -> None:
    for name, pack in (("plain", bytes), ("gzip", gzip.compress), ("bzip2", bz2.compress), ("xz", lzma.compress)):
        _assert_same(it, it.copy(pack), f"a {name} file")


@LAWS.law(when=lambda it: bool(it.files))
def line_ends_make_no_difference(it: Subject) -> None:
    changes: dict[str, Callable[[bytes], bytes]] = {
        "CR LF": lambda content: content.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"),
        "no newline at the end": lambda content: content.rstrip(b"\r\n"),
        "blank lines at the end": lambda content: content + b"\n\n \n",
        "a byte order mark": lambda content: b"\xef\xbb\xbf" + content,
    }
    if it.log_field is None:  # line numbers go on from file to file
        del changes["blank lines at the end"]
    for name, change in changes.items():
        _assert_same(it, it.copy(change), name, "offset")


@LAWS.law(when=lambda it: it.log_field is not None)
def a_log_that_goes_on_keeps_its_beginning(it: Subject) -> None:
    half = max(record.line for record in it.reading.records) // 2
    shorter = it.copy(lambda content: b"\n".join(content.split(b"\n")[:half]) + b"\n", only=it.log_field)
    before = [record for record, line in zip(it.reading.told(), it.reading.records, strict=True) if line.line <= half]
    assert reading_of(shorter).told() == before, "what a line says depends on later ones"


@LAWS.law(when=lambda it: it.log_field is not None)
def garbage_harms_no_other_line(it: Subject) -> None:
    place = max(record.line for record in it.reading.records) // 2 + 1

    def damage(content: bytes) -> bytes:
        lines = content.split(b"\n")
        return b"\n".join([*lines[:place], GARBAGE, *lines[place:]])

    damaged = reading_of(it.copy(damage, only=it.log_field))
    assert_accounted(damaged)
    spared = {place + 1}
    if damaged.intake.joined > it.reading.intake.joined:  # as the continuation of the event above
        spared.add(max(record.line for record in it.reading.records if record.line <= place))
    apart = ("line", "offset", "sessions")  # a session may be named by its line
    before, after = (
        Reading([record for record in one.records if record.line not in lines], one.intake).told(*apart)
        for one, lines in ((it.reading, spared - {place + 1}), (damaged, spared))
    )
    assert after == before, "a line that is not understood changes what others say"


@LAWS.law(when=lambda it: it.log_field is not None)
def a_file_of_another_kind_is_refused_or_quarantined(it: Subject) -> None:
    random = generator(0, "check_dataset", "garbage")
    contents = {
        "an empty file": b"",
        "blank lines": b"\n \n\n",
        "a file of garbage": b"\n".join([GARBAGE] * 9),
        "a binary file": b"\x7f" + random.bytes(5_000),
    }
    for what, content in contents.items():
        other = it.copy(lambda _, content=content: content, only=it.log_field)  # type: ignore[misc]
        found: list[Reading] = []
        said = refusal(lambda found=found, other=other: found.append(reading_of(other)), DataError)  # type: ignore[misc]
        assert said is None or len(said.splitlines()) == 1, f"{what}: an error is one line, got {said}"
        for reading in found:
            assert_accounted(reading)
            for record in reading.records:
                assert_well_formed(record)


@LAWS.law(when=lambda it: bool(it.files))
def a_missing_file_is_named(it: Subject) -> None:
    for name in it.files:
        gone = it.copy()
        paths = getattr(gone, name)
        lost = Path(paths if isinstance(paths, str) else paths[0])
        lost.unlink()
        assert_refused(partial(everything_of, gone), DataError, f"{name} = a file that is not there")
        said = refusal(partial(everything_of, gone), DataError)
        assert lost.name in str(said), f"the error does not name the missing file: {said}"


# ---------------------------------------------------------------- of lines from elsewhere


@LAWS.law(when=lambda it: it.cls.read is not Dataset.read)
def its_options_make_a_reader(it: Subject) -> None:
    options = it.dataset.options()
    again = it.cls.reader(options, "options").options()
    assert documents.plain(again) == documents.plain(options), f"a reader made from {options} has the options {again}"


@LAWS.law(when=lambda it: it.cls.read is not Dataset.read and it.log is not None and it.log_field in {None, "path"})
def lines_from_elsewhere_are_read_as_its_own(it: Subject) -> None:
    content = cast(bytes, it.log)
    reader = it.cls.reader(it.dataset.options(), "options")
    log = it.write(content)
    with open(log, "rb") as stream:
        sources: dict[str, Lines] = {
            "a path": log,
            "a packed file": it.write(gzip.compress(content)),
            "a stream": stream,
            "lines": [line.removesuffix(b"\n") for line in content.splitlines(keepends=True)],
        }
        for what, lines in sources.items():
            found, own = reading_lines(reader, lines), it.reading
            assert found.told() == own.told(), f"`read` gives other records than `records`, from {what}"
            counts = [(one.intake.lines, one.intake.records, one.intake.blank) for one in (found, own)]
            assert counts[0] == counts[1], f"`read` counts lines differently, from {what}"


def _assert_same(it: Subject, other: Dataset, what: str, *left_out: str) -> None:
    assert reading_of(other).told(*left_out) == it.reading.told(*left_out), f"{what}: other records"
    assert other.session_labels() == it.dataset.session_labels(), f"{what}: other labels"
    assert other.given_split() == it.dataset.given_split(), f"{what}: another split"
