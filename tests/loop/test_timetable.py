"""Cycles start by themselves: on schedule, and because a signal fired; each once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from predator.adapters.cycles.memory import MemoryCycles
from predator.contours.load import packaged
from predator.contours.meaning import next_cycle
from predator.domain.documents import Query
from predator.domain.readings import Value
from predator.loop.labels import Labels
from predator.loop.monitor import Signal
from predator.loop.stations import Situation
from predator.loop.timetable import Timetable, situation_of
from predator.ports.feedback import Impression

START = 1_765_200_000.0
"""A Monday, far from the schedule of Sunday night."""
SCHEDULED = {"type": "scheduled", "value": None, "baseline": None}


@dataclass
class Asked:
    """The client of the runtime, as far as a timetable uses it."""

    flows: dict[str, tuple[str, Any, str]] = field(default_factory=dict)

    def enqueue(self, flow: str, flow_id: str, arguments: Any, *, queue: str = "cycles") -> None:
        self.flows.setdefault(flow_id, (flow, arguments, queue))

    def status(self, flow_id: str) -> object:
        return self.flows.get(flow_id)


def table(asked: Asked, cycles: MemoryCycles, contour: str = "compute-nvidia") -> Timetable:
    file = packaged(contour)
    return Timetable(contour, cycles, asked, lambda last: next_cycle(file, last).at, START)  # type: ignore[arg-type]


@pytest.mark.parametrize(("contour", "hours"), [("compute-nvidia", 4), ("dev-mac", 1)])
def test_a_cycle_starts_at_the_interval_of_the_contour(contour: str, hours: int) -> None:
    """cycleInterval."""
    asked, cycles = Asked(), MemoryCycles()
    one = table(asked, cycles, contour)
    assert one.tick(START + hours * 3600 - 2, SCHEDULED) is None
    started = one.tick(START + hours * 3600 + 1, SCHEDULED)
    assert started is not None
    flow, arguments, queue = asked.flows[started]
    assert (flow, queue) == ("cycle", f"{contour}.cycles")
    assert (arguments["cycle_id"], arguments["contour"]) == (started, contour)


def test_the_schedule_starts_one_too() -> None:
    """``0 2 * * 0``: Sunday at two."""
    saturday = 1_765_065_600.0 - 3600  # 2025-12-06, 23:00 UTC: four hours end after Sunday at two
    asked, cycles = Asked(), MemoryCycles()
    file = packaged("compute-nvidia")
    one = Timetable(
        "compute-nvidia", cycles, asked, lambda last: next_cycle(file, last).at, saturday  # type: ignore[arg-type]
    )  # fmt: skip
    assert one.tick(saturday + 2.9 * 3600, SCHEDULED) is None
    assert one.tick(saturday + 3.1 * 3600, SCHEDULED) is not None


def test_many_workers_start_each_cycle_once() -> None:
    asked, cycles = Asked(), MemoryCycles()
    workers = [table(asked, cycles) for _ in range(4)]
    started = {worker.tick(START + 4 * 3600 + 1, SCHEDULED) for worker in workers}
    assert len(asked.flows) == 1
    assert started - {None} == set(asked.flows)


def test_a_cycle_that_was_registered_and_never_handed_over_is_handed_over_later() -> None:
    """The process died between the two."""
    asked, cycles = Asked(), MemoryCycles()
    lost = cycles.open("schedule", "compute-nvidia", dict(SCHEDULED), START)
    one = table(asked, cycles)
    assert one.tick(START + 30, SCHEDULED) is None
    assert one.tick(START + 90, SCHEDULED) == lost
    assert asked.flows[lost][0] == "cycle"


def test_what_was_missed_while_nobody_ran_is_one_cycle() -> None:
    asked, cycles = Asked(), MemoryCycles()
    one = table(asked, cycles)
    assert one.tick(START + 10 * 86_400, SCHEDULED) is not None
    assert one.tick(START + 10 * 86_400 + 60, SCHEDULED) is None


@given(st.lists(st.floats(-90_000, 90_000), max_size=30))
def test_a_clock_that_jumps_repeats_no_cycle(jumps: list[float]) -> None:
    asked, cycles = Asked(), MemoryCycles()
    one, now, seen = table(asked, cycles), START, START
    for jump in jumps:
        now += jump
        seen = max(seen, now)
        one.tick(now, SCHEDULED)
    assert len(asked.flows) <= (seen - START) // (4 * 3600) + 1


def fired(at: float) -> Situation:
    signal = Signal("ndcg_at_10", "ndcg_drop", 0.5, 0.6, 2, 100)
    return Situation(signal, Value(0.6, 100, 0.58, 0.62, at), at, at, at, at)


def test_a_signal_starts_one_cycle_until_it_has_cooled_down() -> None:
    asked, cycles = Asked(), MemoryCycles()
    one = table(asked, cycles)
    first = one.signal(fired(START), START, 3600)
    assert one.signal(fired(START), START + 60, 3600) == first
    assert len(asked.flows) == 1
    assert asked.flows[str(first)][1]["situation"]["signal"]["trigger"] == "ndcg_drop"
    assert one.signal(fired(START), START + 4000, 3600) != first


LABELS = Labels((), (Query("q", "whale"),), (), {"q": {"d1": 1}})


@dataclass
class Served:
    """Searches that found the answer first until ``worse_from``, and last from then on."""

    worse_from: float

    def impressions(self, since: float, until: float) -> Sequence[Impression]:
        hits = ("d1", "d2", "d3"), ("d3", "d2", "d1")
        return [
            Impression(f"s{at}", "whale", "u", "r", "", "", hits[at >= self.worse_from], (), None,
                       5.0, float(at))
            for at in range(int(since), int(until))
        ]  # fmt: skip


class TestSituation:
    def look(self, worse_from: float, now: float) -> tuple[Situation | None, Any]:
        return situation_of(Served(worse_from), LABELS, START, now, 100.0, 2)  # type: ignore[arg-type]

    def test_a_drop_since_the_release_went_live_is_a_signal(self) -> None:
        found, _ = self.look(START + 1000, START + 1300)
        assert found is not None and found.signal is not None
        assert found.signal.trigger == "ndcg_drop"
        assert found.baseline.value == pytest.approx(1.0)

    def test_as_good_as_ever_is_none(self) -> None:
        found, assessment = self.look(START + 10_000, START + 1300)
        assert found is not None and found.signal is None
        assert not assessment.blind

    def test_too_soon_after_a_release_the_monitor_is_blind_and_says_so(self) -> None:
        found, assessment = self.look(START, START + 300)
        assert found is None and assessment.blind
        assert "not been live for long enough" in assessment.reason


class TestDrills:
    EVERY = 7 * 86_400.0

    def test_one_is_due_so_long_after_the_one_before(self) -> None:
        asked, cycles = Asked(), MemoryCycles()
        one = table(asked, cycles, "edge-oracle")
        assert one.drill(START + self.EVERY - 1, self.EVERY) is None
        first = one.drill(START + self.EVERY, self.EVERY)
        assert first is not None
        flow, arguments, queue = asked.flows[first]
        assert (flow, queue) == ("drill", "edge-oracle.cycles")
        assert arguments["trigger"] == {"type": "drill"}
        assert one.drill(START + self.EVERY + 60, self.EVERY) is None
        assert one.drill(START + 2 * self.EVERY, self.EVERY) not in (None, first)

    def test_none_is_due_where_the_contour_wants_none(self) -> None:
        asked = Asked()
        assert table(asked, MemoryCycles()).drill(START + 1e9, 0.0) is None
        assert asked.flows == {}

    def test_many_workers_start_each_once(self) -> None:
        asked, cycles = Asked(), MemoryCycles()
        at = START + self.EVERY
        found = {table(asked, cycles).drill(at, self.EVERY) for _ in range(16)} - {None}
        assert len(found) == len(asked.flows) == 1

    def test_those_that_were_missed_are_one(self) -> None:
        asked, cycles = Asked(), MemoryCycles()
        one = table(asked, cycles)
        assert one.drill(START + 10.5 * self.EVERY, self.EVERY) is not None
        assert one.drill(START + 10.6 * self.EVERY, self.EVERY) is None

    def test_one_that_was_registered_and_never_handed_over_is_handed_over_later(self) -> None:
        asked, cycles = Asked(), MemoryCycles()
        at = START + self.EVERY
        lost = table(asked, cycles).drill(at, self.EVERY)
        asked.flows.clear()
        assert table(asked, cycles).drill(at + 61, self.EVERY) == lost
        assert lost is not None and asked.flows[lost][0] == "drill"

    def test_many_cycles_since_the_last_one_do_not_hide_it(self) -> None:
        asked, cycles = Asked(), MemoryCycles()
        one = table(asked, cycles, "edge-oracle")
        first = one.drill(START + self.EVERY, self.EVERY)
        for number in range(450):
            at = START + self.EVERY + 60 + number
            cycles.open(f"hourly-{number}", "edge-oracle", dict(SCHEDULED), at)
        assert one.drill(START + 2 * self.EVERY - 1, self.EVERY) is None
        assert one.drill(START + 2 * self.EVERY, self.EVERY) not in (None, first)
