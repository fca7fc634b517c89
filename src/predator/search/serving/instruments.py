"""Prometheus metrics of the platform."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

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
            "Indexed documents still without a vector",
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

    def expose(self) -> bytes:
        """Prometheus text format."""
        return generate_latest(self.registry)
