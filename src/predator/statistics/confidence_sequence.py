"""An interval that covers the truth at all looks at once: what a running experiment shows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from predator.statistics.samples import open_unit, positive


def half_width(variance: Any, planned_variance: float, alpha: float = 0.05) -> Any:
    """Half the width of the asymptotic confidence sequence of an estimate with ``variance``.

    Over all looks together the truth leaves the interval with chance ``alpha`` at most. Robbins'
    normal mixture over the information 1/variance (Waudby-Smith et al. 2024, Annals of Statistics
    52(6), theorem 2.2), tightest where the variance has come down to ``planned_variance``. Numbers
    or arrays; infinite where the variance is.
    """
    open_unit("alpha", alpha)
    spread = np.asarray(variance, dtype=np.float64)
    two = -2.0 * math.log(alpha)
    prior = positive("planned_variance", planned_variance) * (two + math.log(two + 1.0))
    with np.errstate(invalid="ignore", over="ignore"):
        informed = prior / spread
        width = np.sqrt(spread * (1.0 + informed) / informed * (two + np.log1p(informed)))
    return np.where(np.isfinite(spread) & (spread > 0.0), width, np.inf)
