"""Candidate against baseline on the same queries: the gain, its interval, and the n it takes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from predator.statistics.gain import student_test
from predator.statistics.samples import finite_sample, open_unit, positive

_MOST_QUERIES = 10**9


@dataclass(frozen=True, slots=True)
class PairedGain:
    """A relative gain over ``n`` paired queries (``delta_rel`` 0.03 = +3%).

    ``ci_low`` to ``ci_high``: two-sided 95% interval of ``delta_rel``. ``lower_bound``: one-sided
    at the caller's level. ``sd``: spread of one query's relative gain. ``p_value``: one-sided
    against "no gain", so that ``lower_bound > 0`` exactly where ``p_value < alpha``.
    """

    n: int
    baseline_mean: float
    candidate_mean: float
    delta_abs: float
    delta_rel: float
    ci_low: float
    ci_high: float
    lower_bound: float
    sd: float
    p_value: float


def paired_gain(candidate: ArrayLike, baseline: ArrayLike, *, alpha: float = 0.05) -> PairedGain:
    """Relative gain ``mean(candidate) / mean(baseline) - 1`` of a per-query metric.

    Both vectors have shape (n,), in the same order of queries. The interval linearises the ratio
    ``r`` of the means, ``(c_i - r·b_i) / mean(b)``, and takes Student's t with n - 1 degrees of
    freedom (Cochran 1977, Sampling Techniques, ch. 6; Deng et al. 2018, KDD). Raises ``ValueError``
    for n < 2, unequal lengths, a value that is not finite, a baseline mean that is not above 0, and
    a gain without any spread.
    """
    open_unit("alpha", alpha)
    new = finite_sample("candidate", candidate)
    old = finite_sample("baseline", baseline)
    if new.size != old.size:
        raise ValueError(f"{new.size} candidate values cannot pair with {old.size} baseline values")
    n = int(new.size)
    baseline_mean = positive("the baseline mean", float(old.mean()))
    candidate_mean = float(new.mean())
    ratio = candidate_mean / baseline_mean
    spread = float(np.std((new - ratio * old) / baseline_mean, ddof=1))
    test = student_test(ratio - 1.0, spread / math.sqrt(n), n - 1, alpha)
    return PairedGain(
        n=n,
        baseline_mean=baseline_mean,
        candidate_mean=candidate_mean,
        delta_abs=candidate_mean - baseline_mean,
        delta_rel=ratio - 1.0,
        ci_low=test.ci_low,
        ci_high=test.ci_high,
        lower_bound=test.lower_bound,
        sd=spread,
        p_value=test.p_value,
    )


def power_at(n: int, sd_rel: float, effect_rel: float, alpha: float) -> float:
    """Chance that ``n`` paired queries show a true relative gain of ``effect_rel``.

    The one-sided t test at ``alpha``, by the noncentral t distribution; ``sd_rel`` is
    :attr:`PairedGain.sd`.
    """
    from scipy.special import nctdtr, stdtrit

    if n < 2:
        raise ValueError(f"{n} paired queries, at least 2 needed")
    open_unit("alpha", alpha)
    shift = positive("effect_rel", effect_rel) * math.sqrt(n) / positive("sd_rel", sd_rel)
    critical = -float(stdtrit(n - 1, alpha))
    # The noncentral t is numerically empty far out; there the answer is 1 to every digit.
    return 1.0 if shift - critical > 30 else 1.0 - float(nctdtr(n - 1, shift, critical))


def needed_n(sd_rel: float, effect_rel: float, alpha: float, power: float) -> int:
    """Fewest paired queries whose :func:`power_at` reaches ``power``.

    Raises ``ValueError`` where that is more than 10⁹.
    """
    open_unit("power", power)
    low, high = 1, 2
    while power_at(high, sd_rel, effect_rel, alpha) < power:
        if high >= _MOST_QUERIES:
            raise ValueError(f"an effect of {effect_rel:g} at sd {sd_rel:g} takes over 10⁹ queries")
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        if power_at(middle, sd_rel, effect_rel, alpha) < power:
            low = middle
        else:
            high = middle
    return high
