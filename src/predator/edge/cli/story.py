"""The story of ``predator run``: users search, the world shifts, the ring turns, a drill."""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from predator.bootstrap.governed import Stores
from predator.bootstrap.home import Run
from predator.bootstrap.labels import seal_labels
from predator.config import Settings
from predator.domain.errors import PredatorError
from predator.domain.readings import Reading, Value
from predator.edge.cli.local import feed, wait_for_documents, wait_for_vectors
from predator.edge.cli.progress import ConsoleProgress
from predator.loop.contract import row
from predator.loop.cycle import turn
from predator.loop.drill import DRILL, drill
from predator.loop.labels import Labels
from predator.loop.monitor import Assessment, detect
from predator.loop.observe import judged_ndcg
from predator.loop.real_stations import SETTLE_S, RealStations
from predator.loop.record import LOOP, Record
from predator.loop.ring import Ring, Sources
from predator.loop.stations import Situation
from predator.policy.decision import Principal
from predator.policy.gates import Gate
from predator.ports.progress import Silent
from predator.ports.runtime import Json, Runtime
from predator.simulation.local_world import LocalWorld
from predator.simulation.processes import UsersProcess

WARM_S = 10.0
"""Traffic that users bring before a story that was stopped goes on: plans look at the newest."""


class Stage:
    """Everything that is up while the ring turns. Users come when they are first needed."""

    def __init__(
        self,
        settings: Settings,
        run: Run,
        world: LocalWorld,
        ring: Ring,
        sources: Sources,
        gates: Mapping[str, Gate],
        url: str,
        stores: Stores,
        progress: ConsoleProgress,
    ) -> None:
        self.settings, self.ring, self.sources, self.gates = settings, ring, sources, gates
        self.world, self.url, self.progress, self.stores = world, url, progress, stores
        self.run = run
        self._users: UsersProcess | None = None
        self._wave = 0

    def labels(self, wave: int) -> Labels:
        return self.world.labels(wave, self.settings.training_queries, self.settings.gold_queries)

    def sealed(self, wave: int) -> Labels:
        """The same with a sealed Gold set, which supersedes that of the wave before; what the
        platform's optimizer goes by from now on."""
        return seal_labels(self.run, self.labels(wave), self.world.known_documents(wave))

    def situate(self, wave: int) -> None:
        """What users ask about from now on."""
        self._wave = wave
        if self._users is not None:
            self._users.ask(self.world.mix(wave))

    def users(self) -> UsersProcess:
        """The users, who have searched for a while when this returns."""
        if self._users is None:
            settings = self.settings
            self.progress.station(
                "users", f"{settings.rate_per_s:g} searches a second, simulated, over HTTP"
            )
            self._users = UsersProcess(
                self.url, self.run.folder / "world.json", self.run.folder / "users.log",
                rate=settings.rate_per_s, users=settings.users, seed=settings.seed,
                mix=self.world.mix(self._wave),
            )  # fmt: skip
        return self._users

    def warm_up(self) -> None:
        """Users for a story that goes on: enough of them that the newest traffic says something."""
        if self._users is None:
            self.users()
            pass_time(self.progress, "users are coming back", WARM_S)

    def finish(self) -> dict[str, Any]:
        """Send the users home; what they saw."""
        return self._users.finish() if self._users is not None else {}

    def stop(self) -> None:
        if self._users is not None:
            self._users.stop()


def story(stage: Stage, runtime: Runtime, cycles: int) -> Json:
    """Feed, watch, shift, turn the ring as often as asked, and drill.

    A watch that could not judge a release ends the story there: ``waits`` names its version.
    """
    runtime.step("feed", lambda: _feed(stage))
    outcomes: list[Json] = []
    wave = 0
    for number in range(cycles):
        baseline = runtime.step(f"baseline:{number}", lambda w=wave: _baseline(stage, w))  # type: ignore[misc]
        newest = min(wave + 1, len(stage.world.waves) - 1)
        shifts = newest > wave
        wave = newest
        situation = Situation.from_json(
            runtime.step(
                f"monitor:{number}",
                lambda w=wave, s=shifts, b=baseline: _monitor(stage, w, b, shifts=s),  # type: ignore[misc]
            )
        )
        stage.situate(wave)
        labels = stage.sealed(wave)
        record = _record(stage, runtime, f"cycle:{number}", situation.trigger, LOOP)
        stage.progress.station("cycle", f"{record.cycle_id} ({number + 1} of {cycles})")
        stage.warm_up()
        stations = RealStations(stage.sources, labels, situation, stage.gates)
        outcome = turn(record, stations)
        outcomes.append(outcome.to_json())
        if outcome.undecided:
            waits = outcome.release_after.version
            return {"outcomes": outcomes, "drill": None, "waits": waits}
    stage.warm_up()
    labels = stage.sealed(wave)
    record = _record(stage, runtime, "drill", {"type": "drill"}, DRILL)
    stations = RealStations(stage.sources, labels, situation, stage.gates)
    return {"outcomes": outcomes, "drill": drill(record, stations), "waits": None}


