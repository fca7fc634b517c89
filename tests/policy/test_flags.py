"""Which row of a flag counts where; what policy is told of it; what cannot be read is careful."""

from __future__ import annotations

import math
from itertools import permutations, product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from predator.domain.governance import Flag
from predator.policy.decision import CONTOURS, Principal, decide
from predator.policy.flags import (
    CAREFUL,
    FLAGS,
    check_flag,
    flag_context,
    max_budget_usd,
    resolve,
    split_ratio,
)
from predator.policy.rules import shipped
from tests.policy.reference import ALLOW, GOOD

SPEC = [
    Flag("self_improvement_enabled", True, "compute-nvidia", {"auto_promote": True}),
    Flag("auto_rollback", True, "all", {"threshold": "ndcg_drop"}),
    Flag("cost_optimization", True, "all", {"max_budget_usd": 500}),
    Flag("ab_testing", True, "edge-oracle", {"split_ratio": 0.2}),
]
"""The rows of spec 6A.12."""

FILE = {**CAREFUL, "kill_switch": False, "manual_approval_required": False}


def test_the_rows_of_the_spec() -> None:
    for row in SPEC:
        check_flag(row)
    compute = flag_context(SPEC, "compute-nvidia", FILE)
    assert compute == {
        "kill_switch": False,
        "self_improvement_enabled": True,
        "manual_approval_required": False,
        "auto_promote": True,
        "auto_rollback": True,
        "ab_testing": False,
        "cost_optimization": True,
    }
    edge = flag_context(SPEC, "edge-oracle", FILE)
    assert edge["ab_testing"] and not edge["self_improvement_enabled"] and not edge["auto_promote"]
    assert split_ratio(resolve(SPEC, "edge-oracle")) == 0.2
    assert split_ratio(resolve(SPEC, "compute-nvidia")) is None
    assert max_budget_usd(resolve(SPEC, "local")) == 500


class TestPrecedence:
    @pytest.mark.parametrize("name", sorted(set(FLAGS) - {"kill_switch"}))
    def test_a_contours_own_row_wins_over_all_and_both_over_the_file(self, name: str) -> None:
        for own, everywhere, file in product((True, False, None), repeat=3):
            rows = [Flag(name, not (own or everywhere), "elsewhere")]
            rows += [Flag(name, own, "local")] if own is not None else []
            rows += [Flag(name, everywhere, "all")] if everywhere is not None else []
            defaults = {**FILE, name: file} if file is not None else {}
            wanted = next((v for v in (own, everywhere, file) if v is not None), CAREFUL[name])
            for order in permutations(rows):
                assert flag_context(order, "local", defaults)[name] is wanted

    def test_the_kill_switch_is_engaged_where_anybody_says_so(self) -> None:
        for own, everywhere, file in product((True, False, None), repeat=3):
            rows = [Flag("kill_switch", own, "local")] if own is not None else []
            rows += [Flag("kill_switch", everywhere, "all")] if everywhere is not None else []
            defaults = {"kill_switch": file} if file is not None else {}
            engaged = True in (own, everywhere) or file is not False
            for order in permutations(rows):
                assert flag_context(order, "local", defaults)["kill_switch"] is engaged
                assert resolve(order, "local").get("kill_switch", Flag("", False, "")).enabled is (
                    True in (own, everywhere)
                )
        stopped = [Flag("kill_switch", True, "edge-oracle"), Flag("kill_switch", False, "all")]
        assert not flag_context(stopped, "local", FILE)["kill_switch"]
        assert flag_context(stopped, "edge-oracle", FILE)["kill_switch"]

    def test_a_row_counts_as_a_whole_and_fields_are_not_merged(self) -> None:
        rows = [
            Flag("cost_optimization", True, "all", {"max_budget_usd": 500}),
            Flag("cost_optimization", True, "local", {}),
        ]
        assert max_budget_usd(resolve(rows, "local")) is None
        assert max_budget_usd(resolve(rows, "dev-mac")) == 500

    def test_auto_promote_stands_in_the_metadata_of_the_row_that_counts(self) -> None:
        for own, file in product((True, False, None), repeat=2):
            metadata = {"auto_promote": own} if own is not None else {}
            rows = [Flag("self_improvement_enabled", True, "local", metadata)]
            defaults = {**FILE, "auto_promote": file} if file is not None else {}
            wanted = own if own is not None else bool(file)
            assert flag_context(rows, "local", defaults)["auto_promote"] is wanted
        assert flag_context([], "local", {"auto_promote": True})["auto_promote"]


class TestFailingClosed:
    def test_a_table_that_cannot_be_read_engages_the_kill_switch(self) -> None:
        friendly = dict.fromkeys(CAREFUL, True) | {"kill_switch": False,
                                                   "manual_approval_required": False}  # fmt: skip
        context = flag_context(None, "local", friendly)
        assert context == CAREFUL
        assert decide(Principal("loop"), "train", "local", context).rule == "kill-switch"
        assert not flag_context(None, "local", {"auto_rollback": False})["auto_rollback"]

    def test_what_nobody_set_is_careful(self) -> None:
        assert flag_context([], "local", {}) == CAREFUL

    @pytest.mark.parametrize(
        "broken",
        [None, "{", [], 3, *({"auto_promote": value} for value in ("true", 1, None))],
        ids=repr,
    )
    def test_metadata_that_cannot_be_read_promotes_nothing(self, broken: Any) -> None:
        rows = [Flag("self_improvement_enabled", True, "local", broken)]
        context = flag_context(rows, "local", {**FILE, "auto_promote": True})
        assert context["auto_promote"] is False
        assert context["self_improvement_enabled"] is True

    @pytest.mark.parametrize("name", sorted(FLAGS))
    def test_a_switch_that_is_no_boolean_is_careful(self, name: str) -> None:
        for odd in ("true", 1, 0, None, ""):
            rows = [Flag(name, odd, "local")]  # type: ignore[arg-type]
            defaults = {**FILE, name: not CAREFUL[name]}
            assert flag_context(rows, "local", defaults)[name] is CAREFUL[name]
            assert flag_context([], "local", {name: odd})[name] is CAREFUL[name]  # type: ignore[dict-item]


