"""What every runtime must do; a runtime's test names itself and inherits this."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Protocol

import pytest

from predator.domain.errors import (
    ConflictError,
    InputError,
    IntegrityError,
    PolicyDenied,
    PredatorError,
)
from predator.ports.runtime import (
    Flow,
    FlowCancelled,
    Flows,
    FlowStatus,
    FlowStopped,
    Json,
    Runtime,
)

ANSWER_S = 60.0

VALUES: list[Json] = [
    *[None, True, 0, -(2**70), 2**70, 1.5, 1e-300, "", "Привіт", "a\0b\n", "\ud800", "💥", []],
    *[
        {},
        {"": {"error": {}}},
        {"ok": 1},
        {"error": "x"},
        {"exception": 1},
        [[], [None, {"a": []}]],
    ],
]
NOT_JSON = [float("nan"), float("inf"), {1: "a"}, b"x", {"a": {1, 2}}, object(), [Path("/")]]
BAD_NAMES = ["", "a\nb", "a\0b", "\ud800", "x" * 300, "\u202e", "DBOS.recv"]


class PowerCut(BaseException):
    """Ends the flow's code without a record, as the end of its process does."""


class Bench(Protocol):
    """A worker that is alive, and a client."""

    @property
    def flows(self) -> Flows: ...

    def run(self, flow: str, flow_id: str, arguments: Json = None) -> Json:
        """Run to the end: the result, or what was raised."""
        ...

    def later(self, seconds: float, happening: Callable[[], object]) -> None: ...


