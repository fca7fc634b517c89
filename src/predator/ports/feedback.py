"""What users did: searches served and the events that followed (UBI 1.3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class DraftedHit:
    """Who put a hit into a list drafted from two releases (``live`` or ``candidate``), and its
    1-based rank in either list, 0 where it is not in that list."""

    team: str
    live_rank: int
    candidate_rank: int


@dataclass(frozen=True, slots=True)
class Impression:
    """One served search with what came of it.

    ``hits`` are document ids in the order shown; ``clicks`` the 1-based positions clicked;
    ``rating`` the user's 1–5, if given; ``release`` the digest that answered; ``variant`` the
    arm (``""`` outside an experiment); ``at`` unix seconds; ``latency_ms`` measured by the server;
    ``draft`` a place a hit, where the list was drafted from two releases.
    """

    query_id: str
    query: str
    user: str
    release: str
    experiment: str
    variant: str
    hits: Sequence[str]
    clicks: Sequence[int]
    rating: int | None
    latency_ms: float
    at: float
    draft: Sequence[DraftedHit] = ()


@dataclass(frozen=True, slots=True)
class Failure:
    """One search that was not answered: whose, by which release and arm (as ``Impression``)."""

    user: str
    release: str
    experiment: str
    variant: str
    at: float


class Feedback(Protocol):
    """Reads back what the platform recorded."""

    def impressions(
        self, since: float, until: float, experiment: str | None = None
    ) -> Sequence[Impression]:
        """Searches served in ``[since, until)``, oldest first, events joined."""
        ...

    def failures(
        self, since: float, until: float, experiment: str | None = None
    ) -> Sequence[Failure]:
        """Searches in ``[since, until)`` that a release failed to answer, oldest first."""
        ...

    def log_counts(self, since: float, until: float) -> Mapping[str, int]:
        """Fingerprints of the window's technical log lines (ETL, index, search) and how often."""
        ...

    def backlog_s(self, at: float) -> float:
        """Age at ``at`` of the oldest document accepted and not indexed yet; 0 where none waits."""
        ...
