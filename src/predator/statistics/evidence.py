"""Evidence for a registered gain that may be read at any time.

Measured by an estimate and its variance, data are a Brownian motion with drift, watched at the
information 1/variance. The likelihood ratio of the registered effect against none is then a
martingale where there is no effect, and below one where there is a loss: an e-process (Robbins
1970; asymptotically, for estimated variances: Waudby-Smith et al. 2024, Annals of Statistics
52(6)). It reaches 1/α with chance α at most, however often one looks (Ville's inequality).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from predator.statistics.samples import open_unit, positive

_STEPS = 80
_MOST_INFORMATION = 1e6


def log_evidence(delta: Any, variance: Any, effect: float) -> Any:
    """ln E that the true difference is above 0, tuned to ``effect`` (of ``delta``'s sign and unit).

    ``effect`` below 0 gathers evidence of a loss. -ln E of a gain is evidence that the true gain is
    less than ``effect``. Numbers or arrays; an infinite variance gives 0, which is no evidence.
    """
    return (effect * np.asarray(delta) - effect**2 / 2) / np.asarray(variance)


def chance_of_evidence(
    information: float, *, threshold: float = 20.0, log_now: float = 0.0, pace: float = 1.0
) -> float:
    """The chance that evidence which is e^``log_now`` reaches ``threshold`` before the end.

    ``information`` is what is still to come, ``effect² / variance`` with the registered effect.
    ln E has that variance and drifts by ``pace`` times half of it: 1 where the registered effect is
    true, 2 g - 1 where g times as much is. The law of the first passage of a Brownian motion
    (Siegmund 1985, chapter III).
    """
    from scipy.special import log_ndtr, ndtr

    gap = math.log(threshold) - log_now
    if gap <= 0.0:
        return 1.0
    if information <= 0.0:
        return 0.0
    spread, drift = math.sqrt(information), pace * information / 2
    late = pace * gap + float(log_ndtr((-gap - drift) / spread))
    return min(1.0, float(ndtr((drift - gap) / spread)) + math.exp(min(late, 0.0)))


def information_needed(power: float, *, threshold: float = 20.0) -> float:
    """``effect² / variance`` by which the registered effect has shown evidence with ``power``."""
    open_unit("power", power)
    low, high = 0.0, _MOST_INFORMATION
    for _ in range(_STEPS):
        middle = (low + high) / 2
        enough = chance_of_evidence(middle, threshold=threshold) >= power
        low, high = (low, middle) if enough else (middle, high)
    return high


def evidence_size(
    sd: float, effect_abs: float, candidate_share: float, *, power: float = 0.8,
    threshold: float = 20.0,
) -> int:  # fmt: skip
    """Searches in both arms by which a true ``effect_abs`` has shown evidence with ``power``.

    ``sd`` is the spread of one search's metric, in the unit of ``effect_abs``; searches of their
    own users each (else multiply by the design effect).
    """
    one = positive("sd", sd) ** 2 * _inverse_shares(candidate_share)
    needed = information_needed(power, threshold=threshold)
    return math.ceil(needed * one / positive("effect_abs", effect_abs) ** 2)


def evident_effect(
    searches: float, sd: float, candidate_share: float, *, power: float = 0.8,
    threshold: float = 20.0,
) -> float:  # fmt: skip
    """The gain (absolute) that ``searches`` show with ``power``: the inverse of
    :func:`evidence_size`."""
    one = positive("sd", sd) ** 2 * _inverse_shares(candidate_share)
    needed = information_needed(power, threshold=threshold)
    return math.sqrt(needed * one / positive("searches", searches))


def _inverse_shares(candidate_share: float) -> float:
    share = open_unit("candidate_share", candidate_share)
    return 1.0 / share + 1.0 / (1.0 - share)
