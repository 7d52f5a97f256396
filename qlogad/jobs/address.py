"""The address of a study's storage: the path of a journal file, or a PostgreSQL database in any form that libpq accepts.

postgresql://me@host:5432/studies · several hosts · user and password in the query · host=... dbname=... (PostgreSQL manual, 34.1.1).
A password is passed to the driver only; messages show user, host, port and database.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, quote_plus

from qlogad.credentials import HIDDEN, hidden, named
from qlogad.errors import InputError, MissingExtra

__all__ = ["Database", "check_place", "database", "is_path"]

_FORM = "write the path of a journal file, or postgresql://user@host/database with the password in $PGPASSWORD or in ~/.pgpass"
_SCHEME = re.compile(r"([A-Za-z][\w+.-]{0,20})://")
_OURS = re.compile(r"postgres(?:ql)?(?:\+psycopg[23]?)?://", re.IGNORECASE)
_KEYS = r"host|hostaddr|port|dbname|user|service\w*|options|require_auth|application_name|ssl\w+|gss\w+|target_session_attrs"
_PAIRS = re.compile(rf"\s*(?:{_KEYS}|\w*pass\w*|pwd|secret|token)\s*=", re.IGNORECASE)
_NO_PATH = re.compile(r"//|[^/.][^@]*:[^@]*@|[^/.].*\b(?:password|passwd|pwd|token|secret)\s*=", re.IGNORECASE | re.DOTALL)
_SECRET = ("scram_client_key", "scram_server_key")
_SHORT = 4  # characters: shorter passwords are hidden only as whole words


@dataclass(frozen=True)
class Database:
    """The parameters of a connection to a PostgreSQL database."""

    parameters: Mapping[str, str] = field(repr=False)

    def __str__(self) -> str:
        found = self.parameters
        hosts = (found.get("host") or found.get("hostaddr") or "").split(",")
        ports = (found.get("port") or "").split(",")
        ports = ports * len(hosts) if len(ports) == 1 else ports
        places = [f"{host}:{port}" if port else host for host, port in zip(hosts, ports, strict=False)]
        user = f"{found['user']}@" if found.get("user") else ""
        return f"postgresql://{user}{','.join(places)}" + (f"/{found['dbname']}" if found.get("dbname") else "")

    def hidden(self, text: object) -> str:
        """A text with the address's passwords and all other secrets removed."""
        text = str(text)
        for secret in sorted({self.parameters[key] for key in self.parameters if named(key) or key in _SECRET} - {""}, key=len):
            for form in {secret, quote(secret, safe=""), quote(secret), quote_plus(secret), repr(secret)[1:-1]}:
                text = (
                    text.replace(form, HIDDEN) if len(form) >= _SHORT else re.sub(rf"(?<!\w){re.escape(form)}(?!\w)", HIDDEN, text)
                )
        return hidden(text)


def is_path(place: str) -> bool:
    """Whether an address is the path of a journal file rather than a database.

    Raises:
        InputError: it is neither.
    """
    place = place.strip()
    if _OURS.match(place) or _PAIRS.match(place):
        return False
    scheme = _SCHEME.match(place)
    if scheme:
        raise InputError(f"there is no storage '{scheme[0]}'; {_FORM}")
    if _NO_PATH.match(place):
        raise InputError(f"the storage looks like an address without a scheme; {_FORM} (start a file of such a name with ./)")
    return True


def check_place(place: str) -> None:
    """Check an address before any work starts; raises as `is_path` and `database` do."""
    if not is_path(place):
        database(place)


def database(place: str) -> Database:
    """Parse the address of a database, percent-encoding decoded.

    Raises:
        InputError: libpq cannot parse it, or it is ambiguous: @ and / in a password must be percent-encoded.
        MissingExtra: the PostgreSQL driver is not installed.
    """
    try:
        from psycopg import ProgrammingError
        from psycopg.conninfo import conninfo_to_dict
    except ImportError as error:
        raise MissingExtra("psycopg", "pg") from error
    place = place.strip()
    scheme = _OURS.match(place)
    if scheme:
        rest = place[scheme.end() :]
        user = re.match("[^@/]*@", rest)
        if "@" in rest[user.end() if user else 0 :].partition("?")[0]:
            raise InputError(
                f"the storage's address has an unescaped @ or / in its password; write %40 and %2F, or leave it out: {_FORM}"
            )
        place = f"postgresql://{rest}"
    try:
        found = {key: str(value) for key, value in conninfo_to_dict(place).items() if value is not None}
    except (ProgrammingError, UnicodeError, ValueError):
        found = {}  # the driver's own message would quote the part it could not parse
    if (not found and place != "postgresql://") or not all(
        re.fullmatch(r"\d{0,5}", port) for port in found.get("port", "").split(",")
    ):
        raise InputError(
            f"the storage's address cannot be parsed (percent-encode everything but letters and digits in a password); {_FORM}"
        )
    return Database(found)
