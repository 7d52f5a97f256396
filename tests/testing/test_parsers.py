"""Every parser keeps its contract, a new one by existing."""

from collections.abc import Sequence

import numpy as np
import pytest

from qlogad import names
from qlogad.logs.parser.identity import Identity
from qlogad.testing.parsers import check_parser
from tests.logs.parser.parsers import NEEDED


@pytest.mark.parametrize("name", names.known("parser"))
def test_a_parser_keeps_its_contract(name: str) -> None:
    check_parser(names.find("parser", name), **NEEDED.get(name, {}))


class ByPlace(Identity):
    """Breaks the contract: a template is the message's place in the list."""

    def ids(self, texts: Sequence[str]) -> np.ndarray:
        return np.minimum(np.arange(len(texts)), len(self.templates) - 1)


class Unfrozen(Identity):
    """Breaks the contract: it can be fitted again."""

    def fit(self, texts: Sequence[str]) -> "Unfrozen":
        self._ids = None
        return super().fit(texts)


@pytest.mark.parametrize(("cls", "law"), [(ByPlace, "messages are told alone"), (Unfrozen, "it is frozen once it is fitted")])
def test_a_parser_that_breaks_its_contract_is_found_out(cls: type[Identity], law: str) -> None:
    with pytest.raises(AssertionError, match=law):
        check_parser(cls)
