"""When a cycle starts by itself: by the contour's schedule, a signal, or as a drill."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from predator.domain.governance import CycleEntry
from predator.domain.readings import NoData, Reading, Value
from predator.loop import queues
from predator.loop.contract import row
from predator.loop.labels import Labels
from predator.loop.monitor import OF_LAST, Assessment, detect
from predator.loop.observe import judged_ndcg
from predator.loop.stations import Situation
from predator.ports.cycles import Cycles
from predator.ports.feedback import Feedback
from predator.ports.runtime import Flows, Json

BASELINE_WINDOWS = 3
DRILL = {"type": "drill"}
LOST_S = 60.0
"""Nobody takes this long between registering a cycle and asking for it."""
PAGE = 200


class Timetable:
    """Starts a contour's cycles, each once whichever worker's turn it is.

    ``due`` gives when the cycle after one at a given time has to start (unix s). Ticks that were
    missed while nobody ran are made up for by one cycle; a clock set back repeats none.
    """

    def __init__(
        self,
        contour: str,
        cycles: Cycles,
        flows: Flows,
        due: Callable[[float], float],
        started: float,
    ) -> None:
        self._contour, self._cycles, self._flows = contour, cycles, flows
        self._due, self._started = due, started

    def tick(self, now: float, trigger: Mapping[str, Any]) -> str | None:
        """Start the scheduled cycle that is due, if one is; its id."""
        mine = self._newest(trigger["type"])
        for entry in mine[:1]:
            if self._is_lost(entry, now):
                self._hand_over(entry.cycle_id, entry.trigger, None)
                return entry.cycle_id
        at = self._due(max((entry.requested_at for entry in mine), default=self._started))
        if now < at:
            return None
        return self.start(f"schedule:{self._contour}:{at:.0f}", trigger, now)

    def drill(self, now: float, every_s: float) -> str | None:
        """Start the drill that is due, ``every_s`` after the one before (0: never); its id.

        The first is due ``every_s`` after the start. Those that were missed are made up for by one.
        """
        if every_s <= 0.0:
            return None
        mine = self._newest(DRILL["type"])
        if mine and self._is_lost(mine[0], now):
            self._hand_over(mine[0].cycle_id, mine[0].trigger, None, flow="drill")
            return mine[0].cycle_id
        at = max((entry.requested_at for entry in mine), default=self._started) + every_s
        if now < at:
            return None
        key = f"drill:{self._contour}:{at:.0f}"
        return self.start(key, DRILL, now, flow="drill")

    def signal(self, situation: Situation, now: float, cooldown_s: float) -> str | None:
        """Start the cycle of a signal, one for each ``cooldown_s``; its id."""
        if situation.signal is None:
            return None
        kind = situation.trigger["type"]
        last = next(iter(self._newest(kind)), None)
        if last is not None and now - last.requested_at < cooldown_s:
            if self._is_lost(last, now):
                self._hand_over(last.cycle_id, last.trigger, situation.to_json())
            return last.cycle_id
        key = f"signal:{self._contour}:{kind}:after:{last.cycle_id if last else 'none'}"
        return self.start(key, situation.trigger, now, situation.to_json())

    def start(
        self,
        key: str,
        trigger: Mapping[str, Any],
        now: float,
        situation: Json | None = None,
        *,
        flow: str = "cycle",
    ) -> str:
        """Register and enqueue a cycle; the same ``key`` again is the same cycle."""
        cycle_id = self._cycles.open(key, self._contour, dict(trigger), now)
        self._hand_over(cycle_id, trigger, situation, flow)
        return cycle_id

    def _newest(self, kind: str) -> list[CycleEntry]:
        """The newest cycles of this kind, newest first; none only where there never was one."""
        before: str | None = None
        while page := self._cycles.list(self._contour, limit=PAGE, before=before):
            if mine := [entry for entry in page if entry.trigger.get("type") == kind]:
                return mine
            before = page[-1].cycle_id
        return []

    def _is_lost(self, entry: CycleEntry, now: float) -> bool:
        """Registered, but its process died before the runtime knew of it."""
        waits = not entry.outcome and "started" not in entry.moments
        late = now - entry.requested_at > LOST_S
        return waits and late and self._flows.status(entry.cycle_id) is None

    def _hand_over(
        self, cycle_id: str, trigger: Mapping[str, Any], situation: Json, flow: str = "cycle"
    ) -> None:
        arguments = {
            "cycle_id": cycle_id,
            "contour": self._contour,
            "trigger": dict(trigger),
            "situation": situation,
        }
        self._flows.enqueue(flow, cycle_id, arguments, queue=queues.cycles(self._contour))


def situation_of(
    feedback: Feedback,
    labels: Labels,
    live_since: float,
    now: float,
    window_s: float,
    needed: int,
) -> tuple[Situation | None, Assessment]:
    """The newest windows of NDCG@10 against the first ones since the live release went live.

    No situation where the baseline itself cannot be measured.
    """
    until = live_since + BASELINE_WINDOWS * window_s
    since = max(until, now - OF_LAST * window_s)
    baseline: Reading = NoData("the live release has not been live for long enough")
    if now - window_s >= until:
        baseline = judged_ndcg(feedback.impressions(live_since, until), labels, until)
    if not isinstance(baseline, Value):
        return None, Assessment(None, f"no baseline: {baseline}", True)
    readings = _windows(feedback, labels, since, now, window_s)
    found = detect(row("ndcg_at_10"), baseline, readings, needed)
    return Situation(found.signal, baseline, live_since, until, since, now), found


def _windows(
    feedback: Feedback, labels: Labels, since: float, now: float, window_s: float
) -> Sequence[Reading]:
    starts = [now - number * window_s for number in range(OF_LAST, 0, -1)]
    return [
        judged_ndcg(feedback.impressions(start, start + window_s), labels, start + window_s)
        for start in starts
        if start >= since - 1e-6
    ]
