"""The account of the truth: what the loop did, beside what was so. The loop never reads it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from predator.simulation.year.gold import QUERIES, SPREAD_REL
from predator.simulation.year.world import Release, World

WORSE_REL = 1.96 * SPREAD_REL / math.sqrt(QUERIES)
"""Beyond noise: half of a 95% interval on the Gold queries, 1.1%. Less than that below the best
release kept, nothing that the loop has could tell them apart."""
LOSS_REL = 0.02
"""A regression: the loss that a contour's gate does not want in any category."""


@dataclass(slots=True)
class GoneLive:
    """A release that went live. ``made_gain_rel`` is the true gain of what was promoted over the
    release it replaced, at that moment and for good (without curiosity), ``true_gain_rel`` what
    its users really got, with whatever broke on the way; ``slow``: it answers too slowly.
    ``down``: what did not answer."""

    at: float
    cycle: str
    version: str
    kind: str
    made_gain_rel: float
    true_gain_rel: float
    gain_rel: float | None
    cost_delta_rel: float
    slow: bool
    evidence: Sequence[str]
    down: Sequence[str]
    drill: bool = False
    decision: str = ""
    why: str = ""
    detected_s: float | None = None
    restored_s: float | None = None

    @property
    def worse(self) -> bool:
        """Whether it is a regression, in relevance or in latency."""
        return self.slow or self.true_gain_rel <= -LOSS_REL

    @property
    def rolled_back(self) -> bool:
        return self.restored_s is not None


@dataclass(frozen=True, slots=True)
class Sample:
    """True NDCG@10 at one moment: live, the best release ever kept, and the global hold-out."""

    at: float
    live: float
    gold: float
    holdout: float


@dataclass(slots=True)
class Tally:
    """Everything that is counted, from the founding on."""

    world: World
    began: float
    first: Release
    live: Release
    kept: list[Release] = field(default_factory=list)
    gone_live: list[GoneLive] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    worse_s: float = 0.0
    since: float = 0.0
    experiments: dict[str, int] = field(default_factory=dict)
    causes: dict[str, int] = field(default_factory=dict)
    policy: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)
    blind: int = 0
    signals: int = 0

    def __post_init__(self) -> None:
        self.since = self.began
        self.kept.append(self.first)

    def look(self, at: float) -> Sample:
        """The truth at ``at``; the time since the last look is booked to it."""
        found = Sample(
            at,
            self.world.truth(self.live, at),
            max(self.world.truth(one, at) for one in self.kept),
            self.world.truth(self.first, at),
        )
        if found.live < found.gold * (1 - WORSE_REL):
            self.worse_s += at - self.since
        self.since = at
        return found

    def sample(self, at: float) -> None:
        """Keep a look, for the plot: minutes of a drill would hide a year there."""
        self.samples.append(self.look(at))

    def serve(self, release: Release, at: float) -> None:
        """From now on everybody outside the hold-outs is on ``release``."""
        self.look(at)
        self.live = release


def count(where: dict[str, int], name: str) -> None:
    """One more of ``name``."""
    where[name] = where.get(name, 0) + 1
