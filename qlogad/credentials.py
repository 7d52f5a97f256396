"""Recognize and remove secrets: one definition for messages, documents, ledgers and storage addresses.

A secret is the value of an environment variable or key with a secret's name (token, password, ...), or the password of an
address. Addresses are parsed as by libpq (PostgreSQL manual, 34.1.1, connection strings).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["HIDDEN", "find", "hidden", "known", "named", "told"]

HIDDEN = "..."
_WORDS = r"pass(?:word|wd|phrase)?|pwd|secret|token|credentials?|api[_-]?key|access[_-]?key|private[_-]?key|signature|sig"
_NAME = re.compile(
    rf"(?:^|[^a-z0-9])(?:{_WORDS})(?:$|[^a-z])|password|passwd|secret|apikey|accesskey|token$|(?<!un)sslkey", re.IGNORECASE
)
_VARIABLE = re.compile("TOKEN|KEY|SECRET|PASS|_PWD|CREDENTIAL|INSTANCE", re.IGNORECASE)  # excludes $PWD, the working folder
_ADDRESS = re.compile(
    r"(?P<scheme>[A-Za-z][\w+.-]{0,30}:/{1,2})(?P<user>\S{0,300}(?=@)|[^\s/?#@:]+:(?!\d{0,5}(?:[\s/?#,'\"]|$))[^\s'\"]{0,300})"
)
_PAIR = re.compile(
    rf"(?P<key>(?<![^\W_])[\w.-]{{0,40}}(?:{_WORDS})[\w-]{{0,40}})(?P<sign>\s*(?:=|%3D)\s*|['\"]?\s*:\s*(?=['\"]))"
    r"(?P<value>'(?:[^'\\]|\\.)*'?|\"(?:[^\"\\]|\\.)*\"?|[^\s&;'\"]+)",
    re.IGNORECASE,
)
_LONGEST = 24  # characters of a user name; a longer one is a token
_LEAST = 8  # characters of a variable's value; shorter values are ordinary words


def named(key: str) -> bool:
    """Whether a key has the name of a secret.

    >>> named("password"), named("sslpassword"), named("QISKIT_IBM_TOKEN"), named("max_tokens"), named("passes")
    (True, True, True, False, False)
    """
    return _NAME.search(key) is not None


def known() -> Iterator[tuple[str, str]]:
    """The environment variables whose names are those of secrets, longest value first."""
    for name, value in sorted(os.environ.items(), key=lambda item: -len(item[1])):
        if (
            len(value) >= _LEAST and _VARIABLE.search(name) and not (os.path.isabs(value) and os.path.lexists(value))
        ):  # not an existing path
            yield name, value


def hidden(text: str) -> str:
    """Remove secrets from a text: values of the environment, passwords in addresses, values of keys with names of secrets.

    >>> hidden("cannot open postgresql://me:p@ss@db:1/x?sslpassword=q&a=1")
    'cannot open postgresql://me:...@db:1/x?sslpassword=...&a=1'
    """
    for _, secret in known():
        text = text.replace(secret, HIDDEN)
    text = _ADDRESS.sub(lambda found: f"{found['scheme']}{_user(found['user'])}", text)
    return _PAIR.sub(lambda m: f"{m['key']}{m['sign']}{HIDDEN}" if named(m["key"]) else m[0], text)


def _user(given: str) -> str:
    """The user part of an address as it may be shown: all of it if there is no password."""
    name, colon, _ = given.partition(":")
    if len(name) > _LONGEST:  # a token instead of a name
        return HIDDEN
    return f"{name}:{HIDDEN}" if colon else name


def told(text: str) -> str:
    """The first line of a service's message, without secrets or anything that looks like a key."""
    line = (text.strip().splitlines() or [""])[0]
    return re.sub(r"[A-Za-z0-9_\-/+=]{32,}|\bA[A-Z]{3}[A-Z0-9]{16}\b", HIDDEN, hidden(line))[:200].rstrip(".;")


def find(content: Any, place: str = "") -> str | None:
    """Find a secret in a document: its dotted key, or None.

    >>> find({"core": {"token": "x"}}), find({"path": "https://me:x@host/log"}), find({"seed": 1})
    ('core.token', 'path', None)
    """
    items: Iterator[tuple[Any, Any]] = iter(())
    if isinstance(content, Mapping):
        items = iter(content.items())
    elif isinstance(content, (list, tuple)):
        items = iter(enumerate(content))
    elif isinstance(content, str):
        return place if hidden(content) != content else None
    for key, value in items:
        here = f"{place}.{key}" if place else str(key)
        if isinstance(value, str) and value and isinstance(key, str) and named(key):
            return here
        found = find(value, here)
        if found is not None:
            return found
    return None
