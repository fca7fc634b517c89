"""The process that runs flows: DBOS, launched; what a crash left goes on by itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from predator.adapters.runtime.database import (
    APPLICATION,
    VERSION,
    database_errors,
    open_engine,
    quiet,
)
from predator.adapters.runtime.dbos_client import DbosFlows, other_flow
from predator.adapters.runtime.dbos_runtime import DbosRuntime
from predator.adapters.runtime.flow_run import FlowRun
from predator.adapters.runtime.keeper import Keeper
from predator.adapters.runtime.leases import Leases, Presence
from predator.adapters.runtime.outcomes import attempt, checked, checked_name
from predator.domain.errors import ConflictError, InputError, PredatorError
from predator.ports.runtime import Flow, FlowStopped, Json

if TYPE_CHECKING:
    from sqlalchemy import Engine

MAX_CRASHES = 1000
"""A flow that ended its worker this often is given up."""

_LOOK_S = 0.1
_launching = threading.Lock()


class DbosWorker:
    """Runs flows from the queues, and those of :meth:`run`; DBOS allows one worker a process.

    Always close it, or use it with ``with``: Python would wait at its end for running flows.
    """

    def __init__(
        self,
        url: str,
        executor_id: str,
        flows: Mapping[str, Flow],
        *,
        queues: Mapping[str, int] | None = None,
        heartbeat_s: float = 2.0,
        lease_s: float = 10.0,
        poll_s: float = 0.25,
    ) -> None:
        """Launch, and go on with the unfinished flows of ``executor_id``.

        ``executor_id`` is the same at each start, and no other live worker's (``ConflictError``).
        ``flows`` are by the names under which histories know them. ``queues`` say how many flows
        of each queue run at once in a worker (default ``{"cycles": 2}``); other queues are left
        alone. A worker that has not been heard of for ``lease_s`` loses its running flows.
        """
        self._flows = {checked_name(name, "the flow"): flow for name, flow in flows.items()}
        self._broken_off: dict[str, BaseException] = {}
        self._workflows: dict[str, Callable[[Json], Json]] = {}
        self._closed = False
        checked_name(executor_id, "the worker's id")
        if not _launching.acquire(blocking=False):
            raise ConflictError("this process runs a worker already", cure="Close it first")
        with ExitStack() as undo, database_errors():
            undo.callback(_launching.release)
            engine = open_engine(url)
            undo.callback(engine.dispose)
            self.flows = DbosFlows.on(engine)
            """A client on the same database."""
            presence = Presence(engine, executor_id)
            undo.callback(presence.release)
            leases = Leases(engine, executor_id, lease_s)
            leases.beat()
            undo.callback(leases.release)
            self._keeper = Keeper(leases, heartbeat_s)
            queues = {"cycles": 2} if queues is None else queues
            for name, concurrency in queues.items():
                self.flows.add_queue(name, concurrency, poll_s)
            undo.callback(_destroy)
            self._launch(engine, executor_id, list(queues), poll_s)
            undo.callback(self._keeper.abandon)
            undo.callback(self._keeper.stop)
            self._keeper.start()
            self._undo = undo.pop_all()

    def _launch(
        self, engine: Engine, executor_id: str, queues: Sequence[str], poll_s: float
    ) -> None:
        from dbos import DBOS

        from predator.adapters.runtime.serializer import JsonSerializer

        serializer: Any = JsonSerializer()
        dbos = DBOS(
            config={
                "name": APPLICATION,
                "system_database_engine": engine,
                "executor_id": executor_id,
                "application_version": VERSION,
                "serializer": serializer,
                "enable_otlp": False,
                "log_level": "WARNING",
                "run_migrations": False,
                "notification_listener_polling_interval_sec": min(0.1, poll_s),
                "scheduler_polling_interval_sec": 3600.0,
            }
        )
        quiet()
        for name, flow in self._flows.items():
            register = DBOS.workflow(name=name, max_recovery_attempts=MAX_CRASHES)
            self._workflows[name] = register(self._body(dbos, flow))
        # Otherwise it would also serve the queues that other workers made.
        DBOS.listen_queues(queues)
        # Recovered flows come through this queue, which looks once a second otherwise.
        dbos._registry.get_internal_queue()._polling_interval_sec = poll_s
        DBOS.launch()

    def _body(self, dbos: Any, flow: Flow) -> Callable[[Json], Json]:
        def body(arguments: Json) -> Json:
            from dbos._context import assert_current_dbos_context

            context = assert_current_dbos_context()
            run = FlowRun(context.workflow_id, str(context.owner_xid), dbos._sys_db)
            try:
                with self._keeper.tracked(run):
                    return run.run(lambda: _outcome(run, flow, arguments))
            except FlowStopped:
                raise
            except BaseException as error:
                self._broken_off[run.flow_id] = error
                raise

        return body

    def run(self, flow: str, flow_id: str, arguments: Json) -> FlowHandle:
        """Start a flow in this process at once, or attach to the one that has this id."""
        from dbos import DBOS, SetWorkflowID
        from dbos._error import DBOSConflictingWorkflowError

        workflow = self._workflows.get(flow)
        if workflow is None:
            raise InputError(f"there is no flow named {flow!r} in this worker")
        there_is = self.flows.status(flow_id)
        if there_is is not None and there_is.name != flow:
            raise other_flow(flow_id, flow)
        if there_is is None:
            kept = checked(arguments, f"the arguments of flow {flow_id!r}")
            try:
                with database_errors(), SetWorkflowID(flow_id):
                    DBOS.start_workflow(workflow, kept)
            except DBOSConflictingWorkflowError as error:
                raise other_flow(flow_id, flow) from error
        return FlowHandle(flow_id, self)

    def close(self) -> None:
        """Stop; running flows stay as they are and go on at the next start.

        A flow that waits ends its wait, one that is inside a step is left to itself: its thread
        cannot record anything any more, and does not hold up the end of the process.
        """
        if not self._closed:
            self._closed = True
            self._undo.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class FlowHandle:
    """A flow that was started or attached to."""

    def __init__(self, flow_id: str, worker: DbosWorker) -> None:
        self.flow_id, self._worker = flow_id, worker

    def result(self, timeout_s: float | None = None) -> Json:
        """Wait for the end; returns the flow's result or raises its error.

        ``TimeoutError`` once the time is up, ``PredatorError`` for a flow that was cancelled or is
        put aside by :meth:`DbosWorker.close`. What is no ``Exception`` (``KeyboardInterrupt``) and
        ended the flow's code here is raised as it was.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        pause_s = 0.005
        while True:
            state = self._worker.flows.state(self.flow_id)
            if state in {None, "done", "failed", "cancelled"}:
                return self._worker.flows.result(self.flow_id)
            broken_off = self._worker._broken_off.get(self.flow_id)
            if self._worker._closed:
                raise PredatorError(f"flow {self.flow_id!r} was put aside: its worker is closed")
            if broken_off is not None:
                raise broken_off
            if deadline is not None and time.monotonic() >= deadline:
                raise TimeoutError(f"flow {self.flow_id!r} is still {state}")
            time.sleep(pause_s)
            pause_s = min(_LOOK_S, pause_s * 1.5)


def _outcome(run: FlowRun, flow: Flow, arguments: Json) -> Json:
    runtime = DbosRuntime(run)

    def work() -> Json:
        try:
            result = flow(runtime, arguments)
        except Exception:
            # An error on the way out of a stopped flow is not how the flow ended.
            runtime.check()
            run.check_owner()
            raise
        runtime.finish()
        return result

    return attempt(f"flow {run.flow_id!r}", work)


def _destroy() -> None:
    from dbos import DBOS

    DBOS.destroy(destroy_registry=True)
