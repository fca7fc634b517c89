"""What every register of cycles must do; a back end's test gives the fixture and inherits this."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from predator.adapters.cycles.rules import MOMENTS
from predator.domain.errors import InputError
from predator.domain.governance import CycleEntry
from predator.ports.cycles import Cycles

TRIGGER = {"signal": "ndcg_at_10", "value": 0.51, "baseline": 0.55}
DAY = datetime(2025, 12, 7, tzinfo=UTC).timestamp()
NOON = DAY + 12 * 3600
FIRST = "si_2025_12_07_001"


class CyclesContract:
    def test_a_signal_opens_a_cycle(self, cycles: Cycles) -> None:
        assert cycles.get(FIRST) is None
        assert cycles.open("s1", "local", TRIGGER, NOON) == FIRST
        assert cycles.get(FIRST) == CycleEntry(FIRST, "local", TRIGGER, NOON)

    def test_the_same_signal_twice_is_one_cycle(self, cycles: Cycles) -> None:
        cycles.open("s1", "local", TRIGGER, NOON)
        assert cycles.open("s1", "edge-oracle", {}, NOON + 86_400) == FIRST
        assert list(cycles.list()) == [CycleEntry(FIRST, "local", TRIGGER, NOON)]

    def test_ids_count_the_utc_day_across_contours(self, cycles: Cycles) -> None:
        ids = [
            cycles.open(f"s{number}", contour, {}, at)
            for number, (contour, at) in enumerate(
                [
                    ("local", DAY - 0.001),
                    ("local", DAY),
                    ("edge-oracle", DAY + 86_399.9),
                    ("local", DAY + 86_400),
                    ("local", NOON),
                    ("dev-mac", DAY - 1),
                ]
            )
        ]
        assert ids == [
            "si_2025_12_06_001",
            "si_2025_12_07_001",
            "si_2025_12_07_002",
            "si_2025_12_08_001",
            "si_2025_12_07_003",
            "si_2025_12_06_002",
        ]

    def test_a_moment_is_noted_once(self, cycles: Cycles) -> None:
        cycles.open("s1", "local", TRIGGER, NOON)
        for moment in MOMENTS - {"ended"}:
            cycles.mark(FIRST, moment, NOON + 1.5)
            cycles.mark(FIRST, moment, NOON + 9)
        found = cycles.get(FIRST)
        assert found is not None
        assert found.moments == dict.fromkeys(MOMENTS - {"ended"}, NOON + 1.5)

    def test_the_first_outcome_stays_and_is_the_end(self, cycles: Cycles) -> None:
        cycles.open("s1", "local", TRIGGER, NOON)
        cycles.finish(FIRST, "success", NOON + 5)
        cycles.finish(FIRST, "error", NOON + 6)
        found = cycles.get(FIRST)
        assert found is not None
        assert (found.outcome, found.moments) == ("success", {"ended": NOON + 5})

    def test_a_cycle_is_asked_to_stop_once_while_it_runs(self, cycles: Cycles) -> None:
        cycles.open("s1", "local", TRIGGER, NOON)
        cycles.open("s2", "local", TRIGGER, NOON)
        assert cycles.cancel(FIRST, actor="olena", reason="drill", at=NOON + 1)
        assert not cycles.cancel(FIRST, actor="taras", reason="too", at=NOON + 2)
        cycles.finish("si_2025_12_07_002", "success", NOON + 5)
        assert not cycles.cancel("si_2025_12_07_002", actor="taras", reason="late", at=NOON + 6)
        found = cycles.get(FIRST)
        assert found is not None
        assert (found.cancelled_by, found.cancel_reason, found.outcome) == ("olena", "drill", "")

    def test_an_unknown_cycle_or_moment_is_an_error(self, cycles: Cycles) -> None:
        cycles.open("s1", "local", TRIGGER, NOON)
        with pytest.raises(InputError, match="there is no moment 'lunch'"):
            cycles.mark(FIRST, "lunch", NOON)
        for call in (
            lambda: cycles.mark("si_2025_12_07_009", "started", NOON),
            lambda: cycles.finish("si_2025_12_07_009", "success", NOON),
            lambda: cycles.cancel("si_2025_12_07_009", actor="o", reason="x", at=NOON),
        ):
            with pytest.raises(InputError, match="there is no cycle si_2025_12_07_009"):
                call()

    def test_what_cannot_be_kept_is_refused(self, cycles: Cycles) -> None:
        for key, trigger, match in (
            ("", {}, "request key is missing"),
            ("\0", {}, "NUL"),
            ("s", {"v": float("nan")}, "not JSON"),
            ("s", {"v": "\ud800"}, "not JSON"),
        ):
            with pytest.raises(InputError, match=match):
                cycles.open(key, "local", trigger, NOON)
        for at in (float("nan"), float("inf"), 1e18):
            with pytest.raises(ValueError, match="not a time"):
                cycles.open("s", "local", {}, at)
        cycles.open("s1", "local", TRIGGER, NOON)
        with pytest.raises(InputError, match="reason is missing"):
            cycles.cancel(FIRST, actor="o", reason=" ", at=NOON)
        with pytest.raises(InputError, match="outcome is missing"):
            cycles.finish(FIRST, "", NOON)
        assert list(cycles.list()) == [CycleEntry(FIRST, "local", TRIGGER, NOON)]

    def test_lists_are_newest_first_and_go_on_where_they_stopped(self, cycles: Cycles) -> None:
        for number in range(6):
            at = NOON + 86_400 * (number // 3)
            cycles.open(f"s{number}", "local" if number % 2 else "dev-mac", {}, at)
        cycles.mark("si_2025_12_08_003", "started", NOON)
        everything = [entry.cycle_id for entry in cycles.list()]
        assert everything == [
            f"si_2025_12_0{day}_00{number}" for day in (8, 7) for number in (3, 2, 1)
        ]
        assert cycles.list(limit=1)[0].moments == {"started": NOON}
        assert ids(cycles, "local") == [everything[i] for i in (0, 2, 4)]
        pages = [ids(cycles, limit=4)]
        pages.append(ids(cycles, limit=4, before=pages[0][-1]))
        assert pages == [everything[:4], everything[4:]]
        assert ids(cycles, before="si_2025_12_08_999") == everything
        assert ids(cycles, before="si_2025_12_08_001") == everything[3:]
        assert ids(cycles, limit=0) == []
        with pytest.raises(InputError, match="is not a cycle id"):
            cycles.list(before="'; DROP TABLE cycles; --")

    def test_many_at_once_get_different_ids(self, cycles: Cycles) -> None:
        with ThreadPoolExecutor(16) as pool:
            opened = list(pool.map(lambda n: cycles.open(f"s{n}", "local", {}, NOON), range(16)))
            same = list(pool.map(lambda n: cycles.open("same", "local", {}, NOON), range(16)))
        assert sorted(opened) == [f"si_2025_12_07_{number:03d}" for number in range(1, 17)]
        assert set(same) == {"si_2025_12_07_017"}


def ids(
    cycles: Cycles, contour: str | None = None, limit: int = 100, before: str | None = None
) -> list[str]:
    return [entry.cycle_id for entry in cycles.list(contour, limit=limit, before=before)]
