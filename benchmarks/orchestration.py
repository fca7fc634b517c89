"""What orchestration adds to a cycle: durable steps, policy, journal, registers, git, MLflow.

    python benchmarks/orchestration.py [--cycle-s 200] [--repeats 5] [--json FILE]

Whole simulated cycles on the real parts (DBOS on SQLite, a bare git repository, the tables, MLflow
on SQLite) in a fresh folder. From the time that a cycle takes are subtracted the waits it asked
for and the simulated stations' own arithmetic; all the rest is overhead, also what a wait lasts
longer than asked. The share is of a cycle of ``--cycle-s`` seconds: `predator run` takes about 200
by default, with as many looks and at most as many polls as here. What else runs on the machine
counts; the CPU time of the process stands beside the clock's.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from predator.bootstrap.governed import stores_of
from predator.bootstrap.home import Home
from predator.bootstrap.optimizer import worker_of
from predator.bootstrap.rehearsal import found_rehearsal, rehearsal_ring
from predator.config import Settings, load_settings
from predator.loop.cycle import Outcome, turn
from predator.loop.record import Record
from predator.loop.ring import Ring
from predator.ports.progress import Silent
from predator.ports.runtime import Json, Runtime
from predator.simulation.simulated_stations import Effects, SimulatedStations

TARGET_SHARE = 0.02
PAUSE_S, POLLS, LOOKS = 0.1, 160, 6
"""Time between two polls or looks here, and how many a default cycle has at most."""


@dataclass
class Meter:
    """Where the time of one cycle went, in seconds."""

    steps: int = 0
    polls: int = 0
    asked_s: float = 0.0
    late_s: float = 0.0
    stations_s: float = 0.0
    books_s: float = 0.0
    by_step: dict[str, float] = field(default_factory=dict)


class MeteredRuntime:
    """A runtime that counts."""

    def __init__(self, inner: Runtime, meter: Meter) -> None:
        self._inner, self._meter = inner, meter

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def step(self, name: str, work: Callable[[], Json]) -> Json:
        started = time.perf_counter()
        try:
            return self._inner.step(name, work)
        finally:
            self._meter.steps += 1
            kind = name.split("/", 1)[-1].split(":", 1)[0]
            took = time.perf_counter() - started
            self._meter.by_step[kind] = self._meter.by_step.get(kind, 0.0) + took

    def sleep(self, seconds: float) -> None:
        self._timed(seconds, lambda: self._inner.sleep(seconds))

    def wait(self, topic: str, timeout_s: float) -> Json | None:
        return self._timed(timeout_s, lambda: self._inner.wait(topic, timeout_s))

    def _timed(self, asked_s: float, pause: Callable[[], Json]) -> Json:
        started = time.perf_counter()
        try:
            return pause()
        finally:
            took = time.perf_counter() - started
            self._meter.polls += 1
            self._meter.asked_s += min(took, asked_s)
            self._meter.late_s += max(0.0, took - asked_s)


class MeteredRecord(Record):
    """A record that counts what its stations have written down: that is no work of theirs."""

    meter: Meter

    def decide(self, key: str, decider: str, inputs: Json) -> Json:
        return self._timed(lambda: super(MeteredRecord, self).decide(key, decider, inputs))

    def write(self, name: str, value: Any) -> Path:
        path: Path = self._timed(lambda: super(MeteredRecord, self).write(name, value))
        return path

    def _timed(self, work: Callable[[], Any]) -> Any:
        started = time.perf_counter()
        try:
            return work()
        finally:
            self.meter.books_s += time.perf_counter() - started


class MeteredStations:
    """Stations whose time counts."""

    def __init__(self, inner: SimulatedStations, meter: Meter) -> None:
        self._inner, self._meter = inner, meter

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if not callable(found):
            return found

        def timed(*given: Any) -> Any:
            started, books_s = time.perf_counter(), self._meter.books_s
            try:
                return found(*given)
            finally:
                written_s = self._meter.books_s - books_s
                self._meter.stations_s += time.perf_counter() - started - written_s

        return timed


def cycle_on(ring: Ring, meters: list[Meter]) -> Callable[[Runtime, Json], Json]:
    """The flow of a cycle, metered."""

    def flow(runtime: Runtime, asked: Json) -> Json:
        meter = Meter()
        meters.append(meter)
        record = MeteredRecord(
            ring, MeteredRuntime(runtime, meter), asked["cycle_id"], asked["trigger"],
            simulated=True,
        )  # fmt: skip
        record.meter = meter
        stations: Any = MeteredStations(SimulatedStations(Effects(offline=0.3)), meter)
        return turn(record, stations).to_json()

    return flow


def measure(settings: Settings, repeats: int) -> list[dict[str, float]]:
    """One row a cycle; the first cycle, which loads everything, is left out."""
    Home(settings).make()
    run, stores, meters = found_rehearsal(settings), stores_of(settings), list[Meter]()
    ring = rehearsal_ring(settings, run, stores, Silent())
    flows = {"cycle": cycle_on(ring, meters)}
    rows = []
    url = Home(settings).flows_url(run)
    with worker_of(url, "bench", flows, settings, queues={"cycles": 1}) as worker:
        for number in range(repeats + 1):
            trigger = {"type": "bench", "value": None, "baseline": None}
            cycle = stores.cycles.open(f"bench-{number}", settings.contour, trigger, time.time())
            asked = {"cycle_id": cycle, "contour": settings.contour, "trigger": trigger}
            started, cpu_s = time.perf_counter(), time.process_time()
            outcome = Outcome.from_json(worker.run("cycle", cycle, asked).result(None))
            took, used_s = time.perf_counter() - started, time.process_time() - cpu_s
            if not outcome.promoted:
                raise SystemExit(f"{cycle} was not promoted: {outcome.reason}")
            rows.append(row(meters[-1], took, used_s))
    stores.database.close()
    return rows[1:]


def row(meter: Meter, took_s: float, cpu_s: float) -> dict[str, float]:
    """The figures of one cycle."""
    overhead = took_s - meter.asked_s - meter.stations_s
    return {
        "steps": meter.steps,
        "waits": meter.polls,
        "took_s": took_s,
        "waits_asked_s": meter.asked_s,
        "stations_s": meter.stations_s,
        "overhead_s": overhead,
        "of_it_waits_late_s": meter.late_s,
        "of_it_busy_s": overhead - meter.late_s,
        "cpu_s": cpu_s,
        "busy_ms_per_step": 1000 * (overhead - meter.late_s) / meter.steps,
    }


def spread(rows: Sequence[dict[str, float]], cycle_s: float) -> dict[str, dict[str, float]]:
    """Smallest, median and largest of every figure, with the share of a whole cycle."""
    shared = [{**one, "share": one["overhead_s"] / cycle_s} for one in rows]
    return {
        name: {
            "min": min(one[name] for one in shared),
            "median": statistics.median(one[name] for one in shared),
            "max": max(one[name] for one in shared),
        }
        for name in shared[0]
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cycle-s", type=float, default=200, help="seconds of a real cycle")
    parser.add_argument("--repeats", type=int, default=5, help="cycles that are measured")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        settings = load_settings(
            {
                "contour": "dev-mac",
                "home": f"{folder}/home",
                "artifacts": f"{folder}/artifacts",
                "experiment_min_s": PAUSE_S * POLLS,
                "experiment_max_s": 2 * PAUSE_S * POLLS,
                "poll_s": PAUSE_S,
                "watch_looks": LOOKS,
                "watch_look_s": PAUSE_S,
                "power": 0.6,
            }
        )
        found = spread(measure(settings, options.repeats), options.cycle_s)
    print(f"{'':<20}{'min':>10}{'median':>10}{'max':>10}")
    for name, figures in found.items():
        form = "{:>10.2%}" if name == "share" else "{:>10.3f}"
        print(f"{name:<20}" + "".join(map(form.format, figures.values())))
    share = found["share"]["median"]
    reached = "reached" if share <= TARGET_SHARE else "MISSED"
    print(f"target: {TARGET_SHARE:.0%} of {options.cycle_s:g} s: {reached} ({share:.2%}, median)")
    if options.json:
        options.json.write_text(json.dumps({"cycle_s": options.cycle_s, **found}, indent=2) + "\n")


if __name__ == "__main__":
    main()
