"""``predator run`` on a contour with mock signals: cycles without platform, users or training."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from rich.markup import escape

from predator.bootstrap.governed import stores_of
from predator.bootstrap.home import Home
from predator.bootstrap.optimizer import Optimizer, finished, worker_of
from predator.bootstrap.rehearsal import found_rehearsal
from predator.config import Settings
from predator.edge.cli.options import write_json
from predator.edge.cli.progress import ConsoleProgress
from predator.edge.cli.shown import safe
from predator.loop.cycle import Outcome


def rehearse(settings: Settings, cycles: int, json_file: Path | None) -> None:
    """Turn the ring with mock signals, and say what came of it."""
    started = time.monotonic()
    Home(settings).make()
    progress = ConsoleProgress()
    run = found_rehearsal(settings)
    stores = stores_of(settings)
    optimizer = Optimizer(settings, run, "", stores, progress)
    outcomes: list[dict[str, Any]] = []
    executor = f"rehearse-{run.folder.name}"
    with worker_of(
        Home(settings).flows_url(run), executor, optimizer.flows(), settings,
        queues=optimizer.queues(2),
    ) as worker:  # fmt: skip
        for _ in range(cycles):
            trigger = optimizer.scheduled()
            now = time.time()
            key = f"rehearse:{run.folder.name}:{now:.6f}"
            cycle_id = stores.cycles.open(key, settings.contour, trigger, now)
            asked = {"cycle_id": cycle_id, "contour": settings.contour, "trigger": trigger}
            progress.station("cycle", f"{cycle_id}, simulated: nothing is measured or trained")
            outcomes.append(finished(worker, executor, "cycle", cycle_id, asked))
    stores.database.close()
    progress.close()
    for outcome in (Outcome.from_json(value) for value in outcomes):
        before, after = outcome.release_before.version, outcome.release_after.version
        progress.console.print(
            f"[bold]Rehearsed[/]  {outcome.cycle_id} on {settings.contour}: {outcome.verdict}, "
            f"{before} → {after}; {escape(safe(outcome.reason))}"
        )
    progress.console.print(f"[dim]{time.monotonic() - started:.1f} s; artifacts as of any cycle[/]")
    if json_file is not None:
        write_json(json_file, {"contour": settings.contour, "simulated": True, "cycles": outcomes})
