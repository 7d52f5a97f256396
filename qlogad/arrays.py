"""Arrays by what they hold; their shapes stand in the names of variables (`scores_N`)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Bools", "Complexes", "Floats", "Ints", "Numbers", "Places", "Texts"]

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
Places = NDArray[np.int32]  # in a table of words
Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]
Numbers = NDArray[Any]  # whole or not, of any precision
Texts = NDArray[np.object_]  # of str; a fixed-width array would give every text the room of the longest
