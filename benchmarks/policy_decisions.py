"""Decisions a second through the policy decision point, on one core.

    python benchmarks/policy_decisions.py [--repeats 9] [--decisions 5000] [--json]

Each row is a request that the loop really makes, with a whole context; `mix` asks them in turn.
The rate is by the CPU time of this thread, so that what else runs on the machine counts little
(the clock's rate stands beside it). Prints a table, then the same as one line of JSON (`--json`:
only that).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Sequence
from itertools import cycle, islice
from typing import Any

from predator.domain.verdicts import Decision
from predator.policy.decision import Principal, decide
from predator.policy.explain import explain
from predator.policy.rules import shipped

CONTEXT: dict[str, Any] = {
    "kill_switch": False,
    "self_improvement_enabled": True,
    "manual_approval_required": False,
    "auto_promote": True,
    "auto_rollback": True,
    "ab_testing": True,
    "cost_optimization": True,
    "cycles_within_limit": True,
    "budget_within_limit": True,
    "experiments_within_limit": True,
    "trigger": "ndcg_drop",
    "simulated": False,
    "evaluation": "PASS",
    "experiment": "PASS",
    "edge_required": True,
    "edge_experiment": "PASS",
    "rollback_target_healthy": True,
}
Request = tuple[str, str, str, dict[str, Any], Decision]
Rate = tuple[float, float]
REQUESTS: dict[str, Request] = {
    "train": ("loop", "train", "local", CONTEXT, Decision.ALLOW),
    "promote": ("loop", "promote", "compute-nvidia", CONTEXT, Decision.ALLOW),
    "needs approval": (
        "loop", "promote", "compute-nvidia", {**CONTEXT, "auto_promote": False},
        Decision.NEEDS_APPROVAL,
    ),
    "kill switch": ("loop", "promote", "compute-nvidia", {}, Decision.DENY),
    "rollback": ("operator", "rollback", "edge-oracle", CONTEXT, Decision.ALLOW),
    "default deny": ("drill", "promote", "compute-nvidia", CONTEXT, Decision.DENY),
}  # fmt: skip


def rate(asked: Sequence[Request], count: int) -> Rate:
    """Decisions by second of CPU and of the clock, over ``count`` requests, taken in turn; each
    answer is checked."""
    turns = [
        (Principal(role), action, contour, context, expected)
        for role, action, contour, context, expected in islice(cycle(asked), count)
    ]
    started, used = time.perf_counter(), time.thread_time()
    for principal, action, contour, context, expected in turns:
        if decide(principal, action, contour, context).decision is not expected:
            raise SystemExit(f"{action} on {contour} is not {expected}")
    return count / (time.thread_time() - used), count / (time.perf_counter() - started)


def measure(repeats: int, count: int) -> dict[str, dict[str, float]]:
    """Median, lowest and highest rate of each row over the repeats, interleaved."""
    rows = {**{name: [request] for name, request in REQUESTS.items()},
            "mix": list(REQUESTS.values())}  # fmt: skip
    for asked in rows.values():
        rate(asked, 100)
    found: dict[str, list[Rate]] = {name: [] for name in rows}
    for _ in range(repeats):
        for name, asked in rows.items():
            found[name].append(rate(asked, count))
    return {
        name: {
            "median": round(statistics.median(cpu for cpu, _ in rates)),
            "min": round(min(cpu for cpu, _ in rates)),
            "max": round(max(cpu for cpu, _ in rates)),
            "clock_median": round(statistics.median(clock for _, clock in rates)),
        }
        for name, rates in found.items()
    }


def first_and_explained() -> dict[str, float]:
    """Milliseconds: reading and parsing all rules with the first decision, and an explanation."""
    shipped.cache_clear()
    started = time.perf_counter()
    role, action, contour, context, _ = REQUESTS["promote"]
    decide(Principal(role), action, contour, context)
    first = time.perf_counter()
    explain(Principal(role), action, contour, context)
    again = time.perf_counter()
    explain(Principal(role), action, contour, context)
    return {
        "first_decision_ms": round((first - started) * 1e3, 2),
        "explain_ms": round((time.perf_counter() - again) * 1e3, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="decisions a second on one core")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--decisions", type=int, default=5_000)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    rates = measure(given.repeats, given.decisions)
    result = {
        "decisions_per_s": rates,
        **first_and_explained(),
        "rules": len(shipped().rules),
        "repeats": given.repeats,
        "decisions": given.decisions,
        "python": platform.python_version(),
        "load_1m": round(os.getloadavg()[0], 2),
    }
    if not given.json:
        print(f"{'decisions/s':>16} {'median':>8} {'min':>8} {'max':>8} {'by clock':>9}")
        for name, row in rates.items():
            cells = [f"{row[part]:>8}" for part in ("median", "min", "max")]
            print(f"{name:>16} {' '.join(cells)} {row['clock_median']:>9}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
