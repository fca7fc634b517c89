"""The simulated year: who starts what when, for as long as it is let run."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from predator.config import Settings
from predator.domain.readings import Failed, Reading, Value
from predator.loop.governance import Rules
from predator.simulation.year.crowd import Crowd
from predator.simulation.year.cycle import turn
from predator.simulation.year.deciders import Deciders, Real
from predator.simulation.year.gold import Gold
from predator.simulation.year.live import drill
from predator.simulation.year.loop import Loop
from predator.simulation.year.stores import governance_of
from predator.simulation.year.tally import Tally
from predator.simulation.year.timeline import Flow, Timeline
from predator.simulation.year.weather import Weather
from predator.simulation.year.world import DAY_S, HOUR_S, Chances, Floats, World

BEGAN = 1_798_761_600.0
"""Friday, 2027-01-01 00:00 UTC."""
CYCLE_S = 10 * HOUR_S
"""A cycle on schedule so often: 72 in 30 days, with signals up to 80."""
WINDOW_S = 2 * HOUR_S
COOLDOWN_S = 48 * HOUR_S
"""A signal that goes on for longer starts another cycle."""
JUDGED_SEARCHES = 1_500
"""Searches of a window whose judgments are known."""
SPREAD = 0.3
"""Of one search's NDCG@10."""
SAMPLE_S = 6 * HOUR_S
DRILL_S = 30 * DAY_S
PANEL = 400
"""Searches a day that the gain over the global hold-out is measured on, in each of both."""


@dataclass(slots=True)
class Panel:
    """The global hold-out and everybody else: users and the metric of their searches."""

    held_users: list[NDArray[np.intp]] = field(default_factory=list)
    held: list[Floats] = field(default_factory=list)
    users: list[NDArray[np.intp]] = field(default_factory=list)
    rest: list[Floats] = field(default_factory=list)


class Year:
    """``days`` of one target on the contour of ``settings``, whose rules are ``rules``.

    The same arguments give the same year, to the last byte. ``deciders`` are the loop's own unless
    others are to be tried in the same world.
    """

    def __init__(
        self,
        settings: Settings,
        rules: Rules,
        days: int,
        seed: int,
        deciders: Deciders | None = None,
    ) -> None:
        self.days, self.seed, self.done = days, seed, 0
        timeline = Timeline(BEGAN)
        world, weather = World(seed, BEGAN, days), Weather(seed, BEGAN, days)
        first = world.first()
        self.loop = Loop(
            settings, timeline, world, weather, Crowd(seed, world), Gold(seed, world),
            Chances(seed), governance_of(rules, timeline, weather),
            deciders or Real(settings), Tally(world, BEGAN, first, first),
        )  # fmt: skip
        self.panel = Panel()
        for flow in (self._monitor(), self._sampler(), self._panels()):
            timeline.spawn(flow)
        timeline.spawn(self._drills(), DRILL_S / 2)

    def advance(self, days: int) -> None:
        """Let so many days of the year pass."""
        self.done = min(self.days, self.done + days)
        self.loop.timeline.run(BEGAN + self.done * DAY_S)

    def _monitor(self) -> Flow[None]:
        """Look at the newest windows, start a cycle for a signal, or on schedule."""
        loop = self.loop
        windows: list[Reading] = []
        baseline: list[Value] = []
        watched = loop.live
        last_cycle, last_signal, number = loop.now - CYCLE_S, loop.now - COOLDOWN_S, 0
        while True:
            if loop.live is not watched:
                windows, baseline, watched = [], [], loop.live
            number += 1
            reading = self._window(number)
            if isinstance(reading, Value) and len(baseline) < 3:
                baseline.append(reading)
            else:
                windows.append(reading)
            trigger = "scheduled" if loop.now - last_cycle >= CYCLE_S else ""
            if len(baseline) == 3:
                found = loop.deciders.signal(_pooled(baseline), windows[-3:])
                loop.tally.blind += found.blind
                if found.signal is not None and loop.now - last_signal >= COOLDOWN_S:
                    trigger, last_signal = found.signal.trigger, loop.now
                    loop.tally.signals += 1
            if trigger:
                last_cycle = loop.now
                self._start(trigger)
            yield WINDOW_S

    def _window(self, number: int) -> Reading:
        loop = self.loop
        if "metrics" in loop.weather.down(loop.now):
            return Failed("the metrics do not answer")
        rng = loop.chances.of("window", number)
        half = 1.96 * SPREAD / JUDGED_SEARCHES**0.5
        mean = loop.world.truth(loop.live, loop.now) + float(rng.normal(0.0, half / 1.96))
        return Value(mean, JUDGED_SEARCHES, mean - half, mean + half, loop.now)

    def _start(self, trigger: str) -> None:
        """Register a cycle, as the timetable does, and let it begin."""
        loop = self.loop
        contour = loop.settings.contour
        key = f"{trigger}:{contour}:{loop.now:.0f}"
        cycle_id = loop.governance.cycles.open(key, contour, {"type": trigger}, loop.now)
        loop.timeline.spawn(turn(loop, cycle_id, trigger))

    def _drills(self) -> Flow[None]:
        number = 0
        while True:
            number += 1
            self.loop.timeline.spawn(drill(self.loop, f"drill-{number:02d}"))
            yield DRILL_S

    def _sampler(self) -> Flow[None]:
        while True:
            self.loop.tally.sample(self.loop.now)
            yield SAMPLE_S

    def _panels(self) -> Flow[None]:
        while True:
            loop, panel = self.loop, self.panel
            (held_users, held), (users, rest) = loop.crowd.panel(loop.live, loop.now, PANEL)
            panel.held_users.append(held_users)
            panel.held.append(held)
            panel.users.append(users)
            panel.rest.append(rest)
            yield DAY_S


def _pooled(values: list[Value]) -> Value:
    """The baseline: the mean of its windows."""
    n = sum(one.n for one in values)
    mean = sum(one.value * one.n for one in values) / n
    half = 1.96 * SPREAD / n**0.5
    return Value(mean, n, mean - half, mean + half, values[-1].at)
