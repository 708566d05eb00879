"""The one scale of impacts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MAX_IMPACT = 255


def choose_scale(weights: NDArray[np.float32]) -> float | None:
    """doc_scale of a first build: the largest weight / 255, so that nothing clips; None without a weight."""
    return float(weights.max()) / MAX_IMPACT if len(weights) else None
