"""``Deployer`` for the embedded platform: it follows git by itself; this waits and flips."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from predator.adapters.platform.revisions import covers
from predator.domain.errors import PredatorError
from predator.ports.deployer import Deployment, Look, Preparation
from predator.ports.gitops import GitOps

POLL_S = 0.05
PREPARING_POLL_S = 0.5


class EmbeddedDeployer:
    """Talks to one platform's ``/readyz`` and ``/control`` over loopback.

    ``gitops`` is the repository that the platform follows: a revision also counts as applied
    where a later one is.
    """

    def __init__(self, url: str, control_token: str, gitops: GitOps) -> None:
        self._gitops = gitops
        self._client = httpx.Client(
            base_url=url,
            timeout=10,
            trust_env=False,
            headers={"Authorization": f"Bearer {control_token}"},
        )

    def status(self) -> Deployment:
        """What serves now."""
        try:
            state = self._client.get("/readyz").json()
            return Deployment(
                state["release"],
                state["revision"],
                state["ready"] and state["healthy"],
                state["detail"],
                _preparation(state["preparing"]),
            )
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            raise PredatorError(f"the platform does not answer: {error}") from error

    def wait(self, revision: str, timeout_s: float, look: Look = lambda _found: None) -> Deployment:
        """Poll until ``revision``, or a later one, is applied and healthy."""
        deadline, done = time.monotonic() + timeout_s, -1
        while True:
            found = self.status()
            if found.healthy and covers(self._gitops, found.revision, revision):
                return found
            look(found)
            if found.preparing is not None and found.preparing.done > done:
                deadline, done = time.monotonic() + timeout_s, found.preparing.done
            if time.monotonic() > deadline:
                raise PredatorError(
                    f"revision {revision[:12]} was not applied within {timeout_s:g} s"
                    + (f": {found.detail}" if found.detail else "")
                )
            time.sleep(POLL_S if found.preparing is None else PREPARING_POLL_S)

    def flip(self, release: str) -> None:
        """Send all traffic to ``release`` now."""
        try:
            answer = self._client.post("/control/flip", json={"release": release})
            reason = None if answer.status_code == 200 else answer.json()["detail"]
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            raise PredatorError(f"the platform does not answer: {error}") from error
        if reason is not None:
            raise PredatorError(f"the platform refused to flip: {reason}")

    def close(self) -> None:
        self._client.close()


def _preparation(spaces: Sequence[Mapping[str, Any]]) -> Preparation | None:
    if not spaces:
        return None
    known = [space["eta_s"] for space in spaces if space["eta_s"] is not None]
    return Preparation(
        sum(int(space["documents"]) for space in spaces),
        sum(int(space["total"]) for space in spaces),
        max(known) if len(known) == len(spaces) else None,
    )
