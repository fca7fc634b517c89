"""What every store of flags must do; a back end's test gives the fixture and inherits this."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from predator.adapters.flags.changes import FlagChange
from predator.adapters.flags.memory import MemoryFlags
from predator.adapters.flags.sql import SqlFlags
from predator.domain.errors import InputError
from predator.domain.governance import Flag

WHO = {"actor": "olena", "reason": "drill"}
Flags = MemoryFlags | SqlFlags

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=5), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


class FlagsContract:
    def test_starts_empty(self, flags: Flags) -> None:
        assert list(flags.rows()) == []
        assert list(flags.changes()) == []

    def test_what_was_put_is_what_is_read(self, flags: Flags) -> None:
        promote = Flag("self_improvement_enabled", True, "compute-nvidia", {"auto_promote": True})
        stop = Flag("kill_switch", False, "all")
        flags.put(promote, **WHO, at=1.0)
        flags.put(stop, **WHO, at=2.0)
        assert list(flags.rows()) == [stop, promote]

    def test_a_name_has_one_row_an_environment(self, flags: Flags) -> None:
        for number, environment in enumerate(["all", "local", "all"]):
            flags.put(Flag("f", number == 2, environment, {"n": number}), **WHO, at=number)
        assert list(flags.rows()) == [
            Flag("f", True, "all", {"n": 2}),
            Flag("f", False, "local", {"n": 1}),
        ]

    def test_a_removed_row_is_gone_once(self, flags: Flags) -> None:
        flags.put(Flag("f", True, "all"), **WHO, at=1.0)
        flags.put(Flag("f", True, "local"), **WHO, at=1.0)
        assert flags.remove("f", "all", **WHO, at=2.0)
        assert not flags.remove("f", "all", **WHO, at=3.0)
        assert not flags.remove("F", "local", **WHO, at=3.0)
        assert list(flags.rows()) == [Flag("f", True, "local")]

    def test_who_changed_what_and_why_is_kept(self, flags: Flags) -> None:
        flags.put(Flag("f", True, "all", {"a": [1]}), actor="olena", reason="on", at=1.5)
        flags.put(Flag("f", False, "all"), actor="taras", reason="off", at=2.5)
        flags.remove("f", "all", actor="olena", reason="gone", at=3.5)
        flags.remove("f", "all", actor="olena", reason="nothing there", at=4.5)
        assert list(flags.changes()) == [
            FlagChange("f", "all", None, None, "olena", "gone", 3.5),
            FlagChange("f", "all", False, {}, "taras", "off", 2.5),
            FlagChange("f", "all", True, {"a": [1]}, "olena", "on", 1.5),
        ]
        assert len(flags.changes(2)) == 2
        assert list(flags.changes(0)) == []

    @pytest.mark.parametrize(
        ("flag", "actor", "reason", "named"),
        [
            (Flag("f", True, "all"), "", "r", "actor is missing"),
            (Flag("f", True, "all"), "a", " \n", "reason is missing"),
            (Flag("", True, "all"), "a", "r", "flag name is missing"),
            (Flag("f", True, " "), "a", "r", "environment is missing"),
            (Flag("f\0", True, "all"), "a", "r", "NUL"),
            (Flag("f", True, "\ud800"), "a", "r", "not valid Unicode"),
            (Flag("f", 2, "all"), "a", "r", "neither on nor off"),  # type: ignore[arg-type]
            (Flag("f", True, "all", {"a": float("nan")}), "a", "r", "not JSON"),
            (Flag("f", True, "all", {"a": b"x"}), "a", "r", "not JSON"),
        ],
    )
    def test_what_cannot_be_kept_is_refused_and_changes_nothing(
        self, flags: Flags, flag: Flag, actor: str, reason: str, named: str
    ) -> None:
        with pytest.raises(InputError, match=named):
            flags.put(flag, actor=actor, reason=reason, at=1.0)
        assert list(flags.rows()) == []
        assert list(flags.changes()) == []

    def test_hostile_strings_stay_strings(self, flags: Flags) -> None:
        names = ["'; DROP TABLE feature_flags; --", "%s {x} :y ?", "\u202e<b>", "ї" * 500]
        for name in names:
            flags.put(Flag(name, True, name, {name: name}), actor=name, reason=name, at=1.0)
        assert list(flags.rows()) == [Flag(n, True, n, {n: n}) for n in sorted(names)]
        assert flags.changes()[0].reason == names[-1]

    def test_any_json_comes_back(self, flags: Flags) -> None:
        @settings(max_examples=25)
        @given(st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=5), json_values))
        def comes_back(metadata: dict[str, object]) -> None:
            flags.put(Flag("f", True, "all", metadata), **WHO, at=1.0)
            assert list(flags.rows()) == [Flag("f", True, "all", metadata)]

        comes_back()

    def test_many_at_once_leave_one_row_and_every_change(self, flags: Flags) -> None:
        def put(number: int) -> None:
            flags.put(Flag("f", True, "all", {"n": number}), **WHO, at=number)

        with ThreadPoolExecutor(16) as pool:
            list(pool.map(put, range(48)))
        assert len(flags.rows()) == 1
        assert flags.rows()[0].metadata == flags.changes()[0].metadata
        assert {change.at for change in flags.changes()} == set(map(float, range(48)))
