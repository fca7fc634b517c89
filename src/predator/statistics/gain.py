"""Interval and test of a relative gain, from its estimate and standard error."""

from __future__ import annotations

from dataclasses import dataclass

_CONFIDENCE = 0.95
_NO_SPREAD = 1e-12


@dataclass(frozen=True, slots=True)
class GainTest:
    """``ci_low`` to ``ci_high`` is the two-sided 95% interval of the gain.

    ``lower_bound`` (at the level asked for) and ``p_value`` are one-sided against "no gain":
    ``lower_bound > 0`` exactly where ``p_value < alpha``.
    """

    ci_low: float
    ci_high: float
    lower_bound: float
    p_value: float


def student_test(gain: float, standard_error: float, freedom: float, alpha: float) -> GainTest:
    """Student-t test of ``gain`` with ``freedom`` degrees of freedom.

    Without any spread there is no evidence to weigh: "no gain" and a loss stand as they are, a
    gain raises ``ValueError``, for a single informative observation can look like that.
    """
    from scipy.special import stdtr, stdtrit

    if standard_error <= _NO_SPREAD * max(1.0, abs(gain)):
        if gain > _NO_SPREAD:
            raise ValueError(f"a gain of {gain:+.4g} without any spread cannot be tested")
        return GainTest(gain, gain, gain, 1.0)
    half_width = float(stdtrit(freedom, (1 + _CONFIDENCE) / 2)) * standard_error
    statistic = gain / standard_error
    return GainTest(
        ci_low=gain - half_width,
        ci_high=gain + half_width,
        lower_bound=gain + float(stdtrit(freedom, alpha)) * standard_error,
        p_value=float(stdtr(freedom, -statistic)),
    )
