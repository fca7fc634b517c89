"""A walk: a list of events that happen to a ring, at chosen boundaries of its steps.

An event is plain data, so a walk that breaks something can be kept and made shorter.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from predator.adapters.runtime.virtual import Crash
from predator.domain.errors import PredatorError
from predator.domain.governance import Override
from tests.invariants.checks import Broken, Watchman
from tests.invariants.light_ring import CONTOUR, DAY, KINDS, LightWorld

MOST_BOUNDARIES = 80
"""How far apart two events may be; a whole cycle has about 170 boundaries."""


class Event(NamedTuple):
    """What happens (``name``), to what (``pick`` chooses), and how many boundaries later."""

    name: str
    pick: int = 0
    after: int = 0


class Walk:
    """Events on one ring, with every invariant looked at after each of them."""

    def __init__(self, folder: Path, events: Sequence[Event]) -> None:
        self.world = LightWorld(
            folder, max_cycles=6, budget_usd=4.0, cycle_cost_usd=1.0, cpu_hour_usd=0.0
        )
        self.watchman = Watchman(self.world)
        self.world.at = self._at
        self._events = list(reversed(events))
        self._left = self._events[-1].after if events else 0
        self._acting = False
        self.happened = 0

    def run(self) -> None:
        """Let everything happen, then let every flow come to its end."""
        while True:
            try:
                self.world.run()
            except Crash:
                self.world.restart()
                self.watchman.look()
                continue
            if not self._events:
                break
            with suppress(Crash):
                self._next()
        self.watchman.end()

    def _at(self, boundary: str) -> None:
        if boundary.startswith("recorded:"):
            self.watchman.commits()
        if boundary.startswith("after:") and boundary.endswith("/limits"):
            self.watchman.claimed(boundary.removeprefix("after:").removesuffix("/limits"))
        if boundary.endswith("/keep_gold"):
            self.watchman.stable()
        self._left -= 1
        while self._events and self._left <= 0 and not self._acting:
            self._next()

    def _next(self) -> None:
        event = self._events.pop()
        self._left = self._events[-1].after if self._events else 0
        self._acting = True
        try:
            # What people may not do is refused; that it is, other tests show.
            with suppress(PredatorError):
                EVENTS[event.name][1](self, event.pick)
        finally:
            self._acting = False
            self.happened += 1
            self.watchman.look()

    # The events.

    def _nothing(self, pick: int) -> None:
        pass

    def _cycle(self, pick: int) -> None:
        kinds = [*["better"] * 5, "bad live", "bad live", *KINDS]
        self.world.ask(kinds[pick % len(kinds)])

    def _same_cycle(self, pick: int) -> None:
        """The same request again: one cycle."""
        self.world.ask("better", key=f"again-{pick % 2}")

    def _drill(self, pick: int) -> None:
        self.world.ask_drill()

    def _rollback(self, pick: int) -> None:
        kept = self.world.releases.list()
        versions = [None, *(release.version for release in kept), "v99.0"]
        self.world.ask_rollback(versions[pick % len(versions)])

    def _crash(self, pick: int) -> None:
        raise Crash

    def _kill(self, pick: int) -> None:
        self.watchman.look()
        self.watchman.killed = True
        self.world.kill()

    def _revive(self, pick: int) -> None:
        self.world.kill(False)
        self.watchman.killed = False

    def _flag(self, pick: int) -> None:
        names = ("manual_approval_required", "ab_testing", "auto_rollback",
                 "self_improvement_enabled", "cost_optimization")  # fmt: skip
        self.world.set_flag(names[pick // 2 % len(names)], pick % 2 == 0)

    def _no_auto_promote(self, pick: int) -> None:
        self.world.set_flag("self_improvement_enabled", True, auto_promote=pick % 2 == 0)

    def _flags_gone(self, pick: int) -> None:
        for flag in self.world.flags.rows():
            if flag.name != "kill_switch":
                self.world.flags.remove(
                    flag.name, flag.environment, actor="ann", reason="test", at=self._now
                )

    def _answer(self, pick: int) -> None:
        for approval in self.world.approvals.list(pending=True)[:1]:
            self.world.approvals.decide(
                approval.id, approved=pick % 3 > 0, actor="bob", reason="looked", at=self._now
            )

    def _override(self, pick: int) -> None:
        targets = ("promote", "start_experiment", "begin_cycle", "rollback", "drill", "keep_gold")
        number = len(self.world.overrides.list())
        self.world.overrides.add(
            Override(f"ov-{number}", CONTOUR, "policy", targets[pick % len(targets)], None, "eve",
                     "release night", self._now, self._now + 60 * (1 + pick))
        )  # fmt: skip

    def _revoke(self, pick: int) -> None:
        granted = self.world.overrides.list()
        if granted:
            self.world.overrides.revoke(granted[pick % len(granted)].id, actor="ann", at=self._now)

    def _cancel(self, pick: int) -> None:
        running = [e for e in self.world.cycles.list() if not e.outcome]
        if running:
            self.world.cycles.cancel(
                running[pick % len(running)].cycle_id, actor="ann", reason="stop", at=self._now
            )

    def _other_writer(self, pick: int) -> None:
        """Somebody else commits to git: the loop's next push is refused once."""
        paths = ("README.md", "environments/edge-oracle/values.yaml")
        self.world.gitops.commit(
            {paths[pick % 2]: f"replicas: {self.happened}\n"}, "Scale",
            {"Step": "other writer"}, parent=self.world.gitops.head(),
        )  # fmt: skip

    def _traffic(self, pick: int) -> None:
        self.world.traffic = (0.0, 0.1, 1.0, 1.0, 1.0)[pick % 5]

    def _later(self, pick: int) -> None:
        self.world.clock.advance((1.0, 600.0, 6 * 3600.0, DAY, DAY, 31 * DAY)[pick % 6])

    def _clock(self, pick: int) -> None:
        """The clock of the machine is put back."""
        self.world.clock._now -= (3600.0, 25 * 3600.0)[pick % 2]

    def _spend(self, pick: int) -> None:
        """Another cost is booked, as far as there is money."""
        spent = self.world.limits.spent(CONTOUR, self._now)
        left = self.world.rules.budget_usd - spent.charged_usd - spent.reserved_usd
        if left > 0:
            self.world.limits.charge(
                CONTOUR, f"other-{self.happened}", "si_2025_01_01_001", self._now, left / 2
            )

    @property
    def _now(self) -> float:
        return self.world.clock.now()


