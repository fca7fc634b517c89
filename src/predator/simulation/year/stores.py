"""The loop's governance on stores in memory, whose database may be down."""

from __future__ import annotations

from collections.abc import Sequence

from predator.adapters.approvals.memory import MemoryApprovals
from predator.adapters.cycles.memory import MemoryCycles
from predator.adapters.fence.memory import MemoryFence
from predator.adapters.flags.memory import MemoryFlags
from predator.adapters.ledger.memory import MemoryLedger
from predator.adapters.limits.memory import MemoryLimits
from predator.adapters.notifier.memory import MemoryNotifier
from predator.adapters.overrides.memory import MemoryOverrides
from predator.adapters.slots.memory import MemorySlots
from predator.domain.governance import Flag, Notice
from predator.loop.governance import Governance, Rules
from predator.simulation.year.timeline import Timeline
from predator.simulation.year.weather import Weather


class _Flags(MemoryFlags):
    """Flags that cannot be read while the database is down."""

    def __init__(self, timeline: Timeline, weather: Weather) -> None:
        super().__init__()
        self._timeline, self._weather = timeline, weather

    def rows(self) -> Sequence[Flag]:
        self._weather.need(self._timeline.now(), "policy_store")
        return super().rows()


def governance_of(rules: Rules, timeline: Timeline, weather: Weather) -> Governance:
    """Everything that may say no, by the rules of a contour."""

    def send(_notice: Notice) -> None:
        weather.need(timeline.now(), "notifier")

    return Governance(
        rules,
        _Flags(timeline, weather),
        MemoryApprovals(),
        MemoryOverrides(),
        MemoryLimits(),
        MemorySlots(),
        MemoryCycles(),
        MemoryNotifier(send, now=timeline.now),
        MemoryFence(),
        MemoryLedger(),
        timeline,
    )
