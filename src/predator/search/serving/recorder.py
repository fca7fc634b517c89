"""What is kept of the users: searches served, the UBI events and ratings that followed them."""

from __future__ import annotations

import json
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

from pydantic_core import PydanticSerializationError

from predator.domain.errors import PredatorError
from predator.search.serving.instruments import Instruments
from predator.search.serving.interleaved import Answer
from predator.search.serving.routing import Route
from predator.search.serving.schemas import Event, Hit, Rating, SearchRequest
from predator.search.serving.store import Statement, Store

Trial = tuple[str, str]
"""The experiment and the variant in which a search was answered; empty outside of one."""

RECENT_QUERIES = 200_000
"""Query ids held in memory: events about older searches are looked up on disk."""
_ACTIONS = frozenset({"add_to_cart", "click", "watch", "view", "purchase", "impression"})


class Recorder:
    """Writes behind the answers; events and ratings resolve once they are on disk."""

    def __init__(self, store: Store, instruments: Instruments) -> None:
        self._store, self._instruments = store, instruments
        self._recent: OrderedDict[str, Trial] = OrderedDict()
        self._lock = threading.Lock()

    def search(
        self, query_id: str, request: SearchRequest, unit: str, route: Route, answer: Answer,
        hits: Sequence[Hit], took_ms: float,
    ) -> None:  # fmt: skip
        """Keep a served search as a UBI query; of one in an experiment, its query attributes too.

        They name the experiment and the variant, and of a drafted list, place by place, the team
        and the rank in either list (0: not there).
        """
        with self._lock:
            self._recent[query_id] = (route.experiment, answer.variant)
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
                        answer.release,
                        route.experiment,
                        answer.variant,
                        json.dumps([hit.id for hit in hits]),
                        took_ms,
                    ),
                ),
                *_attributes(query_id, route.experiment, answer),
            ]
        )

    def failure(self, unit: str, route: Route, error: Exception) -> None:
        """Keep that a release failed to answer: whose search it was, and the kind of error."""
        self._store.write(
            [
                (
                    "INSERT INTO failures VALUES (?,?,?,?,?,?)",
                    (
                        time.time(),
                        unit,
                        route.engine.release.digest,
                        route.experiment,
                        route.variant,
                        type(error).__name__,
                    ),
                )
            ]
        )

    def events(self, events: Sequence[Event]) -> Future[None]:
        """Keep events, all or none; the future resolves once they are on disk.

        An event about a search in an experiment says so in its attributes, whatever it said.
        Raises ``PredatorError`` naming the first event whose query was never served.
        """
        known: dict[str, Trial] = {}
        for place, event in enumerate(events):
            if event.query_id not in known:
                known[event.query_id] = self._trial(event.query_id, f"event {place}: ")
        written = self._store.write(
            [_row(place, event, known[event.query_id]) for place, event in enumerate(events)]
        )
        for event in events:
            action = event.action_name if event.action_name in _ACTIONS else "other"
            self._instruments.events.labels(action).inc()
        return written

    def rating(self, rating: Rating) -> Future[None]:
        """Keep a rating, the newest of a search; raises as :meth:`events`."""
        self._trial(rating.query_id, "")
        self._instruments.ratings.observe(rating.rating)
        return self._store.write(
            [
                (
                    "INSERT OR REPLACE INTO ratings VALUES (?,?,?)",
                    (rating.query_id, time.time(), rating.rating),
                )
            ]
        )

    def _trial(self, query_id: str, whose: str) -> Trial:
        found = self._recent.get(query_id) or self._store.trial_of(query_id)
        if found is None:
            raise PredatorError(
                f"{whose}query_id {query_id[:40]!r} is unknown",
                cure="Send the query_id that /search returned",
            )
        return found


def _attributes(query_id: str, experiment: str, answer: Answer) -> list[Statement]:
    if not experiment:
        return []
    body: dict[str, Any] = {"experiment_id": experiment, "variant": answer.variant}
    if answer.places:
        body["places"] = [
            [place.team, place.live_rank, place.candidate_rank] for place in answer.places
        ]
    return [("INSERT INTO ubi_query_attributes VALUES (?,?)", (query_id, json.dumps(body)))]


def _row(place: int, event: Event, trial: Trial) -> Statement:
    attributes = event.event_attributes
    found = attributes.object if attributes else None
    try:
        body = event.model_dump_json(exclude_none=True)
    except PydanticSerializationError as error:
        raise PredatorError(f"event {place} holds text that is not Unicode") from error
    if trial[0]:
        value = json.loads(body)
        inside = value.setdefault("event_attributes", {})
        inside["experiment_id"], inside["variant"] = trial
        body = json.dumps(value, ensure_ascii=False)
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
