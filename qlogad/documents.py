"""Documents: TOML in, frozen dataclasses out, and back; with dotted overrides, a JSON Schema and a content digest.

Validation by pydantic, with qlogad's errors: one line with the key, what was found and what would fit.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
import re
import stat
import tempfile
import tomllib
from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from datetime import date
from datetime import time as clock
from functools import cache
from numbers import Integral, Real
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from qlogad.bounds import Between
from qlogad.credentials import find
from qlogad.errors import DocumentError, InputError, did_you_mean, one_line, shown

__all__ = [
    "Variant",
    "Written",
    "cache_folder",
    "digest",
    "dump",
    "enforce",
    "enforce_value",
    "from_mapping",
    "override",
    "override_value",
    "parse",
    "plain",
    "read",
    "refuse_objects",
    "refuse_secrets",
    "settle_caches",
]

T = TypeVar("T")
Document = dict[str, Any]

_DEEPEST = 20  # keys in a dotted key
_LONG_KEY = re.compile(r"(?<![\w-])(?:(?:[\w-]+|\"\")[ \t]*\.[ \t]*){20,}")  # _DEEPEST
_TEXTS = re.compile(r"\"{3}(?:\\.|[^\\])*?\"{3}|'{3}.*?'{3}|\"(?:\\.|[^\"\\\n])*\"|'[^'\n]*'|#[^\n]*", re.DOTALL)


def read(path: str | Path) -> Document:
    """Read a TOML file.

    Raises:
        DocumentError: it is missing, is not UTF-8 or is not TOML.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DocumentError(f"{path} is not UTF-8 text (byte {error.start}), so it is not a TOML file; check the path") from error
    except OSError as error:
        raise DocumentError(f"cannot read {path}: {error.strerror or error}; check the path and its permissions") from error
    return parse(text, str(path))


def parse(text: str, where: str = "document") -> Document:
    """Parse TOML text; `where` is the name used in error messages."""
    try:
        return _loads(text)
    except (ValueError, RecursionError) as error:  # ValueError: not TOML, or a number of thousands of digits
        raise DocumentError(f"{where} is not valid TOML: {error or 'nested too deeply'}") from error


def _loads(text: str) -> Document:
    """Parse TOML with 64-bit integers, as TOML 1.0 requires; Python's parser accepts hexadecimal ones of any length."""
    if _LONG_KEY.search(_TEXTS.sub('""', text)):  # the parser needs quadratic time for it
        raise ValueError(f"a key of more than {_DEEPEST} parts")
    content = tomllib.loads(text)
    waiting: list[tuple[Any, int]] = [(content, 0)]
    while waiting:
        value, depth = waiting.pop()
        if depth > _DEEPEST:
            raise ValueError(f"tables or lists more than {_DEEPEST} deep")
        if isinstance(value, (dict, list)):
            waiting.extend((inner, depth + 1) for inner in (value.values() if isinstance(value, dict) else value))
        elif isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise ValueError("an integer of more than 64 bits")
    return content


@cache
def _adapter(cls: Any) -> Any:
    from pydantic import ConfigDict, TypeAdapter

    if dataclasses.is_dataclass(cls) and "__pydantic_config__" not in vars(cls):  # pydantic's hook; nested dataclasses inherit it
        setattr(cls, "__pydantic_config__", ConfigDict(extra="forbid", arbitrary_types_allowed=True))  # noqa: B010
    return TypeAdapter[Any](cls)


