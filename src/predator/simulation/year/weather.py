"""What goes wrong around the loop: outages of every outside system, and click fraud."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from predator.domain.errors import PredatorError
from predator.simulation.year.world import DAY_S

SYSTEMS = ("metrics", "git", "mlflow", "object_store", "notifier", "policy_store", "deployer")
OUTAGES_MONTH, OUTAGE_S = 1.0, 2.5 * 3_600
"""How often each system fails, and for how long on average."""
CAMPAIGNS_YEAR = 6
CAMPAIGN_S = (3 * DAY_S, 15 * DAY_S)
FRAUD = (0.001, 0.05)
"""The share of identities that an attacker holds."""


class Outage(PredatorError):  # noqa: N818 - what it is called
    """An outside system does not answer."""


@dataclass(frozen=True, slots=True)
class Campaign:
    """Click fraud from ``since`` to ``until``: ``share`` of the identities; ``flood`` many
    searches each, else as many as people. Whatever an attacker gets shown, the first is clicked.
    """

    since: float
    until: float
    share: float
    flood: bool


class Weather:
    """Outages and attacks of the year, drawn before it begins."""

    def __init__(self, seed: int, began: float, days: int) -> None:
        rng = np.random.default_rng([seed, 3])
        self.outages = {
            system: _spells(rng, began, days, OUTAGES_MONTH * days / 30) for system in SYSTEMS
        }
        self.campaigns = [
            Campaign(
                since,
                since + float(rng.uniform(*CAMPAIGN_S)),
                float(np.exp(rng.uniform(*np.log(FRAUD)))),
                bool(rng.random() < 0.5),
            )
            for since in sorted(
                began + rng.uniform(0, days, rng.poisson(CAMPAIGNS_YEAR * days / 365)) * DAY_S
            )
        ]

    def down(self, at: float) -> Sequence[str]:
        """The systems that do not answer at ``at``."""
        return [
            system
            for system, spells in self.outages.items()
            if any(since <= at < until for since, until in spells)
        ]

    def need(self, at: float, *systems: str) -> None:
        """``Outage`` where one of ``systems`` does not answer at ``at``."""
        for system in self.down(at):
            if system in systems:
                raise Outage(f"{system} does not answer")

    def campaign(self, since: float, until: float) -> Campaign | None:
        """The largest attack that overlaps the time given."""
        found = [one for one in self.campaigns if one.since < until and since < one.until]
        return max(found, key=lambda one: one.share, default=None)


def _spells(
    rng: np.random.Generator, began: float, days: int, expected: float
) -> list[tuple[float, float]]:
    starts = np.sort(rng.uniform(0, days, rng.poisson(expected))) * DAY_S + began
    lengths = np.maximum(600.0, rng.exponential(OUTAGE_S, starts.size))
    return [(float(a), float(a + length)) for a, length in zip(starts, lengths, strict=True)]
