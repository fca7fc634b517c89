"""Did every arm get its share of users? If not, something leaks and the experiment says nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

_FEWEST_EXPECTED = 5.0
_PRIORS = ((100.0, 0.25), (5000.0, 0.75))
"""(weight in users, share): gross leaks among hundreds, and one user in twenty among 100,000."""


@dataclass(frozen=True, slots=True)
class SampleRatio:
    """``mismatch``: the counts contradict the shares (``p_value`` below the threshold).

    ``enough`` is false while an arm is expected to hold fewer than 5 users: then the chi-square
    approximation is poor, and no mismatch is not yet good news.
    """

    chi2: float
    p_value: float
    mismatch: bool
    enough: bool


def sample_ratio(
    users: Mapping[str, int], shares: Mapping[str, float], *, threshold: float = 0.001
) -> SampleRatio:
    """Chi-square test of distinct users per arm against the declared shares.

    The strict threshold is the field's (Fabijan et al. 2019, KDD): the check runs in every
    experiment, and a real leak is far below it. Count users, not searches: searches of one user
    are not independent. An arm absent from ``users`` has none. Raises ``ValueError`` for an arm
    without a share, shares that do not sum to 1, negative counts and no users at all.
    """
    from scipy.special import chdtrc

    unknown = sorted(set(users) - set(shares))
    if unknown:
        raise ValueError(f"arm {unknown[0]!r} has users but no declared share")
    if len(shares) < 2 or any(not 0.0 < share < 1.0 for share in shares.values()):
        raise ValueError("at least two arms, each with a share between 0 and 1, are needed")
    if abs(sum(shares.values()) - 1.0) > 1e-9:
        raise ValueError("the arms' shares do not sum to 1")
    observed = np.array([users.get(arm, 0) for arm in shares], dtype=np.float64)
    total = float(observed.sum())
    if (observed < 0).any() or total <= 0:
        raise ValueError("user counts are negative or all zero")
    expected = np.array(list(shares.values())) * total
    chi2 = float(((observed - expected) ** 2 / expected).sum())
    p_value = float(chdtrc(len(shares) - 1, chi2))
    return SampleRatio(
        chi2=chi2,
        p_value=p_value,
        mismatch=p_value < threshold,
        enough=bool(expected.min() >= _FEWEST_EXPECTED),
    )


@dataclass(frozen=True, slots=True)
class RatioEvidence:
    """``evidence``: E that the shares are not the declared ones; ``mismatch``: it is enough."""

    evidence: float
    mismatch: bool


def sequential_sample_ratio(
    users: Mapping[str, int], shares: Mapping[str, float], *, threshold: float = 0.005
) -> RatioEvidence:
    """The same question, asked at every look: the error of all looks together is ``threshold``.

    The likelihood ratio of shares drawn from Dirichlet priors around the declared ones against
    these, a martingale under them (Lindon and Malek 2022, NeurIPS): a mismatch is found where it
    reaches 1/``threshold``. Raises ``ValueError`` as :func:`sample_ratio` does, but takes no users.
    """
    if any(users.values()):
        sample_ratio(users, shares, threshold=threshold)
    logs = [math.log(part) + _log_ratio(users, shares, weight) for weight, part in _PRIORS]
    largest = max(logs)
    log = largest + math.log(math.fsum(math.exp(one - largest) for one in logs))
    return RatioEvidence(math.exp(min(log, 700.0)), log >= -math.log(threshold))


def _log_ratio(users: Mapping[str, int], shares: Mapping[str, float], weight: float) -> float:
    log = math.lgamma(weight) - math.lgamma(weight + sum(users.values()))
    for arm, share in shares.items():
        count, prior = users.get(arm, 0), weight * share
        log += math.lgamma(prior + count) - math.lgamma(prior) - count * math.log(share)
    return log
