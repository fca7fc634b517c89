"""Flows in memory on a virtual clock: they take turns, and nobody waits for real."""

from __future__ import annotations

import builtins
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from predator.adapters.runtime.outcomes import attempt, checked, checked_name, error_of, unwrap
from predator.adapters.runtime.virtual import Journal, Record, VirtualClock, VirtualRuntime
from predator.domain.errors import InputError, PredatorError
from predator.ports.runtime import Flow, FlowStatus, FlowStopped, Json

_ENDED = frozenset({"done", "failed", "cancelled"})


@dataclass
class _Turn:
    """A flow under way: its thread runs only while it holds the turn."""

    record: Record
    until: float = 0.0
    ready: Callable[[], bool] = lambda: True
    go: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    over: bool = False
    raised: BaseException | None = None


class VirtualFlows:
    """The client, and with :meth:`run_all` the worker too.

    Flows run one at a time, each until it waits; then the clock goes to where the next one can go
    on. So many flows share months of virtual time, always in the same order.
    """

    def __init__(
        self,
        flows: Mapping[str, Flow] | None = None,
        *,
        clock: VirtualClock | None = None,
        journal: Journal | None = None,
        at: Callable[[str], None] | None = None,
    ) -> None:
        """``journal``: where a crashed one left off. ``at``: see :class:`VirtualRuntime`."""
        self._flows = dict(flows or {})
        self.clock = clock or VirtualClock()
        self.journal = journal or Journal()
        self._at = at
        self._turns: dict[str, _Turn] = {}
        self._back = threading.Semaphore(0)
        self._stopping = False

    def enqueue(self, flow: str, flow_id: str, arguments: Json, *, queue: str = "cycles") -> None:
        checked_name(flow, "the flow")
        checked_name(flow_id, "the flow's id")
        checked_name(queue, "the queue")
        kept = checked(arguments, f"the arguments of flow {flow_id!r}")
        found = self.journal.flows.get(flow_id)
        if found is None:
            self.journal.add(flow_id, flow, kept, "queued")
        elif found["name"] != flow:
            raise InputError(f"there is a flow {flow_id!r} already, and it is no {flow!r}")

    def send(self, flow_id: str, topic: str, message: Json, *, key: str) -> None:
        checked_name(topic, "the topic")
        checked_name(key, "the key")
        kept = checked(message, f"the message to flow {flow_id!r}")
        inbox = self._record(flow_id)["inbox"]
        if not any(mail["key"] == key for mail in inbox):
            inbox.append({"topic": topic, "key": key, "message": kept, "read": False})
            self.journal.save()

    def status(self, flow_id: str) -> FlowStatus | None:
        checked_name(flow_id, "the flow's id")
        found = self.journal.flows.get(flow_id)
        return None if found is None else _status(found, dict(found["events"]))

    def cancel(self, flow_id: str) -> None:
        record = self._record(flow_id)
        if record["state"] not in _ENDED:
            record["state"] = "cancelled"
            self.journal.save()

    def list(self, *, unfinished: bool = False, limit: int = 100) -> builtins.list[FlowStatus]:
        found = [
            _status(record, {})
            for record in reversed(self.journal.flows.values())
            if not (unfinished and record["state"] in _ENDED)
        ]
        return found[:limit]

    def run(self, flow: str, flow_id: str, arguments: Json) -> Json:
        """Run a flow and all others to their ends; returns its result or raises its error."""
        self.enqueue(flow, flow_id, arguments)
        self.run_all()
        record = self._record(flow_id)
        if record["outcome"] is None:
            raise PredatorError(f"flow {flow_id!r} is {record['state']}")
        return unwrap(record["outcome"])

    def run_all(self) -> None:
        """Run every flow that has not ended, and those that they start, to their ends.

        What a flow raises that is no ``Exception`` (a :class:`Crash`) is raised here, and puts all
        of them aside; the next call, here or on the same journal, goes on with them.
        """
        self._turns = {}
        self._stopping = False
        try:
            while True:
                self._begin_new()
                waiting = [turn for turn in self._turns.values() if not turn.over]
                if not waiting:
                    return
                turn = self._next_of(waiting)
                if turn is not None:
                    self._give(turn)
                    if turn.raised is not None and not isinstance(turn.raised, FlowStopped):
                        raise turn.raised
        finally:
            self._stopping = True
            for turn in self._turns.values():
                if not turn.over:
                    self._give(turn)

    def _begin_new(self) -> None:
        for flow_id, record in self.journal.flows.items():
            if flow_id not in self._turns and record["state"] not in _ENDED:
                record["state"] = "running"
                turn = self._turns[flow_id] = _Turn(record)
                name = f"flow {flow_id}"
                threading.Thread(target=self._thread, args=(turn,), name=name, daemon=True).start()

    def _next_of(self, waiting: builtins.list[_Turn]) -> _Turn | None:
        """The flow that can go on first; ``None`` where the clock went on to a planned thing."""
        for turn in waiting:
            if turn.ready() or turn.until <= self.clock.now():
                return turn
        until = min(turn.until for turn in waiting)
        planned = self.clock.next_event()
        self.clock.run_until(until if planned is None else min(until, planned))
        return None

    def _give(self, turn: _Turn) -> None:
        turn.go.release()
        self._back.acquire()

    def _thread(self, turn: _Turn) -> None:
        turn.go.acquire()
        try:
            if not self._stopping:
                self._run(turn)
        except BaseException as error:
            turn.raised = error
        turn.over = True
        self._back.release()

    def _run(self, turn: _Turn) -> None:
        def pause(until: float, ready: Callable[[], bool]) -> None:
            turn.until, turn.ready = until, ready
            self._back.release()
            turn.go.acquire()
            if self._stopping:
                raise FlowStopped(f"flow {turn.record['id']!r} was put aside")

        record = turn.record
        runtime = VirtualRuntime(
            record["id"], clock=self.clock, journal=self.journal, at=self._at, pause=pause
        )

        def work() -> Json:
            if record["name"] not in self._flows:
                raise InputError(f"there is no flow named {record['name']!r}")
            try:
                result = self._flows[record["name"]](runtime, checked(record["arguments"], "it"))
            except Exception:
                runtime.check()
                raise
            runtime.finish()
            return result

        record["outcome"] = attempt(f"flow {record['id']!r}", work)
        record["state"] = "failed" if "error" in record["outcome"] else "done"
        self.journal.save()

    def _record(self, flow_id: str) -> Record:
        checked_name(flow_id, "the flow's id")
        record = self.journal.flows.get(flow_id)
        if record is None:
            raise InputError(
                f"there is no flow {flow_id!r}", cure="List the flows to see their ids"
            )
        return record


def _status(record: Record, events: dict[str, Json]) -> FlowStatus:
    outcome = record["outcome"] or {}
    error = str(error_of(outcome["error"])) if "error" in outcome else ""
    name, state = record["name"], record["state"]
    return FlowStatus(record["id"], name, state, outcome.get("ok"), error, events)