values = st.one_of(st.booleans(), st.none(), st.integers(), st.text(max_size=3), st.floats())
rows_of_flags = st.lists(
    st.builds(
        Flag,
        st.sampled_from([*sorted(FLAGS), "other"]),
        values,
        st.sampled_from([*CONTOURS, "all", "mars"]),
        st.one_of(values, st.dictionaries(st.sampled_from(["auto_promote", "x"]), values)),
    ),
    unique_by=lambda row: (row.name, row.environment),
)


@given(rows_of_flags, st.sampled_from(CONTOURS), st.dictionaries(st.sampled_from(
    sorted(CAREFUL)), st.booleans()))  # fmt: skip
def test_whatever_the_table_holds_the_switches_are_booleans_that_policy_reads(
    rows: list[Flag], contour: str, defaults: dict[str, bool]
) -> None:
    context = flag_context(rows, contour, defaults)
    assert set(context) == set(CAREFUL)
    assert all(isinstance(value, bool) for value in context.values())
    assert set(context) <= {name for rule in shipped().rules for name in rule.reads}
    engaged = [row for row in rows if row.name == "kill_switch" and row.enabled is True]
    if any(row.environment in (contour, "all") for row in engaged):
        assert context["kill_switch"]
    other = [row for row in rows if row.environment not in (contour, "all")]
    assert flag_context([row for row in rows if row not in other], contour, defaults) == context


class TestNumbers:
    @pytest.mark.parametrize("value", [0, -0.1, 0.51, 1, math.nan, math.inf, "0.2", True, None, []])
    def test_a_split_out_of_bounds_names_flag_and_field(self, value: Any) -> None:
        row = Flag("ab_testing", True, "local", {"split_ratio": value})
        with pytest.raises(ValueError, match=r"^ab_testing\.split_ratio "):
            split_ratio(resolve([row], "local"))
        with pytest.raises(ValueError, match=r"^ab_testing\.split_ratio "):
            check_flag(row)

    @pytest.mark.parametrize("value", [-0.01, 1e8, math.nan, -math.inf, "500", False, None, {}])
    def test_a_budget_out_of_bounds_names_flag_and_field(self, value: Any) -> None:
        row = Flag("cost_optimization", True, "all", {"max_budget_usd": value})
        with pytest.raises(ValueError, match=r"^cost_optimization\.max_budget_usd "):
            max_budget_usd(resolve([row], "local"))
        with pytest.raises(ValueError, match=r"^cost_optimization\.max_budget_usd "):
            check_flag(row)

    def test_bounds_belong_to_the_range(self) -> None:
        for value in (1e-9, 0.2, 0.5):
            flag = Flag("ab_testing", True, "local", {"split_ratio": value})
            assert split_ratio({"ab_testing": flag}) == value
        for budget in (0, 500, 1e7):
            flag = Flag("cost_optimization", False, "all", {"max_budget_usd": budget})
            assert max_budget_usd({"cost_optimization": flag}) == budget

    def test_what_is_not_set_is_none(self) -> None:
        assert split_ratio({}) is None
        assert max_budget_usd({"cost_optimization": Flag("cost_optimization", True, "all")}) is None

    @pytest.mark.parametrize("broken", [None, "{", [], 3], ids=repr)
    def test_metadata_that_is_no_object_is_an_error(self, broken: Any) -> None:
        for name, number in (("ab_testing", split_ratio), ("cost_optimization", max_budget_usd)):
            flag = Flag(name, True, "all", broken)
            with pytest.raises(ValueError, match=rf"^{name}\.metadata "):
                number({name: flag})
            with pytest.raises(ValueError, match=rf"^{name}\.metadata "):
                check_flag(flag)


class TestStoring:
    @pytest.mark.parametrize(
        ("name", "metadata", "names"),
        [
            ("kil_switch", {}, "kil_switch"),
            ("", {}, "flag"),
            ("kill_switch", {"until": 3}, "kill_switch.until"),
            ("self_improvement_enabled", {"autoPromote": True}, "autoPromote"),
            ("self_improvement_enabled", {"auto_promote": "yes"}, "auto_promote"),
            ("auto_rollback", {"threshold": 0.2}, "threshold"),
        ],
    )
    def test_a_row_that_would_do_nothing_is_refused_by_name(
        self, name: str, metadata: dict[str, Any], names: str
    ) -> None:
        with pytest.raises(ValueError, match=names):
            check_flag(Flag(name, True, "local", metadata))


def test_every_flag_can_change_what_policy_says() -> None:
    """A flag that changes nothing would be a dead one."""
    friendly = {**dict.fromkeys(CAREFUL, True), "kill_switch": False,
                "manual_approval_required": False}  # fmt: skip
    asked: dict[str, bool | int | str] = {**GOOD, "trigger": "cost_spike"}
    actions = {
        "kill_switch": "train",
        "self_improvement_enabled": "train",
        "manual_approval_required": "promote",
        "auto_rollback": "rollback",
        "ab_testing": "start_experiment",
        "cost_optimization": "begin_cycle",
    }
    for name in FLAGS:
        for value in (True, False):
            rows = [Flag(name, value, "local")]
            context = {**asked, **flag_context(rows, "local", friendly)}
            said = decide(Principal("loop"), actions[name], "local", context).decision
            assert (said is ALLOW) is (value is friendly[name]), name
