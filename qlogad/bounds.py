"""Bounds of numeric fields, declared in their annotations, and a check of the memory that a step needs.

`history: Annotated[int, Between(1, 10_000)] = 10` is read by `documents.enforce` when an object is built, by documents when they
are loaded, and by `qlogad show`. Bounds refuse runs that cannot end, not those that are merely unwise.
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
        low, high: the least and the greatest.
        open: the excluded ends: "low", "high", "both" or "".

    >>> str(Between(1, 10_000)), str(Between(0, 1, "both")), Between(0, 1, "low").holds(float("nan"))
    ('1 or more, and at most 10,000', 'a share between 0 and 1, neither of them', False)
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
            "": "{} or more, and at most {}",
            "low": "above {}, and at most {}",
            "high": "in [{}, {})",
            "both": "a share between {} and {}, neither of them" if (self.low, self.high) == (0, 1) else "above {} and below {}",
        }
        return texts[self.open].format(low, high)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Pydantic validation of such a field: numbers only, neither text nor booleans."""
        from pydantic_core import PydanticCustomError, core_schema

        def check(value: object) -> object:
            if isinstance(value, bool) or not isinstance(value, Real):
                raise PydanticCustomError("bounds", "{what}", {"what": f"is a number, got {shown(value)}"})
            if not self.holds(value):
                raise PydanticCustomError("bounds", "{what}", {"what": f"is {self}, got {shown(value)}"})
            return value

        return core_schema.no_info_before_validator_function(check, handler(source))


Seed = Annotated[int, Between(0, 2**63 - 1)]
Share = Annotated[float, Between(0, 1, "both")]


def memory() -> int:
    """Memory of this machine in bytes; 64 GiB if unknown."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 2**36


def room(size: float, what: str, mend: str) -> None:
    """Refuse a step that would need more memory than the machine has.

    Args:
        size: bytes.
        what: the objects that need it, such as "50,000 histories of 1,000 events".
        mend: what to do about it.

    Raises:
        DataError: it does not fit.
    """
    if not size <= memory():
        raise DataError(f"{what} take {size / 1e9:,.0f} GB, and this machine has {memory() / 1e9:,.0f}; {mend}")
