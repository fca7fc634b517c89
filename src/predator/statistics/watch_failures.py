"""Whether a release fails its users more often than is allowed, at any look."""

from __future__ import annotations

import math
from collections import Counter

from predator.statistics.clustered import Users
from predator.statistics.sequential import gross_drop_evidence

ALLOWED_SHARE = 0.01
"""A share of failed searches that is never held against a release."""
ALLOWED_FACTOR = 2.0
"""How much more often than before the change a release may fail."""
_MOST_ALLOWED = 0.5
_Z95 = 1.6448536269514722


def failed_share(served: Users, failed: Users) -> float:
    """The share of searches that failed, or the mean of the users' own shares if that is larger.

    Evidence is by user, and they differ where those who search seldom fail more. 0 of no attempts.
    """
    return max((mean for mean, _ in _shares(served, failed)), default=0.0)


def allowed_share(before_share: float, held: Users, held_failed: Users) -> float:
    """The share of failed searches up to which nothing is said of a release.

    1%, or twice what it was before (:func:`failed_share`), or, where the hold-back fails as well
    (``held`` and ``held_failed`` name the users of its searches that were answered, and of those
    that were not), what the hold-back's share may be at most (95%, normal approximation), by
    search and by user: what fails on both releases is no fault of the fresh one.
    """
    found = max(ALLOWED_SHARE, ALLOWED_FACTOR * before_share)
    if len(held_failed):
        most = (mean + _Z95 * error for mean, error in _shares(held, held_failed))
        found = max(found, *most)
    return min(found, _MOST_ALLOWED)


def _shares(served: Users, failed: Users) -> list[tuple[float, float]]:
    """The share that failed and its standard error, by search and by user."""
    own = _own_shares(served, failed)
    if not own:
        return []
    attempts = len(served) + len(failed)
    share = len(failed) / attempts
    by_user = sum(own) / len(own)
    variance = sum((one - by_user) ** 2 for one in own) / len(own)
    return [
        (share, math.sqrt(max(share * (1.0 - share), 1e-4) / attempts)),
        (by_user, math.sqrt(max(variance, 1e-4) / len(own))),
    ]


def _own_shares(served: Users, failed: Users) -> list[float]:
    """Of each user, in the order in which they are named, the share that failed."""
    lost, attempts = Counter(failed), Counter([*served, *failed])
    return [lost[user] / count for user, count in attempts.items()]


def failure_evidence(served: Users, failed: Users, allowed: float) -> float:
    """Evidence E that searches fail more often than ``allowed``: act on a large one, at any look.

    ``served`` and ``failed`` name the user of each search that was answered, and of each that was
    not. One value a user, the share that was answered, goes into the betting process of
    :func:`~predator.statistics.sequential.gross_drop_evidence`: one user whose every search fails
    is one user's bad luck. No attempts: E = 1.
    """
    answered = [1.0 - share for share in _own_shares(served, failed)]
    return gross_drop_evidence(answered, 1.0 - allowed)