class RuntimeContract:
    def bench(self, flows: Mapping[str, Flow]) -> AbstractContextManager[Bench]:
        """A worker with these flows, on what is left of the one before."""
        raise NotImplementedError

    def put_aside(self, flow: Flow, flow_ids: Sequence[str], seconds: float) -> None:
        """Start ``flow`` as ``demo`` under these ids, and end its worker after ``seconds``."""
        raise NotImplementedError

    def test_a_flow_returns_its_result_and_the_client_sees_it(self) -> None:
        def flow(runtime: Runtime, arguments: Json) -> Json:
            first = runtime.step("double", lambda: arguments["n"] * 2)
            return {"id": runtime.flow_id, "n": first}

        with self.bench({"demo": flow}) as bench:
            assert bench.flows.status("f1") is None
            assert bench.run("demo", "f1", {"n": 21}) == {"id": "f1", "n": 42}
            done = FlowStatus("f1", "demo", "done", {"id": "f1", "n": 42})
            assert bench.flows.status("f1") == done
            assert list(bench.flows.list()) == [done]
            assert list(bench.flows.list(unfinished=True)) == []

    def test_what_is_recorded_is_read_back_after_a_restart(self) -> None:
        ran: list[str] = []
        power = [False]

        def said(what: str) -> int:
            ran.append(what)
            return len(ran)

        def second() -> Json:
            ran.append("second")
            if not power[0]:
                raise PowerCut
            return ("a", 1)

        def flow(runtime: Runtime, _: Json) -> Json:
            first = runtime.step("first", lambda: said("first"))
            at = runtime.now()
            try:
                return [first, runtime.step("second", second), at == runtime.now()]
            finally:
                runtime.step("third", lambda: ran.append("third"))

        with self.bench({"demo": flow}) as bench, pytest.raises(PowerCut):
            bench.run("demo", "f1")
        power[0] = True
        with self.bench({"demo": flow}) as bench:
            assert bench.run("demo", "f1")[:2] == [1, ["a", 1]]
        assert ran == ["first", "second", "second", "third"]

    def test_the_same_id_twice_is_one_run(self) -> None:
        ran: list[Json] = []

        def work(arguments: Json) -> Json:
            ran.append(arguments)
            return arguments

        def flow(runtime: Runtime, arguments: Json) -> Json:
            return runtime.step("work", lambda: work(arguments))

        with self.bench({"demo": flow, "other": flow}) as bench:
            bench.flows.enqueue("demo", "f1", 1)
            bench.flows.enqueue("demo", "f1", 2)
            assert bench.run("demo", "f1", 3) == 1
            assert bench.run("demo", "f1", 4) == 1
            bench.flows.enqueue("demo", "f1", 5)
            assert ran == [1]
            with pytest.raises(InputError, match="'f1'"):
                bench.flows.enqueue("other", "f1", 1)
            with pytest.raises(InputError, match="'f1'"):
                bench.run("other", "f1", 1)

    def test_an_error_comes_back_as_it_was(self) -> None:
        kinds = [PredatorError, InputError, ConflictError, IntegrityError, PolicyDenied]
        seen: list[object] = []
        power = [False]

        def refuse(kind: type[PredatorError]) -> Json:
            raise kind("the disk\nis full", cure="Delete something")

        def flow(runtime: Runtime, number: Json) -> Json:
            for kind in kinds:
                try:
                    runtime.step("write", partial(refuse, kind))
                except PredatorError as error:
                    seen.append((type(error), error.cause, error.cure))
            runtime.step("cut", lambda: None if power[0] else cut())
            return refuse(kinds[number])

        with self.bench({"demo": flow}) as bench, pytest.raises(PowerCut):
            bench.run("demo", "0", 0)
        power[0] = True
        with self.bench({"demo": flow}) as bench:
            for number, kind in enumerate(kinds):
                with pytest.raises(kind, match="is full") as raised:
                    bench.run("demo", f"{number}", number)
                assert (type(raised.value), raised.value.cure) == (kind, "Delete something")
                status = bench.flows.status(f"{number}")
                assert status is not None
                assert (status.state, status.result) == ("failed", None)
                assert status.error == "the disk is full. Delete something"
        assert seen == [(kind, "the disk is full", "Delete something") for kind in kinds] * 6

    def test_any_other_error_is_named(self) -> None:
        def flow(runtime: Runtime, arguments: Json) -> Json:
            if arguments == {}:
                runtime.step("look", lambda: arguments["missing"])
            raise IntegrityError("bytes") if arguments == "ours" else ValueError("no\nnumber")

        with self.bench({"demo": flow}) as bench:
            with pytest.raises(PredatorError, match=r"step 'look' failed: KeyError: 'missing'"):
                bench.run("demo", "f1", {})
            with pytest.raises(PredatorError, match=r"flow 'f2' failed: ValueError: no number"):
                bench.run("demo", "f2")
            with pytest.raises(IntegrityError, match="bytes"):
                bench.run("demo", "f3", "ours")

    def test_what_cannot_be_recorded_is_an_error(self) -> None:
        def flow(runtime: Runtime, arguments: Json) -> Json:
            if arguments is None:
                return object()
            return runtime.step("work", lambda: NOT_JSON[arguments])

        with self.bench({"demo": flow}) as bench:
            for number in range(len(NOT_JSON)):
                with pytest.raises(PredatorError, match="step 'work' returned what cannot be"):
                    bench.run("demo", f"f{number}", number)
            with pytest.raises(PredatorError, match="flow 'f' returned what cannot be"):
                bench.run("demo", "f")
            with pytest.raises(InputError, match="plain JSON"):
                bench.flows.enqueue("demo", "g", {"a": float("nan")})
            with pytest.raises(InputError, match="plain JSON"):
                bench.flows.send("f", "topic", object(), key="k")

    def test_values_keep_their_form(self) -> None:
        power = [False]

        def flow(runtime: Runtime, arguments: Json) -> Json:
            steps = [runtime.step("same", partial(identity, value)) for value in arguments]
            for number, value in enumerate(steps):
                runtime.emit(f"{number}", value)
            messages = [runtime.wait("same", ANSWER_S) for _ in steps]
            runtime.step("cut", lambda: None if power[0] else cut())
            return [steps, messages]

        with self.bench({"demo": flow}) as bench:
            bench.flows.enqueue("demo", "f1", VALUES)
            for number, value in enumerate(VALUES):
                bench.flows.send("f1", "same", value, key=f"{number}")
            with pytest.raises(PowerCut):
                bench.run("demo", "f1", VALUES)
            status = bench.flows.status("f1")
            assert status is not None
            assert [status.events[f"{number}"] for number in range(len(VALUES))] == VALUES
        power[0] = True
        with self.bench({"demo": flow}) as bench:
            assert bench.run("demo", "f1", VALUES) == [VALUES, VALUES]

    def test_a_bad_name_is_refused(self) -> None:
        def flow(runtime: Runtime, _: Json) -> Json:
            refused = 0
            for name in BAD_NAMES:
                for call in (
                    partial(runtime.step, name, lambda: 1),
                    partial(runtime.emit, name, 1),
                    partial(runtime.wait, name, 0.0),
                ):
                    with pytest.raises(InputError):
                        call()
                    refused += 1
            return refused

        with self.bench({"demo": flow}) as bench:
            assert bench.run("demo", "f1") == 3 * len(BAD_NAMES)
            for name in BAD_NAMES:
                for act in (
                    partial(bench.flows.enqueue, "demo", name, None),
                    partial(bench.flows.send, "f1", name, None, key="k"),
                    partial(bench.flows.send, "f1", "topic", None, key=name),
                    partial(bench.flows.cancel, name),
                    partial(bench.flows.status, name),
                ):
                    with pytest.raises(InputError):
                        act()

    def test_messages_come_in_order_once_and_by_topic(self) -> None:
        def flow(runtime: Runtime, _: Json) -> Json:
            got = [runtime.wait("go", ANSWER_S), runtime.wait("b", ANSWER_S)]
            got += [runtime.wait("a", 0.0) for _ in range(5)]
            return got

        def send(bench: Bench) -> None:
            for number in range(4):
                bench.flows.send("f1", "a", {"n": number}, key=f"a{number}")
                bench.flows.send("f1", "a", "again", key=f"a{number}")
            bench.flows.send("f1", "b", "b", key="b")
            bench.flows.send("f1", "go", "go", key="go")

        with self.bench({"demo": flow}) as bench:
            bench.flows.enqueue("demo", "f1", None)
            send(bench)
            answers = bench.run("demo", "f1")
        assert answers == ["go", "b", {"n": 0}, {"n": 1}, {"n": 2}, {"n": 3}, None]

    def test_a_message_ends_a_wait_and_time_does_too(self) -> None:
        def flow(runtime: Runtime, timeout_s: Json) -> Json:
            started = runtime.now()
            return [runtime.wait("decision", timeout_s), runtime.now() - started]

        with self.bench({"demo": flow}) as bench:
            bench.later(0.3, lambda: bench.flows.send("f1", "decision", {"yes": True}, key="1"))
            message, waited_s = bench.run("demo", "f1", 3600.0)
            assert message == {"yes": True}
            assert waited_s < 60
            message, waited_s = bench.run("demo", "f2", 0.2)
            assert message is None
            assert 0.2 <= waited_s < 60
            with pytest.raises(InputError, match="'nobody'"):
                bench.flows.send("nobody", "decision", 1, key="1")

    @pytest.mark.parametrize("how", ["sleep", "wait"])
    def test_a_wait_ends_when_it_would_have_without_the_restart(self, how: str) -> None:
        def flow(runtime: Runtime, _: Json) -> Json:
            started = runtime.now()
            if how == "sleep":
                runtime.sleep(3.0)
            else:
                assert runtime.wait("topic", 3.0) is None
            return runtime.now() - started

        aside_s = 2.8
        self.put_aside(flow, ["f1"], aside_s)
        with self.bench({"demo": flow}) as bench:
            waited_s = bench.run("demo", "f1")
        # A wait that began anew would end no sooner than 3 s after the restart.
        assert 2.99 <= waited_s < aside_s + 3.0, waited_s

    def test_a_message_during_the_restart_is_kept(self) -> None:
        def flow(runtime: Runtime, _: Json) -> Json:
            return runtime.wait("topic", 3600.0)

        self.put_aside(flow, ["f1"], 0.3)
        with self.bench({}) as bench:
            bench.flows.send("f1", "topic", "meanwhile", key="1")
        with self.bench({"demo": flow}) as bench:
            assert bench.run("demo", "f1") == "meanwhile"

    @pytest.mark.parametrize("seconds", [float("nan"), float("inf")])
    def test_a_time_that_is_no_number_is_refused(self, seconds: float) -> None:
        def flow(runtime: Runtime, arguments: Json) -> Json:
            return runtime.sleep(seconds) if arguments else runtime.wait("topic", seconds)

        with self.bench({"demo": flow}) as bench:
            for arguments in (True, False):
                with pytest.raises(InputError, match="cannot be waited for"):
                    bench.run("demo", f"f{arguments}", arguments)

    def test_events_are_there_while_the_flow_runs(self) -> None:
        seen: list[FlowStatus | None] = []

        def flow(runtime: Runtime, _: Json) -> Json:
            runtime.emit("station", "train")
            runtime.emit("station", "evaluate")
            runtime.emit("progress", 0.5)
            runtime.step("look", lambda: seen.append(bench.flows.status("f1")))
            return None

        with self.bench({"demo": flow}) as bench:
            bench.run("demo", "f1")
            [status] = seen
            assert status is not None
            assert status.state == "running"
            assert status.events == {"station": "evaluate", "progress": 0.5}
            assert bench.flows.list()[0].events == {}

    def test_a_cancelled_flow_does_no_further_step(self) -> None:
        ran: list[object] = []

        def cancel() -> None:
            ran.append("cancel")
            bench.flows.cancel("f1")

        def flow(runtime: Runtime, _: Json) -> Json:
            try:
                runtime.step("cancel", cancel)
                runtime.step("swallow", lambda: ran.append("no"))
            except Exception:
                ran.append("swallowed")
            finally:
                with pytest.raises(FlowCancelled):
                    runtime.step("last", lambda: ran.append("no"))
                with pytest.raises(FlowStopped):
                    runtime.emit("last", 1)
            return None

        with self.bench({"demo": flow}) as bench:
            with pytest.raises(PredatorError, match="'f1' is cancelled"):
                bench.run("demo", "f1")
            self.soon(lambda: ran == ["cancel"])
            bench.flows.cancel("f1")
            status = bench.flows.status("f1")
            assert status is not None
            assert status.state == "cancelled"
            with pytest.raises(InputError, match="'nobody'"):
                bench.flows.cancel("nobody")
        with self.bench({"demo": flow}):
            pass
        assert ran == ["cancel"]

    @pytest.mark.parametrize("how", ["sleep", "wait"])
    def test_cancelling_ends_a_wait(self, how: str) -> None:
        left: list[BaseException] = []

        def flow(runtime: Runtime, _: Json) -> Json:
            try:
                if how == "sleep":
                    runtime.sleep(86_400)
                else:
                    runtime.wait("topic", 86_400)
            except BaseException as error:
                left.append(error)
                raise

        with self.bench({"demo": flow}) as bench:
            bench.later(0.3, lambda: bench.flows.cancel("f1"))
            with pytest.raises(PredatorError, match="'f1' is cancelled"):
                bench.run("demo", "f1")
            self.soon(lambda: [type(error) for error in left] == [FlowCancelled])

    def test_what_has_ended_cannot_be_cancelled(self) -> None:
        def flow(runtime: Runtime, arguments: Json) -> Json:
            if arguments:
                raise InputError("no")
            return 1

        with self.bench({"demo": flow}) as bench:
            bench.run("demo", "done")
            with pytest.raises(InputError, match="no"):
                bench.run("demo", "failed", True)
            for flow_id in ("done", "failed"):
                bench.flows.cancel(flow_id)
                status = bench.flows.status(flow_id)
                assert status is not None
                assert status.state == flow_id

    def test_a_flow_cancelled_in_the_queue_never_starts(self) -> None:
        ran: list[str] = []

        def flow(runtime: Runtime, arguments: Json) -> Json:
            ran.append(arguments)

        with self.bench({}) as bench:
            bench.flows.enqueue("demo", "f1", "f1")
            bench.flows.enqueue("demo", "f2", "f2")
            assert [flow.id for flow in bench.flows.list(unfinished=True)] == ["f2", "f1"]
            assert [flow.id for flow in bench.flows.list(limit=1)] == ["f2"]
            bench.flows.cancel("f1")
        with self.bench({"demo": flow}) as bench:
            bench.run("demo", "f2", "f2")
            assert [flow.state for flow in bench.flows.list()] == ["done", "cancelled"]
        assert ran == ["f2"]

    def test_other_code_under_an_old_history_is_refused_by_name(self) -> None:
        ran: list[str] = []

        def before(runtime: Runtime, _: Json) -> Json:
            runtime.step("begin", lambda: 1)
            match runtime.flow_id:
                case "train":
                    runtime.step("train", lambda: 1)
                case "wait":
                    runtime.wait("train", 0.0)
                case "emit":
                    runtime.emit("train", 1)
                case "sleep":
                    runtime.sleep(0.0)
            runtime.sleep(86_400.0)

        def after(runtime: Runtime, _: Json) -> Json:
            runtime.step("begin", lambda: 1)
            try:
                runtime.step("evaluate", lambda: ran.append("evaluate"))
            except PredatorError:
                with pytest.raises(PredatorError, match="'evaluate'"):
                    runtime.step("cut", lambda: ran.append("cut"))
            return "unnoticed"

        old = ["train", "wait", "emit", "sleep"]
        self.put_aside(before, old, 0.6)
        with self.bench({"demo": after}) as bench:
            for name in old:
                with pytest.raises(PredatorError, match=rf"'{name}' is rec.*'{name}'.*'evaluate'"):
                    bench.run("demo", name)
        assert ran == []

    def test_code_that_ends_before_its_history_is_refused(self) -> None:
        def before(runtime: Runtime, _: Json) -> Json:
            runtime.step("begin", lambda: 1)
            runtime.step("train", lambda: 1)
            runtime.step("cut", cut)

        def after(runtime: Runtime, _: Json) -> Json:
            return runtime.step("begin", lambda: 1)

        with self.bench({"demo": before}) as bench, pytest.raises(PowerCut):
            bench.run("demo", "f1")
        with (
            self.bench({"demo": after}) as bench,
            pytest.raises(PredatorError, match=r"'train'.*'its end'"),
        ):
            bench.run("demo", "f1")

    def test_new_steps_at_the_end_of_old_histories_are_run(self) -> None:
        def before(runtime: Runtime, _: Json) -> Json:
            runtime.step("train", lambda: 1)
            runtime.step("cut", cut)

        def after(runtime: Runtime, _: Json) -> Json:
            return [runtime.step("train", lambda: 2), runtime.step("new", lambda: 2)]

        with self.bench({"demo": before}) as bench, pytest.raises(PowerCut):
            bench.run("demo", "f1")
        with self.bench({"demo": after}) as bench:
            assert bench.run("demo", "f1") == [1, 2]

    def test_a_step_cannot_ask_the_runtime(self) -> None:
        def flow(runtime: Runtime, _: Json) -> Json:
            return runtime.step("outer", lambda: runtime.step("inner", lambda: 1))

        with (
            self.bench({"demo": flow}) as bench,
            pytest.raises(PredatorError, match="'inner' inside"),
        ):
            bench.run("demo", "f1")

    def soon(self, true: Callable[[], bool]) -> None:
        deadline = time.monotonic() + ANSWER_S
        while not true():
            assert time.monotonic() < deadline
            time.sleep(0.01)


def identity(value: Json) -> Json:
    return value


def cut() -> Json:
    raise PowerCut