def from_mapping(cls: type[T], content: Mapping[str, Any], where: str = "document", *, strict: bool = False) -> T:
    """Build a dataclass from a mapping; unknown keys and wrong types are refused.

    Args:
        cls: a (frozen) dataclass; nested dataclasses, variants, tuples and literals all work.
        content: its keys and values, as parsed from TOML.
        where: the name used in error messages, such as a path.
        strict: for files written by a program: text is not converted to numbers, nor integers to booleans.

    Raises:
        DocumentError: with the key, what was found, and the nearest known key.
    """
    from pydantic import ValidationError

    adapter = _adapter(cast(Hashable, cls))
    try:
        validated: T = (
            adapter.validate_json(json.dumps(content, default=str), strict=True)
            if strict
            else adapter.validate_python(dict(content))
        )
        return validated
    except RecursionError as error:
        raise DocumentError(f"{where} is nested too deeply") from error
    except ValidationError as error:
        first = _joined(error.errors(include_url=False))
        place = one_line(".".join(str(part) for part in first["loc"]), 80)
        if first["type"] in {"unexpected_keyword_argument", "extra_forbidden"}:
            known = sorted(
                {f.name for owner in _owners(cls, content, first["loc"][:-1]) for f in dataclasses.fields(owner) if f.init}
            )
            hint = did_you_mean(str(first["loc"][-1]), known)
            known_text = f"; known: {', '.join(known)}" if known else ""
            raise DocumentError(f"{where}: unknown key {shown(place, 80)}{hint}{known_text}") from None
        message = _what_fits(first)
        told = f"{place} {message}" if first["type"] == "bounds" else ": ".join(part for part in (place, message) if part)
        raise DocumentError(": ".join(part for part in (where, told) if part)) from None


