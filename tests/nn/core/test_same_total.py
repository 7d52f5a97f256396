"""Laws of the control `same-total`."""

import pytest

from qlogad.errors import InputError
from qlogad.nn.core import Quantum
from qlogad.nn.core.same_total import SameTotal


def test_same_total_takes_the_largest_size_that_fits() -> None:
    for total in range(11, 300, 7):
        found = SameTotal(of=Quantum()).resolve(
            lambda core, total=total: total if isinstance(core, Quantum) else 10 + core.hidden**2
        )
        assert 10 + found.hidden**2 <= total < 10 + (found.hidden + 1) ** 2
    with pytest.raises(InputError, match="one hidden unit"):
        SameTotal(of=Quantum()).resolve(lambda core: 5 if isinstance(core, Quantum) else 6)
