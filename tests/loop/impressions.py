"""Made-up traffic for the deciders: users of different moods, each with several searches."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from predator.ports.feedback import Impression
from predator.statistics.assignment import bucket

SECRET = b"tests"


def impression(
    user: str,
    variant: str = "",
    clicks: tuple[int, ...] = (),
    *,
    rating: int | None = None,
    latency_ms: float = 10.0,
    at: float = 0.0,
    release: str = "r" * 64,
    experiment: str = "",
) -> Impression:
    return Impression(
        f"{user}-{at}", "q", user, release, experiment, variant, ("a", "b"), clicks, rating,
        latency_ms, at,
    )  # fmt: skip


def by_share(name: str, share: float, inside: str, outside: str) -> Callable[[str], str]:
    """The arm of a user, as the platform assigns it."""
    return lambda user: inside if bucket(SECRET, name, user) < share else outside


def traffic(
    rng: np.random.Generator,
    searches: int,
    arm: Callable[[str], str] = lambda _: "",
    *,
    users: int = 400,
    click_rate: float = 0.45,
    lift: dict[str, float] | None = None,
    rating_share: float = 0.15,
    prefix: str = "u",
) -> list[Impression]:
    """Sticky users with moods of their own (a click-through rate each), several searches a user.

    ``lift`` multiplies the click rate of an arm. About 1 in 7 visits is rated.
    """
    moods = rng.beta(10 * click_rate, 10 * (1 - click_rate), users)
    who = rng.integers(users, size=searches)
    luck, rank = rng.random(searches), rng.geometric(0.5, searches)
    rated, latency = rng.random(searches) < rating_share, rng.gamma(4.0, 3.0, searches)
    arms = [arm(f"{prefix}{number}") for number in range(users)]
    made = []
    for i in range(searches):
        user = int(who[i])
        clicked = luck[i] < moods[user] * (lift or {}).get(arms[user], 1.0)
        made.append(
            impression(
                f"{prefix}{user}",
                arms[user],
                (int(rank[i]),) if clicked else (),
                rating=(5 if clicked else 4) if rated[i] else None,
                latency_ms=float(latency[i]),
                at=float(i),
            )
        )
    return made