def _joined(errors: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The first of pydantic's errors; of a value that may be a word or a number, which is told for each, what would fit."""
    first, *others = errors
    number = next((one for one in others if one["type"] == "bounds" and one["loc"][:-1] == first["loc"][:-1]), None)
    if number is None or not str(first["loc"][-1]).startswith("literal["):
        return first
    if isinstance(first["input"], (int, float)) and not isinstance(first["input"], bool):
        return {**number, "loc": number["loc"][:-1]}
    words = {**first["ctx"], "expected": f"{first['ctx']['expected']}, or a number"}
    return {**first, "loc": first["loc"][:-1], "ctx": words}


def _what_fits(error: Mapping[str, Any]) -> str:
    """Rephrase one of pydantic's errors: what would fit, and what was found."""
    message, given, context = error["msg"], shown(error["input"], 80), error.get("ctx", {})
    match error["type"]:
        case "bounds":
            return str(message)
        case "value_error":  # qlogad's own message, which includes what was found
            return str(message.removeprefix("Value error, "))
        case "missing":
            return "is required and missing; add it"
        case "literal_error":
            known = re.findall(r"'([^']*)'", context["expected"])
            hint = did_you_mean(error["input"], known) if isinstance(error["input"], str) else ""
            return f"got {given}{hint}; known: {context['expected']}"
        case "tuple_type" | "list_type":
            return f"a list in brackets is expected, got {given}"
        case "model_attributes_type" | "dataclass_type" | "dict_type":
            return f"a table such as {{ key = value }} is expected, got {given}"
    return f"{message[0].lower() + message[1:]}, got {given}"


def _owners(cls: type, content: Any, path: Sequence[str | int]) -> list[Any]:
    """The dataclasses possible at a place of a document."""
    owners: list[Any] = [cls] if dataclasses.is_dataclass(cls) else []
    for part in path:
        content = content.get(part) if isinstance(content, Mapping) else None
        held = [get_type_hints(owner).get(str(part)) for owner in owners]
        types = [one for hint in held for one in (hint, *get_args(hint)) if isinstance(one, type)]
        owners = [one for one in types if dataclasses.is_dataclass(one)]
        owners += [one.chosen(content) for one in types if issubclass(one, Variant) and one not in owners]
    return owners


def enforce(instance: object, error: type[InputError] = InputError, *, sizes: bool = True) -> None:
    """Check a dataclass's fields against its annotations; for `__post_init__`.

    Checks Literals, numbers with their bounds, strings, booleans and None, alone, in unions and in tuples.

    Args:
        instance: the dataclass.
        error: the exception class to raise.
        sizes: False skips the bounds of numbers.

    Raises:
        InputError: with the field, what was found and what would fit.
    """
    for name, hint in _hints(cast(Hashable, type(instance))).items():
        enforce_value(name, getattr(instance, name), hint, error, sizes=sizes)


def enforce_value(name: str, value: object, hint: object, error: type[InputError] = InputError, *, sizes: bool = True) -> None:
    """`enforce` for one value.

    >>> enforce_value("rule", "f1", Literal["fpr", "f1"])

    Raises:
        InputError: it does not fit.
    """
    if _fits(value, hint):
        for place, one in enumerate(value) if isinstance(value, tuple) else [(None, value)]:
            limits = _limits(one, hint) if sizes else None
            if limits is not None and not limits.holds(cast(Real, one)):
                raise error(f"{name if place is None else f'{name}[{place}]'} is {limits}, got {shown(one, 80)}")
        return
    if get_origin(hint) is tuple and isinstance(value, Sequence) and not isinstance(value, str):
        for place, one in enumerate(value):
            enforce_value(f"{name}[{place}]", one, get_args(hint)[0], error)
    known = [str(one) for one in _choices(hint)]
    if known and (isinstance(value, str) or not _WORDS.keys() & {hint, *get_args(hint)}):
        hinted = did_you_mean(value, known) if isinstance(value, str) else ""
        raise error(f"{name} = {shown(value, 80)}{hinted}; known: {', '.join(known)}")
    raise error(f"{name} is {' or '.join(_said(hint))}, got {shown(value, 80)}")


_WORDS: dict[object, str] = {int: "an integer", float: "a number", str: "text", bool: "True or False", NoneType: "None"}


@cache
def _hints(cls: Any) -> dict[str, object]:
    """The annotations of a dataclass's fields that restrict values."""
    own = {f.name for f in dataclasses.fields(cls) if f.init}
    try:
        hints = get_type_hints(cls, include_extras=True)
    except NameError:  # a user's class with names imported only for type checking
        return {}
    return {name: hint for name, hint in hints.items() if name in own and not _fits(_nothing, hint)}


class _Nothing:
    """A sentinel that fits no annotation."""


_nothing = _Nothing()


def _fits(value: object, hint: object) -> bool:
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Literal:
        return any(type(value) is type(one) and value == one for one in inner)
    if origin in (Union, UnionType):
        return any(_fits(value, one) for one in inner)
    if origin is Annotated:
        return _fits(value, inner[0])
    if origin is tuple and inner[-1] is Ellipsis:
        return isinstance(value, Sequence) and not isinstance(value, str) and all(_fits(one, inner[0]) for one in value)
    if hint is bool:
        return isinstance(value, bool)
    if hint is int or hint is float:
        return isinstance(value, Integral if hint is int else Real) and not isinstance(value, bool)
    if (
        hint is str
        or hint is NoneType
        or (isinstance(hint, type) and (dataclasses.is_dataclass(hint) or issubclass(hint, Variant)))
    ):
        return isinstance(value, hint)
    return True


def _limits(value: object, hint: object) -> Between | None:
    """The bounds of a number in an annotation."""
    if not isinstance(value, Real):
        return None
    found = [one for one in get_args(hint) if isinstance(one, Between)]
    return next(iter([*found, *(limits for one in get_args(hint) if (limits := _limits(value, one)) is not None)]), None)


def _choices(hint: object) -> list[object]:
    """All values allowed by the Literals of an annotation."""
    if get_origin(hint) is Literal:
        return list(get_args(hint))
    return [one for inner in get_args(hint) for one in _choices(inner)]


def _said(hint: object) -> list[str]:
    """An annotation as text for messages."""
    if get_origin(hint) in (Union, UnionType):
        return [word for one in get_args(hint) if one is not NoneType for word in _said(one)]
    if get_origin(hint) is Annotated:
        return _said(get_args(hint)[0])
    if get_origin(hint) is Literal:
        return [repr(one) for one in get_args(hint)]
    if get_origin(hint) is tuple:
        return ["a list"]
    return [_WORDS.get(hint) or f"a {getattr(hint, '__name__', hint)}"]


def refuse_secrets(content: Mapping[str, Any], where: str) -> None:
    """Refuse a document that holds a credential: it is stored with the results.

    Raises:
        DocumentError: with the key, and without its value.
    """
    place = find(content)
    if place is not None:
        raise DocumentError(
            f"{where}: {shown(place, 80)} holds a credential, and documents are stored with their results; leave it out: accounts and "
            "passwords are read from the environment, logs from files"
        )


def override(content: Mapping[str, Any], assignment: str) -> Document:
    """A copy of a document with one dotted key replaced; list items are addressed by number or by their `name`.

    >>> override({"data": {"dataset": "hdfs"}}, "data.dataset=synthetic")
    {'data': {'dataset': 'synthetic'}}
    >>> override({"contender": [{"name": "lstm", "epochs": 5}]}, "contender.lstm.epochs=2")
    {'contender': [{'name': 'lstm', 'epochs': 2}]}

    Raises:
        DocumentError: there is no `=` or the path runs through something that is not a table.
    """
    path, equals, text = assignment.partition("=")
    if not equals or not path.strip():
        raise DocumentError(f"an override is written key.sub=value, got {shown(assignment)}")
    try:
        value = _loads(f"v = {text}")["v"]
    except (ValueError, RecursionError, KeyError):
        value = text  # a bare word is a string
    return override_value(content, path.strip(), value, assignment)


def override_value(content: Mapping[str, Any], path: str, value: Any, assignment: str | None = None) -> Document:
    """`override` with a parsed value; `assignment` is the name used in error messages."""
    assignment = one_line(assignment or f"{path} = {shown(value)}", 80)
    result = deepcopy(dict(content))
    place: Any = result
    parts = path.split(".")
    if len(parts) > _DEEPEST:
        raise DocumentError(f"override '{assignment}': keys are at most {_DEEPEST} deep")
    for part in parts[:-1]:
        place = _step(place, part, assignment)
    if isinstance(place, list):
        place[_position(place, parts[-1], assignment)] = value
    elif isinstance(place, dict):
        place[parts[-1]] = value
    else:
        raise DocumentError(f"override '{assignment}': {shown('.'.join(parts[:-1]))} is not a table")
    return result


def _step(place: Any, part: str, assignment: str) -> Any:
    if isinstance(place, list):
        return place[_position(place, part, assignment)]
    if isinstance(place, dict):
        return place.setdefault(part, {})
    raise DocumentError(f"override '{assignment}': {shown(part)} lies inside something that is not a table")


def _position(items: list[Any], part: str, assignment: str) -> int:
    names = [item.get("name") if isinstance(item, dict) else None for item in items]
    if part in names:
        return names.index(part)
    places = [str(place) for place in range(len(items))]
    if part in places:
        return places.index(part)
    known = [name for name in names if name]
    raise DocumentError(f"override '{assignment}': no item {shown(part)}{did_you_mean(part, known)}; known: {', '.join(known)}")


class Variant(ABC):
    """Base class of dataclasses distinguished by the key `kind` of their tables; a kind is looked up when a table is read."""

    @classmethod
    @abstractmethod
    def kinds(cls) -> list[str]:
        """The known kinds; imports nothing."""

    @classmethod
    @abstractmethod
    def of_kind(cls, kind: str) -> type[Any]:
        """The dataclass of a kind.

        Raises:
            UnknownName: with the nearest known kind.
        """

    @classmethod
    def chosen(cls, table: object) -> type[Any]:
        """The dataclass that a table selects by its kind.

        Raises:
            InputError: it is not a table, or has no known kind.
        """
        if not isinstance(table, Mapping):
            raise InputError(f"a table such as {{ kind = '{cls.kinds()[0]}' }} is expected, got {shown(table, 80)}")
        kind = table.get("kind")
        if not isinstance(kind, str):
            raise InputError(f"its kind is missing; add kind = ..., one of: {', '.join(cls.kinds())}; got {shown(table, 80)}")
        return cls.of_kind(kind)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        def read(given: object, info: Any) -> object:
            if isinstance(given, cls):
                return given
            adapter = _adapter(cast(Hashable, cls.chosen(given)))
            if info.mode == "json":  # `from_mapping` for files written by a program
                return adapter.validate_json(json.dumps(given), strict=True)
            return adapter.validate_python(given)

        return handler(source) if dataclasses.is_dataclass(cls) else core_schema.with_info_plain_validator_function(read)


class Written(ABC):
    """A dataclass whose document is the contents of its own file, not its fields."""

    @abstractmethod
    def table(self) -> Document:
        """The contents of its file."""


def plain(value: Any) -> Any:
    """A value as JSON types: dataclasses become tables, None fields are left out, paths and numpy scalars become text and numbers."""
    if isinstance(value, Written):
        return plain(value.table())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        table = {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {name: item for name, item in table.items() if item is not None}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, (list, tuple, set, frozenset)):
        items = [plain(item) for item in value]
        return sorted(items) if isinstance(value, (set, frozenset)) else items
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "item") and getattr(value, "ndim", 1) == 0:
        return value.item()
    return value


