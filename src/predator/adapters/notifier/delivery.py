"""How a notice is handed on: the hook, its way to say "later", and what is masked before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace

from predator.adapters.database.values import named, texts
from predator.domain.errors import PredatorError
from predator.domain.governance import Notice
from predator.journal.redact import redact

Send = Callable[[Notice], None]
"""Hands a notice to its receiver; raises where that failed."""

LEASE_S = 60.0
"""How long a notice belongs to the process that is sending it."""

LONGEST_PAUSE_S = 3600.0
AT_ONCE = 50
"""Most notices sent by one call."""


class RetryLater(PredatorError):  # noqa: N818 - it says what to do
    """The receiver wants no notice for ``wait_s`` seconds."""

    def __init__(self, cause: str, *, wait_s: float) -> None:
        super().__init__(cause)
        self.wait_s = min(max(0.0, wait_s), LONGEST_PAUSE_S)


def masked(notice: Notice) -> Notice:
    """The notice as it may be kept and sent: without secrets, its key and severity checked."""
    named(notice.key, "notice key")
    texts(notice, "severity", "contour", "cycle_id", "title", "text", "link")
    fields = asdict(notice)
    return replace(notice, **{name: redact(fields[name]) for name in ("title", "text", "link")})


def failure(error: Exception) -> str:
    """Why a delivery failed, in one masked line."""
    said = str(error) if isinstance(error, PredatorError) else type(error).__name__
    return str(redact(said))[:300]


def holds(until: float | None, now: float, longest_s: float) -> bool:
    """Whether a lease or pause still holds; one too far ahead is a clock that was set back."""
    return until is not None and now < until <= now + longest_s