def _record(
    stage: Stage, runtime: Runtime, key: str, trigger: Mapping[str, Any], principal: Principal
) -> Record:
    """A cycle in the register, on the record."""
    ring = stage.ring

    def register() -> Json:
        return ring.governance.cycles.open(
            f"{runtime.flow_id}:{key}", ring.options.contour, dict(trigger), ring.clock.now()
        )

    cycle_id = str(runtime.step(f"register:{key}", register))
    return Record(ring, runtime, cycle_id, trigger, principal)


def _feed(stage: Stage) -> Json:
    feed(stage.url, stage.world.waves[0], stage.progress)
    wait_for_documents(stage.url, stage.progress)
    return len(stage.world.waves[0])


def _baseline(stage: Stage, wave: int) -> Json:
    """NDCG@10 of the healthy traffic over three windows, and when they were."""
    stage.situate(wave)
    stage.users()
    wait_for_vectors(stage.url, stage.progress)
    stage.progress.station("monitor", "taking the baseline")
    since = time.time()
    pass_time(stage.progress, "baseline windows", 3 * stage.settings.window_s)
    reading = judged_ndcg(
        stage.sources.feedback.impressions(since, time.time() - SETTLE_S),
        stage.labels(wave),
        time.time(),
    )
    if not isinstance(reading, Value):
        raise PredatorError(f"the baseline cannot be measured: {reading}")
    stage.progress.note(f"NDCG@10 {reading.value:.3f} over {reading.n} judged searches")
    situation = Situation(None, reading, since, time.time(), since, since)
    return situation.to_json()


def _monitor(stage: Stage, wave: int, baseline: Json, *, shifts: bool) -> Json:
    """Users begin to ask about what is new while it is still on its way in; windows are watched
    until the contract's NDCG row fires, or the schedule starts the cycle."""
    stage.users()
    before = Situation.from_json(baseline)
    started = time.time()
    readings: list[Reading] = []
    found = Assessment(None, "no window yet")
    with ThreadPoolExecutor(1, thread_name_prefix="arrivals") as background:
        arriving = background.submit(_shift, stage, wave) if shifts else None
        for _ in range(stage.settings.windows_max):
            opened = time.time()
            pass_time(stage.progress, "monitoring window", stage.settings.window_s)
            reading = judged_ndcg(
                stage.sources.feedback.impressions(opened - SETTLE_S, time.time() - SETTLE_S),
                stage.labels(wave),
                time.time(),
            )
            readings.append(reading)
            shown = (
                f"{reading.value:.3f} (n = {reading.n})" if isinstance(reading, Value) else reading
            )
            needed = stage.settings.windows_needed
            found = detect(row("ndcg_at_10"), before.baseline, readings, needed)
            stage.progress.note(f"NDCG@10 {shown} · {found.reason}")
            if found.signal is not None:
                break
        if arriving is not None:
            arriving.result()
    if found.signal is None:
        why = f"the monitor is blind ({found.reason})" if found.blind else "no signal fired"
        stage.progress.note(f"{why}: the schedule starts this cycle")
    else:
        stage.progress.station("signal", f"{found.signal.trigger}: {found.signal.delta_rel:+.1%}")
    until = time.time()
    wait_for_documents(stage.url, stage.progress)
    wait_for_vectors(stage.url, stage.progress)
    situation = Situation(
        found.signal, before.baseline, before.baseline_since, before.baseline_until, started, until
    )
    return situation.to_json()


def _shift(stage: Stage, wave: int) -> None:
    documents = stage.world.waves[wave]
    stage.progress.station("shift", f"{len(documents)} new documents, and queries about them")
    stage.situate(wave)
    feed(stage.url, documents, Silent(), pause_s=stage.settings.arrival_s)


def pass_time(progress: ConsoleProgress, what: str, seconds: float) -> None:
    """Wait, and show how long."""
    started = time.monotonic()
    while (gone := time.monotonic() - started) < seconds:
        progress.work(what, int(gone * 10), int(seconds * 10))
        time.sleep(min(0.2, seconds - gone))
    progress.work(what, 1, 1)