def refuse_objects(value: Any, where: str) -> None:
    """Refuse objects that a text file cannot hold, such as a Qiskit circuit.

    Raises:
        DocumentError: with the key, and how to write a circuit.
    """
    value = plain(value)
    if isinstance(value, Mapping):
        for key, item in value.items():
            refuse_objects(item, f"{where}: {shown(key)}")
    elif isinstance(value, list):
        for item in value:
            refuse_objects(item, where)
    elif not isinstance(value, (str, int, float, date, clock, type(None))):
        raise DocumentError(
            f"{where}: a {type(value).__name__} is not text, a number or a list; name a circuit by its file: "
            "Design.from_circuit(circuit).save('mine.toml'), then 'mine.toml'"
        )


def digest(*values: Any) -> str:
    """A 16-digit content digest of anything `plain` understands, arrays and bytes; equal content, equal digest.

    >>> digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    True
    """
    hasher = hashlib.sha256()
    for value in values:
        if isinstance(value, bytes):
            hasher.update(b"bytes" + value)
        elif hasattr(value, "tobytes") and hasattr(value, "dtype"):
            hasher.update(f"array{value.dtype.str}{value.shape}".encode() + value.tobytes())
        else:
            hasher.update(json.dumps(plain(value), sort_keys=True, ensure_ascii=True).encode())
        hasher.update(b"\x1e")
    return hasher.hexdigest()[:16]


