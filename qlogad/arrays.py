"""Array types by element type; shapes are given in variable names (`scores_N`)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Bools", "Complexes", "Floats", "Ints", "Numbers", "Places", "Texts"]

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
Places = NDArray[np.int32]  # indices into a table of strings
Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]
Numbers = NDArray[Any]  # integer or floating point, of any precision
Texts = NDArray[np.object_]  # of str; a fixed-width array would pad every string to the longest
