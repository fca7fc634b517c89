"""Drafted searches, and replays, as a screen and a shadow look at them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from predator.loop.experiment.shadow import Replayed
from predator.ports.feedback import DraftedHit, Impression
from predator.statistics.interleaving import INTERLEAVED, UNANSWERED, coins, team_draft


def drafted(
    rng: np.random.Generator, n: int, *, prefers: float = 0.5, users: int = 400, failed: int = 0
) -> list[Impression]:
    """Searches for one of two hits that the rankers swap; ``prefers`` that of the candidate."""
    found = []
    for number in range(n):
        places = team_draft(["a", "b"], ["b", "a"], 2, coins(f"q{number}", 2))
        wanted = "b" if rng.random() < prefers else "a"
        at = 1 + next(i for i, place in enumerate(places) if place.item == wanted)
        looked = rng.random() < at**-0.7
        found.append(
            Impression(
                f"q{number}", "text", f"u{rng.integers(users)}", "", "screen", INTERLEAVED,
                tuple(place.item for place in places), (at,) if looked else (), None, 10.0,
                float(number),
                tuple(DraftedHit(p.team, p.live_rank, p.candidate_rank) for p in places),
            )
        )  # fmt: skip
    return [
        *found,
        *(
            Impression("f", "text", "u", "r", "screen", UNANSWERED, ("a",), (), None, 9.0, 0.0)
            for _ in range(failed)
        ),
    ]


def replayed(
    n: int = 100,
    *,
    failed: int = 0,
    lost: int = 0,
    won: int = 0,
    slower: float = 1.0,
    ms: float = 20.0,
) -> Replayed:
    """A replay of ``n`` queries: the candidate failed some, found nothing for some (``lost``) that
    the baseline answers, and the other way round (``won``)."""
    fails: Sequence[bool] = [at < failed for at in range(n)]
    candidate = [0 if failed <= at < failed + lost else 10 for at in range(n)]
    baseline = [0 if at >= n - won else 10 for at in range(n)]
    return Replayed(
        [False] * n,
        fails,
        baseline,
        candidate,
        [ms] * n,
        [ms * slower] * n,
        [0.8] * (n - failed),
        [0.9] * (n - failed),
    )
