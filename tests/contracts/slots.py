"""What every store of places must do; a back end's test gives the fixture and inherits this."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from predator.domain.errors import InputError
from predator.ports.slots import Slots

T = "local/ranking"
calls = st.lists(
    st.tuples(st.booleans(), st.sampled_from("abcdef"), st.integers(-1, 3)), max_size=25
)


class SlotsContract:
    def test_first_come_first_served(self, slots: Slots) -> None:
        assert [slots.claim(T, name, 1) for name in "abc"] == [True, False, False]
        assert list(slots.holders(T)) == ["a", "b", "c"]
        slots.release(T, "a")
        assert not slots.claim(T, "c", 1)
        assert slots.claim(T, "b", 1)
        assert list(slots.holders(T)) == ["b", "c"]

    def test_claiming_again_keeps_the_place_and_the_turn(self, slots: Slots) -> None:
        for _ in range(3):
            assert slots.claim(T, "a", 1)
            assert not slots.claim(T, "b", 1)
        assert list(slots.holders(T)) == ["a", "b"]

    def test_who_leaves_the_queue_comes_last_when_back(self, slots: Slots) -> None:
        for name in "abc":
            slots.claim(T, name, 1)
        slots.release(T, "b")
        slots.claim(T, "b", 1)
        assert list(slots.holders(T)) == ["a", "c", "b"]
        slots.release(T, "nobody")
        slots.release("other", "a")
        assert list(slots.holders(T)) == ["a", "c", "b"]

    def test_places_for_several(self, slots: Slots) -> None:
        assert [slots.claim(T, name, 2) for name in "abcd"] == [True, True, False, False]
        slots.release(T, "a")
        slots.release(T, "b")
        # A free place is kept for the one whose turn it is; the next may go beside it.
        assert slots.claim(T, "d", 2)
        assert not slots.claim(T, "e", 2)
        assert slots.claim(T, "c", 2)
        assert list(slots.holders(T)) == ["c", "d", "e"]

    def test_fewer_places_take_none_away(self, slots: Slots) -> None:
        for name in "ab":
            slots.claim(T, name, 2)
        assert slots.claim(T, "b", 1)
        assert not slots.claim(T, "c", 0)
        assert list(slots.holders(T)) == ["a", "b", "c"]

    def test_targets_do_not_share_places(self, slots: Slots) -> None:
        assert slots.claim("local/ranking", "a", 1)
        assert slots.claim("local/summary", "b", 1)
        assert list(slots.holders("local/none")) == []

    def test_what_cannot_be_kept_is_refused(self, slots: Slots) -> None:
        with pytest.raises(InputError, match="NUL"):
            slots.claim("\0", "a", 1)
        with pytest.raises(InputError, match="not valid Unicode"):
            slots.claim(T, "\ud800", 1)

    def test_sixteen_at_once_get_as_many_places_as_there_are(self, slots: Slots) -> None:
        with ThreadPoolExecutor(16) as pool:
            got = list(pool.map(lambda n: slots.claim(T, f"c{n}", 3), range(16)))
        assert sum(got) == 3
        assert len(slots.holders(T)) == 16

    def test_whatever_is_called_places_are_never_exceeded(self, slots: Slots) -> None:
        """Against a model that is a list: arrivals, and who holds a place."""
        number = 0

        @settings(max_examples=15)
        @given(calls)
        def never_exceeded(made: list[tuple[bool, str, int]]) -> None:
            nonlocal number
            number += 1
            target, queue, held = f"t{number}", list[str](), set[str]()
            for claims, name, most in made:
                if not claims:
                    slots.release(target, name)
                    queue, held = [n for n in queue if n != name], held - {name}
                    continue
                before = len(held)
                if name not in queue:
                    queue.append(name)
                waiting = [n for n in queue if n not in held]
                if name in waiting and waiting.index(name) + len(held) < most:
                    held.add(name)
                assert slots.claim(target, name, most) == (name in held)
                assert len(held) <= max(most, before)
            ordered = sorted(queue, key=lambda n: n not in held)
            assert list(slots.holders(target)) == ordered

        never_exceeded()
