"""How fast flows are recorded, what our wrapper adds to DBOS, and how soon things wake up.

    python benchmarks/durable_steps.py [--postgres URL] [--steps N] [--json FILE]

Bare and wrapped steps take turns within one flow, so that a busy machine slows both. The database
is a fresh SQLite file, and a PostgreSQL database if one is given (its schemas ``dbos`` and
``runtime`` are made and filled).
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from predator.adapters.runtime.dbos_worker import DbosWorker
from predator.ports.runtime import Json, Runtime

BLOCK = 100
TARGET_STEPS_PER_S = 300


def work() -> Json:
    return {"rows": 20_000, "ndcg_at_10": 0.624}


def steps(runtime: Runtime, blocks: Json) -> Json:
    """Seconds a step, by turns: ``[[bare, wrapped], …]``."""
    from dbos import DBOS

    def bare() -> None:
        DBOS.run_step({"name": "work"}, work)

    def wrapped() -> None:
        runtime.step("work", work)

    seconds = []
    for _ in range(blocks):
        turn = []
        for step in (bare, wrapped):
            started = time.perf_counter()
            for _ in range(BLOCK):
                step()
            turn.append((time.perf_counter() - started) / BLOCK)
        seconds.append(turn)
    return seconds


def wakes(runtime: Runtime, messages: Json) -> Json:
    sent_at = ((float(runtime.wait("wake", 60.0) or 0.0)) for _ in range(messages))
    return [-sent + time.time() for sent in sent_at]


def quick(_: Runtime, sent_at: Json) -> Json:
    return time.time() - float(sent_at)


FLOWS = {"steps": steps, "wakes": wakes, "quick": quick}


def measure(url: str, blocks: int) -> dict[str, float]:
    with DbosWorker(url, "bench", FLOWS):
        pass
    started = time.perf_counter()
    worker = DbosWorker(url, "bench", FLOWS)
    launch_s = time.perf_counter() - started
    name = f"{time.time()}"
    turns = worker.run("steps", f"steps {name}", blocks).result()
    bare_s, wrapped_s = (statistics.median(turn[side] for turn in turns) for side in (0, 1))
    ratio = statistics.median(wrapped / bare for bare, wrapped in turns)
    handle = worker.run("wakes", f"wakes {name}", 20)
    for number in range(20):
        time.sleep(0.13)
        worker.flows.send(f"wakes {name}", "wake", time.time(), key=f"{number}")
    woken_s = handle.result()
    queued_s = []
    for number in range(10):
        worker.flows.enqueue("quick", f"quick {name} {number}", time.time())
        queued_s.append(worker.run("quick", f"quick {name} {number}", None).result())
    cpu_s = time.process_time()
    time.sleep(3.0)
    idle_cpu = (time.process_time() - cpu_s) / 3.0
    started = time.perf_counter()
    worker.close()
    return {
        "steps_per_s": 1 / wrapped_s,
        "bare_dbos_steps_per_s": 1 / bare_s,
        "step_time_ratio": ratio,
        "launch_s": launch_s,
        "close_s": time.perf_counter() - started,
        "wake_median_s": statistics.median(woken_s),
        "wake_max_s": max(woken_s),
        "queue_median_s": statistics.median(queued_s),
        "queue_max_s": max(queued_s),
        "idle_cpu_share": idle_cpu,
    }


def rows(results: dict[str, dict[str, float]]) -> Iterator[str]:
    yield f"{'':<24}" + "".join(f"{name:>14}" for name in results)
    for measure_name in next(iter(results.values())):
        values = [result[measure_name] for result in results.values()]
        shown = [f"{value:,.0f}" if value >= 100 else f"{value:.3f}" for value in values]
        yield f"{measure_name:<24}" + "".join(f"{value:>14}" for value in shown)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--postgres", metavar="URL", help="also measure on this database")
    parser.add_argument("--steps", type=int, default=2000, help="durable steps of each kind")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here")
    options: Any = parser.parse_args()
    blocks = max(3, options.steps // BLOCK)
    with tempfile.TemporaryDirectory() as folder:
        results = {"sqlite": measure(f"sqlite:///{folder}/runtime.db", blocks)}
    if options.postgres:
        results["postgresql"] = measure(options.postgres, blocks)
    print("\n".join(rows(results)))
    reached = all(result["steps_per_s"] >= TARGET_STEPS_PER_S for result in results.values())
    print(f"target: {TARGET_STEPS_PER_S} steps/s: {'reached' if reached else 'MISSED'}")
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
