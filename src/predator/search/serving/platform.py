"""The search platform as an object: what the HTTP routes call."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from predator.domain.documents import Document
from predator.domain.errors import PredatorError
from predator.ports.encoder import Encoder
from predator.ports.gitops import GitOps
from predator.ports.object_store import ObjectStore
from predator.search.analyze import SCHEMA
from predator.search.engine import Engine
from predator.search.index import Index
from predator.search.processor import Processor, Rules
from predator.search.rerank import load_reranker
from predator.search.serving.agent import Agent, load_release, warm_up
from predator.search.serving.ingest import Ingest
from predator.search.serving.instruments import Instruments
from predator.search.serving.interleaved import rank
from predator.search.serving.recorder import Recorder
from predator.search.serving.routing import Routing
from predator.search.serving.schemas import (
    Hit,
    NewDocument,
    Preparing,
    Readiness,
    SearchRequest,
    SearchResponse,
)
from predator.search.serving.spaces import Dense, OnVectors, Spaces, VectorSource
from predator.search.serving.store import Store
from predator.search.summarise import summarise

__all__ = ["OnVectors", "Platform", "Seams"]

log = logging.getLogger(__name__)


def _no_other(digest: str) -> Dense:
    raise PredatorError(
        f"encoder {digest[:12]} is not the one that the index was built for",
        cure="rebuild the index for it first",
    )


@dataclass(frozen=True, slots=True)
class Seams:
    """What a platform is built from.

    ``encoder`` and ``background`` are those that it was founded with; ``dense_of`` brings any
    other by its digest, and raises ``PredatorError`` where it cannot.
    """

    database: Path
    objects: ObjectStore
    gitops: GitOps
    contour: str
    encoder: Encoder
    background: Callable[[OnVectors], VectorSource]
    rules: str
    secret: bytes
    dense_of: Callable[[str], Dense] = _no_other


class Platform:
    """Index, routing, recording and intake behind one HTTP application."""

    def __init__(self, seams: Seams) -> None:
        self.instruments = Instruments()
        self.store = Store(seams.database)
        self.recorder = Recorder(self.store, self.instruments)
        self._seams = seams
        self.index = Index(seams.encoder.dim, seams.encoder.digest)
        rules = Rules.load(seams.objects.get(seams.rules))
        self._spaces = Spaces(self.index, self._dense_of, self._say)
        self._spaces.open(seams.encoder.digest)
        self._ingest = Ingest(
            self.store, self.index, Processor(rules), self._spaces, self.instruments
        )
        self._agent = Agent(seams.gitops, seams.contour, self._load, warm_up, self._spaces.keep)

    def start(self) -> None:
        """Index what is known, apply git's head, then follow it in the background."""
        self._ingest.start()
        self._agent.step()
        threading.Thread(target=self._agent.run, name="agent", daemon=True).start()

    def close(self) -> None:
        self._agent.stop()
        self._ingest.close()
        self._spaces.close()
        self.store.close()

    @property
    def routing(self) -> Routing:
        routing = self._agent.routing
        if routing is None:
            raise PredatorError("no release is live yet", cure=self._agent.detail or "wait")
        return routing

    def search(self, request: SearchRequest) -> SearchResponse:
        """Answer, and record the answer as a UBI query; or that there was none, and raise."""
        started = time.perf_counter()
        query_id = uuid.uuid4().hex
        somebody = request.user_id or request.session_id or request.client_id
        unit = somebody or query_id
        route = self.routing.route(self._seams.secret, unit, sticky=bool(somebody))
        try:
            answer = rank(route, request.query, request.k, query_id)
            rows, scores = answer.ranking.rows.tolist(), answer.ranking.scores.tolist()
            hits = self._hits(request, rows, scores)
        except Exception as error:
            self.recorder.failure(unit, route, error)
            raise
        took_ms = (time.perf_counter() - started) * 1e3
        self.recorder.search(query_id, request, unit, route, answer, hits, took_ms)
        self.instruments.search_seconds.observe(took_ms / 1e3)
        if not hits:
            self.instruments.zero_results.inc()
        return SearchResponse(
            query_id=query_id,
            release=route.engine.release.digest,
            experiment_id=route.experiment or None,
            variant=answer.variant or None,
            hits=hits,
            took_ms=round(took_ms, 3),
        )

    def accept_documents(self, documents: Sequence[NewDocument]) -> int:
        """Queue documents; at return a crash no longer loses them."""
        self._ingest.accept([Document(d.id, d.title, d.text, d.category) for d in documents])
        return len(documents)

    def flip(self, digest: str) -> None:
        self._agent.flip(digest)

    def readiness(self) -> Readiness:
        routing = self._agent.routing
        release = routing.desired.release if routing else None
        pinned = routing.pinned if routing else None
        return Readiness(
            ready=routing is not None,
            release=pinned or (release.digest if release else ""),
            version=release.version if release else "",
            revision=routing.revision if routing else "",
            pinned=pinned is not None,
            healthy=self._agent.healthy,
            detail=self._agent.detail,
            documents=len(self.index),
            etl_pending=self._ingest.pending,
            etl_backlog_s=round(self._ingest.backlog_s, 3),
            vector_backlog=self._spaces.backlog(routing.live.release.encoder if routing else None),
            preparing=[
                Preparing(
                    encoder=space.encoder,
                    documents=space.done,
                    total=space.total,
                    eta_s=space.eta_s,
                )
                for space in self._spaces.progress()
                if space.encoder in self._agent.expected
            ],
        )

    def expose_metrics(self) -> bytes:
        state = self.readiness()
        self.instruments.documents.set(state.documents)
        self.instruments.etl_backlog_s.set(state.etl_backlog_s)
        self.instruments.vector_backlog.set(state.vector_backlog)
        self.instruments.spaces(self._spaces.progress(), self._agent.expected)
        self.instruments.release.clear()
        if state.ready:
            self.instruments.release.labels(state.version, state.release).set(1)
        return self.instruments.expose()

    def _load(self, digest: str) -> Engine:
        seams = self._seams
        release = load_release(seams.objects.get(digest))
        if (release.schema, release.rules) != (SCHEMA, seams.rules):
            raise PredatorError(
                f"release {digest[:12]} needs another schema or rules than the index has",
                cure="rebuild the index for it first",
            )
        # The space first: while it fills, this is asked again and again.
        space = self._spaces.open(release.encoder)
        if self._agent.routing is not None:  # else nobody is served: better without than not at all
            space.check(self._agent.routing.live.index)
        reranker = None
        if release.reranker is not None:
            reranker = load_reranker(seams.objects.get(release.reranker), seams.objects.get)
        return Engine(release, space.index, space.encoder, reranker)

    def _dense_of(self, digest: str) -> Dense:
        seams = self._seams
        if digest == seams.encoder.digest:
            return Dense(seams.encoder, seams.background)
        return seams.dense_of(digest)

    def _say(self, line: str) -> None:
        log.info("%s", line)
        self.store.log(time.time(), "vectors", "info", "vectors of an encoder", line)

    def _hits(self, request: SearchRequest, rows: list[int], scores: list[float]) -> list[Hit]:
        query = self.index.analyse(request.query)
        weights = dict(
            zip(
                dict.fromkeys(query.terms), self.index.all.idf(query.term_ids).tolist(), strict=True
            )
        )
        wanted = frozenset(weights)
        hits = []
        for row, score in zip(rows, scores, strict=True):
            document = self.index.documents[row]
            hits.append(
                Hit(
                    id=document.id,
                    title=document.title,
                    score=round(score, 6),
                    category=document.category,
                    language=document.language,
                    entities=list(document.entities),
                    summary=summarise(document.text, wanted, request.mode, weights.__getitem__),
                )
            )
        return hits
