"""The end of the simulated year: the key figures as the loop sees them, and what they hide."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from predator.loop.kpi import CycleFact, kpis
from predator.simulation.year.live import STOPPED
from predator.simulation.year.loop import NEEDED
from predator.simulation.year.tally import WORSE_REL, GoneLive
from predator.simulation.year.weather import SYSTEMS
from predator.simulation.year.world import DAY_S
from predator.simulation.year.year import BEGAN, Year
from predator.statistics.clustered import clustered_difference

LATELY_DAYS = 30
EVIDENCE = ("Evaluation", "Experiment", "Policy")
"""The trailers that every promotion's commit needs, beside the release itself."""


def account(year: Year) -> dict[str, Any]:
    """Everything as plain JSON, times in days from the beginning; the same year, the same bytes."""
    tally, days = year.loop.tally, year.done
    at = BEGAN + days * DAY_S
    facts = facts_of(year)
    now = tally.look(at)
    cycles = Counter(fact.outcome or "under way" for fact in facts)
    found = {
        "days": days,
        "of_days": year.days,
        "seed": year.seed,
        "contour": year.loop.settings.contour,
        "kpis": [one.to_json() for one in kpis(facts, BEGAN, max(at, BEGAN + DAY_S))],
        "hidden": hidden(year),
        "broken_promises": broken_promises(year),
        "cycles": dict(sorted(cycles.items())),
        "experiments": dict(sorted(tally.experiments.items())),
        "experiment_s": _spread(_between(year, "experiment_started", "experiment_ended")),
        "in_line_s": _spread(_between(year, "offline_verdict", "experiment_started")),
        "causes": dict(sorted(tally.causes.items())),
        "not_successful_because": dict(sorted(tally.reasons.items())),
        "policy": dict(sorted(tally.policy.items())),
        "signals": tally.signals,
        "blind_windows": tally.blind,
        "notices": len(year.loop.governance.notifier.sent(10**6)),
        "notices_waiting": len(year.loop.governance.notifier.pending(10**6)),
        "outages_h": {
            system: _overlap_h(year.loop.weather.outages[system], BEGAN, at) for system in SYSTEMS
        },
        "attacks": [
            {"from_day": _day(one.since), "to_day": _day(one.until), "share": one.share,
             "flood": one.flood}
            for one in year.loop.weather.campaigns if one.since < at
        ],
        "went_live": [_event(one) for one in tally.gone_live],
        "truth": {
            "live": now.live,
            "gold": now.gold,
            "holdout": now.holdout,
            "series": [
                [_day(one.at), one.live, one.gold, one.holdout] for one in (*tally.samples, now)
            ],
        },
    }  # fmt: skip
    rounded: dict[str, Any] = _rounded(found)
    return rounded


def facts_of(year: Year) -> list[CycleFact]:
    """The cycles as the register has them, oldest first."""
    loop = year.loop
    live = {one.cycle: one for one in loop.tally.gone_live if not one.drill}
    found = []
    for entry in loop.governance.cycles.list(limit=10**6):
        gone = live.get(entry.cycle_id)
        found.append(
            CycleFact(
                entry.cycle_id,
                entry.requested_at,
                entry.outcome,
                entry.moments.get("offline_verdict"),
                entry.moments.get("ended"),
                None if gone is None else gone.at,
                None if gone is None else gone.gain_rel,
                None if gone is None else gone.cost_delta_rel,
            )
        )
    return sorted(found, key=lambda one: (one.requested_at, one.cycle_id))


