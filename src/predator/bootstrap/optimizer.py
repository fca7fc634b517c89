"""The worker: durable flows of a contour on one platform, and what starts them."""

from __future__ import annotations

import hashlib
import socket
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from predator.bootstrap.governed import Stores
from predator.bootstrap.home import Home, Run
from predator.bootstrap.labels import gold_now, labels_of
from predator.bootstrap.rehearsal import rehearsal_ring
from predator.bootstrap.ring import quality_gates_of, ring_of, sources_of
from predator.config import Settings, load_contour
from predator.contours.meaning import budget_alert, next_cycle
from predator.contours.mock import mock_readings
from predator.domain.errors import InputError, PredatorError
from predator.domain.governance import Notice
from predator.domain.readings import Value
from predator.loop import queues as lines
from predator.loop.gold.readings import told

if TYPE_CHECKING:
    from predator.adapters.runtime.dbos_worker import DbosWorker
    from predator.loop.record import Record
    from predator.loop.stations import Situation, Stations
    from predator.policy.decision import Principal
    from predator.ports.progress import Progress
    from predator.ports.runtime import Flow, Json, Runtime

OWN_AT_ONCE = 4
SCHEDULED = {"type": "scheduled", "value": None, "baseline": None}


def worker_of(
    url: str,
    executor_id: str,
    flows: Mapping[str, Flow],
    settings: Settings,
    *,
    queues: Mapping[str, int],
) -> DbosWorker:
    """A worker on the flows' database; what it left unfinished goes on at once."""
    from predator.adapters.runtime.dbos_worker import DbosWorker

    return DbosWorker(
        url,
        executor_id,
        flows,
        queues={**queues, lines.own(executor_id): OWN_AT_ONCE},
        heartbeat_s=settings.worker_heartbeat_s,
        lease_s=settings.worker_lease_s,
        poll_s=min(0.15, settings.poll_s),
    )


def finished(worker: DbosWorker, executor_id: str, flow: str, flow_id: str, arguments: Json) -> Any:
    """Run a flow that only this worker can run, or go on with it; its result."""
    worker.flows.enqueue(flow, flow_id, arguments, queue=lines.own(executor_id))
    return worker.run(flow, flow_id, arguments).result(None)


def executor_of(settings: Settings) -> str:
    """The lasting name of this worker: the one set, or one made of host and home."""
    if settings.executor_id:
        return settings.executor_id
    place = f"{socket.gethostname()}:{Home(settings).root}"
    return f"worker-{hashlib.sha256(place.encode()).hexdigest()[:12]}"


