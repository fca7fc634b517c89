"""A nursery of workers: each is forked from one process that has everything imported.

``python -m tests.crash.nursery`` reads orders from its standard input, a JSON object a line, and
answers each with one. It ends, and all its workers with it, when its input does.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import resource
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
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
    once at each; only at those after ``strike_after`` and of the ``strike_kinds`` (words), where
    they are given. ``freeze_at`` names one moment. ``fault`` see :class:`Faults`. ``linger_s``:
    stay so much longer. ``file_size``: no file may grow beyond it. ``tell_moments``: write down
    the moments there are.
    """

    folder: str
    url: str = ""
    executor_id: str = "w1"
    flow_id: str = ""
    fine: bool = False
    strike_each: bool = False
    tell_moments: bool = False
    freeze_at: str = ""
    fault: dict[str, Any] | None = None
    strike_after: str = ""
    strike_kinds: str = ""
    linger_s: float = 0.0
    lease_s: float = 1.0
    poll_s: float = 0.02
    file_size: int = 0
    busy_timeout_s: float = 30.0


class Fate:
    """Strikes this process where its orders say."""

    def __init__(self, orders: Orders) -> None:
        self._orders = orders
        self._file = Path(orders.folder, "struck")
        self._struck = set(self._file.read_text().split("\n")) if self._file.exists() else set()
        self._on = not orders.strike_after or bool(self._struck)

    def __call__(self, moment: str) -> None:
        orders = self._orders
        if orders.tell_moments:
            with Path(orders.folder, "moments").open("a") as told:
                told.write(f"{moment}\n")
        self._on = self._on or moment == orders.strike_after
        kinds = orders.strike_kinds.split()
        wanted = self._on and (not kinds or moment.partition(":")[0] in kinds)
        if orders.strike_each and wanted and moment not in self._struck:
            with self._file.open("a") as file:
                file.write(f"{moment}\n")
            os.kill(os.getpid(), signal.SIGKILL)
        if orders.freeze_at == moment and not (frozen := Path(orders.folder, "frozen")).exists():
            frozen.write_text(moment)
            os.kill(os.getpid(), signal.SIGSTOP)
            time.sleep(0.2)  # another thread may take the signal: this one must not go on meanwhile


def be_worker(orders: Orders) -> None:
    from predator.adapters.runtime.dbos_worker import DbosWorker

    if orders.file_size:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (orders.file_size, orders.file_size))
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
            poll_s=orders.poll_s,
        ) as worker,
    ):
        while os.getppid() != 1:
            time.sleep(0.01)
            if orders.flow_id:
                with suppress(Exception):
                    if worker.flows.state(orders.flow_id) in {"done", "failed", "cancelled"}:
                        time.sleep(orders.linger_s)
                        break


def found(folder: str, url: str) -> None:
    """Found a contour, and let a worker turn its ring once: what it imports, later ones need not.

    The contour is left as it was before that turn.
    """
    contour = Contour(Path(folder), url)
    contour.found()
    kept = Path(f"{folder}.kept")
    shutil.copytree(contour.folder, kept)
    if not url:
        be_worker(Orders(folder, flow_id=contour.ask()))
    shutil.rmtree(contour.folder)
    kept.replace(contour.folder)
    Path(f"{folder}.modules").write_text("\n".join(sorted(sys.modules)))


def forked(work: Any, *given: Any) -> int:
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        work(*given)
        code = 0
    except BaseException as error:
        traceback.print_exc()
        last_words(os.getpid()).write_text(str(error))
    finally:
        sys.stderr.flush()
        os._exit(code)


def last_words(pid: int) -> Path:
    """Where a worker that failed says why: not on the disk that it works on."""
    return Path(os.environ["LAST_WORDS"], str(pid))


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
                code = waited(order["pid"], order["timeout_s"])
                if code is not None:
                    children.discard(order["pid"])
                words = last_words(order["pid"])
                say({"status": code, "said": words.read_text() if words.exists() else ""})
            case "found":
                code = waited(forked(found, order["folder"], order["url"]), 120.0)
                for name in Path(f"{order['folder']}.modules").read_text().split("\n"):
                    with suppress(Exception), warnings.catch_warnings():
                        warnings.simplefilter("ignore")
                        importlib.import_module(name)
                gc.freeze()
                say({"status": code})
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

    said = ""
    """The error by which the worker ended that was waited for last."""

    def __enter__(self) -> Self:
        self._words = tempfile.TemporaryDirectory()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.nursery"],
            env={
                **os.environ,
                "LAST_WORDS": self._words.name,
                "MLFLOW_LOGGING_LEVEL": "WARNING",
                "OPENBLAS_NUM_THREADS": "1",
                "OMP_NUM_THREADS": "1",
            },
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
        found = self.tell("wait", pid=pid, timeout_s=timeout_s)
        self.said = found["said"]
        status: int | None = found["status"]
        return status

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
        self._words.cleanup()


if __name__ == "__main__":
    main()
