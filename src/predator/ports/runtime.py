"""Durable execution: a flow is plain code whose steps are recorded, so that a crash loses nothing.

A flow that is started again under the same id goes on where it stopped: recorded steps are read
back, not run. Between steps a flow reads no clock, draws no number and touches nothing outside.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

Json = Any
"""Plain JSON: ``None``, booleans, finite numbers, strings, lists and string-keyed mappings."""


class FlowStopped(BaseException):
    """Raised out of a :class:`Runtime` call: nothing more of this flow may happen here and now.

    It is no ``Exception``, so that ``except Exception`` cannot swallow it. Every later call raises
    it again. The flow itself goes on at the next start, unless it was cancelled.
    """


class FlowCancelled(FlowStopped):
    """Somebody cancelled the flow."""


class FlowFenced(FlowStopped):
    """Another worker has taken the flow over; this copy of it must do nothing more."""


class Runtime(Protocol):
    """What a running flow may ask of the runtime. Only a flow's own thread calls it.

    Where the flow has been cancelled, taken over or put aside, every call but ``flow_id`` raises
    :class:`FlowStopped`. Where its code asks for other steps than are recorded, every call raises
    a ``PredatorError`` that names both, and the flow fails.
    """

    @property
    def flow_id(self) -> str:
        """The flow's id: its idempotency key."""
        ...

    def step(self, name: str, work: Callable[[], Json]) -> Json:
        """Run ``work`` and record its result, or read the recorded result back.

        At-least-once: a crash inside ``work`` runs it again, so ``work`` is idempotent. A
        ``PredatorError`` it raises is recorded and raised again as the same class with the same
        cause and cure; any other ``Exception`` is recorded as a ``PredatorError`` that names it.
        ``KeyboardInterrupt`` and ``SystemExit`` pass unrecorded: every later call raises them
        again, and the step runs again next time.
        """
        ...

    def sleep(self, seconds: float) -> None:
        """Wait; the end of the wait is recorded, so a restart does not begin it anew."""
        ...

    def wait(self, topic: str, timeout_s: float) -> Json | None:
        """The next message sent to this flow on ``topic``; ``None`` once the time is up."""
        ...

    def emit(self, key: str, value: Json) -> None:
        """Publish the newest ``value`` of ``key``, for clients to read while the flow runs."""
        ...

    def now(self) -> float:
        """The time (unix seconds), recorded as a step."""
        ...


Flow = Callable[[Runtime, Json], Json]
"""A flow's code: ``flow(runtime, arguments)`` returns its result."""

FlowState = Literal["queued", "running", "done", "failed", "cancelled"]


@dataclass(frozen=True, slots=True)
class FlowStatus:
    """Where a flow is. ``result`` once ``done``; ``error`` is one line once ``failed``."""

    id: str
    name: str
    state: FlowState
    result: Json = None
    error: str = ""
    events: Mapping[str, Json] = field(default_factory=dict)


class Flows(Protocol):
    """A client of the runtime: it starts nothing by itself and may live in another process."""

    def enqueue(self, flow: str, flow_id: str, arguments: Json, *, queue: str = "cycles") -> None:
        """Ask for a flow to be run by a worker; the same id again changes nothing."""
        ...

    def send(self, flow_id: str, topic: str, message: Json, *, key: str) -> None:
        """Send a message to a flow; the same ``key`` again changes nothing.

        ``InputError`` where there is no such flow.
        """
        ...

    def status(self, flow_id: str) -> FlowStatus | None:
        """Where the flow is; ``None`` where there is none."""
        ...

    def cancel(self, flow_id: str) -> None:
        """Stop a flow before its next step; one that has ended stays as it is.

        ``InputError`` where there is no such flow.
        """
        ...

    def list(self, *, unfinished: bool = False, limit: int = 100) -> Sequence[FlowStatus]:
        """Flows, newest first, without their events."""
        ...
