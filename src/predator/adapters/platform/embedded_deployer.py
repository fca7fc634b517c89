"""``Deployer`` for the embedded platform: it follows git by itself; this waits and flips."""

from __future__ import annotations

import time

import httpx

from predator.domain.errors import PredatorError
from predator.ports.deployer import Deployment

POLL_S = 0.05


class EmbeddedDeployer:
    """Talks to one platform's ``/readyz`` and ``/control`` over loopback."""

    def __init__(self, url: str, control_token: str) -> None:
        self._client = httpx.Client(
            base_url=url, timeout=10, headers={"Authorization": f"Bearer {control_token}"}
        )

    def status(self) -> Deployment:
        """What serves now."""
        try:
            answer = self._client.get("/readyz")
            state = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise PredatorError(f"the platform does not answer: {error}") from error
        return Deployment(
            state["release"],
            state["revision"],
            state["ready"] and state["healthy"],
            state["detail"],
        )

    def wait(self, revision: str, timeout_s: float) -> Deployment:
        """Poll until ``revision`` is applied and healthy."""
        deadline = time.monotonic() + timeout_s
        while True:
            found = self.status()
            if found.revision == revision and found.healthy:
                return found
            if time.monotonic() > deadline:
                raise PredatorError(
                    f"revision {revision[:12]} was not applied within {timeout_s:g} s"
                    + (f": {found.detail}" if found.detail else "")
                )
            time.sleep(POLL_S)

    def flip(self, release: str) -> None:
        """Send all traffic to ``release`` now."""
        try:
            answer = self._client.post("/control/flip", json={"release": release})
        except httpx.HTTPError as error:
            raise PredatorError(f"the platform does not answer: {error}") from error
        if answer.status_code != 200:
            raise PredatorError(f"the platform refused to flip: {answer.json().get('detail')}")

    def close(self) -> None:
        self._client.close()
