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


def allowed_share(before_share: float, held: int, held_failed: int) -> float:
    """The share of failed searches up to which nothing is said of a release.

    1%, or twice what it was before, or, where the hold-back fails as well (``held_failed`` of its
    ``held`` attempts), what the hold-back's share may be at most (95%, normal approximation): what
    fails on both releases is no fault of the fresh one.
    """
    found = max(ALLOWED_SHARE, ALLOWED_FACTOR * before_share)
    if held_failed > 0:
        share = held_failed / held
        found = max(found, share + _Z95 * math.sqrt(max(share * (1.0 - share), 1e-4) / held))
    return min(found, _MOST_ALLOWED)


def failure_evidence(served: Users, failed: Users, allowed: float) -> float:
    """Evidence E that searches fail more often than ``allowed``: act on a large one, at any look.

    ``served`` and ``failed`` name the user of each search that was answered, and of each that was
    not. One value a user, the share that was answered, goes into the betting process of
    :func:`~predator.statistics.sequential.gross_drop_evidence`: one user whose every search fails
    is one user's bad luck. No attempts: E = 1.
    """
    lost, attempts = Counter(failed), Counter([*served, *failed])
    shares = [1.0 - lost[user] / count for user, count in attempts.items()]
    return gross_drop_evidence(shares, 1.0 - allowed)
