"""Functions compiled by numba, if it is installed and works; callers also do without."""

from __future__ import annotations

import fcntl
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from types import CodeType
from typing import Any, TypeVar, cast

import numpy as np

from qlogad import documents
from qlogad.errors import QlogadWarning, one_line

__all__ = ["allowed", "compiled", "works"]

F = TypeVar("F", bound=Callable[..., Any])


_allowed: ContextVar[bool] = ContextVar("allowed", default=True)


@contextmanager
def allowed(compiles: bool) -> Iterator[None]:
    """Context in which nothing is compiled unless `compiles`: a plan made without kernels is also run without them."""
    before = _allowed.set(compiles and _allowed.get())
    try:
        yield
    finally:
        _allowed.reset(before)


def works() -> bool:
    """Whether numba works and is allowed; warns once if it does not work."""
    return _allowed.get() and _numba()


@cache
def _numba() -> bool:
    try:
        import numba
        import threadpoolctl  # noqa: F401

        twice = numba.njit(lambda x: 2 * x)
        good, reason = bool(twice(1) == 2 and twice.signatures), "it is disabled"
    except Exception as error:  # a package built for another numpy may fail in any way
        good, reason = False, one_line(error, 120)
    if not good:
        warnings.warn(
            f"numba does not work here ({reason}); circuits run and logs are read several times slower; run: pip install 'qlogad[fast]'",
            QlogadWarning,
            stacklevel=2,
        )
    return good


def compiled(function: F, *, regroup: bool = False, counted: bool = True) -> F:
    """Compile a function at its first call, which takes some seconds; the result is cached on disk.

    A cached result is used as long as the function's file, the compiled functions it calls and the constants they use are the same.
    Of concurrent processes, one compiles and the others wait for its cache.

    Args:
        function: of numbers and numpy arrays.
        regroup: sums may be reordered, always in the same way on one machine.
        counted: references to arrays are counted at every call, which a short function that makes no arrays can do without.
    """
    import numba

    fast = {"contract", "nsz", "arcp", *(["reassoc"] if regroup else [])}
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": fast, **({} if counted else {"_nrt": False})}
    try:
        made = numba.njit(function, cache=True, **options)
    except RuntimeError:  # no writable cache folder
        return cast(F, numba.njit(function, **options))
    compiling = getattr(made, "compile", None)  # numba.njit returns the function unchanged if disabled
    if compiling is not None:
        made.compile = _one_at_a_time(compiling, made, f"{function.__module__}.{function.__qualname__}")
    return cast(F, made)


def _one_at_a_time(compiling: Callable[[Any], Any], made: Any, name: str) -> Callable[[Any], Any]:
    """A function that compiles or loads another in one process at a time, so that the next one finds the cache."""
    from numba.core.compiler_lock import global_compiler_lock

    def once(signature: Any) -> Any:
        with (
            global_compiler_lock,
            _locked(documents.cache_folder() / "compiling" / f"{name}.lock"),
        ):  # same order in every thread
            stamped()
            return compiling(signature)

    @cache
    def stamped() -> None:
        index = made._cache._cache_file  # numba compares its stamp, by default only of the function's own file, with the stored one
        index._source_stamp = (index._source_stamp, documents.digest(list(_compiled_with(made.py_func, set()))))

    return once


def _compiled_with(function: Any, seen: set[int]) -> Iterator[str]:
    """What a compiled function is made of: its code, the constants it uses, and the compiled functions it calls, each in turn."""
    if id(function) in seen:
        return
    seen.add(id(function))
    waiting = [function.__code__]
    while waiting:
        code = waiting.pop()
        waiting += [one for one in code.co_consts if isinstance(one, CodeType)]
        yield repr((code.co_code, code.co_names, [one for one in code.co_consts if not isinstance(one, CodeType)]))
        for name in code.co_names:
            value = function.__globals__.get(name)
            called = getattr(value, "py_func", None)
            if called is not None:
                yield from _compiled_with(called, seen)
            elif isinstance(value, np.ndarray):
                yield f"{name} {value.dtype} {value.shape} {value.tobytes().hex()}"
            elif isinstance(value, (int, float, complex, str, bytes, tuple)):
                yield f"{name} {value!r}"


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """A machine-wide lock, released when its process ends; no lock if the folder is not writable."""
    with ExitStack() as held:
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            fcntl.flock(held.enter_context(path.open("a")), fcntl.LOCK_EX)
        yield
