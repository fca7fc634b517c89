"""``Deployer`` over Argo CD: refresh, sync where nobody else does, and wait for our commit."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from predator.adapters.argocd.api import ArgoApi
from predator.adapters.argocd.application import Application, read_application
from predator.adapters.argocd.course import Course, course
from predator.adapters.argocd.errors import BusyError, UnreachableError, WindowError
from predator.adapters.argocd.replicas import Replicas, Serving
from predator.adapters.platform.revisions import covers
from predator.domain.errors import PredatorError
from predator.loop.release.desired_state import DesiredState
from predator.ports.deployer import Deployment, Look

POLL_S = 2.0
DEGRADED_S = 20.0
"""How long Degraded is borne after a sync: an autoscaler is, until its first reading."""


@dataclass(slots=True)
class _Wait:
    """What one call of ``wait`` remembers: ``asked`` is the commit that we asked a sync to."""

    revision: str
    deadline: float
    asked: str | None = None
    refresh: bool = True
    degraded_since: float | None = None
    done: int = -1
    detail: str = ""


class ArgoDeployer:
    """One contour's application.

    Live is the release that git names at the commit which the cluster is at. Where ``pods`` are
    given, they say themselves what they serve, and a flip goes ahead of git through them.
    ``patience_s`` is the least time that a roll-out gets, whatever less a caller grants: pods
    are replaced one by one, each when it has loaded its release.
    """

    def __init__(
        self,
        api: ArgoApi,
        desired: DesiredState,
        pods: Replicas | None = None,
        *,
        patience_s: float = 0.0,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._api, self._desired, self._pods = api, desired, pods
        self._patience_s, self._monotonic, self._sleep = patience_s, monotonic, sleep

    def status(self) -> Deployment:
        """What serves now."""
        found = read_application(self._api.application())
        return self._deployment(found, self._serving(found))

    def wait(self, revision: str, timeout_s: float, look: Look = lambda _found: None) -> Deployment:
        """Until the application is Succeeded, Synced at ``revision`` (or a later one) and Healthy.

        A busy or unreachable Argo CD and a closed sync window are waited out. At the timeout an
        operation of ours is ended. ``PredatorError`` also as soon as a sync that we asked for has
        failed, or what was brought stays Degraded.
        """
        granted_s = max(timeout_s, self._patience_s)
        wait = _Wait(revision, self._monotonic() + granted_s)
        while True:
            try:
                found, done = self._step(wait)
            except (BusyError, WindowError) as error:
                wait.detail = str(error)
            except UnreachableError as error:
                # A look at git may take longer than an answer: the next one takes what is there.
                wait.detail, wait.refresh = str(error), not wait.refresh
            else:
                if done:
                    return found
                look(found)
                if found.preparing is not None and found.preparing.done > wait.done:
                    wait.done = found.preparing.done
                    wait.deadline = self._monotonic() + granted_s
            if self._monotonic() >= wait.deadline:
                raise self._too_late(wait, granted_s)
            self._sleep(POLL_S)

    def flip(self, release: str) -> None:
        """Send all traffic to ``release`` now, where the pods' control endpoint is known."""
        if self._pods is None:
            raise PredatorError(
                "Argo CD follows git alone, and the pods' control endpoint is not known",
                cure="Set argocd_control_url; until then traffic goes back with the commit",
            )
        self._pods.flip(release)

    def close(self) -> None:
        self._api.close()
        if self._pods is not None:
            self._pods.close()

    def _step(self, wait: _Wait) -> tuple[Deployment, bool]:
        """One look and one move; what was found, and whether that is all that was wanted."""
        found = read_application(self._api.application(refresh=wait.refresh))
        covered = self._covers(found.compared, wait.revision)
        # By itself Argo CD looks every few minutes: at git, and whether a sync window is open.
        wait.refresh = not covered or (found.sync != "Synced" and not found.running)
        asked = wait.asked == found.compared
        move = course(found, wait.revision, covered=covered, asked=asked)
        if move is Course.SYNC:
            # Under auto-sync Argo CD refuses to be told a commit: it takes its branch's.
            self._api.sync(found.compared if found.auto_sync is None else None, wait.revision)
            wait.asked, wait.refresh = found.compared, False
        elif move is Course.FAILED:
            raise PredatorError(f"revision {wait.revision[:12]} was not applied: {found.told()}")
        self._bear_degraded(found, wait, move)
        serving = self._serving(found)
        deployment = self._deployment(found, serving)
        wait.detail = deployment.detail or f"{found.sync} at {_short(found)}, {found.health}"
        if move is not Course.DONE or not deployment.healthy:
            return deployment, False
        pods = serving.revisions if serving is not None else frozenset[str]()
        behind = sorted(one[:12] for one in pods if not self._covers(one, wait.revision))
        if behind:
            wait.detail = f"{wait.detail}; a pod is still at {behind[0] or 'no commit'}"
        return deployment, not behind

    def _bear_degraded(self, found: Application, wait: _Wait, move: Course) -> None:
        now = self._monotonic()
        if move is not Course.DEGRADED:
            wait.degraded_since = None
        elif wait.degraded_since is None:
            wait.degraded_since = now
        elif now - wait.degraded_since >= DEGRADED_S:
            raise PredatorError(
                f"revision {wait.revision[:12]} was not applied: {found.told() or 'Degraded'}"
            )

    def _serving(self, found: Application) -> Serving | None:
        """What the pods say; ``None`` where nobody can be asked, or nothing was deployed yet."""
        return self._pods.serving() if self._pods is not None and found.applied else None

    def _deployment(self, found: Application, serving: Serving | None) -> Deployment:
        applied = found.applied
        if not applied:
            return Deployment("", "", False, found.told())
        healthy = found.health == "Healthy" and found.sync != "Unknown" and not found.failed
        if serving is None:
            release = self._desired.read(applied).release.digest
            return Deployment(release, applied, healthy, found.told())
        detail = "; ".join(text for text in (serving.detail, found.told()) if text)
        healthy = healthy and serving.ready
        return Deployment(serving.release, applied, healthy, detail, serving.preparing)

    def _covers(self, applied: str, wanted: str) -> bool:
        return bool(applied) and covers(self._desired.gitops, applied, wanted)

    def _too_late(self, wait: _Wait, granted_s: float) -> PredatorError:
        """Nobody waits for it any more: an operation of ours must not go on."""
        details = [wait.detail]
        with suppress(PredatorError):
            found = read_application(self._api.application())
            last = found.operation
            if last is not None and last.running and last.mark == wait.revision:
                self._api.terminate()
                details.append("its sync was ended")
            elif found.sync == "OutOfSync" and _closed(self._api.windows()):
                details.append("blocked by sync window")
        return PredatorError(
            f"revision {wait.revision[:12]} was not applied within {granted_s:g} s: "
            + "; ".join(dict.fromkeys(text for text in details if text))
        )


def _short(found: Application) -> str:
    return found.compared[:12] or "no commit"


def _closed(windows: object) -> bool:
    """Whether a sync window is in the way: of every sync, or of automatic ones."""
    if not isinstance(windows, dict):
        return False
    active = windows.get("activeWindows") or []
    return windows.get("canSync") is False or any("deny" in str(one) for one in active)
