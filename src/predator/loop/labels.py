"""Judged queries by role, so that what trains, what watches and what decides never overlap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from predator.domain.documents import Judgments, Query
from predator.domain.gold_set import GoldSet


@dataclass(frozen=True)
class Labels:
    """``training`` may be learnt from, ``gold`` is read by the gate alone, ``live`` is what the
    monitor may score of the traffic. The three are disjoint; ``judgments`` covers them all.

    ``gold_set`` is the Gold with its lineage: a sealed version where ``seal`` holds its digest,
    else a proposal. Labels that were made up for a simulation have none.
    """

    training: Sequence[Query]
    live: Sequence[Query]
    gold: Sequence[Query]
    judgments: Judgments
    gold_set: GoldSet | None = None
    seal: str = ""

    @cached_property
    def monitored(self) -> Mapping[str, str]:
        """Query id by text, for the traffic that the monitor may score: never a Gold query."""
        gold = {query.text for query in self.gold}
        return {
            query.text: query.id for query in (*self.training, *self.live) if query.text not in gold
        }
