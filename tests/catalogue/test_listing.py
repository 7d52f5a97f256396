"""Laws of what is listed and shown: whatever has a name can be shown by it."""

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


def test_what_nobody_is_called_is_told_who_is_near() -> None:
    with pytest.raises(UnknownName, match="did you mean 'gaps'"):
        listing.show("gapps")
