"""Brings what git says to what serves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Deployment:
    """What is really live: the release's digest, the git revision it came from, and health."""

    release: str
    revision: str
    healthy: bool
    detail: str = ""


class Deployer(Protocol):
    """One contour's deployment."""

    def status(self) -> Deployment:
        """What serves now. Raises ``PredatorError`` where the contour cannot be reached."""
        ...

    def wait(self, revision: str, timeout_s: float) -> Deployment:
        """Wait until ``revision`` is applied and healthy; ``PredatorError`` at the timeout."""
        ...

    def flip(self, release: str) -> None:
        """Send all traffic to ``release`` (still loaded) now, ahead of git; idempotent."""
        ...