class Optimizer:
    """The loop beside one running platform: its flows, its timetable, its monitor."""

    def __init__(
        self, settings: Settings, run: Run, url: str, stores: Stores, progress: Progress
    ) -> None:
        self._settings, self._run, self._stores, self._progress = settings, run, stores, progress
        self.contour = load_contour(settings)
        self.simulated = self.contour.self_improvement.mock_signals
        self._ring = (
            rehearsal_ring(settings, run, stores, progress)
            if self.simulated
            else ring_of(settings, run, url, stores, progress)
        )
        self._stop = threading.Event()
        self._said = ""

    def flows(self) -> Mapping[str, Flow]:
        """By the names under which histories know them."""
        from predator.loop.keep import keep_flow
        from predator.loop.people import roll_back_flow
        from predator.loop.release.promotion_flow import promotion_flow

        return {
            "cycle": self._cycle,
            "drill": self._drill,
            "keep": keep_flow(self._register),
            "promotion": promotion_flow(self._register, self._watching),
            "rollback": roll_back_flow(self._register),
        }

    def queues(self, concurrency: int) -> Mapping[str, int]:
        """How many flows of each queue this worker runs at once."""
        contour = self._settings.contour
        return {lines.cycles(contour): concurrency, lines.urgent(contour): 2}

    def keep_time(self, worker: DbosWorker) -> threading.Thread:
        """Start scheduled cycles and those of signals, until :meth:`stop`; on a thread."""
        thread = threading.Thread(
            target=self._keep_time, args=(worker,), name="timetable", daemon=True
        )
        thread.start()
        return thread

    def stop(self) -> None:
        self._stop.set()

    def _cycle(self, runtime: Runtime, asked: Json) -> Json:
        from predator.loop.cycle import turn
        from predator.loop.ending import fail
        from predator.loop.record import Record
        from predator.loop.stations import Situation

        if asked["contour"] != self._settings.contour:
            raise InputError(
                f"the cycle is for {asked['contour']}, this worker serves {self._settings.contour}"
            )
        record = Record(
            self._ring, runtime, asked["cycle_id"], asked["trigger"], simulated=self.simulated
        )
        if self.simulated:
            from predator.simulation.simulated_stations import SimulatedStations

            return turn(record, SimulatedStations(seed=self._settings.seed)).to_json()
        from predator.loop.real_stations import RealStations

        try:
            situation = record.step(
                "situation", lambda: asked.get("situation") or self._situation()[0].to_json()
            )
            stations = RealStations(
                self._sources(), labels_of(self._run), Situation.from_json(situation),
                quality_gates_of(self._settings),
            )  # fmt: skip
        except Exception as error:  # before the ring: it ends on record all the same
            fail(record, error)
            raise
        return turn(record, stations).to_json()

    def _drill(self, runtime: Runtime, asked: Json) -> Json:
        from predator.loop.drill import DRILL, drill
        from predator.loop.ending import fail
        from predator.loop.record import Record
        from predator.loop.stations import Situation

        record = Record(
            self._ring, runtime, asked["cycle_id"], asked["trigger"], DRILL,
            simulated=self.simulated,
        )  # fmt: skip
        if self.simulated:
            from predator.simulation.simulated_stations import SimulatedStations

            return drill(record, SimulatedStations(seed=self._settings.seed))
        from predator.loop.real_stations import RealStations

        try:
            now = float(record.step("now", self._ring.clock.now))
            stations = RealStations(
                self._sources(), labels_of(self._run), Situation.of_a_drill(now),
                quality_gates_of(self._settings),
            )  # fmt: skip
        except Exception as error:  # before the drill: it ends on record all the same
            fail(record, error)
            raise
        return drill(record, stations)

    def _register(self, runtime: Runtime, key: str, trigger: Json, principal: Principal) -> Record:
        from predator.loop.record import Record

        ring = self._ring

        def register() -> str:
            return ring.governance.cycles.open(
                f"{runtime.flow_id}:{key}", self._settings.contour, trigger, ring.clock.now()
            )

        cycle_id = str(runtime.step(f"register:{key}", register))
        return Record(ring, runtime, cycle_id, trigger, principal, simulated=self.simulated)

    def _watching(self, record: Record) -> Stations:
        """Stations for a release that was made elsewhere: they only watch it, which a contour
        without judged queries can do too."""
        from predator.loop.labels import Labels
        from predator.loop.real_stations import RealStations
        from predator.loop.stations import Situation
        from predator.simulation.simulated_stations import SimulatedStations

        if self.simulated:
            return SimulatedStations(seed=self._settings.seed)
        judged = (self._run.folder / "labels.json").exists()
        labels = labels_of(self._run) if judged else Labels((), (), (), {})
        return RealStations(
            self._sources(), labels, Situation.unobserved(record.ring.clock.now()),
            quality_gates_of(self._settings),
        )  # fmt: skip

    def _sources(self) -> Any:
        from predator.search.encoder.onnx_encoder import OnnxEncoder

        home = Home(self._settings)
        files = home.encoder_files()
        return sources_of(self._settings, self._run, OnnxEncoder(files), files, self._progress)

    def _situation(self) -> tuple[Situation, str]:
        """What the monitor sees now; ``PredatorError`` where it has nothing to compare with."""
        from predator.adapters.platform.records import PlatformRecords
        from predator.loop.timetable import situation_of

        live = self._ring.desired.read().release
        since = max(
            (c.at for c in self._ring.desired.gitops.log(1000)
             if c.trailers.get("Cycle") == live.cycle),
            default=0.0,
        )  # fmt: skip
        found, assessment = situation_of(
            PlatformRecords(self._run.database), labels_of(self._run), since, time.time(),
            self._settings.window_s, self._settings.windows_needed,
        )  # fmt: skip
        if found is None:
            raise PredatorError(f"the monitor is blind: {assessment.reason}")
        return found, assessment.reason

    def _keep_time(self, worker: DbosWorker) -> None:
        from predator.loop.release.contour_follow import Follower
        from predator.loop.timetable import Timetable

        follower = Follower(
            self._settings.contour, self._ring.desired.gitops, self._ring.releases, worker.flows
        )
        table = Timetable(
            self._settings.contour,
            self._stores.cycles,
            worker.flows,
            lambda last: next_cycle(self.contour, last).at,
            time.time(),
        )
        looked = time.time()
        alerted = gold_said = ""
        while not self._stop.wait(min(1.0, self._settings.poll_s)):
            try:
                now = time.time()
                started = table.tick(now, self.scheduled())
                if not self.simulated and now - looked >= self._settings.window_s:
                    looked = now
                    if (coming := follower.look()) is not None:
                        self._say(f"{coming} was asked for")
                    situation, _ = self._situation()
                    started = table.signal(
                        situation, now, self.contour.self_improvement.cycle_interval_s
                    )
                    gold_said = self._watch_gold(now, gold_said)
                started = table.drill(now, self._settings.drill_every_s) or started
                alerted = self._watch_the_budget(now, alerted)
                if started is not None:
                    self._say(f"cycle {started} was asked for")
            except Exception as error:  # this thread ends with the worker, and not before
                self._say(f"{type(error).__name__}: {error}")

    def _watch_gold(self, now: float, said: str) -> str:
        """Tell how stale the Gold set is, whenever that has changed by a percent."""
        found = gold_now(self._run, now)
        text = f"Gold {found.sealed.gold.version}: {told(found.readings)}"
        if text != said:
            self._progress.note(text)
        return text

    def _watch_the_budget(self, now: float, alerted: str) -> str:
        """Tell people, once a month, that ``kubecost.budgetAlert`` percent of it are spent."""
        governance, contour = self._ring.governance, self._settings.contour
        month = time.strftime("%Y-%m", time.gmtime(now))
        if month == alerted:
            return alerted
        spend = self._stores.limits.spent(contour, now)
        spent, budget = spend.charged_usd + spend.reserved_usd, governance.budget_usd()
        if not budget_alert(self.contour, spent, budget):
            return alerted
        governance.notifier.notify(
            Notice(
                f"budget:{contour}:{month}",
                "warning",
                f"The budget of {contour} is nearly spent",
                f"{spent:.2f} of {budget:.2f} USD in {month}",
                contour,
            )
        )
        return month

    def _say(self, text: str) -> None:
        """The same thing again is no news."""
        if text != self._said:
            self._said = text
            self._progress.note(text)

    def scheduled(self) -> dict[str, Any]:
        """What a scheduled cycle is triggered by; mock signals where the contour has those."""
        if not self.simulated:
            return SCHEDULED
        mocked = mock_readings(self.contour, time.time()).get("ndcg_at_10")
        value = mocked.value if isinstance(mocked, Value) else None
        return {"type": "mock_signal", "value": value, "baseline": None}
