"""Prometheus metrics of the platform."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from predator.search.serving.spaces import Filling

_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 2.0, 5.0)


class Instruments:
    """One registry per platform, so that two in one process never share a counter."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.search_seconds = Histogram(
            "predator_search_seconds",
            "Time to answer a search",
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.requests = Counter(
            "predator_http_requests",
            "Requests by route and status",
            ["route", "status"],
            registry=self.registry,
        )
        self.zero_results = Counter(
            "predator_zero_result_searches", "Searches that found nothing", registry=self.registry
        )
        self.events = Counter(
            "predator_events", "UBI events accepted", ["action"], registry=self.registry
        )
        self.ratings = Histogram(
            "predator_rating",
            "User ratings, 1 to 5",
            buckets=(1, 2, 3, 4, 5),
            registry=self.registry,
        )
        self.documents = Gauge(
            "predator_documents", "Documents that can be found", registry=self.registry
        )
        self.quarantined = Counter(
            "predator_documents_quarantined",
            "Documents the processor refused",
            registry=self.registry,
        )
        self.etl_backlog_s = Gauge(
            "predator_etl_backlog_seconds",
            "Age of the oldest document not indexed yet",
            registry=self.registry,
        )
        self.vector_backlog = Gauge(
            "predator_vector_backlog_documents",
            "Documents on their way to a vector of the live release's encoder",
            registry=self.registry,
        )
        self.space_documents = Gauge(
            "predator_vector_space_documents",
            "Documents that have a vector, by encoder",
            ["encoder"],
            registry=self.registry,
        )
        self.space_complete = Gauge(
            "predator_vector_space_complete",
            "1 where the releases of an encoder may serve",
            ["encoder"],
            registry=self.registry,
        )
        self.space_eta_s = Gauge(
            "predator_vector_space_eta_seconds",
            "Time until an encoder has embedded all documents, NaN while unknown",
            ["encoder"],
            registry=self.registry,
        )
        self.index_errors = Counter(
            "predator_index_errors", "Failures while indexing", registry=self.registry
        )
        self.release = Gauge(
            "predator_release_info",
            "1 for the release that is live",
            ["version", "digest"],
            registry=self.registry,
        )
        self.release_changes = Counter(
            "predator_release_changes",
            "Times the live release was swapped",
            registry=self.registry,
        )

    def spaces(self, found: Iterable[Filling], expected: Collection[str]) -> None:
        """How far each space is; releases still wait for those of the ``expected`` encoders."""
        for gauge in (self.space_documents, self.space_complete, self.space_eta_s):
            gauge.clear()
        for space in found:
            waited_for = space.encoder in expected
            eta_s = space.eta_s if waited_for else 0.0
            self.space_documents.labels(space.encoder).set(space.done)
            self.space_complete.labels(space.encoder).set(not waited_for)
            self.space_eta_s.labels(space.encoder).set(math.nan if eta_s is None else eta_s)

    def expose(self) -> bytes:
        """Prometheus text format."""
        return generate_latest(self.registry)
