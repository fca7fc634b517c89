"""When a running experiment is looked at, and until when."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from predator.loop.record import CycleCancelled, Record
from predator.loop.ring import Options
from predator.loop.stations import Stations
from predator.ports.runtime import Json

LONGEST_PAUSE_S = 300.0
"""However long an experiment lasts: a stop by a person has to reach it."""
LEAP_S = 60.0
"""What a turn may take beside its pause; more than that is a clock that leapt, or a sleep."""
EARLY_LOOKS, LATE_LOOKS = 4, 20
"""Looks up to the shortest duration, and from there to the longest: a few dozen, each recorded."""


def look_times(options: Options) -> Sequence[float]:
    """When an experiment is looked at, in seconds from its start: early for a loss, at the shortest
    duration, and from there evenly to the longest."""
    shortest, longest = options.experiment_min_s, options.experiment_max_s
    early = [shortest * part / EARLY_LOOKS for part in range(1, EARLY_LOOKS + 1)]
    late = [shortest + (longest - shortest) * part / LATE_LOOKS for part in range(1, LATE_LOOKS)]
    return [*early, *late, longest]


def looks_due(options: Options, elapsed_s: float) -> int:
    """How many looks there should have been; beyond the longest duration, for a machine that
    slept, they go on at the same pace."""
    times = look_times(options)
    beyond = max(0.0, elapsed_s - times[-1]) * LATE_LOOKS / times[-1]
    return sum(time <= elapsed_s for time in times) + int(beyond)


def look_until_clear(
    record: Record, stations: Stations, name: str, since: float, planned: Json, releases: Json
) -> Json:
    """The result of the look that ended the experiment.

    The shortest time is by the clock, of which a leap forward counts no more than a turn may take;
    the longest by the time that this flow was awake, so that a night in which nothing ran does not
    end an experiment.
    """
    ring, options = record.ring, record.options
    pause = max(min(1.0, options.poll_s), min(options.experiment_min_s / 200, LONGEST_PAUSE_S))
    turn, passed = 0, 0
    lived, before = 0.0, since
    looks: list[Json] = []

    def seen() -> Json:
        if (why := record.stopped("start_experiment")) is not None:
            raise CycleCancelled(f"the experiment was stopped: {why}")
        if ring.desired.read().running(name) is None:
            raise CycleCancelled(f"{name} is not on users any more: somebody ended it")
        return {"seen": stations.seen(record, name, since), "at": ring.clock.now()}

    while True:
        found = record.step(f"seen:{turn}", seen)
        most = planned["searches"]
        ring.progress.work("searches in the experiment", min(found["seen"], most), most)
        elapsed = found["at"] - since
        lived += min(max(0.0, found["at"] - before), pause + LEAP_S)
        before = found["at"]
        due = looks_due(options, elapsed)
        last = turn * pause >= options.experiment_max_s
        if due > passed or last:
            occasion = {
                "number": len(looks) + 1, "elapsed_s": min(elapsed, lived), "last": last,
                "looks": looks, "left_s": max(0.0, options.experiment_max_s - turn * pause),
            }  # fmt: skip
            result = record.step(
                f"experiment_look:{len(looks) + 1}",
                partial(stations.look_experiment, record, name, since, planned, releases, occasion),
            )
            if result["ended"]:
                return result
            ring.progress.note(f"look {len(looks) + 1}: {result['reason']}")
            passed, looks = max(due, passed), result["looks"]
        record.runtime.wait("wake", pause)
        turn += 1
