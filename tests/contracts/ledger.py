"""What every ledger of Gold must do; a back end's test gives the fixture and inherits this."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from predator.domain.errors import ConflictError, InputError
from predator.ports.ledger import GoldLedger, GoldReading
from predator.statistics.ledger import Kind, level

GOLD, OTHER = "a" * 64, "b" * 64
ALPHA = 0.05
NEXT = iter(range(10**9))


def read(
    ledger: GoldLedger, key: str, gold: str = GOLD, *, kind: str = Kind.LOND, alpha: float = ALPHA
) -> GoldReading:
    return ledger.reserve(gold, key, 1.0, kind=kind, alpha=alpha)


class LedgerContract:
    examples = 10

    def test_a_first_reading_gets_the_first_level(self, ledger: GoldLedger) -> None:
        found = read(ledger, "c:1")
        first = level(Kind.LOND, ALPHA, [])
        assert found == GoldReading(
            GOLD, "c:1", 1, "LOND", ALPHA, first.value, (), first.value, first.left, 1.0, None
        )
        assert list(ledger.readings(GOLD)) == [found]
        assert list(ledger.readings(OTHER)) == []

    def test_the_same_evaluation_again_spends_nothing(self, ledger: GoldLedger) -> None:
        found = read(ledger, "c:1")
        read(ledger, "c:2")
        assert read(ledger, "c:1") == found
        assert read(ledger, "c:1", alpha=0.2, kind="LORD++") == found
        ledger.settle(GOLD, "c:1", 2.0, discovery=True)
        again = read(ledger, "c:1")
        assert (again.level, again.index, again.discovery) == (found.level, 1, True)
        assert len(ledger.readings(GOLD)) == 2

    def test_what_passed_raises_the_levels_that_follow(self, ledger: GoldLedger) -> None:
        for number in range(3):
            read(ledger, f"c{number}")
            ledger.settle(GOLD, f"c{number}", 2.0, discovery=number != 1)
        found = read(ledger, "c3")
        assert found.discovered == (1, 3)
        assert found.level == level(Kind.LOND, ALPHA, [True, False, True]).value

    def test_a_reading_without_an_outcome_is_spent_and_earns_nothing(
        self, ledger: GoldLedger
    ) -> None:
        for number in range(5):
            read(ledger, f"crashed {number}")
        found = read(ledger, "c")
        assert found.index == 6
        assert found.level == level(Kind.LOND, ALPHA, [False] * 5).value
        assert found.spent == pytest.approx(sum(one.level for one in ledger.readings(GOLD)))

    def test_an_outcome_that_comes_late_changes_no_level_given_before(
        self, ledger: GoldLedger
    ) -> None:
        read(ledger, "a")
        read(ledger, "b")
        between = read(ledger, "c")
        for key in "ab":
            ledger.settle(GOLD, key, 3.0, discovery=True)
        assert read(ledger, "c") == between
        assert read(ledger, "d").discovered == (1, 2)

    def test_an_outcome_is_given_once(self, ledger: GoldLedger) -> None:
        read(ledger, "c")
        for _ in range(2):
            assert ledger.settle(GOLD, "c", 2.0, discovery=False).discovery is False
        with pytest.raises(ConflictError, match="settled otherwise"):
            ledger.settle(GOLD, "c", 2.0, discovery=True)
        assert [one.discovery for one in ledger.readings(GOLD)] == [False]

    def test_what_was_not_reserved_cannot_be_settled(self, ledger: GoldLedger) -> None:
        read(ledger, "c")
        for gold, key in ((GOLD, "d"), (OTHER, "c")):
            with pytest.raises(InputError, match="was reserved"):
                ledger.settle(gold, key, 2.0, discovery=True)
        assert list(ledger.readings(OTHER)) == []

    def test_gold_sets_have_ledgers_of_their_own(self, ledger: GoldLedger) -> None:
        for number in range(4):
            read(ledger, f"c{number}")
        assert read(ledger, "c0", OTHER).index == 1
        assert read(ledger, "c4").index == 5

    def test_a_set_keeps_its_rule(self, ledger: GoldLedger) -> None:
        read(ledger, "c", kind="LORD++")
        with pytest.raises(ConflictError, match="LORD"):
            read(ledger, "d")
        assert read(ledger, "d", kind="LORD++").index == 2
        assert len(ledger.readings(GOLD)) == 2

    @pytest.mark.parametrize(
        ("kind", "alpha", "at"),
        [
            ("SAFFRON", 0.05, 1.0),
            ("LOND", 0.0, 1.0),
            ("LOND", 1.0, 1.0),
            ("LOND", math.nan, 1.0),
            ("LOND", 0.05, math.nan),
        ],
    )
    def test_what_is_no_reading_is_refused(
        self, ledger: GoldLedger, kind: str, alpha: float, at: float
    ) -> None:
        with pytest.raises(ValueError, match=r"SAFFRON|alpha|not a time"):
            ledger.reserve(GOLD, "c", at, kind=kind, alpha=alpha)
        assert list(ledger.readings(GOLD)) == []

    @pytest.mark.parametrize("bad", ["", " ", "a\0b", "\ud800"])
    def test_names_that_no_store_can_keep_are_refused(self, ledger: GoldLedger, bad: str) -> None:
        for gold, key in ((bad, "c"), (GOLD, bad)):
            with pytest.raises(InputError):
                read(ledger, key, gold)
            with pytest.raises(InputError):
                ledger.settle(gold, key, 1.0, discovery=True)

    def test_every_level_can_be_derived_again_from_its_row(self, ledger: GoldLedger) -> None:
        outcomes = st.lists(st.sampled_from([True, False, None]), max_size=12)

        @settings(max_examples=self.examples, deadline=None)
        @given(outcomes, st.sampled_from(Kind))
        def derived(given_outcomes: list[bool | None], kind: Kind) -> None:
            gold = f"gold {next(NEXT)}"
            for number, outcome in enumerate(given_outcomes):
                read(ledger, f"c{number}", gold, kind=kind)
                if outcome is not None:
                    ledger.settle(gold, f"c{number}", 2.0, discovery=outcome)
            spent = 0.0
            for one in ledger.readings(gold):
                history = [number in one.discovered for number in range(1, one.index)]
                again = level(kind, one.alpha, history)
                spent += one.level
                assert (one.level, one.left) == (again.value, again.left)
                assert one.spent == pytest.approx(spent)

        derived()

    def test_sixteen_at_once_share_no_reading(self, ledger: GoldLedger) -> None:
        with ThreadPoolExecutor(16) as pool:
            found = list(pool.map(lambda number: read(ledger, f"c{number // 2}"), range(32)))
        assert sorted({one.index for one in found}) == list(range(1, 17))
        assert len({(one.key, one.index) for one in found}) == 16
        assert [one.index for one in ledger.readings(GOLD)] == list(range(1, 17))
        with ThreadPoolExecutor(16) as pool:
            told = list(pool.map(lambda number: _settle(ledger, number % 2 == 0), range(16)))
        assert {one for one in told if one is not None} == {ledger.readings(GOLD)[0].discovery}


def _settle(ledger: GoldLedger, passed: bool) -> bool | None:
    """The outcome that counts, or ``None`` for the one who came too late with another."""
    key = ledger.readings(GOLD)[0].key
    try:
        return ledger.settle(GOLD, key, 2.0, discovery=passed).discovery
    except ConflictError:
        return None
