"""No form of a storage's address shows or keeps its password."""

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from qlogad import cli, credentials
from qlogad.errors import InputError, QlogadError, QlogadWarning, StorageError, one_line, shown
from qlogad.jobs.address import Database, database, is_path
from qlogad.jobs.storage import open_storage

pytest.importorskip("psycopg")
NOWHERE = "127.0.0.1:9"  # the port of `discard`: nothing listens
READ = (  # forms that libpq reads; {p} is percent-encoded, {q} quoted as in key=value
    "postgresql://me:{p}@127.0.0.1:9/db",
    "postgres://me:{p}@127.0.0.1:9/db",
    "postgresql+psycopg://me:{p}@127.0.0.1:9/db",
    "PostgreSQL://:{p}@127.0.0.1:9/db",
    "postgresql://127.0.0.1:9/db?user=me&password={p}",
    "postgresql://me@127.0.0.1:9/db?password={p}&connect_timeout=1",
    "postgresql://me:{p}@127.0.0.1:9,127.0.0.1:9/db",
    "postgresql:///db?host=127.0.0.1&port=9&password={p}",
    "postgresql://127.0.0.1:9/db?sslpassword={p}",
    "host=127.0.0.1 port=9 dbname=db password={q}",
    "password={q} host=127.0.0.1 port=9",
    "dbname=db user=me host=127.0.0.1 port=9 sslpassword = {q}",
)
REFUSED = (
    "mysql://me:{r}@h/db",
    "redis://:{r}@h",
    "sqlite:///x?password={r}",
    "me:{r}@h/db",
    "//me:{r}@h/db",
    "postgresql:me:{r}@h/db",
    "postgresql//me:{r}@h/db",
    "postgresql://me:a@{r}@h/db",
    "postgresql://me:a/{r}@h/db",
    "postgresql://me:{r}%zz@h/db",
    "postgresql://me@h:{r}/db",
    "postgresql://h/db?pass={r}",
    "postgresql://me:a?b@{r}@h/db",
    "host=h password={r}' '",
    "study.journal?password={r}",
)
SECRETS = st.text(alphabet="abcdefghijkLMNOP0123456789@/:?#%&=' \\+!;,|~é", min_size=9, max_size=20).filter(
    lambda text: text.strip() == text
)
PLAIN = st.text(alphabet="abcdefghijkLMNOP0123456789", min_size=9, max_size=20).filter(str.isalnum)


def quoted(secret: str) -> str:
    return "'" + secret.replace("\\", "\\\\").replace("'", "\\'") + "'"


def chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


@given(st.sampled_from(READ), SECRETS)
def test_an_address_that_is_read_keeps_its_password_to_itself(form: str, secret: str) -> None:
    place = form.format(p=quote(secret, safe=""), q=quoted(secret))
    assert not is_path(place)
    found = database(place)
    assert secret in found.parameters.values()  # the driver is told it as it is
    for shown_ in (str(found), repr(found), found.hidden(f"cannot use {secret} nor {place}")):
        assert secret not in shown_
        assert quote(secret, safe="") not in shown_


@given(st.sampled_from(REFUSED), PLAIN)
def test_an_address_that_cannot_be_used_is_refused_without_its_password(form: str, secret: str) -> None:
    with pytest.raises(InputError) as refused:
        open_storage(form.format(r=secret))
    assert not any(secret in text for one in chain(refused.value) for text in (str(one), repr(one)))
    assert str(refused.value) == one_line(refused.value)


@pytest.mark.parametrize("form", READ)
def test_a_server_that_is_away_is_told_without_the_password(form: str) -> None:
    secret = "Zk3-qX9.w_7"
    with pytest.raises(StorageError) as away:
        open_storage(form.format(p=secret, q=quoted(secret)))
    assert "127.0.0.1:9" in str(away.value)
    assert not any(secret in text for one in chain(away.value) for text in (str(one), repr(one)))


@given(st.sampled_from((*READ, *REFUSED)), SECRETS)
def test_no_error_warning_or_shown_text_has_the_password_of_an_address(form: str, secret: str) -> None:
    assume(secret.isalnum() or "{r}" not in form)
    place = form.format(p=quote(secret, safe=""), q=quoted(secret), r=secret)
    assume(
        not re.search(r"me:a\?|//me@h:|%zz|^study|' '$|me:a[@/]|postgresql:me|^me:|^//me|sql//", place)
    )  # known by `address` alone
    for text in (
        str(QlogadError(place)),
        str(QlogadWarning(f"x {place} y")),
        shown(place),
        shown({"k": place}, 200),
        one_line(place),
    ):
        assert quote(secret, safe="") not in text
        assert secret not in text


@pytest.mark.parametrize("form", [*READ, *REFUSED])
def test_a_command_leaves_no_password_behind(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    secret = "Zk3qX9wP7"
    (tmp_path / "e.toml").write_text(
        "[data]\ndataset = 'synthetic'\nlines = 2000\nsplit = { by = 'time', cuts = [0.5] }\n"
        "[[contender]]\nname = 'new'\ndetector = 'new-event'\n[judge]\nresamples = 10\n"
    )
    monkeypatch.chdir(tmp_path)
    place = form.format(p=secret, q=quoted(secret), r=secret)
    monkeypatch.setattr(sys, "argv", ["qlogad", "run", "e.toml", "--workers", "1", "--storage", place])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == (2 if form in REFUSED else 1)
    told = capsys.readouterr()
    assert secret not in told.out + told.err
    assert told.err.count("error: ") == 1
    for path in tmp_path.rglob("*"):
        assert secret not in str(path)
        assert path.is_dir() or secret.encode() not in path.read_bytes()


@given(st.sampled_from(["PGPASSWORD", "QISKIT_IBM_TOKEN", "AWS_SECRET_ACCESS_KEY", "MY_API_KEY", "DB_PASSWD"]), PLAIN)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_the_environment_keeps_secret_is_told_by_nobody(monkeypatch, name: str, secret: str) -> None:
    with monkeypatch.context() as patch:
        patch.setenv(name, secret)
        assert (name, secret) in credentials.known()
        driver = OSError(f"the server said {secret}")
        for text in (
            str(StorageError(str(driver))),
            Database({"host": "h"}).hidden(driver),
            credentials.told(str(driver)),
            one_line(driver),
        ):
            assert secret not in text
    assert name not in os.environ or os.environ[name] != secret


@pytest.mark.parametrize("name", ["PWD", "OLDPWD", "SSH_KEY", "PASSFILE", "GOOGLE_APPLICATION_CREDENTIALS"])
def test_a_path_is_no_secret_whatever_names_it(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, str(tmp_path))
    assert one_line(f"cannot read {tmp_path}/a.toml") == f"cannot read {tmp_path}/a.toml"
