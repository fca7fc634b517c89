"""Prometheus metrics of the loop itself, read from its stores when somebody asks."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from predator.domain.errors import PredatorError
from predator.domain.governance import CycleEntry
from predator.edge.api.gold_metrics import gold_metrics
from predator.loop.operator.service import Operator
from predator.loop.operator.views import State

RECENT = 1000
"""Cycles and flows looked at for one answer."""


class LoopMetrics:
    """What the admin API counts itself, and what it reads from the stores."""

    def __init__(self, operator: Operator) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "predator_admin_requests",
            "Requests to the admin API by method, route and status",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self.registry.register(_Stores(operator))

    def count(self, method: str, route: str, status: int) -> None:
        """Count one answer."""
        self.requests.labels(method, route, str(status)).inc()

    def expose(self) -> bytes:
        """Prometheus text format."""
        return generate_latest(self.registry)


class _Stores(Collector):
    """Reads everything anew. What cannot be read is missing and counted as such: never a zero."""

    def __init__(self, operator: Operator) -> None:
        self._operator = operator

    def describe(self) -> Iterable[Metric]:
        return ()  # without it, to register would already read

    def collect(self) -> Iterator[Metric]:
        missing = GaugeMetricFamily(
            "predator_loop_unreadable", "1 for what could not be read", labels=["part"]
        )
        states = {name: self._operator.state(name) for name in self._operator.desk.contours}
        for part in sorted({part for state in states.values() for part in state.unknown}):
            missing.add_metric([part], 1)
        yield from _of_states(states)
        yield from self._read(missing, "register", lambda: list(self._of_cycles()))
        yield from self._read(missing, "flows", lambda: [self._of_flows()])
        yield from self._read(missing, "gold", lambda: list(gold_metrics(self._operator.desk)))
        yield missing

    def _read(
        self, missing: GaugeMetricFamily, part: str, reader: Callable[[], list[Metric]]
    ) -> list[Metric]:
        try:
            return reader()
        except PredatorError:
            missing.add_metric([part], 1)
            return []

    def _of_cycles(self) -> Iterator[Metric]:
        entries = self._operator.desk.cycles.list(limit=RECENT)
        outcomes = GaugeMetricFamily(
            "predator_loop_cycles",
            f"Cycles by outcome, of the newest {RECENT}",
            labels=["contour", "outcome"],
        )
        tally = Tally((entry.contour, entry.outcome or "running") for entry in entries)
        for labels, number in sorted(tally.items()):
            outcomes.add_metric(list(labels), number)
        yield outcomes
        for name, help_text, start, end in (
            ("reaction", "signal to first action", None, "first_action"),
            ("cycle", "signal to offline verdict", None, "offline_verdict"),
            ("experiment", "experiment, start to end", "experiment_started", "experiment_ended"),
        ):
            family = GaugeMetricFamily(
                f"predator_loop_{name}_seconds",
                f"Time of the newest cycle that has it: {help_text}",
                labels=["contour"],
            )
            for contour, seconds in _newest(entries, start, end).items():
                family.add_metric([contour], seconds)
            yield family

    def _of_flows(self) -> Metric:
        states = GaugeMetricFamily(
            "predator_loop_flows", f"Flows by state, of the newest {RECENT}", labels=["state"]
        )
        tally = Tally(flow.state for flow in self._operator.desk.flows.list(limit=RECENT))
        for state in ("queued", "running", "done", "failed", "cancelled"):
            states.add_metric([state], tally[state])
        return states


def _of_states(states: dict[str, State]) -> Iterator[Metric]:
    stopped = GaugeMetricFamily(
        "predator_loop_stopped", "1 where the kill switch is engaged or unknown", labels=["contour"]
    )
    pending = GaugeMetricFamily(
        "predator_loop_approvals_pending", "Requests that wait for a person", labels=["contour"]
    )
    today = GaugeMetricFamily(
        "predator_loop_cycles_today", "Cycles counted to this UTC day", labels=["contour"]
    )
    most = GaugeMetricFamily(
        "predator_loop_cycles_day_max", "Cycles that a UTC day may have", labels=["contour"]
    )
    spend = GaugeMetricFamily(
        "predator_loop_spend_usd", "Money of this UTC month", labels=["contour", "kind"]
    )
    for name, state in states.items():
        stopped.add_metric([name], float(state.stopped))
        most.add_metric([name], state.max_cycles_per_day)
        spend.add_metric([name, "budget"], state.budget_usd)
        if "approvals" not in state.unknown:
            pending.add_metric([name], len(state.approvals_pending))
        if state.cycles_today is not None:
            today.add_metric([name], state.cycles_today)
        if state.spend is not None:
            spend.add_metric([name, "charged"], state.spend.charged_usd)
            spend.add_metric([name, "reserved"], state.spend.reserved_usd)
    yield from (stopped, pending, today, most, spend)


def _newest(entries: Iterable[CycleEntry], start: str | None, end: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for entry in entries:
        begun = entry.requested_at if start is None else entry.moments.get(start)
        ended = entry.moments.get(end)
        if begun is not None and ended is not None:
            found.setdefault(entry.contour, ended - begun)
    return found
