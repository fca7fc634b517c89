"""Searches that were served, as columns, and in the shapes that the deciders take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from predator.loop.watch.before import Arm
from predator.ports.feedback import Impression
from predator.simulation.year.world import Floats

Whole = NDArray[np.intp]
NO_CLICK = 10
PAGES = 50
"""A topic's searches show its documents from one of so many starting points."""


@dataclass(frozen=True, slots=True)
class Served:
    """One entry a search, oldest first.

    ``user`` is a number, ``arm`` the index of its variant, ``first`` the place of the topmost click
    from 0, or ``NO_CLICK``; ``stars`` 0 where nobody rated; ``ndcg`` NaN where nobody judged;
    ``failed``: it was not answered. ``window`` is the look before which it was served.
    """

    at: Floats
    user: Whole
    arm: Whole
    topic: Whole
    page: Whole
    first: Whole
    stars: Whole
    latency_ms: Floats
    ndcg: Floats
    failed: NDArray[np.bool_]
    window: Whole

    @property
    def click_mrr(self) -> Floats:
        """1 / the rank of the topmost click, 0 without one."""
        found: Floats = np.where(self.first < NO_CLICK, 1.0 / (self.first + 1), 0.0)
        return found

    def after(self, earlier: Served | None) -> Served:
        """``earlier`` and then these."""
        if earlier is None:
            return self
        joined = {
            field.name: np.concatenate([getattr(earlier, field.name), getattr(self, field.name)])
            for field in fields(self)
        }
        return Served(**joined)

    def answered(self) -> Served:
        """Those that were answered."""
        kept = ~self.failed
        return Served(**{field.name: getattr(self, field.name)[kept] for field in fields(self)})

    def none(self) -> Served:
        """No search at all."""
        return Served(**{field.name: getattr(self, field.name)[:0] for field in fields(self)})

    def in_window(self, number: int) -> Served:
        """The same, served before look ``number``."""
        return replace(self, window=np.full(self.at.size, number, np.intp))

    def of_arm(self, number: int) -> Arm:
        """One arm's searches as a watch takes them."""
        mine = (self.arm == number) & ~self.failed
        judged = mine & ~np.isnan(self.ndcg)
        return Arm(
            users=self.user[mine].tolist(),
            click_mrr=self.click_mrr[mine].tolist(),
            latency_ms=self.latency_ms[mine].tolist(),
            window=self.window[mine].tolist(),
            judged_users=self.user[judged].tolist(),
            ndcg=self.ndcg[judged].tolist(),
            failed_users=self.user[(self.arm == number) & self.failed].tolist(),
        )

    def impressions(self, variants: Sequence[str], experiment: str = "") -> list[Impression]:
        """As an experiment takes them; what was not answered left no impression."""
        rows = zip(
            self.at.tolist(), self.user.tolist(), self.arm.tolist(), self.topic.tolist(),
            self.page.tolist(), self.first.tolist(), self.stars.tolist(),
            self.latency_ms.tolist(), self.failed.tolist(), strict=True,
        )  # fmt: skip
        return [
            Impression(
                "", f"q{topic}-{page}", f"u{user}", variants[arm], experiment, variants[arm],
                hits_of(topic, page), (first + 1,) if first < NO_CLICK else (), stars or None,
                latency, at,
            )
            for at, user, arm, topic, page, first, stars, latency, failed in rows
            if not failed
        ]  # fmt: skip


_HITS: dict[tuple[int, int], tuple[str, ...]] = {}


def hits_of(topic: int, page: int) -> tuple[str, ...]:
    """The ten documents that a page shows."""
    if (topic, page) not in _HITS:
        _HITS[topic, page] = tuple(f"d{topic}-{(page + rank) % PAGES}" for rank in range(10))
    return _HITS[topic, page]