EVENTS: Mapping[str, tuple[int, Callable[[Walk, int], None]]] = {
    "nothing": (1, Walk._nothing),
    "cycle": (16, Walk._cycle),
    "same cycle": (1, Walk._same_cycle),
    "drill": (3, Walk._drill),
    "rollback": (4, Walk._rollback),
    "crash": (10, Walk._crash),
    "kill": (2, Walk._kill),
    "revive": (8, Walk._revive),
    "flag": (4, Walk._flag),
    "no auto-promote": (2, Walk._no_auto_promote),
    "flags gone": (4, Walk._flags_gone),
    "answer": (8, Walk._answer),
    "override": (3, Walk._override),
    "revoke": (1, Walk._revoke),
    "cancel": (3, Walk._cancel),
    "other writer": (4, Walk._other_writer),
    "traffic": (5, Walk._traffic),
    "later": (4, Walk._later),
    "clock": (1, Walk._clock),
    "spend": (1, Walk._spend),
}
"""By name: how often, in relation to the others, and what it does."""

NAMES = [name for name, (weight, _) in EVENTS.items() for _ in range(weight)]


def events_of(seed: int, count: int) -> list[Event]:
    """The walk of a seed."""
    luck = random.Random(seed)  # noqa: S311 - a walk, no secret
    return [
        Event(luck.choice(NAMES), luck.randrange(64), luck.randrange(MOST_BOUNDARIES))
        for _ in range(count)
    ]


def fault_of(folder: Path, events: Sequence[Event]) -> str:
    """What a walk breaks, empty for nothing."""
    walk = Walk(folder, events)
    try:
        walk.run()
    except Broken as error:
        return str(error)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def shortest(breaks: Callable[[Sequence[Event]], bool], events: Sequence[Event]) -> list[Event]:
    """As few of ``events`` as still break it, found by leaving out ever smaller pieces."""
    found, size = list(events), max(1, len(events) // 2)
    while size:
        place = 0
        while place < len(found):
            fewer = found[:place] + found[place + size :]
            if breaks(fewer):
                found = fewer
            else:
                place += size
        size //= 2
    return found
