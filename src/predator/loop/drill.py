"""The drill: a deliberately bad release is pushed the same way, and must be caught and undone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from predator.domain.verdicts import WatchDecision
from predator.loop.ending import fail
from predator.loop.live import run_watch, stand_in_line
from predator.loop.record import Record
from predator.loop.rollback import IN_GIT_S, TRAFFIC_BACK_S, Restored, roll_back
from predator.loop.stations import Stations
from predator.policy.decision import Principal
from predator.ports.runtime import Json
from predator.search.desired import Holdback, LiveRelease

DRILL = Principal("drill", "scheduled drill")
OPERATOR = Principal("operator", "scheduled drill")
"""Who takes the bad release back: to push it and to roll it back are two different rights."""


@dataclass(frozen=True, slots=True)
class Drilled:
    """What the drill showed. ``detected_s`` counts from the moment the bad release was live."""

    caught: bool
    detected_s: float | None
    restored: Restored | None
    looks: Sequence[dict[str, Any]]

    def to_json(self) -> dict[str, Any]:
        restored = self.restored
        return {
            "caught": self.caught,
            "detected_s": self.detected_s,
            "restored_s": restored.restored_s if restored else None,
            "git_s": restored.git_s if restored else None,
            "reverts": restored.reverts if restored else 0,
            "looks": list(self.looks),
        }


def drill(record: Record, stations: Stations) -> Json:
    """Push a bad release, watch it, roll it back; :meth:`Drilled.to_json` of what came of it.

    ``record`` belongs to the principal :data:`DRILL`.
    """
    try:
        record.begin()
        found = _drill(record, stations).to_json()
        record.step("drill.json", lambda: record.write("drill.json", found).name)
        record.notify("drilled", *_news(found, record.options.contour))
        record.close("success" if found["caught"] else "missed", rollback_available=True)
    except Exception as error:
        record.principal = OPERATOR
        fail(record, error)
        raise
    return found


def _drill(record: Record, stations: Stations) -> Drilled:
    ring = record.ring
    ring.progress.station("drill", "a deliberately bad release is pushed the same way")
    stand_in_line(record, "drill")
    opened = record.step("bad_release", lambda: _prepared(record, stations))
    good, bad = LiveRelease(**opened["good"]), opened["bad"]
    release = LiveRelease(f"{good.version}-drill", bad, record.cycle_id)
    holdback = Holdback(
        f"watch-{record.cycle_id}", good.digest, opened["baseline"]["plan"]["share"]
    )

    def push() -> str:
        if (made := ring.desired.release_commit(record.cycle_id)) is not None:
            return made  # before a crash: ``good`` is not live any more, and need not be
        return ring.desired.set_release(
            release,
            holdback,
            f"Drill: push a deliberately bad release ({record.cycle_id})",
            {"Cycle": record.cycle_id, "Step": "drill", "Release": bad},
            replaces=good,
        )

    def live() -> Json:
        ring.deployer.wait(str(revision), 30)
        return ring.clock.now()

    revision = record.act("deploy", "drill", push, lambda made: {"gitops_revision": made})
    since = float(record.step("deploy:applied", live))
    looks, decision = run_watch(record, stations, good, opened["baseline"], permit="drill")
    caught = decision == WatchDecision.ROLL_BACK
    seen = float(record.step("drill:seen", ring.clock.now))
    why = looks[-1]["reason"] if caught else "the drill was not caught by the watch"
    record.principal = OPERATOR
    restored = roll_back(record, str(revision), good, why)
    return Drilled(caught, round(seen - since, 3) if caught else None, restored, looks)


def _news(found: Json, contour: str) -> tuple[str, str, str]:
    """Severity, title and text of what people are told."""
    if not found["caught"]:
        return (
            "critical",
            f"The drill on {contour} was missed",
            f"a deliberately bad release was not caught in {len(found['looks'])} looks; it was "
            f"taken back all the same",
        )
    back, in_git = found["restored_s"], found["git_s"]
    late = back is None or back > TRAFFIC_BACK_S or in_git > IN_GIT_S or found["reverts"] != 1
    traffic = (
        "nobody searched, so when traffic was back is not known"
        if back is None
        else f"traffic back {back:.2f} s after the decision"
    )
    text = (
        f"caught after {found['detected_s']:.0f} s; {traffic}; "
        f"git after {in_git:.1f} s, by {found['reverts']} commit"
    )
    if late:
        text += f"; {TRAFFIC_BACK_S:g} s, {IN_GIT_S:g} s and 1 commit are what was promised"
    return "warning" if late else "info", f"Drill on {contour}", text


def _prepared(record: Record, stations: Stations) -> Json:
    good = asdict(record.ring.desired.read().release)
    return {
        "good": good,
        "bad": stations.bad_release(record, good),
        "baseline": stations.watch_baseline(record, good),
    }
