"""The search platform as an object: what the HTTP routes call."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

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
from predator.search.serving.ingest import Ingest, VectorSource
from predator.search.serving.instruments import Instruments
from predator.search.serving.recorder import Recorder
from predator.search.serving.routing import Routing
from predator.search.serving.schemas import (
    Hit,
    NewDocument,
    Readiness,
    SearchRequest,
    SearchResponse,
)
from predator.search.serving.store import Store
from predator.search.summarise import summarise

OnVectors = Callable[[Sequence[int], NDArray[np.float32]], None]


@dataclass(frozen=True, slots=True)
class Seams:
    """What a platform is built from."""

    database: Path
    objects: ObjectStore
    gitops: GitOps
    contour: str
    encoder: Encoder
    background: Callable[[OnVectors], VectorSource]
    rules: str
    secret: bytes


class Platform:
    """Index, routing, recording and intake behind one HTTP application."""

    def __init__(self, seams: Seams) -> None:
        self.instruments = Instruments()
        self.store = Store(seams.database)
        self.recorder = Recorder(self.store, self.instruments)
        self._seams = seams
        self.index = Index(seams.encoder.dim)
        rules = Rules.load(seams.objects.get(seams.rules))
        self._background = seams.background(self._vectors_ready)
        self._ingest = Ingest(
            self.store, self.index, Processor(rules), self._background, self.instruments
        )
        self._agent = Agent(seams.gitops, seams.contour, self._load, warm_up)

    def start(self) -> None:
        """Index what is known, apply git's head, then follow it in the background."""
        self._ingest.start()
        self._agent.step()
        threading.Thread(target=self._agent.run, name="agent", daemon=True).start()

    def close(self) -> None:
        self._agent.stop()
        self._ingest.close()
        self._background.close()
        self.store.close()

    @property
    def routing(self) -> Routing:
        routing = self._agent.routing
        if routing is None:
            raise PredatorError("no release is live yet", cure=self._agent.detail or "wait")
        return routing

    def search(self, request: SearchRequest) -> SearchResponse:
        """Answer, and record the answer as a UBI query."""
        started = time.perf_counter()
        query_id = uuid.uuid4().hex
        unit = request.user_id or request.session_id or request.client_id or query_id
        routing = self.routing
        route = routing.route(self._seams.secret, unit)
        ranking = route.engine.rank(request.query, request.k)
        hits = self._hits(request, ranking.rows.tolist(), ranking.scores.tolist())
        took_ms = (time.perf_counter() - started) * 1e3
        self.recorder.search(query_id, request, unit, route, hits, took_ms)
        self.instruments.search_seconds.observe(took_ms / 1e3)
        if not hits:
            self.instruments.zero_results.inc()
        return SearchResponse(
            query_id=query_id,
            release=route.engine.release.digest,
            experiment_id=route.experiment or None,
            variant=route.variant or None,
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
            vector_backlog=self._background.backlog,
        )

    def expose_metrics(self) -> bytes:
        state = self.readiness()
        self.instruments.documents.set(state.documents)
        self.instruments.etl_backlog_s.set(state.etl_backlog_s)
        self.instruments.vector_backlog.set(state.vector_backlog)
        self.instruments.release.clear()
        if state.ready:
            self.instruments.release.labels(state.version, state.release).set(1)
        return self.instruments.expose()

    def _load(self, digest: str) -> Engine:
        seams = self._seams
        release = load_release(seams.objects.get(digest))
        ours = (seams.encoder.digest, SCHEMA, seams.rules)
        if (release.encoder, release.schema, release.rules) != ours:
            raise PredatorError(
                f"release {digest[:12]} needs another encoder, schema or rules than the index has",
                cure="rebuild the index for it first",
            )
        reranker = None
        if release.reranker is not None:
            reranker = load_reranker(seams.objects.get(release.reranker))
        return Engine(release, self.index, seams.encoder, reranker)

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

    def _vectors_ready(self, rows: Sequence[int], vectors: NDArray[np.float32]) -> None:
        self._ingest.on_vectors(rows, vectors)
