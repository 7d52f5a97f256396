"""Laws of a download: whatever a server does, the published bytes stand under the file's name, or nothing does and one line says why."""

import hashlib
import random
import shutil
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from qlogad.errors import FetchError, FileError, QlogadError
from qlogad.logs.published.download import Patience, allowed, digests, download, part_of
from tests.logs.http_server import FAULTS, Publisher, answers, redirects, serving, stalls, truncates

QUICK = Patience(stall=0.1, attempts=4, pause=0.0, longest=0.0)
UNSEEN = {"corrupts", "says too little"}  # by who knows neither size nor checksum


def md5(content: bytes) -> str:
    return f"md5:{hashlib.md5(content).hexdigest()}"


def sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


class Stop(BaseException):
    """The end of a process, at any byte."""


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    with serving(Publisher(random.Random(1).randbytes(60_000))) as one:
        yield one


def knowledge(dice: random.Random, content: bytes) -> dict[str, Any]:
    """What is known of a file beforehand."""
    return dice.choice(
        [
            {},
            {"size": len(content)},
            {"checksum": md5(content)},
            {"size": len(content), "checksum": dice.choice([md5, sha256])(content)},
        ]
    )


@pytest.mark.sample(24)
@pytest.mark.parametrize("seed", range(300))
def test_after_any_faults_and_stops_the_file_is_the_published_one_or_absent(
    seed: int, tmp_path: Path, drawn: random.Random
) -> None:
    dice = random.Random(f"{seed} {drawn.random()}")
    content = dice.randbytes(dice.choice([1, 4_000, 70_000]))
    known = knowledge(dice, content)
    names = [name for name in FAULTS if known.get("checksum") or name not in UNSEEN]
    planned = dice.choices(names, k=dice.randrange(1, 7))
    to = tmp_path / "to" / "archive.zip"
    versions = [content]
    with serving(Publisher(content, [FAULTS[name](dice) for name in planned])) as one:
        for _ in range(20):
            at = dice.choice([dice.randrange(len(content)), len(content) * 9])

            def progress(what: str, done: int, total: int | None, at: int = at) -> None:
                if done > at:
                    raise Stop

            with suppress(Stop, QlogadError):
                assert download([one.url], to, patience=QUICK, progress=progress, **known) == digests(to)
            versions.append(one.content)
            if to.exists():
                break
        if to.exists():
            assert to.read_bytes() in (versions if not known.get("checksum") else [content]), planned
            assert list(to.parent.iterdir()) == [to]
        else:
            assert one.content != content, planned  # it was replaced, and that can be known
            assert known, planned


@pytest.mark.parametrize("name", [name for name in FAULTS if name != "changes"])
@pytest.mark.parametrize("known", [False, True])
def test_a_server_that_always_fails_is_given_up_in_one_line(name: str, known: bool, publisher: Publisher, tmp_path: Path) -> None:
    dice = random.Random(name)
    publisher.always = FAULTS[name](dice)
    facts: dict[str, Any] = {"size": 60_000, "checksum": md5(publisher.content)} if known else {}
    if name in UNSEEN and not known:
        facts = {"checksum": sha256(publisher.content)}
    to, said = tmp_path / "new" / "a.zip", ""
    try:
        download([publisher.url], to, patience=QUICK, **facts)
    except FetchError as error:
        said = str(error)
    if to.exists():
        assert to.read_bytes() == publisher.content
        return
    assert "a.zip could not be fetched" in said
    assert said.count("\n") == 0
    if part_of(to).exists():
        assert part_of(to).stat().st_size
    else:
        assert not (tmp_path / "new").exists(), "without a byte nothing is left behind"


@pytest.mark.parametrize("tagged", [False, True])
@pytest.mark.parametrize("name", [name for name in FAULTS if name not in UNSEEN])
def test_without_a_checksum_no_fault_joins_bytes_that_do_not_belong_together(
    name: str, tagged: bool, publisher: Publisher, tmp_path: Path
) -> None:
    for seed in range(3):
        dice, to, first = random.Random(f"{name} {seed}"), tmp_path / str(seed), publisher.content
        publisher.tag = Publisher.tag if tagged else lambda content: ""
        publisher.faults = [truncates(dice), FAULTS[name](dice)]
        with suppress(FetchError):
            download([publisher.url], to, patience=QUICK)
        assert not to.exists() or to.read_bytes() in (first, publisher.content)


def test_only_the_rest_is_asked_for_again(publisher: Publisher, tmp_path: Path) -> None:
    publisher.faults, publisher.always = [truncates(random.Random(3))], answers(404)(random.Random())
    with pytest.raises(FetchError):
        download([publisher.url], tmp_path / "a", patience=QUICK)
    arrived, publisher.always = part_of(tmp_path / "a").stat().st_size, None
    download([publisher.url], tmp_path / "a", patience=QUICK)
    assert publisher.asked[-1]["Range"] == f"bytes={arrived}-"
    assert publisher.asked[-1]["If-Range"] == publisher.tag(publisher.content)
    assert (tmp_path / "a").read_bytes() == publisher.content


