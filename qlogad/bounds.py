"""Bounds of numeric fields, declared in annotations, and a check of the memory that a step needs.

The bounds in `history: Annotated[int, Between(1, 10_000)] = 10` are enforced by `documents.enforce` when an object is created and when
a document is loaded, and displayed by `qlogad show`. They exclude runs that could not finish, not those that are merely unwise.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Annotated, Any

from qlogad.errors import DataError, shown

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema

__all__ = ["Between", "Seed", "Share", "memory", "room"]


@dataclass(frozen=True)
class Between:
    """A finite number from `low` to `high`.

    Args:
        low, high: the smallest and the largest allowed value.
        open: which ends are excluded: "low", "high", "both" or "".

    >>> str(Between(1, 10_000)), str(Between(0, 1, "both")), Between(0, 1, "low").holds(float("nan"))
    ('from 1 to 10,000', 'between 0 and 1, both excluded', False)
    """

    low: float
    high: float
    open: str = ""

    def holds(self, value: Real) -> bool:
        """Whether a number is within the bounds; NaN never is."""
        below = self.open in ("low", "both") and value == self.low
        above = self.open in ("high", "both") and value == self.high
        return bool(self.low <= value <= self.high) and not (below or above)  # type: ignore[operator]

    def __str__(self) -> str:
        low, high = (f"{end:,}" if abs(end) < 1e9 else f"{end:.3g}" for end in (self.low, self.high))
        texts = {
            "": "from {} to {}",
            "low": "above {} and at most {}",
            "high": "in [{}, {})",
            "both": "between {} and {}, both excluded",
        }
        return texts[self.open].format(low, high)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Pydantic validation of such a field: accepts numbers only, neither strings nor booleans."""
        from pydantic_core import PydanticCustomError, core_schema

        def check(value: object) -> object:
            if isinstance(value, bool) or not isinstance(value, Real):
                raise PydanticCustomError("bounds", "{what}", {"what": f"must be a number, got {shown(value)}"})
            if not self.holds(value):
                raise PydanticCustomError("bounds", "{what}", {"what": f"must be {self}, got {shown(value)}"})
            return value

        return core_schema.no_info_before_validator_function(check, handler(source))


Seed = Annotated[int, Between(0, 2**63 - 1)]
Share = Annotated[float, Between(0, 1, "both")]


def memory() -> int:
    """The memory of this machine in bytes; 64 GiB if unknown."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 2**36


def room(size: float, what: str, mend: str) -> None:
    """Check that a step does not need more memory than the machine has.

    Args:
        size: the memory needed, in bytes.
        what: the objects that need it, such as "50,000 histories of 1,000 events".
        mend: what the user can do about it.

    Raises:
        DataError: it needs more.
    """
    if not size <= memory():
        raise DataError(f"{what} need {size / 1e9:,.0f} GB, but this machine has {memory() / 1e9:,.0f} GB; {mend}")
