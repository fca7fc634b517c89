"""``predator run`` on documents that nobody has asked or judged anything about."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

from predator.bootstrap.home import Home
from predator.bootstrap.platform import FIRST_VERSION, found_platform
from predator.config import Settings
from predator.domain.documents import Collection
from predator.edge.cli.local import feed, wait_for_documents, wait_for_vectors
from predator.edge.cli.options import passed_on, write_json
from predator.edge.cli.progress import ConsoleProgress
from predator.learning.categories import learn_rules
from predator.simulation.processes import PlatformProcess

REASON = (
    "no cycle was run: there are no judged queries, so there is nobody to simulate and nothing to "
    "tell a better release by"
)
CURE = (
    "`predator serve` serves the platform; bring queries.jsonl and qrels/*.tsv to turn the ring, "
    "or see what can be learnt without: `predator bench relevance DIR --labels none`"
)


def found_on_documents(
    settings: Settings,
    collection: Collection,
    arguments: dict[str, Any],
    json_file: Path | None,
    progress: ConsoleProgress,
) -> None:
    """Found a platform on ``collection``, let its documents be found, and say why no cycle runs.

    Missing judgments are no verdict: nothing is promoted, the first release stays.
    """
    home = Home(settings)
    progress.station("encoder", "MiniLM from its safetensors" if settings.model is None else "")
    files = home.encoder_files(progress.note)
    rules = learn_rules(collection.documents, settings.seed)
    run = home.new_run(collection.name, shared=settings.shared_releases)
    found_platform(run, files, rules, collection.name, settings.contour)
    run.note(arguments, "running")
    with ExitStack() as stack:
        stack.callback(progress.close)
        stack.enter_context(run.locked())
        progress.station("platform", f"{FIRST_VERSION}: BM25 + dense by RRF, in its own process")
        platform = PlatformProcess(run.folder, run.folder / "platform.log", passed_on(settings))
        stack.callback(platform.stop)
        url = platform.wait_ready()
        home.point_current(run)
        feed(url, collection.documents, progress)
        wait_for_documents(url, progress)
        wait_for_vectors(url, progress)
        progress.station("verdict", f"INCONCLUSIVE: {REASON}")
        progress.note(CURE)
    run.note(arguments, "done")
    if json_file is not None:
        told = {
            "run": str(run.folder),
            "documents": len(collection.documents),
            "cycles": [],
            "verdict": "INCONCLUSIVE",
            "reason": REASON,
            "cure": CURE,
        }
        write_json(json_file, told)
