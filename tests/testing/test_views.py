"""Every view keeps its contract, a new one by existing."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import pytest

from qlogad import names
from qlogad.features.view import Base, View
from qlogad.testing.views import check_view


@pytest.mark.parametrize("name", names.known("view"))
def test_a_view_keeps_its_contract(name: str) -> None:
    check_view(names.find("view", name))


@dataclass(frozen=True)
class Standing(View):
    """Breaks the contract: a row's number is its place among the rows."""

    of: ClassVar[Literal["row"]] = "row"

    @classmethod
    def fit(cls, base: Base) -> "Standing":
        return cls()

    def make(self, base: Base) -> np.ndarray:
        return np.arange(len(base), dtype=np.float64)[:, None]


@dataclass(frozen=True)
class Rows(Standing):
    """Breaks the contract: it learns how many rows there are, not how many windows."""

    count: int

    @classmethod
    def fit(cls, base: Base) -> "Rows":
        return cls(len(base))

    def make(self, base: Base) -> np.ndarray:
        return np.full((len(base), 1), float(self.count))


@dataclass(frozen=True)
class Sly(Standing):
    """Breaks the contract: it reads times, and says that it reads levels."""

    of: ClassVar[Literal["event"]] = "event"  # type: ignore[assignment]
    apart: ClassVar[bool] = True
    needs: ClassVar[tuple[str, ...]] = ("level",)

    def make(self, base: Base) -> np.ndarray:
        return base.columns.time_E[:, None]


@pytest.mark.parametrize(
    ("cls", "law"),
    [(Standing, "a row does not depend on others"), (Rows, "weight is repetition"), (Sly, "it needs what it reads")],
)
def test_a_view_that_breaks_its_contract_is_found_out(cls: type[View], law: str) -> None:
    with pytest.raises(AssertionError, match=law):
        check_view(cls)
