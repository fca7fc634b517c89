"""What is true in the simulated year: topics, seasons, a language that moves, and releases.

A release knows the language of its training day. What is written and asked moves on, slowly, with
jumps where a topic gets new words; a release that stays loses what it never learnt. Nobody in the
loop sees any of this: it is for the users, and for the account at the end.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

DAY_S = 86_400.0
HOUR_S = 3_600.0
TOPICS = 12
DAILY = 0.02
BUSY_PER_H = 9_000.0
"""Searches in an hour, on average."""
START, CEILING = 0.62, 0.80
"""NDCG@10 of the first release, and what no ranker of this kind gets beyond."""
FADE = 0.35
"""Share of its relevance that a release loses on a topic whose language is new to it."""
DRIFT_YEAR = 0.7
"""How far the language of a topic moves in a year; after 1, 63% of ``FADE`` is lost."""
JUMPS_YEAR, JUMP = 9, 0.25
"""Launches, news, new products: so many a year, each in two topics."""


@dataclass(frozen=True, slots=True)
class Release:
    """A release and its hidden truth.

    ``skill``: NDCG@10 by topic in the language of its training day, which ``known`` is.
    ``flattered``: by how much Gold overrates it by topic (a regression that hides offline).
    ``novelty``: relative gain while it is new to users; ``broken``: relative loss since it went
    live, which no test before could see. ``errors``: share of searches that fail.
    """

    name: str
    cycle: str
    skill: Floats
    known: Floats
    latency_ms: float
    cost_per_1k_usd: float
    flattered: Floats = field(default_factory=lambda: np.zeros(TOPICS))
    novelty: float = 0.0
    novel_from: float = 0.0
    broken: float = 0.0
    errors: float = 0.0


NOVELTY_S = 3 * DAY_S
"""After so long the curiosity about a new ranking has fallen to a third."""


class World:
    """The same seed is the same world, whatever the loop does in it."""

    def __init__(self, seed: int, began: float, days: int) -> None:
        rng = np.random.default_rng([seed, 1])
        self.began = began
        self._base = rng.dirichlet(np.full(TOPICS, 3.0))
        self._phase = rng.uniform(0.0, 1.0, TOPICS)
        self._swing = rng.uniform(0.1, 0.5, TOPICS)
        steps = rng.gamma(2.0, DRIFT_YEAR / 365 / 2, (days + 2, TOPICS))
        for day in np.flatnonzero(rng.random(days + 2) < JUMPS_YEAR / 365):
            steps[day, rng.choice(TOPICS, 2, replace=False)] += JUMP
        self._moved = np.vstack([np.zeros(TOPICS), np.cumsum(steps, axis=0)])
        self._difficulty = rng.normal(0.0, 0.03, TOPICS)

    def first(self) -> Release:
        """The release that the platform was founded with; it is also the global hold-out's."""
        skill = START + self._difficulty
        return Release("v1.0", "bootstrap", skill, self.language(self.began), 40.0, 0.16)

    def mix(self, at: float) -> Floats:
        """The share of each topic in the searches at ``at``: each has its season."""
        year = (at - self.began) / (365 * DAY_S)
        weights = self._base * (1 + self._swing * np.sin(2 * np.pi * (year + self._phase)))
        shares: Floats = weights / weights.sum()
        return shares

    def language(self, at: float) -> Floats:
        """How far each topic's language has moved since the beginning."""
        day = min(max(0.0, (at - self.began) / DAY_S), len(self._moved) - 1.001)
        whole = int(day)
        found: Floats = self._moved[whole] + (day - whole) * (
            self._moved[whole + 1] - self._moved[whole]
        )
        return found

    def by_topic(self, release: Release, at: float) -> Floats:
        """NDCG@10 that users get by topic, without curiosity and without what is broken."""
        unknown = np.maximum(0.0, self.language(at) - release.known)
        found: Floats = release.skill * (1 - FADE * (1 - np.exp(-unknown)))
        return found

    def truth(self, release: Release, at: float) -> float:
        """True NDCG@10 of ``release`` over the searches of ``at``."""
        lasting = float(self.mix(at) @ self.by_topic(release, at))
        return lasting * (1 - release.broken) * (1 - release.errors)

    def daily(self, at: Floats) -> Floats:
        """What the hour does to every release alike: at night people ask harder questions."""
        found: Floats = 1 + DAILY * np.sin(2 * np.pi * ((at % DAY_S) / DAY_S - 0.375))
        return found

    def searches_per_h(self, at: float) -> float:
        """Traffic: quiet nights and weekends, a busier winter."""
        day = (at % DAY_S) / DAY_S
        hour = 1 + 0.5 * np.sin(2 * np.pi * (day - 0.375))
        week = 0.75 if (int(at // DAY_S) + 3) % 7 >= 5 else 1.0
        year = 1 + 0.15 * np.cos(2 * np.pi * (at - self.began) / (365 * DAY_S))
        return float(BUSY_PER_H * hour * week * year)


class Chances:
    """A stream of chance for each purpose, so that what one flow draws never shifts another's."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def of(self, what: str, *numbers: int) -> np.random.Generator:
        """The same names and numbers give the same stream."""
        return np.random.default_rng([self._seed, *what.encode(), *numbers])
