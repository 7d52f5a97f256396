"""Functions compiled by numba, where there is numba and it works; what calls them has a way in torch as well."""

from __future__ import annotations

import fcntl
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

from qlogad import documents
from qlogad.errors import QlogadWarning, one_line

__all__ = ["allowed", "compiled", "works"]

F = TypeVar("F", bound=Callable[..., Any])


_allowed: ContextVar[bool] = ContextVar("allowed", default=True)


@contextmanager
def allowed(compiles: bool) -> Iterator[None]:
    """As long as it lasts, nothing is compiled unless `compiles`: a plan that was made without kernels is run without them."""
    before = _allowed.set(compiles and _allowed.get())
    try:
        yield
    finally:
        _allowed.reset(before)


def works() -> bool:
    """Whether numba compiles and may; where it does not, a warning says so once."""
    return _allowed.get() and _numba()


@cache
def _numba() -> bool:
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

    Of processes that ask for it at once, one compiles and the others wait for what it keeps.

    Args:
        function: of numbers and numpy arrays.
        regroup: its sums may be taken in any order, always the same one on one machine.
    """
    import numba

    fast = {"contract", "nsz", "arcp", *(["reassoc"] if regroup else [])}
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": fast}
    try:
        made = numba.njit(function, cache=True, **options)
    except RuntimeError:  # there is nowhere to keep the result
        return cast(F, numba.njit(function, **options))
    compiling = getattr(made, "compile", None)  # numba.njit gives the function back where it is switched off
    if compiling is not None:
        made.compile = _one_at_a_time(compiling, f"{function.__module__}.{function.__qualname__}")
    return cast(F, made)


def _one_at_a_time(compiling: Callable[[Any], Any], name: str) -> Callable[[Any], Any]:
    """What compiles a function or loads it, in one process of the machine at a time: the next one finds what this one kept."""
    from numba.core.compiler_lock import global_compiler_lock

    def once(signature: Any) -> Any:
        with (
            global_compiler_lock,
            _locked(documents.cache_folder() / "compiling" / f"{name}.lock"),
        ):  # in this order in every thread
            return compiling(signature)

    return once


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """A lock of the machine, which ends with the process that has it; none where the folder cannot be written to."""
    with ExitStack() as held:
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            fcntl.flock(held.enter_context(path.open("a")), fcntl.LOCK_EX)
        yield
