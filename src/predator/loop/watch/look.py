"""Station 8: keep, hold or roll back a fresh release, look by look.

Side by side, for click-MRR and for NDCG@10 of judged queries where there are any: a gross drop
against the baseline from *before* the change (a betting e-process, valid at any look); a small one
against the concurrent hold-back on the old release (O'Brien-Fleming boundaries), and against the
hold-back and the past together (which is quick where the world stands still). Beside them: searches
that fail, p95 latency, cost. The e-process shows that the release lost more than *half* of what
counts as gross: at the full drop as its null, a drop of just that size would never show. Too
little data, or nothing to compare with, ends in HOLD, never in KEEP.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from predator.domain.verdicts import WatchDecision
from predator.loop.watch.before import Arm, Before, p95
from predator.loop.watch.compared import LEAST_HELD, LEAST_LIVE, Compared, compared, shown_drop
from predator.loop.watch.plan import WatchPlan
from predator.statistics.watch_failures import allowed_share, failure_evidence

EVIDENCE = 60.0
"""Of three e-processes that may cry at any look, each by Ville's inequality one time in 60."""
LATENCY_FACTOR = 1.5
LEAST_WINDOW = 50
SLACK = 1.25
"""What a watch saw may be this much coarser than what it was planned to see."""


@dataclass(frozen=True, slots=True)
class Look:
    """One look: the decision, why, and the evidence it stands on.

    ``too_few``: a HOLD for lack of data, so that another look may decide. ``latency_p95_ms`` and
    ``cost_per_1k_usd`` (engine time at the price of a CPU hour) are of the newest searches.
    """

    number: int
    decision: WatchDecision
    reason: str
    live: int
    held: int
    metrics: tuple[Compared, ...]
    latency_p95_ms: float | None
    failed_share: float | None
    failure_evidence: float
    cost_per_1k_usd: float | None
    too_few: bool

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def look(number: int, plan: WatchPlan, before: Before, live: Arm, held: Arm) -> Look:
    """Decide at look ``number`` (from 1) on everything served since the change.

    Looks after ``plan.looks`` are taken for lack of data; they compare with the hold-back once,
    at the boundary of the last planned look: where there is enough, or at ``plan.looks_max``.
    """
    metrics = tuple(
        compared(name, number, plan, before, live, held) for name in sorted(plan.levels)
    )
    lack = _lack(plan, metrics, len(live.users), len(held.users))
    windows = _newest_windows(live)
    slow, why_slow = _slow(windows, plan, before)
    dear, why_dear = _dear(windows, plan)
    lost, attempts = len(live.failed_users), len(live.users) + len(live.failed_users)
    failing, why_failing = _failing(before, live, held)

    def decided(decision: WatchDecision, reason: str, *, too_few: bool = False) -> Look:
        costs = [_cost(window, plan) for window in windows[-1:]]
        return Look(
            number,
            decision,
            reason,
            len(live.users),
            len(held.users),
            metrics,
            p95(windows[-1]) if windows else None,
            lost / attempts if attempts else None,
            failing,
            costs[-1] if costs else None,
            too_few,
        )

    against_holdback = number < plan.looks or lack is None or number >= plan.looks_max
    several = number > 1 and len(live.users) >= LEAST_LIVE
    loss = (
        why_failing
        or _gross(metrics, plan, before)
        or (_below_holdback(metrics) if against_holdback else "")
        or (_below_controls(metrics, before) if number <= plan.looks else "")
        or (why_slow if several and all(slow) else "")
        or (why_dear if several and all(dear) else "")
    )
    if loss:
        return decided(WatchDecision.ROLL_BACK, loss)
    if number < plan.looks:
        return decided(WatchDecision.HOLD, f"no loss shown so far{_sees(metrics)}")
    if lack is not None:
        return decided(WatchDecision.HOLD, lack, too_few=True)
    if slow[-1] or dear[-1]:
        reason = "the newest searches were slow or dear: one more look decides"
        return decided(WatchDecision.HOLD, reason, too_few=True)
    return decided(WatchDecision.KEEP, f"no loss shown in {number} looks{_sees(metrics)}")


def _failing(before: Before, live: Arm, held: Arm) -> tuple[float, str]:
    """Evidence that searches fail too often, and the reason where it suffices."""
    lost, attempts = len(live.failed_users), len(live.users) + len(live.failed_users)
    allowed = allowed_share(before.failed_share, held.users, held.failed_users)
    found = failure_evidence(live.users, live.failed_users, allowed)
    if found < EVIDENCE:
        return found, ""
    return found, (
        f"{lost / attempts:.1%} of {attempts} searches failed, more than the {allowed:.1%} "
        f"that are allowed (evidence {min(found, 1e9):.3g})"
    )


