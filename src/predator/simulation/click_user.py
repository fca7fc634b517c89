"""A user who looks at results from the top, clicks what helps, and leaves when satisfied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from predator.statistics.click_model import EXAMINATION_DECAY, examination


@dataclass(frozen=True, slots=True)
class Habits:
    """Probabilities of one kind of user; ranks are 1-based.

    ``attraction``: an examined relevant result is clicked; ``noise``: an examined irrelevant one
    is; ``stop``: the visit ends after a click that satisfied; ``rating``: the visit is rated;
    ``decay``: exponent of the examination curve; ``high_up``: last rank that still earns a 5.
    """

    decay: float = EXAMINATION_DECAY
    attraction: float = 0.9
    noise: float = 0.03
    stop: float = 0.9
    rating: float = 0.15
    high_up: int = 3


@dataclass(frozen=True, slots=True)
class Visit:
    """What came of one search: 1-based ``clicks`` top down, and a ``rating`` of 1-5 or none."""

    clicks: tuple[int, ...]
    satisfied: bool
    rating: int | None


_UNSATISFIED_RATINGS = (1, 2, 3, 4)
_UNSATISFIED_SHARES = (0.1, 0.4, 0.4, 0.1)


def visit(
    shown: Sequence[str],
    judgments: Mapping[str, int],
    rng: np.random.Generator,
    habits: Habits | None = None,
) -> Visit:
    """Let a user look at ``shown`` (document ids, best first); a grade above 0 is relevant.

    The position-based click model with an end: after a satisfying click most users stop. How many
    random numbers are drawn depends on ``len(shown)`` alone, so that a user who sees two different
    orders differs by the order, not by luck.
    """
    habits = habits or Habits()
    examined = rng.random(len(shown)) < examination(len(shown), habits.decay)
    luck = rng.random(len(shown))
    stops = rng.random(len(shown)) < habits.stop
    rates, mood = rng.random() < habits.rating, float(rng.random())
    clicks: list[int] = []
    best_relevant: int | None = None
    for index, document in enumerate(shown):
        relevant = judgments.get(document, 0) > 0
        if not examined[index] or luck[index] >= (habits.attraction if relevant else habits.noise):
            continue
        clicks.append(index + 1)
        if relevant:
            best_relevant = best_relevant or index + 1
            if stops[index]:
                break
    rating = _rating(best_relevant, mood, habits) if rates else None
    return Visit(clicks=tuple(clicks), satisfied=best_relevant is not None, rating=rating)


def _rating(best_relevant: int | None, mood: float, habits: Habits) -> int:
    if best_relevant is not None:
        return 5 if best_relevant <= habits.high_up else 4
    upper = 0.0
    for stars, share in zip(_UNSATISFIED_RATINGS, _UNSATISFIED_SHARES, strict=True):
        upper += share
        if mood < upper:
            return stars
    return _UNSATISFIED_RATINGS[-1]
