"""``predator worker``: the loop beside a running platform."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from predator.bootstrap.governed import stores_of
from predator.bootstrap.home import Home, Run
from predator.bootstrap.optimizer import Optimizer, executor_of, worker_of
from predator.bootstrap.rehearsal import found_rehearsal
from predator.config import load_contour
from predator.domain.errors import InputError
from predator.edge.cli.options import settings_from
from predator.edge.cli.progress import ConsoleProgress


def work(folder: Path | None, url: str | None, concurrency: int, pairs: Sequence[str]) -> None:
    """Run the contour's cycles until told to stop; what was begun goes on at the next start."""
    settings = settings_from(pairs)
    home = Home(settings)
    run = Run(folder.absolute()) if folder is not None else home.current_run()
    if run is None and load_contour(settings).self_improvement.mock_signals:
        run = found_rehearsal(settings)
    if run is None:
        raise InputError(
            f"there is no platform in {settings.home} yet", cure="run `predator run` first"
        )
    if run.about["contour"] != settings.contour:
        raise InputError(
            f"the platform in {run.folder} is for {run.about['contour']}",
            cure=f"--set contour={run.about['contour']}",
        )
    address = url or f"http://{settings.host}:{settings.port}"
    progress = ConsoleProgress()
    stores = stores_of(settings)
    optimizer = Optimizer(settings, run, address, stores, progress)
    done = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: done.set())
    with worker_of(
        home.flows_url(run), executor_of(settings), optimizer.flows(), settings,
        queues=optimizer.queues(concurrency),
    ) as worker:  # fmt: skip
        optimizer.keep_time(worker)
        sys.stdout.write(f"working on {settings.contour} as {executor_of(settings)}\n")
        sys.stdout.flush()
        done.wait()
        optimizer.stop()
    stores.database.close()
    progress.close()
