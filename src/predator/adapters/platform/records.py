"""``Feedback`` and ``Corpus`` over the platform's own SQLite file, read beside it (WAL)."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from predator.domain.documents import Document
from predator.domain.errors import PredatorError
from predator.ports.feedback import DraftedHit, Failure, Impression

_IMPRESSIONS = """
SELECT q.query_id, q.user_query, q.user, q.release, q.experiment_id, q.variant, q.hits,
       q.latency_ms, q.at, r.rating,
       (SELECT group_concat(e.ordinal) FROM ubi_events e
         WHERE e.query_id = q.query_id AND e.action_name = 'click' AND e.ordinal IS NOT NULL),
       CASE WHEN q.variant = 'interleaved' THEN a.body END
FROM ubi_queries q LEFT JOIN ratings r ON r.query_id = q.query_id
     LEFT JOIN ubi_query_attributes a ON a.query_id = q.query_id
WHERE q.at >= ? AND q.at < ? AND (? IS NULL OR q.experiment_id = ?) ORDER BY q.at
"""


class PlatformRecords:
    """Reads what the platform of one home has recorded; never writes."""

    def __init__(self, database: Path) -> None:
        self._database = database

    def impressions(
        self, since: float, until: float, experiment: str | None = None
    ) -> Sequence[Impression]:
        """Searches served in ``[since, until)``, oldest first, events joined."""
        rows = self._query(_IMPRESSIONS, (since, until, experiment, experiment))
        return [
            Impression(
                query_id=query_id,
                query=query,
                user=user,
                release=release,
                experiment=experiment_id,
                variant=variant,
                hits=tuple(json.loads(hits)),
                clicks=tuple(sorted(int(c) for c in clicks.split(","))) if clicks else (),
                rating=rating,
                latency_ms=latency_ms,
                at=at,
                draft=_draft(attributes),
            )
            for (query_id, query, user, release, experiment_id, variant, hits, latency_ms, at,
                 rating, clicks, attributes) in rows
        ]  # fmt: skip

    def failures(
        self, since: float, until: float, experiment: str | None = None
    ) -> Sequence[Failure]:
        """Searches in ``[since, until)`` that a release failed to answer, oldest first."""
        rows = self._query(
            "SELECT user, release, experiment_id, variant, at FROM failures "
            "WHERE at >= ? AND at < ? AND (? IS NULL OR experiment_id = ?) ORDER BY at, rowid",
            (since, until, experiment, experiment),
        )
        return [Failure(*row) for row in rows]

    def log_counts(self, since: float, until: float) -> Mapping[str, int]:
        """Fingerprints of the window's log lines as ``component/level: text``, and how often."""
        rows = self._query(
            "SELECT component || '/' || level || ': ' || fingerprint, count(*) FROM logs "
            "WHERE at >= ? AND at < ? GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 50",
            (since, until),
        )
        return {str(name): int(count) for name, count in rows}

    def backlog_s(self, at: float) -> float:
        """Age at ``at`` of the oldest document accepted and not indexed yet; 0 where none waits."""
        rows = self._query("SELECT min(at) FROM documents WHERE status='queued'", ())
        oldest = rows[0][0]
        return max(0.0, at - float(oldest)) if oldest is not None else 0.0

    def documents(self) -> Sequence[Document]:
        """Every indexed document, in the order of arrival."""
        rows = self._query(
            "SELECT body FROM documents WHERE status='indexed' ORDER BY at, rowid", ()
        )
        found = []
        for (body,) in rows:
            value = json.loads(body)
            found.append(Document(**{**value, "entities": tuple(value.get("entities", ()))}))
        return found

    def arrivals(self) -> Mapping[str, float]:
        """When each indexed document became findable, by id."""
        rows = self._query("SELECT id, at FROM documents WHERE status='indexed'", ())
        return {str(name): float(at) for name, at in rows}

    def _query(self, sql: str, values: Sequence[object]) -> list[Any]:
        try:
            connection = sqlite3.connect(f"file:{self._database}?mode=ro", uri=True, timeout=30)
            try:
                return connection.execute(sql, values).fetchall()
            finally:
                connection.close()
        except sqlite3.Error as error:
            raise PredatorError(f"the platform's records cannot be read: {error}") from error


def _draft(attributes: str | None) -> tuple[DraftedHit, ...]:
    if attributes is None:
        return ()
    return tuple(DraftedHit(*place) for place in json.loads(attributes).get("places", ()))
