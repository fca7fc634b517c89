"""The worker: durable flows of a contour on one platform."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Mapping
from typing import TYPE_CHECKING

from predator.bootstrap.home import Home
from predator.config import Settings

if TYPE_CHECKING:
    from predator.adapters.runtime.dbos_worker import DbosWorker
    from predator.ports.runtime import Flow


def worker_of(
    url: str, executor_id: str, flows: Mapping[str, Flow], settings: Settings
) -> DbosWorker:
    """A worker on the flows' database; what it left unfinished goes on at once."""
    from predator.adapters.runtime.dbos_worker import DbosWorker

    return DbosWorker(
        url,
        executor_id,
        flows,
        heartbeat_s=settings.worker_heartbeat_s,
        lease_s=settings.worker_lease_s,
        poll_s=min(0.15, settings.poll_s),
    )


def executor_of(settings: Settings) -> str:
    """The lasting name of this worker: the one set, or one made of host and home."""
    if settings.executor_id:
        return settings.executor_id
    place = f"{socket.gethostname()}:{Home(settings).root}"
    return f"worker-{hashlib.sha256(place.encode()).hexdigest()[:12]}"
