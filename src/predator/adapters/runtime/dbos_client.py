"""A client of flows that DBOS keeps: it reads and writes the database, and starts nothing."""

from __future__ import annotations

import builtins
import threading
import time
from typing import TYPE_CHECKING, Any

from predator.adapters.runtime.database import (
    APPLICATION,
    VERSION,
    database_errors,
    open_client,
    open_engine,
)
from predator.adapters.runtime.outcomes import checked, checked_name, error_of, unwrap
from predator.domain.errors import InputError, PredatorError
from predator.ports.runtime import FlowState, FlowStatus, Json

if TYPE_CHECKING:
    from dbos import DBOSClient
    from sqlalchemy import Engine

_STATES: dict[str, FlowState] = {
    "DELAYED": "queued",
    "ENQUEUED": "queued",
    "PENDING": "running",
    "SUCCESS": "done",
    "ERROR": "failed",
    "MAX_RECOVERY_ATTEMPTS_EXCEEDED": "failed",
    "CANCELLED": "cancelled",
}
_UNFINISHED = ["DELAYED", "ENQUEUED", "PENDING"]
# DBOS hands out messages by the millisecond at which they came.
_APART_S = 0.002


class DbosFlows:
    """Needs no worker to be alive; what it asks for is done once one is."""

    def __init__(self, url: str) -> None:
        """``url``: ``sqlite:///FILE`` or ``postgresql://…``. The tables are made if need be."""
        self._engine = open_engine(url, connections=4, ping=True)
        self._open()

    @classmethod
    def on(cls, engine: Engine) -> DbosFlows:
        """A client on an engine that somebody else opened and will dispose of."""
        flows = cls.__new__(cls)
        flows._engine = engine
        flows._open()
        return flows

    def _open(self) -> None:
        self._client: DBOSClient = open_client(self._engine)
        self._sending = threading.Lock()
        self._sent_at = 0.0

    def enqueue(self, flow: str, flow_id: str, arguments: Json, *, queue: str = "cycles") -> None:
        from dbos._error import DBOSConflictingWorkflowError

        options, kept = _enqueued(flow, flow_id, arguments, queue)
        there_is = self.status(flow_id)
        if there_is is None:
            with database_errors():
                try:
                    self._client.enqueue(options, kept)
                except DBOSConflictingWorkflowError as error:
                    raise other_flow(flow_id, flow) from error
        elif there_is.name != flow:
            raise other_flow(flow_id, flow)

    def send(self, flow_id: str, topic: str, message: Json, *, key: str) -> None:
        from dbos._error import DBOSNonExistentWorkflowError

        checked_name(flow_id, "the flow's id")
        checked_name(topic, "the topic")
        checked_name(key, "the key")
        kept = {"ok": checked(message, f"the message to flow {flow_id!r}")}
        with self._sending, database_errors():
            time.sleep(max(0.0, self._sent_at + _APART_S - time.monotonic()))
            try:
                self._client.send(flow_id, kept, topic, key)
            except DBOSNonExistentWorkflowError as error:
                raise no_flow(flow_id) from error
            finally:
                self._sent_at = time.monotonic()

    def status(self, flow_id: str) -> FlowStatus | None:
        checked_name(flow_id, "the flow's id")
        with database_errors():
            found = self._client.list_workflows(workflow_ids=[flow_id], load_input=False)
            if not found:
                return None
            events = self._client._sys_db.get_all_events(flow_id)
        return _status(found[0], {key: kept["ok"] for key, kept in events.items()})

    def state(self, flow_id: str) -> FlowState | None:
        """Whether the flow has ended, in one small query; ``done`` may be an error."""
        with database_errors():
            found = self._client._sys_db.get_workflow_status(flow_id)
        if found is None:
            return None
        return _STATES[found["status"]]

    def cancel(self, flow_id: str) -> None:
        if self.state(checked_name(flow_id, "the flow's id")) is None:
            raise no_flow(flow_id)
        with database_errors():
            self._client.cancel_workflow(flow_id)

    def list(self, *, unfinished: bool = False, limit: int = 100) -> builtins.list[FlowStatus]:
        with database_errors():
            found = self._client.list_workflows(
                status=_UNFINISHED if unfinished else None,
                limit=limit,
                sort_desc=True,
                load_input=False,
            )
        return [_status(flow, {}) for flow in found]

    def result(self, flow_id: str) -> Json:
        """What a flow that has ended returned; its error is raised as the class it was."""
        checked_name(flow_id, "the flow's id")
        with database_errors():
            found = self._client.list_workflows(workflow_ids=[flow_id], load_input=False)
        if not found:
            raise no_flow(flow_id)
        if found[0].status == "SUCCESS":
            return unwrap(found[0].output)
        status = _status(found[0], {})
        raise PredatorError(f"flow {flow_id!r} is {status.state}: {status.error}".rstrip(": "))

    def add_queue(self, name: str, concurrency: int, poll_s: float) -> None:
        """Make a queue, or change it: how many of its flows a worker runs at once."""
        checked_name(name, "the queue")
        with database_errors():
            self._client.register_queue(
                name, worker_concurrency=concurrency, polling_interval_sec=poll_s,
                application_name=APPLICATION,
            )  # fmt: skip

    def close(self) -> None:
        """Give the connections back."""
        self._client.destroy()
        self._engine.dispose()


def _enqueued(flow: str, flow_id: str, arguments: Json, queue: str) -> tuple[Any, Json]:
    options = {
        "workflow_name": checked_name(flow, "the flow"),
        "workflow_id": checked_name(flow_id, "the flow's id"),
        "queue_name": checked_name(queue, "the queue"),
        "app_version": VERSION,
    }
    return options, checked(arguments, f"the arguments of flow {flow_id!r}")


def no_flow(flow_id: str) -> InputError:
    return InputError(f"there is no flow {flow_id!r}", cure="List the flows to see their ids")


def other_flow(flow_id: str, flow: str) -> InputError:
    return InputError(f"there is a flow {flow_id!r} already, and it is no {flow!r}")


def _status(flow: Any, events: dict[str, Json]) -> FlowStatus:
    state, result, error = _STATES[flow.status], None, ""
    if flow.status == "SUCCESS":
        if "error" in flow.output:
            state, error = "failed", str(error_of(flow.output["error"]))
        else:
            result = flow.output["ok"]
    elif flow.status == "ERROR":
        error = str(flow.error)
    elif state == "failed":
        error = "It crashed its workers too many times, and was given up"
    return FlowStatus(flow.workflow_id, flow.name, state, result, error, events)
