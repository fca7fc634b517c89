"""What clicks say once one knows that people rarely look at the bottom of a page."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

EXAMINATION_DECAY = 0.7
"""Exponent of the examination curve. Joachims et al. (2017) simulate with 1; eye tracking on
ten-link pages lies flatter, and with 0.7 a user looks at rank 10 one time in five."""


def examination(depth: int, decay: float = EXAMINATION_DECAY) -> NDArray[np.float64]:
    """Chance that a user looks at ranks 1 … ``depth``: ``rank ** -decay``, shape (depth,).

    The position-based model: a click needs examination *and* attraction, and they are independent
    (Richardson et al. 2007, WWW; Joachims, Swaminathan and Schnabel 2017, WSDM).
    """
    if depth < 0 or not (np.isfinite(decay) and decay >= 0):
        raise ValueError(f"no examination curve for depth {depth} and decay {decay}")
    curve: NDArray[np.float64] = np.arange(1, depth + 1, dtype=np.float64) ** -decay
    return curve


def reciprocal_rank_of_first_click(clicks: Sequence[int]) -> float:
    """1 / the best clicked position (1-based, any order), 0 without a click: click-MRR's summand.

    "First" is the topmost click, not the earliest in time. A position below 1 raises
    ``ValueError``.
    """
    if not clicks:
        return 0.0
    best = min(clicks)
    if best < 1:
        raise ValueError(f"click position {best} is below 1")
    return 1.0 / best


def debiased_click_dcg(clicks: Sequence[int], decay: float = EXAMINATION_DECAY) -> float:
    """DCG of the clicked positions, each click divided by its chance of being looked at.

    Inverse propensity weighting: where the examination curve holds, the expectation is the DCG of
    the attractiveness of what was shown, whatever the order (Agarwal et al. 2019, WSDM). Positions
    are 1-based; a repeated position counts once.
    """
    ranks = np.array(sorted(set(clicks)), dtype=np.float64)
    if ranks.size and ranks[0] < 1:
        raise ValueError(f"click position {int(ranks[0])} is below 1")
    return float((ranks**decay / np.log2(1.0 + ranks)).sum())
