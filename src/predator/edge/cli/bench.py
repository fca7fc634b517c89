"""``predator bench relevance``."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from predator.bootstrap.home import Home
from predator.bootstrap.learning import learner_of
from predator.bootstrap.platform import collection_of, first_retrieval, objects_of, process
from predator.bootstrap.ring import gates_of
from predator.domain.documents import Collection, Document
from predator.domain.errors import InputError
from predator.domain.release import Release
from predator.edge.cli.options import check_writable, settings_from, write_json
from predator.edge.cli.progress import ConsoleProgress
from predator.edge.cli.shown import safe
from predator.learning.categories import learn_rules
from predator.loop import benchmark
from predator.loop.benchmark_parts import Bench
from predator.loop.release.bundle import keep_encoder
from predator.loop.replica import Replica, keep_release
from predator.search.analyze import SCHEMA
from predator.search.encoder.onnx_encoder import OnnxEncoder
from predator.simulation.local_world import LEAST_QUERIES, judged


def relevance(
    folder: Path | None,
    json_file: Path | None,
    missing_docs: str,
    seed: int | None,
    pairs: Sequence[str],
    labels: str,
    cycles: int,
) -> None:
    """Run the learning part on a collection and print one table."""
    started = time.monotonic()
    if labels not in ("judgments", "none"):
        raise InputError(f"--labels cannot be {labels!r:.40}", cure="use judgments or none")
    settings = settings_from(pairs, seed=seed)
    check_writable(json_file)
    home, progress = Home(settings), ConsoleProgress()
    progress.station("corpus", str(folder) if folder else "docstrings of the installed packages")
    collection = collection_of(folder, home, missing_docs, 2, progress)
    judgments = judged(collection)
    queries = [
        q for q in collection.queries if any(g > 0 for g in judgments.get(q.id, {}).values())
    ]
    if len(queries) < LEAST_QUERIES:
        if labels == "judgments":
            raise InputError(
                f"{len(queries)} judged queries are too few to learn from and to judge by",
                cure=f"bring at least {LEAST_QUERIES}, or learn without: --labels none",
            )
        if queries:
            progress.note(f"{len(queries)} judged queries are too few to report on")
        queries = []
    rules = learn_rules(collection.documents, settings.seed)
    documents = process(rules, collection.documents)
    progress.station("vectors", f"{len(documents)} documents, {len(queries)} queries")
    files = home.encoder_files(progress.note)
    cores = min(4, os.cpu_count() or 1)
    with tempfile.TemporaryDirectory() as scratch:
        objects = objects_of(Path(scratch))
        keep_encoder(objects, files)
        encode = home.encode_all(files, progress, "encoding documents", cores)
        encoder, others = OnnxEncoder(files), home.encoder_of(objects, progress)

        def replica_of(some: Sequence[Document]) -> Replica:
            return Replica.of(some, encoder, encode, objects, others)

        live = Release(files.digest, SCHEMA, objects.put(rules.dump()), first_retrieval(files))
        keep_release(objects, live)
        bench = Bench(
            replica_of(documents), live, queries, judgments, gates_of(settings),
            settings.cpu_hour_usd, settings.seed, progress,
            learner_of(settings, home, cores, progress), replica_of,
            settings.training_queries + settings.gold_queries,
        )  # fmt: skip
        progress.station("learn and judge")
        table = benchmark.relevance_table(
            bench,
            collection.splits,
            settings.gold_queries,
            settings.training_queries,
            labels="none" if labels == "none" else "judgments",
            cycles=cycles,
        )
    progress.close()
    result = _result(collection, table, time.monotonic() - started)
    if json_file is not None:
        write_json(json_file, result)
    _show(result, Console(highlight=False))


def _result(collection: Collection, table: benchmark.Table, seconds: float) -> dict[str, Any]:
    return {
        "collection": collection.name,
        "digest": collection.digest,
        "documents": len(collection.documents),
        **table.to_json(),
        "duration_s": round(seconds, 1),
    }


def _show(result: dict[str, Any], console: Console) -> None:
    table = Table("system", "NDCG@10", "95% CI", "recall@20", "P@10", box=None, header_style="bold")
    for name, row in result["systems"].items():
        style = "bold green" if name == "promoted" else ""
        table.add_row(
            name, f"{row['ndcg_at_10']:.3f}", f"{row['ci'][0]:.3f} … {row['ci'][1]:.3f}",
            f"{row['recall_at_20']:.3f}", f"{row['precision_at_10']:.3f}", style=style,
        )  # fmt: skip
    count = result["systems"]["bm25"]["queries"]
    console.print(
        f"[bold]{escape(safe(result['collection']))}[/]: {result['documents']} documents, "
        f"{count} reported queries ({escape(result['protocol'])})"
    )
    console.print(table)
    over = result["over_best_plain"]
    if over["rel"] is not None:
        console.print(
            f"promoted over {over['system']}, the best row that learns nothing: {over['rel']:+.1%} "
            f"(95% CI {over['ci_low']:+.1%} … {over['ci_high']:+.1%}, paired)"
        )
    for name, reason in result["left_out"].items():
        console.print(f"left out: {escape(name)}, {escape(safe(reason))}")
    for number, cycle in enumerate(result["cycles"], start=1):
        console.print(
            f"cycle {number}, {cycle['submitted']} against the live release: "
            f"[bold]{cycle['verdict']}[/], {escape(cycle['reason'])}"
        )
    console.print(f"promoted: {result['chosen']}; took {result['duration_s']:.0f} s")
