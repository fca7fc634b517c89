"""Where a cycle can be struck: the names of all moments around its effects, told as they come.

``step:NAME`` a step's work begins · ``effect:NAME`` an action's effect is done, nothing of it is
recorded · ``journal:KEY`` its record is in the journal, what follows it is not done · ``done:NAME``
the step's work is over, the runtime has not recorded it. With ``fine`` also ``PORT.METHOD<N`` and
``PORT.METHOD>N``, before and after the N-th call of a seam within a step.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, cast

from predator.journal.audit import AuditJournal
from predator.loop.record import Record
from predator.ports.runtime import Json, Runtime

At = Callable[[str], None]

WRITES: Mapping[str, tuple[str, ...]] = {
    "git": ("commit",),
    "releases": ("keep", "mark"),
    "objects": ("put",),
    "tracking": (
        "start", "action", "metrics", "artifact", "register", "alias", "tag", "finish",
    ),
    "limits": ("begin_cycle", "reserve", "charge", "settle"),
    "slots": ("claim", "release"),
    "cycles": ("mark", "finish"),
    "notifier": ("notify",),
    "deployer": ("flip",),
    "trainer": ("start", "collect"),
    "journal": ("append", "append_once", "append_made", "write_summary"),
}  # fmt: skip
"""What changes something, by seam."""


class Moments:
    """Tells ``at`` of each moment by a name that is the same when the moment comes again."""

    def __init__(self, at: At, *, fine: bool) -> None:
        self._at, self._fine = at, fine
        self.step = ""
        self._calls: Counter[str] = Counter()

    def begin(self, step: str) -> None:
        self.step = step
        self._calls.clear()

    def coarse(self, name: str) -> None:
        self._at(name)

    def call(self, name: str) -> tuple[str, str]:
        self._calls[name] += 1
        number = self._calls[name]
        return f"{self.step}/{name}<{number}", f"{self.step}/{name}>{number}"

    def fine(self, name: str) -> None:
        if self._fine:
            self._at(name)


def tapped(port: Any, name: str, moments: Moments) -> Any:
    """The same port; each call that changes something is told before and after."""
    return _Tapped(port, name, moments)


class _Tapped:
    def __init__(self, port: Any, name: str, moments: Moments) -> None:
        self._port, self._name, self._moments = port, name, moments

    def __getattr__(self, attribute: str) -> Any:
        found = getattr(self._port, attribute)
        if attribute not in WRITES[self._name]:
            return found

        def call(*given: Any, **named: Any) -> Any:
            before, after = self._moments.call(f"{self._name}.{attribute}")
            self._moments.fine(before)
            result = found(*given, **named)
            if attribute == "append_once" or (given and str(given[0]).endswith(":action")):
                self._moments.coarse(f"journal:{given[0]}")
            self._moments.fine(after)
            return result

        return call


class TappedRuntime:
    """The runtime, with the moments around each step's work."""

    def __init__(self, runtime: Runtime, moments: Moments) -> None:
        self._runtime, self._moments = runtime, moments

    def step(self, name: str, work: Callable[[], Json]) -> Json:
        short = name.partition("/")[2] or name

        def told() -> Json:
            self._moments.begin(short)
            self._moments.coarse(f"step:{short}")
            found = work()
            self._moments.coarse(f"done:{short}")
            return found

        return self._runtime.step(name, told)

    def __getattr__(self, attribute: str) -> Any:
        return getattr(self._runtime, attribute)


class TappedRecord(Record):
    """The record of a cycle, with the moments right after each effect and each record."""

    @cached_property
    def journal(self) -> AuditJournal:
        kept = AuditJournal(self.folder / "audit.jsonl", now=self.ring.clock.now)
        return cast(AuditJournal, tapped(kept, "journal", self._moments))

    def watched_by(self, moments: Moments) -> TappedRecord:
        self._moments = moments
        return self

    def act(
        self, name: str, effect: str, work: Callable[[], Json], *given: Any, **named: Any
    ) -> Json:
        def told() -> Json:
            found = work()
            self._moments.coarse(f"effect:{name}")
            return found

        return super().act(name, effect, told, *given, **named)
