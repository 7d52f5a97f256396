"""Steps instead of seconds: a refusal is quick where it takes few calls, on any machine."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

QUICK, MANY = 200_000, 30_000_000  # calls; a bounded build goes up to 14,000,000


@contextmanager
def at_most(calls: int) -> Iterator[None]:
    """Fail once more functions than that have been called inside, Python's or C's."""
    made, before = 0, sys.getprofile()

    def count(_: object, event: str, __: object) -> None:
        nonlocal made
        made += event in ("call", "c_call")
        if made > calls:
            sys.setprofile(before)
            raise AssertionError(f"more than {calls} calls")

    sys.setprofile(count)
    try:
        yield
    finally:
        sys.setprofile(before)
