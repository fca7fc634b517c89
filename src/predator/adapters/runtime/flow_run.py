"""One flow as it runs in this process: its thread, and how it is made to stop."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextvars import copy_context
from typing import TYPE_CHECKING

from predator.ports.runtime import FlowCancelled, FlowFenced, FlowStopped, Json

if TYPE_CHECKING:
    from dbos._sys_db import SystemDatabase

_LOOK_S = 5.0


class FlowRun:
    """Runs a flow's code in a thread of its own, which a close leaves behind.

    Python cannot end a thread that is busy inside a step. So DBOS's thread, for which the
    interpreter would wait at its end, only watches; the flow's thread is a daemon.
    """

    def __init__(self, flow_id: str, owner: str, system: SystemDatabase) -> None:
        self.flow_id, self.owner, self.system = flow_id, owner, system
        self.stalled = False
        self._reason: FlowStopped | None = None
        self._ended = threading.Event()
        self._wake: threading.Event = threading.Event()
        self._result: Json = None
        self._raised: BaseException | None = None

    def run(self, work: Callable[[], Json]) -> Json:
        """What ``work`` returns, or what it raises; :class:`FlowStopped` at once on ``abandon``."""
        context = copy_context()
        name = f"flow {self.flow_id}"
        threading.Thread(
            target=context.run, args=(self._work, work), name=name, daemon=True
        ).start()
        self._ended.wait()
        if self._raised is not None:
            raise self._raised
        return self._result

    def _work(self, work: Callable[[], Json]) -> None:
        try:
            result = work()
        except BaseException as error:
            self._end(None, error)
        else:
            self._end(result, None)

    def _end(self, result: Json, raised: BaseException | None) -> None:
        if not self._ended.is_set():
            self._result, self._raised = result, raised
            self._ended.set()

    def stop(self, reason: FlowStopped) -> None:
        """Every later call of the flow raises ``reason``; a wait ends, a running step does not."""
        if self._reason is None:
            self._reason = reason
        self._wake.set()

    def abandon(self) -> None:
        """Stop, and leave a step that is still running to itself."""
        reason = FlowStopped(f"the worker closes; flow {self.flow_id!r} goes on at its next start")
        self.stop(reason)
        self._end(None, self._reason or reason)

    @property
    def ended(self) -> bool:
        return self._ended.is_set()

    def check(self) -> None:
        """Raise where the flow has been told to stop."""
        if self._reason is not None:
            raise self._reason

    def check_owner(self) -> None:
        """Raise where the flow has been told to stop, or no longer belongs to this run of it."""
        self.check()
        if self._owner() != self.owner:
            raise self.lost()

    def _owner(self) -> str | None:
        """DBOS's ``get_workflow_owner`` in one round trip: this is asked before every step."""
        from dbos._schemas.system_database import SystemSchema
        from sqlalchemy import select

        flows = SystemSchema.workflow_status.c
        query = select(flows.owner_xid).where(flows.workflow_uuid == self.flow_id)
        with self.system.engine.connect() as connection:
            # SQLite reads without a transaction anyway, and would lose its own setting.
            sqlite = connection.dialect.name == "sqlite"
            options = {} if sqlite else {"isolation_level": "AUTOCOMMIT"}
            return connection.execution_options(**options).scalar(query)

    def lost(self) -> FlowStopped:
        """Why the flow no longer belongs to this run; it stops by it."""
        status = self.system.get_workflow_status(self.flow_id)
        reason: FlowStopped
        if status is None or status["status"] == "CANCELLED":
            reason = FlowCancelled(f"flow {self.flow_id!r} was cancelled")
        else:
            reason = FlowFenced(f"flow {self.flow_id!r} was taken over by another worker")
        self.stop(reason)
        return self._reason or reason

    def pause(
        self, until: float, wake: threading.Event, look: Callable[[], None] | None = None
    ) -> None:
        """Wait until ``wake`` is set or the time is ``until`` (unix seconds).

        Raises once the flow has been told to stop. ``look`` is called every few seconds.
        """
        self._wake = wake
        try:
            while True:
                self.check()
                left = until - time.time()
                if left <= 0 or wake.wait(min(left, _LOOK_S)):
                    break
                if look is not None:
                    look()
        finally:
            self._wake = threading.Event()
        self.check()
