"""The embedded deployer's hand: follows the GitOps repository and swaps releases in."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from predator.domain.errors import PredatorError
from predator.domain.release import Release
from predator.ports.gitops import GitOps
from predator.search.desired import Desired, experiments_path, parse, values_path
from predator.search.engine import Engine
from predator.search.serving.routing import Routing

KEPT_HOT = 4
"""Releases that stay loaded: live, candidate or hold-back, and the ones to go back to."""

Load = Callable[[str], Engine]


class Agent:
    """Makes ``routing`` what git says: load beside the live release, warm up, swap, keep hot.

    A revision that cannot be applied changes nothing: the error is kept in ``detail`` and the
    release that served goes on serving.
    """

    def __init__(self, gitops: GitOps, contour: str, load: Load, warm_up: Callable[[Engine], None]):
        self._gitops, self._contour = gitops, contour
        self._load, self._warm_up = load, warm_up
        self._lock = threading.Lock()
        self._hot: dict[str, Engine] = {}
        self._previous: str | None = None
        self._seen: str | None = None
        self._stop = threading.Event()
        self.routing: Routing | None = None
        self.healthy = True
        self.detail = ""
        self.swaps = 0

    def step(self) -> bool:
        """Apply the newest revision if there is one; whether anything changed."""
        with self._lock:
            head = self._gitops.head()
            if head is None or head == self._seen:
                return False
            try:
                self._apply(head)
            except PredatorError as error:
                self.healthy, self.detail = False, str(error)
            else:
                self.healthy, self.detail = True, ""
            self._seen = head
        return True

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

    def _apply(self, head: str) -> None:
        values = self._gitops.read(values_path(self._contour), head)
        if values is None:
            return
        desired = parse(values, self._gitops.read(experiments_path(self._contour), head))
        for digest in _needed(desired):
            if digest not in self._hot:
                engine = self._load(digest)
                self._warm_up(engine)
                self._hot[digest] = engine
        pinned = self.routing.pinned if self.routing else None
        if pinned == desired.release.digest:
            pinned = None
        self._swap(Routing(desired, head, self._hot.copy(), pinned))

    def _swap(self, routing: Routing) -> None:
        before = self.routing
        self.routing = routing
        if before is None or before.live is not routing.live:
            self.swaps += 1
        if before is not None and before.live_digest != routing.live_digest:
            self._previous = before.live_digest
        keep = {*_needed(routing.desired), routing.live_digest, self._previous}
        for digest in [d for d in self._hot if d in keep]:
            self._hot[digest] = self._hot.pop(digest)  # the least recently needed stand first
        for digest in [d for d in self._hot if d not in keep][: max(0, len(self._hot) - KEPT_HOT)]:
            del self._hot[digest]


def _needed(desired: Desired) -> list[str]:
    digests = [desired.release.digest]
    if desired.experiment is not None:
        digests.append(desired.experiment.candidate)
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
