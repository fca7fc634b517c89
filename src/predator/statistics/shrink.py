"""The winner's curse: what passed a gate was chosen for looking good, and looks too good."""

from __future__ import annotations

import math

from predator.statistics.samples import positive

_STEPS = 60


def shrunken(gain: float, standard_error: float, threshold: float) -> float:
    """The median-unbiased estimate of a true gain that was only reported for passing ``threshold``.

    The gain μ, never below 0, at which an estimate that is normal around μ, given that it came out
    above ``threshold``, would lie above ``gain`` half of the time: then half of all reported gains
    are too high and half too low. Far above the threshold nothing changes; just above it nearly
    everything goes. Conditional inference after selection: Zhong and Prentice 2008, Biostatistics
    9(4); Fithian, Sun and Taylor 2014. All three in one unit. Raises ``ValueError`` for a gain that
    is not above the threshold, or a standard error that is not above 0.
    """
    positive("standard_error", standard_error)
    if not gain > threshold:
        raise ValueError(f"a gain of {gain:+.4g} did not pass {threshold:+.4g}")
    if _share_above(0.0, gain, standard_error, threshold) >= 0.5:
        return 0.0
    low, high = 0.0, gain
    for _ in range(_STEPS):
        middle = (low + high) / 2
        above = _share_above(middle, gain, standard_error, threshold)
        low, high = (low, middle) if above >= 0.5 else (middle, high)
    return low


def _share_above(true: float, gain: float, standard_error: float, threshold: float) -> float:
    """The chance that an estimate lies above ``gain``, given that it lies above ``threshold``."""
    from scipy.special import log_ndtr

    above = float(log_ndtr((true - gain) / standard_error))
    return math.exp(above - float(log_ndtr((true - threshold) / standard_error)))
