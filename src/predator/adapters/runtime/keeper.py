"""A worker's own thread: it beats, and it sees to flows that changed hands."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from predator.adapters.runtime.flow_run import FlowRun
from predator.adapters.runtime.leases import Leases

_WATCH_S = 0.5
_LOG = logging.getLogger(__name__)


class Keeper:
    """Knows the runs of this process; its thread works from :meth:`start` to :meth:`stop`."""

    def __init__(self, leases: Leases, heartbeat_s: float) -> None:
        self._leases, self._heartbeat_s = leases, heartbeat_s
        self._runs: list[FlowRun] = []
        self._lock = threading.Lock()
        self._abandoned = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="runtime-keeper", daemon=True)

    def start(self) -> None:
        self._leases.beat()
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(5.0)

    @contextmanager
    def tracked(self, run: FlowRun) -> Iterator[None]:
        """Look after ``run`` while it lasts."""
        with self._lock:
            self._runs.append(run)
            if self._abandoned:
                run.abandon()
        try:
            yield
        finally:
            # A stalled one is looked after until its flow is back in its queue.
            if not run.stalled:
                self._forget(run)

    def abandon(self) -> None:
        """Put every run aside, now and from now on."""
        with self._lock:
            self._abandoned = True
            for run in self._runs:
                run.abandon()

    def _keep(self) -> None:
        beat_at, trouble = time.monotonic(), False
        while not self._stopping.wait(min(_WATCH_S, self._heartbeat_s)):
            try:
                self._watch()
                if time.monotonic() - beat_at >= self._heartbeat_s:
                    beat_at = time.monotonic()
                    self._leases.beat()
                    self._take_over()
                trouble = False
            except Exception as error:
                if not trouble and not self._stopping.is_set():
                    _LOG.warning("The runtime's database does not answer: %s", error)
                trouble = True

    def _watch(self) -> None:
        with self._lock:
            runs = list(self._runs)
        owners = self._leases.owners([run.flow_id for run in runs]) if runs else {}
        for run in runs:
            if run.ended:
                if run.stalled:
                    self._put_back(run)
                    self._forget(run)
            elif owners.get(run.flow_id) != run.owner:
                run.lost()

    def _put_back(self, run: FlowRun) -> None:
        from dbos._utils import INTERNAL_QUEUE_NAME

        mine = [self._leases.executor_id]
        run.system.reenqueue_for_recovery(run.flow_id, mine, INTERNAL_QUEUE_NAME)

    def _take_over(self) -> None:
        from dbos import DBOS

        gone = self._leases.gone()
        if gone:
            _LOG.warning("Taking over the flows of %s", ", ".join(gone))
            DBOS._recover_pending_workflows(gone)

    def _forget(self, run: FlowRun) -> None:
        with self._lock:
            self._runs.remove(run)
