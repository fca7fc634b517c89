"""The real deciders behind one small seam, so that other rules can be tried in the same year."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from predator.config import Settings
from predator.contours.meaning import GATE_PROFILES
from predator.domain.readings import Reading, Value
from predator.domain.verdicts import Verdict, WatchDecision
from predator.loop import evaluate, monitor
from predator.loop.contract import row
from predator.loop.experiment import look as experiment
from predator.loop.experiment.evidence import Limits
from predator.loop.experiment.plan import Plan, plan
from predator.loop.experiment.result import Point
from predator.loop.watch import look as watch
from predator.loop.watch.before import Before
from predator.loop.watch.before import before as baseline_of
from predator.loop.watch.plan import WatchPlan, plan_watch
from predator.loop.watch.station import watch_limits
from predator.ports.ledger import GoldReading
from predator.simulation.year.crowd import PEOPLE
from predator.simulation.year.gathered import gathered, past_of
from predator.simulation.year.served import Served
from predator.simulation.year.world import Floats


@dataclass(frozen=True, slots=True)
class Judged:
    """What the offline gate says: the gain as it was estimated, its 95% lower bound, by which an
    experiment is planned, and, where it passed, the gain freed of the winner's curse.
    """

    verdict: Verdict
    reason: str
    gain_rel: float = 0.0
    lower_rel: float = 0.0
    shrunken_rel: float | None = None


class Deciders(Protocol):
    """What the year asks; see :class:`Real`."""

    def signal(self, baseline: Value, readings: Sequence[Reading]) -> monitor.Assessment: ...

    def gate(
        self,
        candidate: Floats,
        baseline: Floats,
        categories: Sequence[str],
        measured: evaluate.Measured,
        reading: GoldReading,
    ) -> Judged: ...

    def trial(
        self, history: Served, judged: Judged, share: float, rate_per_s: float, cost: float
    ) -> Trial | None: ...

    def watched(self, before: Served, searches_per_look: float) -> Watched | None: ...


class Trial(Protocol):
    """An experiment that was planned."""

    def look(self, served: Served, lasted_s: float, *, last: bool) -> tuple[Verdict, str] | None:
        """The verdict once ``served`` has come to what earlier looks saw, or ``None`` to go on.
        Arm 1 is the candidate's."""
        ...


class Watched(Protocol):
    """A watch that has its baseline: ``share`` of the users stay on the old release, and there
    are ``looks_max`` looks at most."""

    share: float
    looks_max: int

    def look(self, number: int, served: Served) -> tuple[WatchDecision, str, bool]:
        """The decision after look ``number`` on everything since the release went live, why, and
        whether the looking ends. Arm 1 is the hold-back."""
        ...


def gates_of(settings: Settings, alpha: float) -> evaluate.Gates:
    """The contour's gates at one reading's level."""
    return evaluate.Gates(
        settings.ndcg_delta_rel_min, settings.category_delta_rel_min,
        settings.latency_delta_rel_max, settings.latency_floor_ms,
        settings.cost_per_1k_usd_max, alpha, settings.power, GATE_PROFILES[settings.gate_profile],
    )  # fmt: skip


class Real:
    """The loop's own deciders, by the contour's settings."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def signal(self, baseline: Value, readings: Sequence[Reading]) -> monitor.Assessment:
        return monitor.detect(row("ndcg_at_10"), baseline, readings, self._settings.windows_needed)

    def gate(
        self,
        candidate: Floats,
        baseline: Floats,
        categories: Sequence[str],
        measured: evaluate.Measured,
        reading: GoldReading,
    ) -> Judged:
        gates = gates_of(self._settings, reading.level)
        found = evaluate.evaluate(candidate, baseline, categories, measured, gates)
        if found.gain is None:
            return Judged(found.verdict, found.reason)
        return Judged(
            found.verdict,
            found.reason,
            found.gain.delta_rel,
            found.gain.ci_low,
            found.gain_shrunken_rel,
        )

    def trial(
        self, history: Served, judged: Judged, share: float, rate_per_s: float, cost: float
    ) -> Trial | None:
        settings = self._settings
        try:
            planned = plan(
                history.impressions([""]),
                judged.gain_rel,
                judged.lower_rel,
                share=share,
                alpha=settings.alpha,
                power=settings.power,
                rate_per_s=rate_per_s,
                min_s=settings.experiment_min_s,
                max_s=settings.experiment_max_s,
            )
        except ValueError:
            return None
        before = past_of(history, PEOPLE) if planned.cuped.used else None
        return _Trial(settings, planned, before, cost)

    def watched(self, before: Served, searches_per_look: float) -> Watched | None:
        try:
            baseline = baseline_of(before.of_arm(0))
            limits = watch_limits(self._settings)
            return _Watched(plan_watch(baseline, searches_per_look, limits), baseline)
        except ValueError:
            return None


class _Trial:
    def __init__(
        self,
        settings: Settings,
        planned: Plan,
        before: Floats | None,
        cost_per_1k_usd: float,
    ) -> None:
        self._planned, self._before, self._cost = planned, before, cost_per_1k_usd
        self._limits = Limits(
            settings.csat_min, settings.latency_delta_rel_max, settings.latency_floor_ms,
            settings.cost_per_1k_usd_max,
        )  # fmt: skip
        self._seen: Served | None = None
        self._looks: Sequence[Point] = ()

    def look(self, served: Served, lasted_s: float, *, last: bool) -> tuple[Verdict, str] | None:
        self._seen = served.after(self._seen)
        found = experiment.look(
            self._planned,
            gathered(
                self._seen, self._limits, self._before, self._planned.baseline_mean, self._cost
            ),
            self._limits,
            number=len(self._looks) + 1,
            elapsed_s=lasted_s,
            last=last,
            looks=self._looks,
        )
        self._looks = found.looks
        return (found.verdict, found.reason) if found.ended else None


class _Watched:
    def __init__(self, planned: WatchPlan, before: Before) -> None:
        self._planned, self._before = planned, before
        self.share, self.looks_max = planned.share, planned.looks_max

    def look(self, number: int, served: Served) -> tuple[WatchDecision, str, bool]:
        found = watch.look(number, self._planned, self._before, served.of_arm(0), served.of_arm(1))
        enough = number >= self._planned.looks and not found.too_few
        ends = found.decision is not WatchDecision.HOLD or enough
        return found.decision, found.reason, ends
