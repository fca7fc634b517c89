"""What is kept of the users: searches served, the UBI events and ratings that followed them."""

from __future__ import annotations

import json
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future

from pydantic_core import PydanticSerializationError

from predator.domain.errors import PredatorError
from predator.search.serving.instruments import Instruments
from predator.search.serving.routing import Route
from predator.search.serving.schemas import Event, Hit, Rating, SearchRequest
from predator.search.serving.store import Statement, Store

RECENT_QUERIES = 200_000
"""Query ids held in memory: events about older searches are looked up on disk."""
_ACTIONS = frozenset({"add_to_cart", "click", "watch", "view", "purchase", "impression"})


class Recorder:
    """Writes behind the answers; events and ratings resolve once they are on disk."""

    def __init__(self, store: Store, instruments: Instruments) -> None:
        self._store, self._instruments = store, instruments
        self._recent: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()

    def search(
        self, query_id: str, request: SearchRequest, unit: str, route: Route,
        hits: Sequence[Hit], took_ms: float,
    ) -> None:  # fmt: skip
        """Keep a served search as a UBI query."""
        with self._lock:
            self._recent[query_id] = None
            if len(self._recent) > RECENT_QUERIES:
                self._recent.popitem(last=False)
        self._store.write(
            [
                (
                    "INSERT INTO ubi_queries VALUES (?,?,?,?,?,?,?,?,?,?)",
                    (
                        query_id,
                        time.time(),
                        request.query,
                        request.client_id,
                        unit,
                        route.engine.release.digest,
                        route.experiment,
                        route.variant,
                        json.dumps([hit.id for hit in hits]),
                        took_ms,
                    ),
                )
            ]
        )

    def events(self, events: Sequence[Event]) -> Future[None]:
        """Keep events, all or none; the future resolves once they are on disk.

        Raises ``PredatorError`` naming the first event whose query was never served.
        """
        known: set[str] = set()
        for place, event in enumerate(events):
            if event.query_id not in known:
                self._check(event.query_id, f"event {place}: ")
                known.add(event.query_id)
        written = self._store.write([_row(place, event) for place, event in enumerate(events)])
        for event in events:
            action = event.action_name if event.action_name in _ACTIONS else "other"
            self._instruments.events.labels(action).inc()
        return written

    def rating(self, rating: Rating) -> Future[None]:
        """Keep a rating, the newest of a search; raises as :meth:`events`."""
        self._check(rating.query_id, "")
        self._instruments.ratings.observe(rating.rating)
        return self._store.write(
            [
                (
                    "INSERT OR REPLACE INTO ratings VALUES (?,?,?)",
                    (rating.query_id, time.time(), rating.rating),
                )
            ]
        )

    def _check(self, query_id: str, whose: str) -> None:
        if query_id not in self._recent and not self._store.knows_query(query_id):
            raise PredatorError(
                f"{whose}query_id {query_id[:40]!r} is unknown",
                cure="Send the query_id that /search returned",
            )


def _row(place: int, event: Event) -> Statement:
    attributes = event.event_attributes
    found = attributes.object if attributes else None
    try:
        body = event.model_dump_json(exclude_none=True)
    except PydanticSerializationError as error:
        raise PredatorError(f"event {place} holds text that is not Unicode") from error
    return (
        "INSERT INTO ubi_events VALUES (?,?,?,?,?,?)",
        (
            event.query_id,
            event.timestamp.timestamp(),
            event.action_name,
            attributes.position.ordinal if attributes else None,
            str(found.object_id) if found else None,
            body,
        ),
    )