def hidden(year: Year) -> dict[str, Any]:
    """What nobody in the loop could know, and what a key figure would not show."""
    tally = year.loop.tally
    gone = [one for one in tally.gone_live if not one.drill]
    drills = [one for one in tally.gone_live if one.drill]
    losses = [one for one in gone if one.worse]
    back = [one for one in gone if one.rolled_back]
    caught = [one.detected_s for one in losses + drills if one.detected_s is not None]
    restored = [one.restored_s for one in tally.gone_live if one.restored_s is not None]
    now = tally.look(BEGAN + year.done * DAY_S)
    return {
        "gain_vs_holdout": gain_vs_holdout(year, year.done),
        "gain_vs_holdout_lately": gain_vs_holdout(year, LATELY_DAYS),
        "true_gain_vs_holdout": now.live / now.holdout - 1,
        "went_live": len(gone),
        "false_promotions": sum(one.made_gain_rel <= 0 for one in gone),
        "harmful_promotions": sum(one.made_gain_rel <= -WORSE_REL for one in gone),
        "true_gain_rel_of_promotions": _mean([one.made_gain_rel for one in gone]),
        "rollbacks": len(back),
        "false_rollbacks": sum(one.true_gain_rel >= 0 and not one.slow for one in back),
        "rollbacks_while_policy_was_down": sum(one.why.startswith(STOPPED) for one in back),
        "regressions": len(losses),
        "missed_regressions": sum(one.decision == "KEEP" for one in losses),
        "drills": len(drills),
        "drills_caught": sum(one.decision == "ROLL_BACK" for one in drills),
        "time_to_detect_s": _spread(caught),
        "time_to_restore_s": _spread(restored),
        "hours_worse_than_gold": tally.worse_s / 3_600,
        "worse_than_gold_at_the_end": int(now.live < now.gold * (1 - WORSE_REL)),
    }


def gain_vs_holdout(year: Year, days: int) -> dict[str, float] | None:
    """click-MRR of everybody against the global hold-out over the last ``days``, by user, with its
    95% interval; ``None`` before there is anything to compare."""
    panel = year.panel
    if not panel.held or days < 1:
        return None
    found = clustered_difference(
        np.concatenate(panel.held_users[-days:]),
        np.concatenate(panel.held[-days:]),
        np.concatenate(panel.users[-days:]),
        np.concatenate(panel.rest[-days:]),
    )
    return {
        "delta_rel": found.delta_rel,
        "ci_low": found.ci_low,
        "ci_high": found.ci_high,
        "searches": found.n_a + found.n_b,
        "users": found.users_a + found.users_b,
    }


def broken_promises(year: Year) -> list[str]:
    """What must never happen and did; empty is the only good answer."""
    tally, facts = year.loop.tally, year.loop.facts
    broken = []
    for one in tally.gone_live:
        if set(one.down) & set(NEEDED):
            broken.append(f"{one.version} went live while {', '.join(one.down)} did not answer")
        if one.drill:
            continue
        fact = facts[one.cycle]
        if not (set(EVIDENCE) <= set(one.evidence) and fact.offline == fact.experiment == "PASS"):
            broken.append(f"{one.version} went live without a PASS of gate, experiment and policy")
    if hidden(year)["worse_than_gold_at_the_end"]:
        broken.append(f"{tally.live.name} is live, and worse than the best release kept")
    return broken


def _between(year: Year, first: str, then: str) -> list[float]:
    """Seconds between two moments of the cycles that came to both."""
    moments = [entry.moments for entry in year.loop.governance.cycles.list(limit=10**6)]
    return [at[then] - at[first] for at in moments if first in at and then in at]


def _event(gone: GoneLive) -> dict[str, Any]:
    return {
        "day": _day(gone.at),
        "cycle": gone.cycle,
        "version": gone.version,
        "kind": gone.kind,
        "drill": gone.drill,
        "made_gain_rel": gone.made_gain_rel,
        "true_gain_rel": gone.true_gain_rel,
        "gain_rel": gone.gain_rel,
        "cost_delta_rel": gone.cost_delta_rel,
        "slow": gone.slow,
        "decision": gone.decision,
        "why": gone.why,
        "detected_s": gone.detected_s,
        "restored_s": gone.restored_s,
    }


def _day(at: float) -> float:
    return (at - BEGAN) / DAY_S


def _overlap_h(spells: Sequence[tuple[float, float]], since: float, until: float) -> float:
    return sum(max(0.0, min(b, until) - max(a, since)) for a, b in spells) / 3_600


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _spread(values: Sequence[float]) -> dict[str, float] | None:
    if not values:
        return None
    return {"n": len(values), "median": float(np.median(values)), "most": float(max(values))}


def _rounded(value: Any) -> Any:
    """To what another machine's last bit cannot change."""
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, dict):
        return {name: _rounded(below) for name, below in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(below) for below in value]
    return value
