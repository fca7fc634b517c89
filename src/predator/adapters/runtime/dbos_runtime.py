"""The runtime of a flow that DBOS keeps."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from predator.adapters.runtime.database import unusable
from predator.adapters.runtime.flow_run import FlowRun
from predator.adapters.runtime.outcomes import (
    attempt,
    checked,
    checked_name,
    checked_seconds,
    other_code,
    unwrap,
)
from predator.domain.errors import PredatorError
from predator.ports.runtime import FlowStopped, Json

if TYPE_CHECKING:
    from dbos._sys_db import SystemDatabase

T = TypeVar("T")

_OUR_WORDS = {"DBOS.recv": "wait", "DBOS.setEvent": "emit"}


class DbosRuntime:
    """What DBOS's own thread-local context says of the flow is what its calls go by.

    DBOS writes a record only while this run of the flow owns it. The same is asked just before
    each step's work, so that a worker that slept through its lease does nothing more.
    """

    def __init__(self, run: FlowRun) -> None:
        self._run = run
        self._in_step = False
        self._over: BaseException | None = None

    @property
    def flow_id(self) -> str:
        return self._run.flow_id

    def step(self, name: str, work: Callable[[], Json]) -> Json:
        checked_name(name, "the step")

        def owned() -> Json:
            self._run.check_owner()
            self._in_step = True
            try:
                return attempt(f"step {name!r}", work)
            except BaseException as error:
                # Unrecorded: a step after it would take its place in the history.
                self._over = error
                raise
            finally:
                self._in_step = False

        from dbos import DBOS

        return unwrap(self._call(name, lambda: DBOS.run_step({"name": name}, owned)))

    def sleep(self, seconds: float) -> None:
        seconds = checked_seconds(seconds)
        self._run.pause(self.step("sleep", lambda: time.time() + seconds), threading.Event())

    def now(self) -> float:
        return float(self.step("now", time.time))

    def emit(self, key: str, value: Json) -> None:
        checked_name(key, "the key")
        kept = {"ok": checked(value, f"what flow {self.flow_id!r} emits as {key!r}")}
        from dbos import DBOS

        self._call("emit", lambda: DBOS.set_event(key, kept))

    def wait(self, topic: str, timeout_s: float) -> Json | None:
        checked_name(topic, "the topic")
        timeout_s = checked_seconds(timeout_s)
        message = self._call("wait", lambda: self._receive(topic, timeout_s))
        return None if message is None else unwrap(message)

    def _receive(self, topic: str, timeout_s: float) -> Json | None:
        """``DBOS.recv``, whose wait does not notice that the flow was cancelled or put aside."""
        from dbos._context import EnterDBOSStepCtx, snapshot_step_context

        context = snapshot_step_context(reserve_sleep_id=True)
        if context is None or not context.is_workflow():
            raise self._run.lost()
        system: SystemDatabase = self._run.system
        with EnterDBOSStepCtx({"name": "recv"}, context) as step:
            at = step.curr_step_function_id
            setup: Any = system.recv_setup(self.flow_id, at, at + 1, topic, timeout_s)
            if setup[0]:
                return setup[1]
            _, arrived, left_s, waiter, started = setup

            def look() -> None:
                system.recv_check(self.flow_id, topic, arrived)

            try:
                self._run.pause(time.time() + left_s, arrived, look)
                return system.recv_consume(self.flow_id, at, topic, started)
            finally:
                system.notifications_map.pop(waiter, arrived)

    def check(self) -> None:
        """Raise what every call raises once the flow has to stop or turned out to be other code."""
        if self._over is not None:
            raise self._over
        self._run.check()

    def finish(self) -> None:
        """Called when the flow's code has returned: its steps are all used, or it is other code."""
        self.check()
        self._run.check_owner()
        from dbos._context import assert_current_dbos_context

        last = assert_current_dbos_context().function_id
        steps = self._run.system.list_workflow_steps(
            self.flow_id, load_output=False, offset=last, limit=2
        )
        for step in steps:
            if step["function_id"] > last:
                recorded = _OUR_WORDS.get(step["function_name"], step["function_name"])
                raise other_code(self.flow_id, step["function_id"], recorded, "its end")

    def _call(self, asked: str, call: Callable[[], T]) -> T:
        from dbos import _error as dbos_errors

        if self._in_step:
            raise PredatorError(f"a step of flow {self.flow_id!r} asked for {asked!r} inside it")
        self.check()
        try:
            return call()
        except dbos_errors.DBOSUnexpectedStepError as error:
            _, position, _, recorded = error.inputs
            recorded = _OUR_WORDS.get(recorded, recorded)
            self._over = other_code(self.flow_id, position, recorded, asked)
            raise self._over from error
        except (
            dbos_errors.DBOSWorkflowCancelledError,
            dbos_errors.DBOSWorkflowConflictIDError,
        ) as error:
            raise self._run.lost() from error
        except Exception as error:
            # A step's own errors are outcomes; what comes here is DBOS or its database.
            self._run.check()
            self._run.stalled = True
            self._run.stop(FlowStopped(unusable(error).cause))
            raise FlowStopped(unusable(error).cause) from error
