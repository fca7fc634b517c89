"""The operator's desk from settings: what the command line and the admin API act through."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock, Thread
from typing import TYPE_CHECKING, cast

from predator.adapters.clock import SystemClock
from predator.bootstrap.current import (
    PerRun,
    RunFlows,
    Through,
    gitops_of,
    no_platform,
    releases_of,
)
from predator.bootstrap.governed import Stores, rules_of, stores_of
from predator.bootstrap.home import Home, Run
from predator.bootstrap.ring import quality_gates_of
from predator.config import Settings, load_settings
from predator.contours.model import NAMES
from predator.loop.governance import Rules
from predator.loop.operator.desk import Desk
from predator.loop.operator.service import Operator

if TYPE_CHECKING:
    from predator.adapters.gitops.bare_git import BareGit
    from predator.loop.anchor import Anchors
    from predator.loop.gold.report import GoldNow
    from predator.policy.gates import Gate
    from predator.ports.fence import Fence
    from predator.ports.gitops import GitOps
    from predator.ports.releases import Releases


@dataclass(frozen=True, slots=True)
class Office:
    """The Operator, and the stores behind it."""

    settings: Settings
    operator: Operator
    stores: Stores

    @property
    def home(self) -> Home:
        return Home(self.settings)


@contextmanager
def operating(settings: Settings) -> Iterator[Office]:
    """The Operator, until the end of the block; then news is sent and connections are given back.

    Neither a platform nor a database of flows has to be there.
    """
    stores = stores_of(settings)
    news, home = _News(), Home(settings)
    flows, gitops = RunFlows(settings), PerRun(home, gitops_of)
    releases = PerRun(home, releases_of)
    contours = _Contours(settings)
    desk = Desk(
        flags=stores.flags,
        approvals=stores.approvals,
        overrides=stores.overrides,
        limits=stores.limits,
        slots=stores.slots,
        cycles=stores.cycles,
        tokens=stores.tokens,
        flows=flows,
        notifier=stores.notifier,
        gitops=cast("GitOps", Through(gitops.get)),
        clock=SystemClock(),
        artifacts=home.artifacts,
        journal=home.operators,
        contours=contours,
        gates=contours.gates,
        releases=cast("Releases", Through(releases.get)),
        gold=lambda at: _gold_of(home, at),
        anchor=_Anchored(home, gitops),
        drained=lambda timeout_s: _drained(stores.fence, timeout_s),
        later=news,
    )
    try:
        yield Office(settings, Operator(desk), stores)
    finally:
        news.wait()
        for part in (flows, gitops, releases):
            part.close()
        stores.database.close()


def check_home(settings: Settings) -> None:
    """``InputError`` where nothing ever ran: a stop of nothing must not look like a stop."""
    home = Home(settings).root
    if settings.database_url is None and not home.is_dir():
        raise no_platform(home)


def check_platform(settings: Settings) -> None:
    """``InputError`` where there is nobody whom an act could be handed to."""
    home = Home(settings)
    if settings.database_url is None and home.current_run() is None:
        raise no_platform(home.root)


def has_register(settings: Settings) -> bool:
    """Whether there is a database of the loop to look at."""
    return settings.database_url is not None or (Home(settings).root / "optimizer.db").is_file()


def _gold_of(home: Home, at: float) -> GoldNow | None:
    """The Gold set of the current run; ``None`` where no run has labels yet."""
    from predator.bootstrap.labels import gold_now

    run = home.current_run()
    if run is None or not (run.folder / "labels.json").exists():
        return None
    return gold_now(run, at)


def _drained(fence: Fence, timeout_s: float) -> bool:
    """Whether whoever passed is through; a gate that cannot be looked at does not undo a stop."""
    try:
        return fence.drained(timeout_s)
    except OSError:
        return False


class _Contours(Mapping[str, Rules]):
    """The rules of every contour, each read when somebody asks.

    The contour of the settings has what they say; the others have their packaged file and the
    environment, as a worker there would.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = {settings.contour: settings}
        self._rules: dict[str, Rules] = {}

    def __getitem__(self, name: str) -> Rules:
        if name not in self._rules:
            self._rules[name] = rules_of(self._of(name))
        return self._rules[name]

    def __contains__(self, name: object) -> bool:
        return name in NAMES

    def __iter__(self) -> Iterator[str]:
        return iter(NAMES)

    def __len__(self) -> int:
        return len(NAMES)

    def gates(self, name: str) -> Mapping[str, Gate]:
        """The contour's own gates."""
        return quality_gates_of(self._of(name))

    def _of(self, name: str) -> Settings:
        if name not in NAMES:
            raise KeyError(name)
        if name not in self._settings:
            self._settings[name] = load_settings({"contour": name, "contour_file": None})
        return self._settings[name]


class _Anchored:
    """The head that a cycle's journal is anchored at, in whichever run's repository."""

    def __init__(self, home: Home, gitops: PerRun[BareGit]) -> None:
        self._home, self._gitops = home, gitops
        self._read: dict[str, tuple[str | None, Anchors]] = {}
        self._lock = Lock()

    def __call__(self, cycle_id: str) -> str | None:
        for folder in sorted((self._home.root / "runs").glob("*"), reverse=True):
            if (folder / "gitops.git" / "HEAD").is_file():
                found = self._anchors(Run(folder)).anchored.get(cycle_id)
                if found is not None:
                    return found
        return None

    def _anchors(self, run: Run) -> Anchors:
        from predator.loop.anchor import Anchors

        repository = self._gitops.of(run)
        with self._lock:
            head = repository.head()
            known = self._read.get(run.folder.name)
            if known is None or known[0] != head:
                known = (head, Anchors(repository))
                self._read[run.folder.name] = known
            return known[1]


class _News:
    """Sends notices beside what a person waits for, and can be waited for itself."""

    def __init__(self) -> None:
        self._threads: list[Thread] = []

    def __call__(self, work: Callable[[], None]) -> None:
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        thread = Thread(target=work, name="notice")
        self._threads.append(thread)
        thread.start()

    def wait(self) -> None:
        for thread in self._threads:
            thread.join()
