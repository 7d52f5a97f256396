"""A parser of every name, with the settings that it needs."""

import atexit
import importlib
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from qlogad import names
from qlogad.logs.parser.parser import Parser

_PACKAGE = "qlogad_parser_of_ones_own"
_CODE = """
def first_words(texts):
    known = {text.partition(" ")[0] for text in texts}
    def match(text):
        first = text.partition(" ")[0]
        return f"{first} <*>" if first in known else None
    return match
"""


def _installed() -> str:
    """The name of a function of a package that is installed, in a folder that is gone after the tests."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    (folder / f"{_PACKAGE}.py").write_text(_CODE)
    metadata = folder / f"{_PACKAGE}-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {_PACKAGE}\nVersion: 1\n")
    (metadata / "RECORD").write_text(f"{_PACKAGE}.py,,\n{_PACKAGE}-1.dist-info/METADATA,,\n{_PACKAGE}-1.dist-info/RECORD,,\n")
    sys.path.append(str(folder))
    importlib.invalidate_caches()
    return f"{_PACKAGE}:first_words"


NEEDED: dict[str, dict[str, Any]] = {"callable": {"factory": _installed()}}


def new_parser(name: str) -> Parser:
    """Not fitted; with the settings that hold unless said."""
    parser: Parser = names.find("parser", name)(**NEEDED.get(name, {}))
    return parser
