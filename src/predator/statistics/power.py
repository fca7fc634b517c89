"""How much traffic one look at an experiment, or a watch, needs."""

from __future__ import annotations

import math

from predator.statistics.samples import open_unit, positive
from predator.statistics.sequential import obrien_fleming_boundaries


def experiment_size(
    sd: float,
    effect_abs: float,
    candidate_share: float,
    *,
    alpha: float = 0.05,
    power: float = 0.8,
    design_effect: float = 1.0,
) -> int:
    """Searches in both arms together by which one look, at the end, shows ``effect_abs``.

    Where one may look before, ``evidence.evidence_size`` says how many it takes.
    ``sd`` is the spread of one search's metric, in the unit of ``effect_abs``. One-sided normal
    test at ``alpha``, one look: ``(zα + zβ)² · sd² · D · (1/s + 1/(1-s)) / effect²``.
    """
    detectable = _error_at_one(sd, candidate_share, design_effect) * _quantiles(alpha, power)
    return math.ceil((detectable / positive("effect_abs", effect_abs)) ** 2)


def watch_detectable_drop(
    queries_per_look: float,
    looks: int,
    holdback_share: float,
    sd: float,
    mean: float,
    *,
    alpha: float = 0.05,
    power: float = 0.95,
    design_effect: float = 1.0,
) -> float:
    """The relative drop (0.05 = 5%) that a watch sees with ``power`` by its last look.

    The watch compares the release with the hold-back at O'Brien-Fleming boundaries that spend
    ``alpha`` over all looks. Only the last look is counted, so that the true power is a little
    higher. A value of 1 or more means: even a total loss would go unnoticed.
    """
    from scipy.special import ndtri

    open_unit("power", power)
    searches = positive("queries_per_look", queries_per_look) * looks
    last = obrien_fleming_boundaries(looks, alpha)[-1]
    one = _error_at_one(sd, holdback_share, design_effect)
    drop_abs = one * (last + float(ndtri(power))) / math.sqrt(searches)
    return drop_abs / positive("mean", mean)


def _error_at_one(sd: float, share: float, design_effect: float) -> float:
    """Standard error of the difference of two arms that share a single search."""
    open_unit("share", share)
    deff = positive("design_effect", design_effect)
    return positive("sd", sd) * math.sqrt(deff * (1.0 / share + 1.0 / (1.0 - share)))


def _quantiles(alpha: float, power: float) -> float:
    from scipy.special import ndtri

    total = float(ndtri(1 - open_unit("alpha", alpha)) + ndtri(open_unit("power", power)))
    return positive("power (against alpha)", total)
