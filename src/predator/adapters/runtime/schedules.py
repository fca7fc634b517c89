"""When a schedule starts a flow: a pure question, answered from the clock and the last tick."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from predator.adapters.runtime import cron
from predator.domain.errors import InputError
from predator.ports.runtime import Json


def _nothing(_tick: float) -> Json:
    return {}


@dataclass(frozen=True, slots=True)
class Schedule:
    """Starts ``flow`` by a ``cron`` expression or every ``interval_s`` seconds: one of the two.

    ``arguments`` makes the flow's arguments from the tick (unix seconds). Intervals count from
    1970, so that all workers agree on them. ``timezone`` is an IANA name, for cron.
    """

    flow: str
    cron: str = ""
    interval_s: float = 0.0
    timezone: str = "UTC"
    queue: str = "cycles"
    arguments: Callable[[float], Json] = _nothing

    def __post_init__(self) -> None:
        if bool(self.cron) == bool(self.interval_s):
            raise InputError("a schedule has either a cron expression or an interval")
        if not (math.isfinite(self.interval_s) and (self.cron or self.interval_s >= 1.0)):
            raise InputError(f"an interval of {self.interval_s} s is below a second")
        if self.cron:
            cron.parse(self.cron)
        self.zone()

    def zone(self) -> ZoneInfo:
        try:
            return ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise InputError(f"there is no time zone {self.timezone!r}") from error

    @property
    def rule(self) -> str:
        """What decides when: another rule starts to count anew."""
        return f"{self.cron} {self.timezone}" if self.cron else f"every {self.interval_s:g} s"


def due(schedule: Schedule, last_tick: float, now: float) -> float | None:
    """The tick to start now, if any: the newest that has come, and is after ``last_tick``.

    Of ticks that were missed it is the last one only. A clock that goes back, or an hour that
    comes twice, has no tick again. ``last_tick`` of a new schedule is when it was set up.
    """
    if schedule.cron:
        tick = cron.parse(schedule.cron).latest(now, schedule.zone())
    else:
        tick = math.floor(now / schedule.interval_s) * schedule.interval_s
    return tick if tick is not None and tick > last_tick else None


def flow_id(name: str, tick: float) -> str:
    """``flow_id("weekly", …) == "weekly@2026-11-08T02:00:00Z"``: one flow a tick."""
    return f"{name}@{datetime.fromtimestamp(tick, UTC):%Y-%m-%dT%H:%M:%SZ}"
