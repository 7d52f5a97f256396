"""Laws of what is listed and shown: whatever has a name can be shown by it."""

import re
import sys
import tomllib

import pytest

from qlogad import names
from qlogad.catalogue import listing
from qlogad.circuit.design import ROLES
from qlogad.errors import MissingExtra, UnknownName


@pytest.mark.parametrize("kind", names.KINDS)
def test_everything_that_has_a_name_is_shown_by_it(kind: names.Kind) -> None:
    designs = {name for role in ROLES for name in names.designs(role)}
    for name in set(names.known(kind)) - designs:
        try:
            shown = listing.show(name)
        except MissingExtra:  # its package is not installed here
            continue
        assert shown.text.startswith(f"{name}: ")
        assert not any(key["key"].startswith("_") for key in shown.facts["keys"])
        assert [key["key"] for key in shown.facts["keys"] if not key["meaning"]] == [], (
            "a comment beside a field says what it means"
        )


def test_detectors_are_listed_with_what_their_classes_are() -> None:
    """The list is read from source text, without importing anything."""
    for row in listing.rows("detectors"):
        cls = names.find("detector", row["name"])
        assert row["track"] == ("supervised" if cls.supervised else "normal-only")
        assert set(row["views"].split(", ")) | {"ids"} == set(cls.reads)
        assert row["core"] == ("yes" if "core" in cls.__dataclass_fields__ else "-")
        text = (sys.modules[cls.__module__].__doc__ or "").replace("\n", " ")
        assert row["paper"] == "-" or row["paper"] in text
        assert (row["paper"] == "-") == (not re.search(r"doi:|arXiv:|\b(19|20)\d\d\b", text))


@pytest.mark.parametrize("name", names.formats())
def test_a_format_is_shown_as_a_user_would_write_it(name: str) -> None:
    if any(name in names.known(kind) for kind in names.KINDS):
        return  # a data set of the same name is shown
    shown = listing.show(name)
    assert shown.text.startswith(f"{name}: ")
    written = tomllib.loads(shown.text.split("\n\n", 2)[2])
    assert written == shown.facts["keys"]


def test_a_data_set_named_by_its_format_is_told_how_to_write_it() -> None:
    for name in ("linux", "HPC", "OpenSSH"):
        with pytest.raises(UnknownName, match=rf'dataset = "lines", format = "{name.lower()}"'):
            names.find("dataset", name)


def test_what_nobody_is_called_is_told_who_is_near() -> None:
    with pytest.raises(UnknownName, match="did you mean 'gaps'"):
        listing.show("gapps")
