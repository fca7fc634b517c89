"""``predator run``: the platform with users, a shift of the world, and the ring's turns."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from predator.bootstrap import (
    FIRST_VERSION,
    Home,
    Run,
    collection_of,
    found_platform,
    next_cycle_id,
    ring_of,
)
from predator.config import Settings
from predator.domain.errors import PredatorError
from predator.domain.readings import Reading, Value
from predator.edge.cli.local import feed, wait_for_documents, wait_for_vectors
from predator.edge.cli.options import check_writable, passed_on, settings_from, write_json
from predator.edge.cli.progress import ConsoleProgress
from predator.edge.cli.serve import bind
from predator.edge.cli.summary import print_summary, to_json
from predator.learning.categories import learn_rules
from predator.loop.contract import row
from predator.loop.cycle import Outcome, turn
from predator.loop.drill import Drilled, drill
from predator.loop.labels import Labels
from predator.loop.monitor import Assessment, detect
from predator.loop.observe import judged_ndcg
from predator.loop.ring import Ring
from predator.loop.stations import Situation
from predator.ports.progress import Silent
from predator.search.encoder.onnx_encoder import OnnxEncoder
from predator.simulation.local_world import LocalWorld, answerable, plan_world
from predator.simulation.processes import PlatformProcess, UsersProcess

SETTLE_S = 1.5


@dataclass(frozen=True)
class Stage:
    """Everything that is up while the ring turns."""

    settings: Settings
    home: Home
    run: Run
    world: LocalWorld
    ring: Ring
    url: str
    users: UsersProcess
    progress: ConsoleProgress
    background: ThreadPoolExecutor

    def labels(self, wave: int) -> Labels:
        return self.world.labels(wave, self.settings.training_queries, self.settings.gold_queries)


def run_local(
    data: Path | None,
    cycles: int,
    seed: int | None,
    json_file: Path | None,
    missing_docs: str,
    pairs: Sequence[str],
) -> None:
    """The whole story, with a summary at the end."""
    started = time.monotonic()
    signal.signal(signal.SIGTERM, _as_ctrl_c)
    settings = settings_from(pairs, seed=seed)
    check_writable(json_file)
    if settings.port:
        bind(settings.host, settings.port).close()
    Home(settings).make()
    progress = ConsoleProgress()
    try:
        with ExitStack() as stack:
            stack.callback(progress.close)
            stage = _bring_up(settings, data, cycles, missing_docs, progress, stack)
            outcomes, drilled = _turn_the_ring(stage, cycles)
            traffic = stage.users.finish()
            log = stage.ring.desired.history()
    except KeyboardInterrupt:
        sys.stderr.write("interrupted: everything is stopped and taken back, caches are kept\n")
        raise
    result = to_json(outcomes, drilled, traffic, time.monotonic() - started, stage.run.folder, log)
    print_summary(result, outcomes, progress.console, settings)
    if json_file is not None:
        write_json(json_file, result)
    if not traffic.get("final"):
        raise PredatorError(
            "the simulated users stopped before the end, so what they show is not whole",
            cure=f"see {stage.run.folder / 'users.log'}",
        )


def _as_ctrl_c(_number: int, _frame: object) -> None:
    """Being told to stop ends a run like ctrl-C: in order, with everything taken back."""
    raise KeyboardInterrupt


def _bring_up(
    settings: Settings,
    data: Path | None,
    cycles: int,
    missing_docs: str,
    progress: ConsoleProgress,
    stack: ExitStack,
) -> Stage:
    home = Home(settings)
    progress.station("corpus", str(data) if data else "docstrings of the installed packages")
    collection = collection_of(data, home, missing_docs, min(cycles + 1, 4), progress)
    progress.note(
        f"{len(collection.documents)} documents, {len(collection.queries)} queries, "
        f"content {collection.digest[:12]}"
    )
    queries = answerable(collection)
    progress.station("encoder", "MiniLM from its safetensors" if settings.model is None else "")
    files = home.encoder_files(progress.note)
    rules = learn_rules(collection.documents, settings.seed)
    vectors = home.encode_all(files, progress, "encoding queries", 2)([q.text for q in queries])
    world = plan_world(collection, rules, np.asarray(vectors), queries, settings.seed)

    run = home.new_run(collection.name)
    found_platform(run, files, rules, collection.name, settings.contour)
    progress.station("platform", f"{FIRST_VERSION}: BM25 + dense by RRF, in its own process")
    platform = PlatformProcess(run.folder, run.folder / "platform.log", passed_on(settings))
    stack.callback(platform.stop)
    url = platform.wait_ready()
    home.point_current(run)
    progress.note(f"{url} (API: {url}/docs, metrics: {url}/metrics)")
    feed(url, world.waves[0], progress)
    wait_for_documents(url, progress)

    world_file = run.folder / "world.json"
    world_file.write_text(json.dumps({"groups": world.questions()}))
    progress.station("users", f"{settings.rate_per_s:g} searches a second, simulated, over HTTP")
    users = UsersProcess(
        url, world_file, run.folder / "users.log", rate=settings.rate_per_s,
        users=settings.users, seed=settings.seed, mix=world.mix(0),
    )  # fmt: skip
    stack.callback(users.stop)
    ring = ring_of(settings, run, url, OnnxEncoder(files), files, progress)
    background = ThreadPoolExecutor(1, thread_name_prefix="arrivals")
    stack.callback(background.shutdown, wait=False, cancel_futures=True)
    return Stage(settings, home, run, world, ring, url, users, progress, background)


def _turn_the_ring(stage: Stage, cycles: int) -> tuple[list[Outcome], Drilled]:
    wait_for_vectors(stage.url, stage.progress)
    outcomes: list[Outcome] = []
    wave = 0
    for number in range(cycles):
        since = time.time()
        labels = stage.labels(wave)
        baseline = _baseline(stage, labels)
        until = time.time()
        arriving: Future[None] | None = None
        if wave + 1 < len(stage.world.waves):
            wave += 1
            arriving = _shift(stage, wave)
        situation = _monitor(stage, stage.labels(wave), baseline, since, until)
        if arriving is not None:
            arriving.result()
        wait_for_documents(stage.url, stage.progress)
        wait_for_vectors(stage.url, stage.progress)
        cycle_id = next_cycle_id(stage.home.artifacts, datetime.now(UTC))
        stage.progress.station("cycle", f"{cycle_id} ({number + 1} of {cycles})")
        outcomes.append(turn(stage.ring, cycle_id, situation, stage.labels(wave)))
    drill_id = next_cycle_id(stage.home.artifacts, datetime.now(UTC))
    drilled = drill(stage.ring, drill_id, stage.labels(wave))
    return outcomes, drilled


def _baseline(stage: Stage, labels: Labels) -> Value:
    """NDCG@10 of the healthy traffic over three windows."""
    stage.progress.station("monitor", "taking the baseline")
    started = time.time()
    _pass(stage, "baseline windows", 3 * stage.settings.window_s)
    reading = judged_ndcg(
        stage.ring.feedback.impressions(started, time.time() - SETTLE_S), labels, time.time()
    )
    if not isinstance(reading, Value):
        raise PredatorError(f"the baseline cannot be measured: {reading}")
    stage.progress.note(f"NDCG@10 {reading.value:.3f} over {reading.n} judged searches")
    return reading


def _shift(stage: Stage, wave: int) -> Future[None]:
    """Users begin to ask about what is new while it is still on its way in."""
    documents = stage.world.waves[wave]
    stage.progress.station("shift", f"{len(documents)} new documents, and queries about them")
    stage.users.ask(stage.world.mix(wave))
    return stage.background.submit(
        feed, stage.url, documents, Silent(), pause_s=stage.settings.arrival_s
    )


def _monitor(
    stage: Stage, labels: Labels, baseline: Value, since: float, until: float
) -> Situation:
    """Watch windows until the contract's NDCG row fires, or the schedule starts the cycle."""
    started = until
    readings: list[Reading] = []
    found = Assessment(None, "no window yet")
    for _ in range(stage.settings.windows_max):
        opened = time.time()
        _pass(stage, "monitoring window", stage.settings.window_s)
        reading = judged_ndcg(
            stage.ring.feedback.impressions(opened - SETTLE_S, time.time() - SETTLE_S),
            labels,
            time.time(),
        )
        readings.append(reading)
        shown = f"{reading.value:.3f} (n = {reading.n})" if isinstance(reading, Value) else reading
        found = detect(row("ndcg_at_10"), baseline, readings, stage.settings.windows_needed)
        stage.progress.note(f"NDCG@10 {shown} · {found.reason}")
        if found.signal is not None:
            break
    if found.signal is None:
        why = f"the monitor is blind ({found.reason})" if found.blind else "no signal fired"
        stage.progress.note(f"{why}: the schedule starts this cycle")
    else:
        stage.progress.station("signal", f"{found.signal.trigger}: {found.signal.delta_rel:+.1%}")
    return Situation(found.signal, baseline, since, until, started, time.time())


def _pass(stage: Stage, what: str, seconds: float) -> None:
    started = time.monotonic()
    while (gone := time.monotonic() - started) < seconds:
        stage.progress.work(what, int(gone * 10), int(seconds * 10))
        time.sleep(min(0.2, seconds - gone))
    stage.progress.work(what, 1, 1)
