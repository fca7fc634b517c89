"""Counts what the users met, for one report a second and one at the end."""

from __future__ import annotations

from array import array
from collections import Counter
from typing import Any

import numpy as np

_EXAMPLE_LENGTH = 200


class Tally:
    """Counters since the start; latencies since the last report and since the start.

    ``sent`` and ``ok`` count searches; ``events`` and ``ratings`` those the server took;
    ``failed`` every request of any kind without a 2xx answer, and ``failures`` the same by
    ``endpoint:reason`` (a status, or ``connect``, ``reset``, ``timeout``, ``malformed``,
    ``too_large``; ``search:saturated`` is one not sent because too many were unanswered).
    ``skipped`` counts searches never sent because this process itself was held up.
    """

    def __init__(self) -> None:
        self.sent = 0
        self.ok = 0
        self.events = 0
        self.ratings = 0
        self.skipped = 0
        self.rejected_commands = 0
        self.in_flight = 0
        self._failures: Counter[str] = Counter()
        self._examples: dict[str, str] = {}
        self._recent_ms = array("d")
        self._all_ms = array("f")

    def failed(self, kind: str, detail: str) -> None:
        self._failures[kind] += 1
        self._examples.setdefault(kind, detail[:_EXAMPLE_LENGTH])

    def answered(self, latency_ms: float) -> None:
        self.ok += 1
        self._recent_ms.append(latency_ms)
        self._all_ms.append(latency_ms)

    def report(self, at: float) -> dict[str, Any]:
        """The running report; percentiles (ms) of the searches answered since the last one."""
        recent, self._recent_ms = self._recent_ms, array("d")
        return self._line(at, recent)

    def final(self, at: float) -> dict[str, Any]:
        """The last report: percentiles over the whole run, and an example of each failure."""
        return {"final": True, **self._line(at, self._all_ms), "examples": self._examples}

    def _line(self, at: float, latencies_ms: array[float]) -> dict[str, Any]:
        middle, high = _percentiles(latencies_ms)
        return {
            "at": at,
            "sent": self.sent,
            "ok": self.ok,
            "failed": self._failures.total(),
            "failures": dict(self._failures),
            "events": self.events,
            "ratings": self.ratings,
            "skipped": self.skipped,
            "rejected_commands": self.rejected_commands,
            "p50_ms": middle,
            "p95_ms": high,
            "in_flight": self.in_flight,
        }


def _percentiles(latencies_ms: array[float]) -> tuple[float | None, float | None]:
    if not latencies_ms:
        return None, None
    middle, high = np.percentile(np.asarray(latencies_ms), [50, 95])
    return round(float(middle), 3), round(float(high), 3)
