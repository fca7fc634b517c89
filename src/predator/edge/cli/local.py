"""Talking to a platform that a command has started: documents in, and waiting for them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import httpx

from predator.domain.documents import Document
from predator.domain.errors import PredatorError
from predator.ports.progress import Progress

FEED = 250
"""Documents sent at a time."""


def feed(url: str, documents: Sequence[Document], progress: Progress, pause_s: float = 0.0) -> None:
    """Send documents through the processor; ``pause_s`` spreads them over that time."""
    batches = range(0, len(documents), FEED)
    with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
        for start in batches:
            batch = [
                {"id": d.id, "title": d.title, "text": d.text, "category": d.category}
                for d in documents[start : start + FEED]
            ]
            answer = client.post("/documents", json=batch)
            if answer.status_code != 202:
                raise PredatorError(f"documents were refused: {answer.json().get('detail')}")
            progress.work("documents sent", start + len(batch), len(documents))
            time.sleep(pause_s / len(batches))


def _state(url: str) -> dict[str, Any]:
    try:
        return dict(httpx.get(f"{url}/readyz", timeout=30, trust_env=False).json())
    except (httpx.HTTPError, ValueError) as error:
        raise PredatorError(f"the platform at {url} is gone: {error}") from error


def wait_for_documents(url: str, progress: Progress) -> None:
    while (state := _state(url))["etl_pending"]:
        progress.work(
            "documents indexed", state["documents"], state["documents"] + state["etl_pending"]
        )
        time.sleep(0.2)
    progress.note(f"{state['documents']} documents can be found")


STUCK_S = 60.0
"""Without a new vector for this long, waiting on would be waiting for nothing."""


def wait_for_vectors(url: str, progress: Progress) -> None:
    """Wait until every document has a vector, or until none has come for a minute."""
    least, since = None, time.monotonic()
    while backlog := (state := _state(url))["vector_backlog"]:
        if least is None or backlog < least:
            least, since = backlog, time.monotonic()
        elif time.monotonic() - since > STUCK_S:
            progress.note(f"{backlog} documents have no vector: they are found by words alone")
            return
        progress.work(
            "vectors behind the lexical index", state["documents"] - backlog, state["documents"]
        )
        time.sleep(0.3)
