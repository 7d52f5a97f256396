"""A parser of every name, with the settings that it needs."""

from typing import Any

from qlogad import names
from qlogad.logs.parser.parser import Parser

NEEDED: dict[str, dict[str, Any]] = {}


def new_parser(name: str) -> Parser:
    """Not fitted; with the settings that hold unless said."""
    parser: Parser = names.find("parser", name)(**NEEDED.get(name, {}))
    return parser
