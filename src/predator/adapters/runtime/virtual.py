"""A runtime on a clock that only moves when a flow waits; it crashes where a test wants it to."""

from __future__ import annotations

import heapq
import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from predator.adapters.runtime.outcomes import (
    attempt,
    checked,
    checked_name,
    checked_seconds,
    other_code,
    plain,
    unwrap,
)
from predator.domain.errors import PredatorError
from predator.ports.runtime import FlowCancelled, Json

Record = dict[str, Any]
"""One flow: its name, arguments, state, steps, inbox and events, as plain JSON."""


class Crash(BaseException):
    """Raised by a test's ``at`` hook: the process ends here."""


class VirtualClock:
    """Unix seconds that pass only in :meth:`sleep`, :meth:`advance` and :meth:`run_until`."""

    def __init__(self, now: float = 1_765_000_000.0) -> None:
        self._now = now
        self._numbers = itertools.count()
        self._events: list[tuple[float, int, Callable[[], object]]] = []

    def now(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> None:
        """Let the time pass; what was planned for it happens."""
        self.run_until(self._now + max(0.0, seconds))

    advance = sleep

    def plan(self, at: float, happening: Callable[[], object]) -> None:
        """Call ``happening`` when the time is ``at``."""
        heapq.heappush(self._events, (at, next(self._numbers), happening))

    def next_event(self) -> float | None:
        """When the next planned thing happens."""
        return self._events[0][0] if self._events else None

    def run_until(self, until: float, ready: Callable[[], bool] = lambda: False) -> None:
        """Go to ``until``, or to the first planned thing after which ``ready`` is true."""
        while not ready():
            if not self._events or self._events[0][0] > until:
                self._now = max(self._now, until)
                return
            at, _, happening = heapq.heappop(self._events)
            self._now = max(self._now, at)
            happening()


class Journal:
    """The records of flows by id, newest last: in memory, and in a JSON file if one is given."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        there_is = file is not None and file.exists()
        self.flows: dict[str, Record] = json.loads(file.read_text()) if file and there_is else {}

    def add(self, flow_id: str, name: str, arguments: Json, state: str) -> Record:
        record = {"id": flow_id, "name": name, "arguments": arguments, "state": state,
                  "outcome": None, "steps": [], "inbox": [], "events": {}}  # fmt: skip
        self.flows[flow_id] = record
        self.save()
        return record

    def save(self) -> None:
        if self._file is not None:
            fresh = self._file.with_name(f".{self._file.name}.new")
            fresh.write_text(json.dumps(self.flows))
            fresh.replace(self._file)


def _nobody(_event: str) -> None:
    """Hears nothing."""


class Pause(Protocol):
    """Let others go on until ``ready()`` or the time ``until``."""

    def __call__(self, until: float, ready: Callable[[], bool]) -> None: ...


class VirtualRuntime:
    """The runtime of one flow; give it to the flow's code, and again after a :class:`Crash`.

    ``at`` hears ``before:NAME``, ``after:NAME`` and ``recorded:NAME`` around each step's work.
    """

    def __init__(
        self,
        flow_id: str = "flow",
        *,
        clock: VirtualClock | None = None,
        journal: Journal | None = None,
        at: Callable[[str], None] | None = None,
        pause: Pause | None = None,
    ) -> None:
        self.clock = clock or VirtualClock()
        self.journal = journal or Journal()
        found = self.journal.flows.get(flow_id)
        self.record = found or self.journal.add(flow_id, "flow", None, "running")
        self._at = at or _nobody
        self._pause = pause or self.clock.run_until
        self._position = 0
        self._in_step = False
        self._over: BaseException | None = None

    @property
    def flow_id(self) -> str:
        return str(self.record["id"])

    def step(self, name: str, work: Callable[[], Json]) -> Json:
        found = self._next(checked_name(name, "the step"))
        if found is None:
            with self._last_call():
                found = self._run(name, work)
        return unwrap(plain(found["outcome"]))

    def _run(self, name: str, work: Callable[[], Json]) -> Record:
        self._at(f"before:{name}")
        self._in_step = True
        try:
            outcome = attempt(f"step {name!r}", work)
        finally:
            self._in_step = False
        self._at(f"after:{name}")
        self.check()
        found = self._keep({"name": name, "outcome": outcome})
        self._at(f"recorded:{name}")
        return found

    @contextmanager
    def _last_call(self) -> Iterator[None]:
        """What is no ``Exception`` ends the flow here: every later call raises it again."""
        try:
            yield
        except Exception:
            raise
        except BaseException as error:
            self._over = error
            raise

    def sleep(self, seconds: float) -> None:
        until = self.clock.now() + checked_seconds(seconds)
        found = self._next("sleep") or self._keep({"name": "sleep", "until": until})
        self._wait(found["until"], lambda: False)

    def now(self) -> float:
        return float(self.step("now", self.clock.now))

    def emit(self, key: str, value: Json) -> None:
        checked_name(key, "the key")
        kept = checked(value, f"what flow {self.flow_id!r} emits as {key!r}")
        if self._next("emit") is None:
            self.record["events"][key] = kept
            self._keep({"name": "emit"})

    def wait(self, topic: str, timeout_s: float) -> Json | None:
        checked_name(topic, "the topic")
        until = self.clock.now() + checked_seconds(timeout_s)
        found = self._next("wait") or self._keep({"name": "wait", "until": until})
        if "message" not in found:
            self._wait(found["until"], lambda: self._mail(topic) is not None)
            mail = self._mail(topic)
            if mail is not None:
                mail["read"] = True
            found["message"] = mail["message"] if mail else None
            self.journal.save()
        return plain(found["message"])

    def check(self) -> None:
        """Raise what every call raises once the flow is to stop, or has turned out other code."""
        if self._over is not None:
            raise self._over
        if self.record["state"] == "cancelled":
            raise FlowCancelled(f"flow {self.flow_id!r} was cancelled")

    def finish(self) -> None:
        """Called when the flow's code has returned: its steps are all used, or it is other code."""
        self.check()
        if self._position < len(self.record["steps"]):
            recorded = self.record["steps"][self._position]["name"]
            raise other_code(self.flow_id, self._position + 1, recorded, "its end")

    def _next(self, asked: str) -> Record | None:
        if self._in_step:
            raise PredatorError(f"a step of flow {self.flow_id!r} asked for {asked!r} inside it")
        self.check()
        steps = self.record["steps"]
        if self._position >= len(steps):
            return None
        found: Record = steps[self._position]
        self._position += 1
        if found["name"] != asked:
            self._over = other_code(self.flow_id, self._position, found["name"], asked)
            raise self._over
        return found

    def _keep(self, entry: Record) -> Record:
        self.record["steps"].append(entry)
        self._position += 1
        self.journal.save()
        return entry

    def _wait(self, until: float, ready: Callable[[], bool]) -> None:
        def done() -> bool:
            return ready() or self.record["state"] == "cancelled"

        if not done() and until > self.clock.now():
            with self._last_call():
                self._pause(until, done)
        self.check()

    def _mail(self, topic: str) -> Record | None:
        unread = (m for m in self.record["inbox"] if m["topic"] == topic and not m["read"])
        return next(unread, None)
