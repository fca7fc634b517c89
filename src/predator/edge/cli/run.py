"""``predator run``: the platform with users, a shift of the world, and the ring's turns.

The story is a durable flow: a run that was stopped or killed at any moment goes on where it was
when the same command is given again.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from predator.bootstrap.governed import Stores, stores_of
from predator.bootstrap.home import Home, Run
from predator.bootstrap.labels import provenance_of
from predator.bootstrap.optimizer import Optimizer, finished, worker_of
from predator.bootstrap.platform import FIRST_VERSION, collection_of, found_platform
from predator.bootstrap.ring import quality_gates_of, ring_of, sources_of
from predator.config import SECRETS, Settings, load_contour
from predator.domain.documents import Collection
from predator.domain.errors import PredatorError
from predator.edge.cli.documents_alone import found_on_documents
from predator.edge.cli.options import check_writable, passed_on, settings_from, write_json
from predator.edge.cli.progress import ConsoleProgress
from predator.edge.cli.rehearse import rehearse
from predator.edge.cli.serve import bind
from predator.edge.cli.story import Stage, story
from predator.edge.cli.summary import print_summary, to_json
from predator.learning.categories import learn_rules
from predator.loop.cycle import Outcome
from predator.loop.gold.sets import write_private
from predator.ports.runtime import Flow
from predator.search.encoder.onnx_encoder import OnnxEncoder
from predator.simulation.local_world import LocalWorld, answerable, plan_world
from predator.simulation.processes import PlatformProcess

LONG_S = 3600.0
_UNREMEMBERED = frozenset({"home", "artifacts", "port", "admin_port", "admin_host", "host"})
"""Settings that may differ between the two halves of one run."""


@dataclass(frozen=True)
class _Ground:
    """What a run stands on before anything is started."""

    settings: Settings
    home: Home
    progress: ConsoleProgress
    world: LocalWorld
    files: Any
    run: Run
    asked: dict[str, Any]
    resumed: bool


def run_local(
    data: Path | None,
    cycles: int,
    seed: int | None,
    json_file: Path | None,
    missing_docs: str,
    pairs: Sequence[str],
    *,
    fresh: bool,
) -> None:
    """The whole story, with a summary at the end."""
    started = time.monotonic()
    interrupt = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGTERM, interrupt if callable(interrupt) else _as_ctrl_c)
    settings = settings_from(pairs, seed=seed)
    check_writable(json_file)
    if load_contour(settings).self_improvement.mock_signals:
        rehearse(settings, cycles, json_file)
        return
    if settings.port:
        bind(settings.host, settings.port).close()
    if data is None:
        Home(settings).make()
    progress = ConsoleProgress()
    if settings.experiment_min_s > LONG_S:
        progress.note(
            f"experiments on {settings.contour} last at least "
            f"{settings.experiment_min_s / 86_400:g} days: this run waits for them; "
            "the contour local is for a quick look"
        )
    arguments = _arguments(settings, data, cycles, missing_docs)
    progress.station("corpus", str(data) if data else "docstrings of the installed packages")
    collection = collection_of(data, Home(settings), missing_docs, min(cycles + 1, 4), progress)
    Home(settings).make()  # of data that cannot be used nothing is left
    progress.note(
        f"{len(collection.documents)} documents, {len(collection.queries)} queries, "
        f"content {collection.digest[:12]}"
    )
    if not collection.splits:
        asked = {**arguments, "content": collection.digest}
        found_on_documents(settings, collection, asked, json_file, progress)
        return
    with ExitStack() as stack:
        stack.callback(progress.close)
        ground = _prepare(settings, data, collection, progress, arguments, fresh)
        stack.enter_context(ground.run.locked())
        stage = _bring_up(ground, stack)
        result = _tell(stage, ground, cycles, stack)
        traffic = stage.finish()
        log = stage.ring.desired.history()
    ground.run.note(ground.asked, "done")
    seconds = time.monotonic() - started
    outcomes = [Outcome.from_json(value) for value in result["outcomes"]]
    shown = to_json(
        outcomes, result["drill"], traffic, seconds, ground.run.folder, log,
        resumed=ground.resumed, waits=result.get("waits"),
    )  # fmt: skip
    print_summary(shown, outcomes, progress.console, settings)
    if json_file is not None:
        write_json(json_file, shown)
    if not traffic.get("final"):
        raise PredatorError(
            "the simulated users stopped before the end, so what they show is not whole",
            cure=f"see {ground.run.folder / 'users.log'}",
        )


def _as_ctrl_c(_number: int, _frame: object) -> None:
    """Being told to stop ends a run like ctrl-C: in order, to be gone on with."""
    raise KeyboardInterrupt


def _arguments(
    settings: Settings, data: Path | None, cycles: int, missing_docs: str
) -> dict[str, Any]:
    """What makes two commands the same run."""
    remembered = set(Settings.model_fields) - _UNREMEMBERED - SECRETS
    return {
        "data": str(data.absolute()) if data else None,
        "cycles": cycles,
        "missing_docs": missing_docs,
        "settings": {name: str(getattr(settings, name)) for name in sorted(remembered)},
    }


def _prepare(
    settings: Settings,
    data: Path | None,
    collection: Collection,
    progress: ConsoleProgress,
    arguments: Mapping[str, Any],
    fresh: bool,
) -> _Ground:
    home = Home(settings)
    queries = answerable(collection)
    progress.station("encoder", "MiniLM from its safetensors" if settings.model is None else "")
    files = home.encoder_files(progress.note)
    rules = learn_rules(collection.documents, settings.seed)
    vectors = home.encode_all(files, progress, "encoding queries", 2)([q.text for q in queries])
    world = plan_world(
        collection, rules, np.asarray(vectors), queries, settings.seed,
        provenance_of(data, collection),
    )  # fmt: skip
    progress.note(f"Gold is split off by {world.split.by}: {world.split.why}")
    asked = {**arguments, "content": collection.digest}
    unfinished = None if fresh else home.unfinished(asked)
    if unfinished is not None:
        progress.station("resume", f"going on with {unfinished.folder.name} (--fresh starts anew)")
        return _Ground(settings, home, progress, world, files, unfinished, asked, True)
    run = home.new_run(collection.name, shared=settings.shared_releases)
    found_platform(run, files, rules, collection.name, settings.contour)
    run.note(asked, "running")
    return _Ground(settings, home, progress, world, files, run, asked, False)


def _bring_up(ground: _Ground, stack: ExitStack) -> Stage:
    settings, run, progress = ground.settings, ground.run, ground.progress
    progress.station("platform", f"{FIRST_VERSION}: BM25 + dense by RRF, in its own process")
    platform = PlatformProcess(run.folder, run.folder / "platform.log", passed_on(settings))
    stack.callback(platform.stop)
    url = platform.wait_ready()
    ground.home.point_current(run)
    progress.note(f"{url} (API: {url}/docs, metrics: {url}/metrics)")
    groups = {"groups": ground.world.questions()}
    write_private(run.folder / "world.json", json.dumps(groups).encode())
    stores: Stores = stores_of(settings)
    stack.callback(stores.database.close)
    ring = ring_of(settings, run, url, stores, progress)
    sources = sources_of(settings, run, OnnxEncoder(ground.files), ground.files, progress)
    gates = quality_gates_of(settings)
    stage = Stage(settings, run, ground.world, ring, sources, gates, url, stores, progress)
    stack.callback(stage.stop)
    stage.sealed(min(1, len(ground.world.waves) - 1))  # what the first cycle is about
    return stage


def _tell(stage: Stage, ground: _Ground, cycles: int, stack: ExitStack) -> dict[str, Any]:
    """Run the story on the durable runtime; whatever stops us, it is closed before its world."""
    settings, run = ground.settings, ground.run
    optimizer = Optimizer(settings, run, stage.url, stage.stores, ground.progress)
    told: Flow = lambda runtime, asked: story(stage, runtime, asked["cycles"])  # noqa: E731
    executor = f"run-{run.folder.name}"
    worker = worker_of(
        ground.home.flows_url(run),
        executor,
        {**optimizer.flows(), "story": told},
        settings,
        queues=optimizer.queues(4),
    )
    stack.callback(worker.close)
    flow_id = f"story-{run.folder.name}"
    try:
        found: dict[str, Any] = finished(worker, executor, "story", flow_id, {"cycles": cycles})
    except Exception:
        status = worker.flows.status(flow_id)
        if status is not None and status.state == "failed":
            run.note(ground.asked, "failed")  # its error is recorded: going on would repeat it
        raise
    return found
