"""Sixteen processes that claim the same things at once: ``python -m tests.racers URL ROUNDS``.

Prints one JSON object: for each thing to claim, what each process got in each round.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
from collections.abc import Callable, Mapping
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from typing import Any

from predator.adapters.cycles.sql import SqlCycles
from predator.adapters.database.engine import Database, open_database
from predator.adapters.limits.sql import SqlLimits
from predator.adapters.replies.sql import SqlReplies
from predator.adapters.slots.sql import SqlSlots
from predator.domain.errors import ConflictError

RACERS = 16
NOON = 1_765_108_800.0
MOST_CYCLES, BUDGET_USD, AMOUNT_USD, MOST_OPEN = 6, 100.0, 30.0, 2


def claims(database: Database, racer: int) -> Mapping[str, Callable[[int], object]]:
    """What a process tries in a round; every one is refused to some."""
    limits, slots = SqlLimits(database), SqlSlots(database)
    cycles, replies = SqlCycles(database), SqlReplies(database)

    def claim_reply(turn: int) -> bool:
        try:
            return replies.claim(f"k{turn}", "digest", NOON) is None
        except ConflictError:
            return False

    return {
        "begin": lambda turn: limits.begin_cycle(f"r{turn}", f"c{racer}", NOON, MOST_CYCLES),
        "reserve": lambda turn: limits.reserve(
            f"r{turn}", f"c{racer}", NOON, AMOUNT_USD, BUDGET_USD
        ),
        "charge": lambda turn: limits.charge(f"r{turn}", "one", f"c{racer}", NOON, 1.0),
        "slot": lambda turn: slots.claim(f"r{turn}", f"c{racer}", MOST_OPEN),
        "open": lambda turn: cycles.open(f"{turn} {racer}", "local", {}, NOON),
        "same": lambda turn: cycles.open(f"same {turn}", "local", {}, NOON),
        "reply": claim_reply,
    }


def race(url: str, racer: int, rounds: int, start: Barrier, results: Queue[Any]) -> None:
    got: dict[str, list[object]] = {}
    try:
        with open_database(url) as database:
            for name, claim in claims(database, racer).items():
                got[name] = []
                for turn in range(rounds):
                    start.wait(120)
                    got[name].append(claim(turn))
    except BaseException as error:
        start.abort()
        results.put(repr(error))
        raise
    results.put(got)


def main(url: str, rounds: int) -> None:
    # Forked before anything is open, so that sixteen imports are one.
    context = multiprocessing.get_context("fork")
    start = context.Barrier(RACERS)
    results: Queue[Any] = context.Queue()
    processes = [
        context.Process(target=race, args=(url, racer, rounds, start, results))
        for racer in range(RACERS)
    ]
    for process in processes:
        process.start()
    everything = [results.get(timeout=300) for _ in processes]
    for process in processes:
        process.join()
    failed = [got for got in everything if isinstance(got, str)]
    if failed:
        sys.exit("; ".join(failed))
    sys.stdout.write(
        json.dumps({name: [got[name] for got in everything] for name in everything[0]})
    )


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
