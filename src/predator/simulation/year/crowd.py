"""The users of the simulated year: the same people again and again, and what they click."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from predator.simulation.year.served import NO_CLICK, PAGES, Served, Whole
from predator.simulation.year.weather import Campaign
from predator.simulation.year.world import (
    NOVELTY_S,
    TOPICS,
    Chances,
    Floats,
    Release,
    World,
)
from predator.statistics.assignment import bucket

PEOPLE = 20_000
TASTE = 0.10
"""Spread between users of how often they find what they look for: their searches are alike."""
HOLDOUT = 0.05
"""The share of users who stay on the first release all year."""
RATED, JUDGED = 0.15, 0.2
"""Shares of the searches that users rate, and whose queries have judgments."""
FLOOD = 40
"""How many times as often an attacker who floods searches."""

_GOOD = np.cumsum([0.62, 0.16, 0.08, 0.04, 0.02, 0.01, 0.01, 0.01, 0.0, 0.0])
_BAD = np.cumsum([0.04, 0.04, 0.03, 0.02, 0.02, 0.02, 0.01, 0.01, 0.01, 0.0])
"""Where the topmost click falls after a search that found what was meant, and after one that did
not; what is left of 1 clicks nothing."""


class Crowd:
    """People have the numbers below ``PEOPLE``; those above belong to attackers."""

    def __init__(self, seed: int, world: World) -> None:
        rng = np.random.default_rng([seed, 4])
        self._world, self._chances = world, Chances(seed)
        self._secret = f"year-{seed}".encode()
        self._taste = rng.normal(0.0, TASTE, PEOPLE)
        often = rng.lognormal(0.0, 0.8, PEOPLE)
        self._places: dict[str, Floats] = {}
        everybody = np.arange(PEOPLE)
        held = self._place("holdout", everybody) < HOLDOUT
        self._first = world.first()
        self._held = _Drawn(everybody[held], often[held])
        self._rest = _Drawn(everybody[~held], often[~held])

    def searches(
        self,
        what: str,
        releases: Sequence[Release],
        share: float,
        since: float,
        until: float,
        count: int,
        campaign: Campaign | None = None,
    ) -> Served:
        """``count`` searches of ``since`` to ``until`` by users outside the global hold-out.

        ``releases``: one for all, or two, of which the second has ``share`` of the users by the
        platform's own hash of user and ``what``, which also names the stream of chance.
        """
        rng = self._chances.of(what, int(since), int(until))
        who = self._rest.draw(rng, count)
        fraud = np.zeros(count, bool)
        if campaign is not None:
            part = campaign.share * (FLOOD if campaign.flood else 1)
            fraud = rng.random(count) < part / (1 + part)
            identities = max(1, round(campaign.share * PEOPLE))
            who = np.where(fraud, PEOPLE + rng.integers(0, identities, count), who)
        arm = np.zeros(count, np.intp)
        if len(releases) > 1:
            arm = (self._place(what, who) < share).astype(np.intp)
        at = np.sort(rng.uniform(since, until, count))
        topic = rng.choice(TOPICS, count, p=self._world.mix(since))
        chance = self._chance(releases, arm, topic, at, who)
        first = np.where(fraud, 0, _topmost_click(rng, chance))
        mood, rated = rng.random(count), rng.random(count) < RATED
        stars = np.where(first < 3, np.where(mood < 0.8, 5, 4), 2 + (mood * 2.5).astype(np.intp))
        latency = np.array([one.latency_ms for one in releases])[arm]
        errors = np.array([one.errors for one in releases])[arm]
        width = np.minimum(chance, 1 - chance)
        ndcg = chance + width * rng.uniform(-1, 1, count)
        return Served(
            at=at,
            user=who,
            arm=arm,
            topic=topic,
            page=rng.integers(0, PAGES, count),
            first=first,
            stars=np.where(rated, stars, 0),
            latency_ms=latency * 0.6 * rng.lognormal(0.0, 0.3, count),
            ndcg=np.where(rng.random(count) < JUDGED, ndcg, np.nan),
            failed=rng.random(count) < errors,
            window=np.ones(count, np.intp),
        )

    def panel(
        self, live: Release, at: float, count: int
    ) -> tuple[tuple[Whole, Floats], tuple[Whole, Floats]]:
        """A day of the global hold-out and of everybody else: users, and 1 / rank of their topmost
        click, of ``count`` searches each, on the first release and on ``live``."""
        rng = self._chances.of("panel", int(at))
        found = []
        for release, drawn in ((self._first, self._held), (live, self._rest)):
            who = drawn.draw(rng, count)
            topic = rng.choice(TOPICS, count, p=self._world.mix(at))
            chance = self._chance([release], np.zeros(count, np.intp), topic, np.array([at]), who)
            first = np.where(
                rng.random(count) < release.errors, NO_CLICK, _topmost_click(rng, chance)
            )
            found.append((who, np.where(first < NO_CLICK, 1.0 / (first + 1), 0.0)))
        return found[0], found[1]

    def _place(self, layer: str, who: Whole) -> Floats:
        """Where users fall in [0, 1) on ``layer``, by the platform's own hash."""
        known = self._places.get(layer, np.zeros(0))
        if who.size and int(who.max()) >= known.size:
            more = np.full(int(who.max()) + 1 - known.size, np.nan)
            known = np.concatenate([known, more])
        for user in np.unique(who[np.isnan(known[who])]).tolist():
            known[user] = bucket(self._secret, layer, f"u{user}")
        self._places = {layer: known}
        found: Floats = known[who]
        return found

    def _chance(
        self,
        releases: Sequence[Release],
        arm: Whole,
        topic: Whole,
        at: Floats,
        who: Whole,
    ) -> Floats:
        """How likely each search is to find what was meant."""
        middle = float(at.mean()) if at.size else self._world.began
        skill = np.array([self._world.by_topic(one, middle) for one in releases])
        whole = np.array([1 - one.broken for one in releases])
        new = np.array([one.novelty for one in releases])[arm]
        since = np.array([one.novel_from for one in releases])[arm]
        curious = 1 + new * np.exp(-np.maximum(0.0, at - since) / NOVELTY_S)
        taste = self._taste[np.minimum(who, PEOPLE - 1)]
        skilled = skill[arm, topic] * whole[arm] * curious * self._world.daily(at)
        found: Floats = np.clip(skilled + taste, 0.01, 0.99)
        return found


class _Drawn:
    """People, some of whom search more often than others."""

    def __init__(self, people: Whole, often: Floats) -> None:
        self._people, self._upto = people, np.cumsum(often / often.sum())

    def draw(self, rng: np.random.Generator, count: int) -> Whole:
        at = np.searchsorted(self._upto, rng.random(count))
        found: Whole = self._people[np.minimum(at, self._people.size - 1)]
        return found


def _topmost_click(rng: np.random.Generator, chance: Floats) -> NDArray[np.intp]:
    """0 for the top, …, ``NO_CLICK``."""
    good, luck = rng.random(chance.size) < chance, rng.random(chance.size)
    return np.where(good, np.searchsorted(_GOOD, luck), np.searchsorted(_BAD, luck))
