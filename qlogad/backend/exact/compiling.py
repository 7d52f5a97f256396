"""Functions compiled by numba, where there is numba and it works; what calls them has a way in torch as well."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar, cast

from qlogad.errors import QlogadWarning, one_line

__all__ = ["compiled", "works"]

F = TypeVar("F", bound=Callable[..., Any])


@cache
def works() -> bool:
    """Whether numba compiles; where it does not, a warning says so once."""
    try:
        import numba
        import threadpoolctl  # noqa: F401

        twice = numba.njit(lambda x: 2 * x)
        good, reason = bool(twice(1) == 2 and twice.signatures), "it is switched off"
    except Exception as error:  # a package made for another numpy fails in many ways
        good, reason = False, one_line(error, 120)
    if not good:
        warnings.warn(
            f"numba does not compile here ({reason}); circuits run in torch, several times slower; run: pip install 'qlogad[fast]'",
            QlogadWarning,
            stacklevel=2,
        )
    return good


def compiled(function: F, *, regroup: bool = False) -> F:
    """The function, compiled at its first call, which takes some seconds; the result is kept on disk.

    Args:
        function: of numbers and numpy arrays.
        regroup: its sums may be taken in any order, always the same one on one machine.
    """
    import numba

    fast = {"contract", "nsz", "arcp", *(["reassoc"] if regroup else [])}
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": fast}
    try:
        return cast(F, numba.njit(function, cache=True, **options))
    except RuntimeError:  # there is nowhere to keep the result
        return cast(F, numba.njit(function, **options))