@pytest.mark.parametrize("tag", ["", 'W/"1"'])
def test_bytes_that_nothing_tells_apart_are_never_joined(tag: str, publisher: Publisher, tmp_path: Path) -> None:
    publisher.tag = lambda content: tag
    first, second = publisher.content, bytes(len(publisher.content))
    with pytest.raises(Stop):
        download([publisher.url], tmp_path / "a", patience=QUICK, progress=_stops)
    publisher.content = second
    download([publisher.url], tmp_path / "a", patience=QUICK)
    assert first != (tmp_path / "a").read_bytes() == second
    assert "Range" not in publisher.asked[-1]


def _stops(what: str, done: int, total: int | None) -> None:
    raise Stop


def test_with_a_checksum_what_was_joined_wrongly_is_fetched_anew(publisher: Publisher, tmp_path: Path) -> None:
    publisher.tag = lambda content: ""
    published, publisher.content = publisher.content, bytes(60_000)
    publisher.faults = [truncates(random.Random(5))]
    publisher.always = answers(503)(random.Random())
    with pytest.raises(FetchError):
        download([publisher.url], tmp_path / "a", patience=QUICK, checksum=md5(published))
    assert part_of(tmp_path / "a").stat().st_size
    publisher.content, publisher.always = published, None
    download([publisher.url], tmp_path / "a", patience=QUICK, checksum=md5(published))
    assert (tmp_path / "a").read_bytes() == published


def test_another_address_serves_where_one_fails(publisher: Publisher, tmp_path: Path) -> None:
    told: list[str] = []
    with serving(Publisher(b"", always=answers(404)(random.Random()))) as gone:
        download([gone.url, publisher.url], tmp_path / "a", patience=QUICK, tell=told.append)
    assert (tmp_path / "a").read_bytes() == publisher.content
    assert "answers 404" in told[0]


def test_redirects_end(publisher: Publisher, tmp_path: Path) -> None:
    publisher.faults = [redirects(random.Random(n)) for n in range(5)]
    download([publisher.url], tmp_path / "a", patience=QUICK)
    publisher.always = answers(302, Location=publisher.url)(random.Random())
    with pytest.raises(FetchError, match="in a circle, or too often"):
        download([publisher.url], tmp_path / "b", patience=QUICK)
    assert len(publisher.asked) < 30


class Address(NamedTuple):
    url: str
    source: str


@pytest.mark.parametrize(
    ("address", "followed"),
    [
        (Address("https://a.example/x", "https://b.example/y"), True),
        (Address("http://a.example/x", "https://a.example/x"), False),
        (Address("http://a.example/x", "http://a.example/y"), False),
        (Address("http://127.0.0.1/x", "https://a.example/x"), False),
        (Address("https://localhost/x", "https://a.example/x"), False),
        (Address("http://127.0.0.1/x", "http://localhost:80/x"), True),
        (Address("ftp://a.example/x", ""), False),
        (Address("//a.example/x", ""), False),
        (Address("https:///x", ""), False),
        (Address("http://localhost.evil.example/x", "http://localhost/x"), False),
        (Address("http://127.0.0.1@evil.example/x", "http://localhost/x"), False),
        (Address("https://[x", ""), False),
    ],
)
def test_only_https_is_followed_and_nobody_else_leads_to_this_machine(address: Address, followed: bool) -> None:
    assert allowed(*address) == followed


def test_proxies_of_the_environment_are_asked(publisher: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", publisher.url.removesuffix("/file"))
    download(["http://published.invalid/a.zip"], tmp_path / "a", patience=QUICK)
    assert (tmp_path / "a").read_bytes() == publisher.content
    assert publisher.asked[0]["Host"] == "published.invalid"


def test_of_two_at_once_the_second_says_so(publisher: Publisher, tmp_path: Path) -> None:
    publisher.faults = [stalls(random.Random(1))]
    begun, to = threading.Event(), tmp_path / "a"
    patient = Patience(stall=30.0, attempts=2, pause=0.0)
    first = threading.Thread(
        target=download, args=([publisher.url], to), kwargs={"patience": patient, "progress": lambda *_: begun.set()}
    )
    first.start()
    begun.wait()
    with pytest.raises(FetchError, match="another process is fetching"):
        download([publisher.url], to, patience=QUICK)
    publisher.over.set()
    first.join()
    assert to.read_bytes() == publisher.content


def test_too_little_space_is_told_before_a_byte_comes(
    publisher: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=59_999))
    with pytest.raises(FileError, match=r"60,000 bytes.*59,999 left"):
        download([publisher.url], tmp_path / "new" / "a", patience=QUICK)
    assert not list(tmp_path.iterdir())


def test_what_stands_in_the_way_is_told(publisher: Publisher, tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"mine")
    part_of(tmp_path / "a").symlink_to(tmp_path / "target")
    with pytest.raises(FileError, match="is a link"):
        download([publisher.url], tmp_path / "a", patience=QUICK)
    with pytest.raises(FileError, match="move it away"):
        download([publisher.url], tmp_path / "target" / "a", patience=QUICK)
    assert (tmp_path / "target").read_bytes() == b"mine"


@pytest.mark.parametrize("note", [b"", b"{}", b"[1]", b'{"url": 3}', b"\xff"])
def test_a_damaged_note_costs_only_the_bytes_it_was_about(note: bytes, publisher: Publisher, tmp_path: Path) -> None:
    part = part_of(tmp_path / "a")
    part.write_bytes(b"something else")
    part.with_name(f"{part.name}.json").write_bytes(note)
    download([publisher.url], tmp_path / "a", patience=QUICK)
    assert (tmp_path / "a").read_bytes() == publisher.content
