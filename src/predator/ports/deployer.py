"""Brings what git says to what serves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Preparation:
    """What stands between the newest revision and its release: ``done`` of ``total`` documents
    embedded by its encoder. ``eta_s`` is ``None`` while nobody can tell."""

    done: int
    total: int
    eta_s: float | None = None


@dataclass(frozen=True, slots=True)
class Deployment:
    """What is really live: the release's digest, the git revision it came from, and health.

    ``preparing`` is there while a newer revision waits for vectors; what was live serves on.
    """

    release: str
    revision: str
    healthy: bool
    detail: str = ""
    preparing: Preparation | None = None


Look = Callable[[Deployment], None]


class Deployer(Protocol):
    """One contour's deployment."""

    def status(self) -> Deployment:
        """What serves now. Raises ``PredatorError`` where the contour cannot be reached."""
        ...

    def wait(self, revision: str, timeout_s: float, look: Look = lambda _found: None) -> Deployment:
        """Wait until ``revision`` is applied and healthy; ``PredatorError`` at the timeout.

        ``timeout_s`` is for how long nothing may happen: each step of a preparation begins it
        anew. ``look`` sees what is found meanwhile; what it raises ends the wait.
        """
        ...

    def flip(self, release: str) -> None:
        """Send all traffic to ``release`` (still loaded) now, ahead of git; idempotent."""
        ...
