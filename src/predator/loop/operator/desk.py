"""What the Operator is connected to, and how each act of a person is put on record."""

from __future__ import annotations

import math
import secrets
import unicodedata
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, TypeVar

from predator.domain.canonical import sha256_hex
from predator.domain.errors import InputError, PredatorError
from predator.domain.governance import EVERYWHERE, Notice
from predator.journal.audit import AuditJournal
from predator.journal.logs import clean
from predator.loop.governance import Rules
from predator.policy.gates import Gate
from predator.policy.overrides import PRODUCTION
from predator.ports.approvals import Approvals
from predator.ports.clock import Clock
from predator.ports.cycles import Cycles
from predator.ports.flags import Flags
from predator.ports.gitops import GitOps
from predator.ports.limits import Limits
from predator.ports.notifier import Notifier
from predator.ports.overrides import Overrides
from predator.ports.releases import Releases
from predator.ports.runtime import Flows
from predator.ports.slots import Slots
from predator.ports.tokens import Tokens

if TYPE_CHECKING:
    from predator.loop.gold.report import GoldNow

T = TypeVar("T")

MOST_TEXT = 500
"""Characters of a reason or a name."""

JOURNAL_LOCK_S = 10.0
DRAIN_S = 0.5
URGENT_LOCK_S = 0.3
"""A stop is acknowledged within a second, whoever holds the journal."""


class NotFoundError(InputError):
    """What was named does not exist."""


def _in_a_thread(work: Callable[[], None]) -> None:
    # Not a daemon: a command line that ends must not lose the notice.
    Thread(target=work, name="notice").start()


@dataclass(frozen=True, slots=True)
class Desk:
    """The seams of the Operator.

    ``journal`` is the file of the operators' journal. ``contours`` names every known contour.
    ``production`` are the contours where an override needs a second person. ``gates(contour)``
    gives the contour's own gates by name, ``anchor(cycle_id)``
    the head of a cycle's journal as it was kept elsewhere. ``releases`` says which versions are
    stable and which are Gold. ``gold(at)`` gives the Gold set in force and how stale it is at
    ``at`` (unix s), ``None`` where nothing runs yet. ``drained(timeout_s)`` waits for effects
    that were allowed before a stop (``ports.fence``). ``later`` runs what nobody waits for.
    """

    flags: Flags
    approvals: Approvals
    overrides: Overrides
    limits: Limits
    slots: Slots
    cycles: Cycles
    tokens: Tokens
    flows: Flows
    notifier: Notifier
    gitops: GitOps
    clock: Clock
    artifacts: Path
    journal: Path
    contours: Mapping[str, Rules]
    production: frozenset[str] = PRODUCTION
    gates: Callable[[str], Mapping[str, Gate]] = lambda _: {}
    releases: Releases | None = None
    gold: Callable[[float], GoldNow | None] = lambda _: None
    anchor: Callable[[str], str | None] = lambda _: None
    drained: Callable[[float], bool] = lambda _: True
    secret: Callable[[int], bytes] = secrets.token_bytes
    later: Callable[[Callable[[], None]], None] = _in_a_thread
    lock: Lock = field(default_factory=Lock, repr=False)


class Acts:
    """What the verbs share: checks of what people write, ids, and the operators' journal."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self._journals: dict[float, AuditJournal] = {}

    def _journal(self, lock_timeout_s: float) -> AuditJournal:
        """The operators' journal; ``IntegrityError`` where it was tampered with."""
        with self.desk.lock:
            if lock_timeout_s not in self._journals:
                self._journals[lock_timeout_s] = AuditJournal(
                    self.desk.journal, now=self.desk.clock.now, lock_timeout_s=lock_timeout_s
                )
            return self._journals[lock_timeout_s]

    def on_record(
        self, verb: str, actor: str, arguments: Mapping[str, Any], work: Callable[[], T]
    ) -> T:
        """Do what is no verb of the loop, on record like one; ``work`` gets no other leave."""
        return self._act(verb, actor, arguments, work)

    def _act(self, verb: str, actor: str, arguments: Mapping[str, Any], work: Callable[[], T]) -> T:
        """Do ``work`` between two records: that it was asked for, and what came of it.

        Nothing happens that could not be recorded first.
        """
        actor = person(actor)
        asked = self._record(verb, actor, arguments, "asked")
        try:
            result = work()
        except BaseException as error:
            outcome = "refused" if isinstance(error, PredatorError) else "failed"
            detail = {"request": asked, "error": f"{type(error).__name__}: {error}"[:300]}
            with suppress(Exception):
                self._record(verb, actor, detail, outcome)
            raise
        self._record(verb, actor, {"request": asked}, "done")
        return result

    def _record(
        self,
        verb: str,
        actor: str,
        arguments: Mapping[str, Any],
        outcome: str,
        lock_timeout_s: float = JOURNAL_LOCK_S,
    ) -> str:
        return self._journal(lock_timeout_s).append(
            {
                "type": "operator",
                "actor": clean(actor),
                "verb": verb,
                "arguments": clean(dict(arguments)),
                "outcome": outcome,
            }
        )

    def _known(self, contour: str, *, everywhere: bool = False) -> str:
        if contour in self.desk.contours or (everywhere and contour == EVERYWHERE):
            return contour
        known = ", ".join([*sorted(self.desk.contours), *([EVERYWHERE] if everywhere else [])])
        raise NotFoundError(f"there is no contour {contour!r:.60}", cure=f"Known: {known}")

    def _id(self, prefix: str, actor: str, key: str) -> str:
        """The same for the same actor and key, so that what is asked twice is done once."""
        key = key or self.desk.secret(16).hex()
        return f"{prefix}{sha256_hex(f'{prefix}|{actor}|{key}'.encode())[:20]}"

    def _tell(self, notice: Notice) -> None:
        def send() -> None:
            with suppress(Exception):
                self.desk.notifier.notify(notice)

        self.desk.later(send)


def person(actor: str) -> str:
    """Who acts; ``InputError`` where nobody is named."""
    return text(actor, "actor", most=200)


def text(value: str, name: str, *, most: int = MOST_TEXT) -> str:
    """What a person wrote, as it is; ``InputError`` where it is blank, too long or no text."""
    if not value.strip():
        raise InputError(f"{name} is missing", cure=f"Give a {name}")
    if len(value) > most:
        raise InputError(f"{name} is longer than {most} characters")
    # PostgreSQL keeps no NUL and no database keeps half a surrogate pair.
    if "\0" in value or any("\ud800" <= char <= "\udfff" for char in value):
        raise InputError(f"{name} holds a character that no database keeps")
    return value


def same_person(one: str, other: str) -> bool:
    """Whether two actors may be one: case, spaces and look-alike forms of letters do not count."""
    return _folded(one) == _folded(other)


def expiry(expires_at: float, now: float, most_s: float) -> float:
    """``expires_at`` where it lies ahead and within ``most_s``; else ``InputError``."""
    if not math.isfinite(expires_at) or not now < expires_at <= now + most_s:
        raise InputError(
            "expires_at must lie ahead, and not too far",
            cure=f"Choose a moment within {most_s / 86_400:g} days from now",
        )
    return expires_at


def _folded(actor: str) -> str:
    return "".join(unicodedata.normalize("NFKC", actor).casefold().split())
