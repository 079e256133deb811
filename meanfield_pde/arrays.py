"""Array types that every module speaks of."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["ComplexArray", "FloatArray", "IntArray"]

FloatArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]
IntArray = NDArray[np.int64]
