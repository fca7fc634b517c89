"""A nursery of workers: each is forked from one process that has everything imported.

``python -m tests.crash.nursery`` reads orders from its standard input, a JSON object a line, and
answers each with one. It ends, and all its workers with it, when its input does.
"""

from __future__ import annotations

import importlib
import json
import os
import select
import signal
import subprocess
import sys
import time
import traceback
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.crash.contour import Contour, flows_of
from tests.crash.faults import Faults
from tests.crash.taps import Moments

KILLED = -int(signal.SIGKILL)


@dataclass(frozen=True)
class Orders:
    """What a worker is to do until the flow ``flow_id`` has ended (empty: for ever).

    ``strike_each``: die at the first moment that nobody was struck at, so that one cycle is struck
    once at each. ``die_at`` and ``freeze_at`` name one moment. ``fault`` see :class:`Faults`.
    """

    folder: str
    url: str = ""
    executor_id: str = "w1"
    flow_id: str = ""
    fine: bool = False
    strike_each: bool = False
    die_at: str = ""
    freeze_at: str = ""
    fault: dict[str, Any] | None = None
    lease_s: float = 1.0
    busy_timeout_s: float = 30.0


class Fate:
    """Strikes this process where its orders say."""

    def __init__(self, orders: Orders) -> None:
        self._orders = orders
        self._file = Path(orders.folder, "struck")
        self._struck = set(self._file.read_text().split("\n")) if self._file.exists() else set()

    def __call__(self, moment: str) -> None:
        orders = self._orders
        if orders.strike_each and moment not in self._struck:
            with self._file.open("a") as file:
                file.write(f"{moment}\n")
            os.kill(os.getpid(), signal.SIGKILL)
        if orders.die_at == moment:
            os.kill(os.getpid(), signal.SIGKILL)
        if orders.freeze_at == moment and not (frozen := Path(orders.folder, "frozen")).exists():
            frozen.write_text(moment)
            os.kill(os.getpid(), signal.SIGSTOP)


def be_worker(orders: Orders) -> None:
    from predator.adapters.runtime.dbos_worker import DbosWorker

    contour = Contour(Path(orders.folder), orders.url)
    moments = Moments(Fate(orders), fine=orders.fine)
    flows = flows_of(contour, moments, busy_timeout_s=orders.busy_timeout_s)
    faults = Faults(contour.folder, orders.fault)
    with (
        faults,
        DbosWorker(
            contour.flows_url,
            orders.executor_id,
            flows,
            queues={"cycles": 1},
            heartbeat_s=orders.lease_s / 5,
            lease_s=orders.lease_s,
            poll_s=0.02,
        ) as worker,
    ):
        while os.getppid() != 1:
            time.sleep(0.01)
            if orders.flow_id:
                with suppress(Exception):
                    if worker.flows.state(orders.flow_id) in {"done", "failed", "cancelled"}:
                        break


def found(order: dict[str, Any]) -> list[str]:
    """Found a contour, turn its ring once in a worker of another folder, and tell the modules."""
    contour = Contour(Path(order["folder"]), order["url"])
    contour.found()
    return sorted(sys.modules)


def forked(work: Any, *given: Any) -> int:
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        work(*given)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def main() -> None:
    children: set[int] = set()
    say({"pid": os.getpid()})
    for line in sys.stdin:
        order = json.loads(line)
        match order.pop("do"):
            case "start":
                child = forked(be_worker, Orders(**order))
                children.add(child)
                say({"pid": child})
            case "wait":
                say({"status": waited(order["pid"], order["timeout_s"])})
            case "import":
                for name in order["modules"]:
                    with suppress(Exception):
                        importlib.import_module(name)
                say({"threads": len(list(Path("/proc/self/task").iterdir()))})
    for child in children:
        end(child)


def waited(child: int, timeout_s: float) -> int | None:
    """Its exit code, minus the signal that ended it; ``None`` where it still runs."""
    fd = os.pidfd_open(child)
    try:
        if not select.select([fd], [], [], timeout_s)[0]:
            return None
    finally:
        os.close(fd)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def end(child: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)


def say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


class Nursery:
    """The nursery as its user sees it; whoever it started ends with it."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.nursery"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._answer()
        return self

    def tell(self, do: str, **order: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **order}) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def start(self, orders: Orders) -> int:
        return int(self.tell("start", **asdict(orders))["pid"])

    def wait(self, pid: int, timeout_s: float = 60.0) -> int | None:
        found: int | None = self.tell("wait", pid=pid, timeout_s=timeout_s)["status"]
        return found

    def live(self, orders: Orders, timeout_s: float = 60.0) -> int | None:
        """One life of a worker: its exit code."""
        return self.wait(self.start(orders), timeout_s)

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        return dict(json.loads(self._process.stdout.readline()))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()


if __name__ == "__main__":
    main()
