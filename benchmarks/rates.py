"""A rate that was simulated, its interval, and the limit that it must keep."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from predator.statistics.intervals import share_interval


@dataclass(frozen=True, slots=True)
class Row:
    """A rate (or a mean of shares) with its 95% interval, and what it must be."""

    name: str
    rate: float
    low: float
    high: float
    n: int
    limit: str
    kept: bool


def row(name: str, count: int, n: int, limit: str) -> Row:
    """``count`` of ``n``, with the interval of Clopper and Pearson.

    ``limit``: ``≤ x``, ``≤ x, interval ≤ y``, ``≥ x``, or ``shown``.

    A rate that is exactly what it must be lies beyond it in half of all simulations, so that a
    single limit is broken where the whole interval lies beyond it.
    """
    low, high = share_interval(count, n)
    return Row(name, count / n, low, high, n, limit, _kept(count / n, low, high, limit))


def _kept(rate: float, low: float, high: float, limit: str) -> bool:
    if ", interval ≤ " in limit:
        first, _, second = limit.partition(", interval ≤ ")
        return rate <= float(first.removeprefix("≤ ")) and high <= float(second)
    sign, _, bound = limit.partition(" ")
    if sign == "≤":
        return low <= float(bound)
    return high >= float(bound) if sign == "≥" else True


def table(rows: Sequence[Row]) -> None:
    """Print ``rows`` for people."""
    width = max((len(one.name) for one in rows), default=0)
    for one in rows:
        interval = f"{one.low:.4f} … {one.high:.4f}"
        told = "" if one.kept else "  NOT KEPT"
        print(f"{one.name:<{width}} {one.rate:>7.4f}  {interval:<17} {one.limit}{told}", flush=True)


def end(tables: Mapping[str, Sequence[Row]], seconds: float) -> None:
    """Print ``tables`` as one line of JSON and leave: 1 where a limit is not kept."""
    shown = {name: [asdict(one) for one in rows] for name, rows in tables.items()}
    print(json.dumps({**shown, "seconds": round(seconds, 1)}))
    sys.exit(0 if all(one.kept for rows in tables.values() for one in rows) else 1)
