"""The embedded deployer's hand: follows the GitOps repository and swaps releases in."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from dataclasses import replace

from predator.domain.errors import PredatorError
from predator.domain.release import Release
from predator.ports.gitops import GitOps
from predator.search.desired import Desired, experiments_path, parse, values_path
from predator.search.engine import Engine
from predator.search.serving.routing import Routing
from predator.search.serving.spaces import IncompleteSpaceError

KEPT_HOT = 4
"""Releases that stay loaded: live, candidate or hold-back, and the ones to go back to."""

Load = Callable[[str], Engine]
Keep = Callable[[frozenset[str]], None]


class Agent:
    """Makes ``routing`` what git says: load beside the live release, warm up, swap, keep hot.

    A revision that cannot be applied changes nothing: the error is kept in ``detail`` and the
    release that served goes on serving.

    ``load`` may raise ``IncompleteSpaceError``. Then what is ready is applied and the rest is
    tried again at each step; ``detail`` says what it waits for, ``expected`` holds the encoders,
    and ``routing.revision`` stays the last one that was applied whole. ``keep`` is told the
    encoders of all releases that are named or can be gone back to.
    """

    def __init__(
        self,
        gitops: GitOps,
        contour: str,
        load: Load,
        warm_up: Callable[[Engine], None],
        keep: Keep = lambda _encoders: None,
    ):
        self._gitops, self._contour = gitops, contour
        self._load, self._warm_up, self._keep = load, warm_up, keep
        self._stepping = threading.Lock()
        self._lock = threading.Lock()  # a flip waits for a swap, never for a load
        self._hot: dict[str, Engine] = {}
        self.expected: frozenset[str] = frozenset()
        self._previous: str | None = None
        self._seen: str | None = None
        self._stop = threading.Event()
        self.routing: Routing | None = None
        self.healthy = True
        self.detail = ""
        self.swaps = 0

    def step(self) -> bool:
        """Apply the newest revision if there is one; whether anything changed."""
        with self._stepping:
            try:
                return self._follow()
            finally:
                self._tidy()

    def flip(self, digest: str) -> None:
        """Route everybody to a loaded release now, ahead of git. Raises where it is not loaded.

        Flipping to what git wants anyway only ends an earlier flip.
        """
        with self._lock:
            if self.routing is None or digest not in self._hot:
                raise PredatorError(
                    f"release {digest[:12]} is not loaded", cure="roll back through git instead"
                )
            pinned = None if digest == self.routing.desired.release.digest else digest
            self._swap(
                Routing(self.routing.desired, self.routing.revision, self._hot.copy(), pinned)
            )

    def run(self, interval_s: float = 0.2) -> None:
        """Follow until :meth:`stop`."""
        while not self._stop.wait(interval_s):
            try:
                self.step()
            except Exception as error:
                self.healthy, self.detail = False, f"{type(error).__name__}: {error}"

    def stop(self) -> None:
        self._stop.set()

    def _follow(self) -> bool:
        head = self._gitops.head()
        if head is None or head == self._seen:
            return False
        before = self.routing
        try:
            waits = self._apply(head)
        except PredatorError as error:
            self.healthy, self.detail = False, str(error)
            self.expected = frozenset()
        else:
            self.healthy, self.detail = True, "; ".join(dict.fromkeys(map(str, waits)))
            self.expected = frozenset(wait.filling.encoder for wait in waits)
            if waits:
                return self.routing is not before
        self._seen = head
        return True

    def _apply(self, head: str) -> list[IncompleteSpaceError]:
        """Apply ``head`` as far as it is ready; what the rest waits for."""
        values = self._gitops.read(values_path(self._contour), head)
        if values is None:
            return []
        desired = parse(values, self._gitops.read(experiments_path(self._contour), head))
        if self.routing is None:
            # Nobody is served yet: the live release first, whatever the others wait for.
            self._bring(desired.release.digest)
            self._swap_to(Desired(desired.release), "")
        waits: dict[str, IncompleteSpaceError] = {}
        for digest in _needed(desired):
            try:
                self._bring(digest)
            except IncompleteSpaceError as error:
                waits[digest] = error
        if not waits:
            self._swap_to(desired, head)
        elif desired.release.digest not in waits:
            # A release that goes live, or back, never waits for an experiment's vectors.
            self._swap_to(_without(desired, waits.keys()), None)
        return list(waits.values())

    def _bring(self, digest: str) -> None:
        if digest not in self._hot:
            engine = self._load(digest)
            self._warm_up(engine)
            with self._lock:
                self._hot[digest] = engine

    def _swap_to(self, desired: Desired, revision: str | None) -> None:
        """Route by ``desired``; a revision of ``None`` leaves the one that was applied whole."""
        with self._lock:
            before = self.routing
            if revision is None and before is not None:
                if before.desired == desired:
                    return
                revision = before.revision
            pinned = before.pinned if before else None
            if pinned == desired.release.digest:
                pinned = None
            self._swap(Routing(desired, revision or "", self._hot.copy(), pinned))

    def _swap(self, routing: Routing) -> None:
        before = self.routing
        self.routing = routing
        if before is None or before.live is not routing.live:
            self.swaps += 1
        if before is not None and before.live_digest != routing.live_digest:
            self._previous = before.live_digest
        keep = self._kept(routing)
        for digest in [d for d in self._hot if d in keep]:
            self._hot[digest] = self._hot.pop(digest)  # the least recently needed stand first
        for digest in [d for d in self._hot if d not in keep][: max(0, len(self._hot) - KEPT_HOT)]:
            del self._hot[digest]

    def _kept(self, routing: Routing) -> set[str | None]:
        return {*_needed(routing.desired), routing.live_digest, self._previous}

    def _tidy(self) -> None:
        """Let go of the encoders that no release needs any more, and of the releases on them."""
        with self._lock:
            if self.routing is None:
                return
            keep = self._kept(self.routing)
            encoders = self.expected.union(
                engine.release.encoder for digest, engine in self._hot.items() if digest in keep
            )
            stale = [d for d, e in self._hot.items() if e.release.encoder not in encoders]
            for digest in stale:
                del self._hot[digest]
            if stale:  # the table would hold their vectors in memory
                self.routing = replace(self.routing, engines=self._hot.copy())
        self._keep(encoders)


def _without(desired: Desired, missing: Collection[str]) -> Desired:
    """``desired`` less the experiments and the hold-back of releases that are ``missing``."""
    experiments = tuple(one for one in desired.experiments if one.candidate not in missing)
    holdback = desired.holdback
    if holdback is not None and holdback.release in missing:
        holdback = None
    return Desired(desired.release, experiments, holdback)


def _needed(desired: Desired) -> list[str]:
    digests = [desired.release.digest, *(one.candidate for one in desired.experiments)]
    if desired.holdback is not None:
        digests.append(desired.holdback.release)
    return digests


def warm_up(engine: Engine, queries: tuple[str, ...] = ("warm up", "compute the mean")) -> None:
    """Touch every stage once, so that the first user does not pay for it."""
    for query in queries:
        engine.rank(query, 10)


def load_release(data: bytes) -> Release:
    """A release from its canonical JSON."""
    import json

    try:
        return Release.from_json(json.loads(data))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise PredatorError(f"the release bundle cannot be read: {error}") from error


def wait_until(condition: Callable[[], bool], timeout_s: float) -> bool:
    """Poll a local condition until it holds or time is up."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return condition()