def _gross(metrics: Sequence[Compared], plan: WatchPlan, before: Before) -> str:
    for one in metrics:
        if one.gross_evidence >= EVIDENCE:
            return (
                f"{one.name} {one.live or 0:.3f} against {before.metrics[one.name].mean:.3f} "
                f"before: a drop of more than {shown_drop(plan):.0%} is shown "
                f"(evidence {min(one.gross_evidence, 1e9):.3g})"
            )
    return ""


def _below_holdback(metrics: Sequence[Compared]) -> str:
    for one in metrics:
        if one.z_score is not None and one.z_score <= -one.boundary:
            return (
                f"{one.name} {one.live:.3f} is below the hold-back's {one.held:.3f}: "
                f"z = {one.z_score:.2f}, boundary {-one.boundary:.2f}"
            )
    return ""


def _below_controls(metrics: Sequence[Compared], before: Before) -> str:
    for one in metrics:
        if one.control_z is not None and one.control_z <= -one.control_boundary:
            return (
                f"{one.name} {one.live:.3f} is below the hold-back's {one.held:.3f} and the "
                f"{before.metrics[one.name].mean:.3f} of before: z = {one.control_z:.2f}, "
                f"boundary {-one.control_boundary:.2f}"
            )
    return ""


def _slow(windows: Sequence[Sequence[float]], plan: WatchPlan, before: Before
          ) -> tuple[list[bool], str]:  # fmt: skip
    """Whether each window is too slow, and the reason if all are."""
    most = max(LATENCY_FACTOR * before.latency_p95_ms, plan.limits.latency_floor_ms)
    found = [p95(window) or 0.0 for window in windows]
    reason = f"p95 latency {found[-1]:.0f} ms > {most:.0f} ms{_in(windows)}" if found else ""
    return [one > most for one in found] or [False], reason


def _dear(windows: Sequence[Sequence[float]], plan: WatchPlan) -> tuple[list[bool], str]:
    """Whether each window is too dear, and the reason if all are."""
    most = plan.limits.cost_per_1k_usd_max
    found = [_cost(window, plan) or 0.0 for window in windows]
    reason = (
        f"1,000 searches cost {found[-1]:.2f} USD > {most:.2f} USD{_in(windows)}" if found else ""
    )
    return [one > most for one in found] or [False], reason


def _lack(plan: WatchPlan, metrics: Sequence[Compared], served: int, kept: int) -> str | None:
    """Why the data do not carry a KEEP; ``None`` where they do."""
    if served < LEAST_LIVE or kept < LEAST_HELD:
        return f"{served} live and {kept} held-back searches are too few to keep it on"
    for one in metrics:
        if one.z_score is None or one.sees_rel is None or one.at_least_rel is None:
            return f"{one.name} cannot be compared with the hold-back"
    sees = min(one.sees_rel for one in metrics if one.sees_rel is not None)
    at_least = max(one.at_least_rel for one in metrics if one.at_least_rel is not None)
    tolerated = plan.limits.tolerated_drop_rel
    if sees > SLACK * tolerated and at_least < -tolerated:
        return (
            f"{served} live and {kept} held-back searches are too few to keep it on: they "
            f"would show a drop of {min(sees, 1.0):.1%}, and {tolerated:.1%} is tolerated"
        )
    return None


def _newest_windows(live: Arm) -> list[list[float]]:
    """Latencies of the two newest windows that have enough searches, the newest last.

    Where there are no two such windows, all searches together are one.
    """
    windows: dict[int, list[float]] = {}
    for window, latency in zip(live.window, live.latency_ms, strict=True):
        windows.setdefault(window, []).append(latency)
    full = [windows[n] for n in sorted(windows) if len(windows[n]) >= LEAST_WINDOW]
    if len(full) > 1:
        return full[-2:]
    return [list(live.latency_ms)] if len(live.latency_ms) else []


def _cost(latencies_ms: Sequence[float], plan: WatchPlan) -> float | None:
    """USD for 1,000 searches: their time in the engine at the price of a CPU hour."""
    if plan.limits.cpu_hour_usd <= 0.0:
        return None
    return sum(latencies_ms) / len(latencies_ms) / 3600.0 * plan.limits.cpu_hour_usd


def _sees(metrics: Sequence[Compared]) -> str:
    """What the data so far would show, and what they show."""
    seen = min((one.sees_rel for one in metrics if one.sees_rel is not None), default=1.0)
    best = max((one for one in metrics if one.at_least_rel is not None), default=None,
               key=lambda one: one.at_least_rel or 0.0)  # fmt: skip
    text = f"; a drop of {seen:.1%} would be seen by now" if seen < 1.0 else ""
    if best is not None and best.at_least_rel is not None and best.at_least_rel > -1.0:
        text += f"; {best.name} at least {best.at_least_rel:+.1%} against the hold-back"
    return text


def _in(windows: Sequence[Sequence[float]]) -> str:
    return " in two windows" if len(windows) > 1 else " in all searches so far"