def dump(value: Any, *, infinite: bool = False) -> str:
    """A dataclass or a table as TOML text; `infinite` allows infinite numbers, for scores."""
    import tomlkit

    table = plain(value)
    if not isinstance(table, dict):
        raise TypeError(f"only tables can be written as TOML, got {type(value).__name__}")
    return tomlkit.dumps(table if infinite else _finite(table))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} cannot be written to a document")
    return value


def cache_folder() -> Path:
    """The folder for caches that persist between runs.

    $QLOGAD_CACHE, else $XDG_CACHE_HOME/qlogad, else ~/.cache/qlogad; if that is not writable (no home, a read-only one, a file
    in its place), a folder of this user in the temporary one.
    """
    if own := os.environ.get("QLOGAD_CACHE"):
        return Path(own)
    home = os.path.expanduser("~")
    folder = Path(os.environ.get("XDG_CACHE_HOME") or f"{home}/.cache") / "qlogad"
    return folder if _writable(folder) else _temporary_cache()


def _writable(folder: Path) -> bool:
    """Whether a folder is writable; creates it if missing."""
    if not folder.is_absolute():
        return False
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    return os.access(folder, os.W_OK | os.X_OK)


@cache
def _temporary_cache() -> Path:
    """The same folder for all processes of a user; a new one if another user has taken its name."""
    folder = Path(tempfile.gettempdir()) / f"qlogad-cache-{os.getuid()}"
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022
    return folder if ours else Path(tempfile.mkdtemp(prefix="qlogad-cache-"))


def settle_caches() -> None:
    """Move the caches of dependencies to qlogad's cache folder if their usual places are not writable."""
    if not _writable(Path(os.path.expanduser("~/.cache/qlogad"))):
        folder = cache_folder()
        for name in ("MPLCONFIGDIR", "NUMBA_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR"):
            os.environ.setdefault(name, str(folder / name.split("_")[0].removesuffix("CONFIGDIR").lower()))
