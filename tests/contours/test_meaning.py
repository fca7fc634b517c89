"""Changing a key changes what happens: the policy's answer, the next cycle, who gets the news."""

from __future__ import annotations

import math
from typing import Any

import pytest

from predator.adapters.limits.memory import MemoryLimits
from predator.contours.load import packaged
from predator.contours.meaning import (
    POLICY_FLAGS,
    budget_alert,
    next_cycle,
    policy_defaults,
    receiver,
)
from predator.contours.model import NAMES, Contour
from predator.domain.governance import KILL_SWITCH
from predator.domain.verdicts import Decision
from predator.policy.decision import PolicyDecision, Principal, decide
from tests.contours.files import contour

ALLOW, DENY, NEEDS_APPROVAL = Decision.ALLOW, Decision.DENY, Decision.NEEDS_APPROVAL
IN_ORDER: dict[str, Any] = {
    "cycles_within_limit": True,
    "budget_within_limit": True,
    "experiments_within_limit": True,
    "trigger": "ndcg_drop",
    "evaluation": "PASS",
    "experiment": "PASS",
    "edge_experiment": "PASS",
    "rollback_target_healthy": True,
}
ON = """enabled: true
policy: full
features: {autoPromote: true, abTesting: true}
"""


def asked(found: Contour, action: str, **context: Any) -> PolicyDecision:
    """What policy says to the loop on this contour, with no row in ``feature_flags``."""
    return decide(
        Principal("loop"), action, found.name, {**IN_ORDER, **policy_defaults(found), **context}
    )


def answer(found: Contour, action: str, **context: Any) -> Decision:
    return asked(found, action, **context).decision


def test_the_flags_are_those_of_the_policy() -> None:
    for name in NAMES:
        assert tuple(policy_defaults(packaged(name))) == POLICY_FLAGS
    assert KILL_SWITCH in POLICY_FLAGS


def test_the_whole_ring_turns_where_everything_is_on() -> None:
    for action in ("begin_cycle", "train", "start_experiment", "promote", "rollback"):
        assert answer(contour(ON), action) is ALLOW


def test_a_contour_that_is_not_enabled_begins_no_cycle() -> None:
    off = contour(ON.replace("enabled: true", "enabled: false"))
    assert answer(off, "begin_cycle") is DENY
    assert asked(off, "begin_cycle").rule == "loop-switched-off"


def test_under_the_policy_staging_a_promotion_needs_a_person() -> None:
    staging = contour(ON.replace("policy: full", "policy: staging"))
    assert answer(staging, "promote") is NEEDS_APPROVAL
    assert answer(staging, "promote", approved=True) is ALLOW
    assert answer(staging, "start_experiment") is ALLOW


def test_without_auto_promote_a_promotion_needs_a_person() -> None:
    assert (
        answer(contour(ON.replace("autoPromote: true", "autoPromote: false")), "promote")
        is NEEDS_APPROVAL
    )


def test_without_ab_testing_no_experiment_starts() -> None:
    off = contour(ON.replace("abTesting: true", "abTesting: false"))
    assert answer(off, "start_experiment") is DENY
    assert answer(off, "train") is ALLOW


def test_without_rollback_on_degrade_the_loop_does_not_roll_back() -> None:
    off = contour(ON.replace("autoPromote", "rollbackOnDegrade: false, autoPromote"))
    assert answer(off, "rollback") is DENY
    person = decide(Principal("operator"), "rollback", "local", policy_defaults(off))
    assert person.decision is ALLOW


def test_the_kill_switch_stops_everything_but_the_way_back() -> None:
    killed = contour(ON + "killSwitch: true")
    for action in ("begin_cycle", "train", "start_experiment", "promote"):
        assert asked(killed, action).rule == "kill-switch"
    assert answer(killed, "rollback") is ALLOW


def test_manual_approval_is_asked_for_although_promotion_is_automatic() -> None:
    asks = contour(ON + "manualApprovalRequired: true")
    assert answer(asks, "promote") is NEEDS_APPROVAL
    assert asked(asks, "promote").rule == "approval-required"


def test_without_cost_optimization_rising_cost_starts_no_cycle() -> None:
    assert answer(contour(ON), "begin_cycle", trigger="cost_spike") is DENY
    saving = contour(ON + "kubecost: {costOptimization: true}")
    assert answer(saving, "begin_cycle", trigger="cost_spike") is ALLOW


def test_mock_signals_make_every_cycle_a_rehearsal() -> None:
    real = contour("enabled: true", name="dev-mac")
    mocked = contour("enabled: true\nmockSignals: true", name="dev-mac")
    assert answer(real, "train") is DENY
    assert answer(mocked, "train") is ALLOW
    edge = contour(ON + "mockSignals: true", name="edge-oracle")
    assert answer(edge, "promote") is DENY
    assert asked(edge, "start_experiment").rule == "edge-not-simulated"


def test_a_contour_that_is_off_and_mocked_rehearses() -> None:
    assert answer(contour("mockSignals: true", name="dev-mac"), "begin_cycle") is ALLOW
    assert answer(contour("mockSignals: false", name="dev-mac"), "begin_cycle") is DENY


@pytest.mark.parametrize(
    ("name", "action", "wanted"),
    [
        ("local", "promote", ALLOW),
        ("dev-mac", "begin_cycle", ALLOW),
        ("edge-oracle", "start_experiment", ALLOW),
        ("edge-oracle", "promote", NEEDS_APPROVAL),
        ("compute-nvidia", "begin_cycle", ALLOW),
        ("compute-nvidia", "promote", ALLOW),
        ("compute-nvidia", "rollback", ALLOW),
    ],
)
def test_the_packaged_contours_do_what_they_are_for(
    name: str, action: str, wanted: Decision
) -> None:
    assert answer(packaged(name), action) is wanted


@pytest.mark.parametrize("most", [0, 1, 6])
def test_no_more_cycles_a_day_than_the_contour_says(most: int) -> None:
    block = contour(f"maxCyclesPerDay: {most}").self_improvement
    limits = MemoryLimits()
    begun = [
        limits.begin_cycle("local", f"si_2026_11_01_{n:03}", 1.8e9, block.max_cycles_per_day)
        for n in range(1, 9)
    ]
    assert sum(begun) == most


WEDNESDAY = 1_793_750_400.0  # 2026-11-04 00:00 UTC


def test_the_next_cycle_is_an_interval_away() -> None:
    for text, hours in (("1h", 1), ("4h", 4)):
        due = next_cycle(contour(f"cycleInterval: {text}"), WEDNESDAY)
        assert (due.at - WEDNESDAY, due.trigger) == (hours * 3600, "interval")


def test_the_schedule_comes_before_a_longer_interval() -> None:
    due = next_cycle(contour("cycleInterval: 31d\nschedule: 0 2 * * 0"), WEDNESDAY)
    assert (due.at - WEDNESDAY, due.trigger) == (4 * 86_400 + 2 * 3600, "schedule")
    due = next_cycle(contour("cycleInterval: 31d\nschedule: 30 5 * * *"), WEDNESDAY)
    assert (due.at - WEDNESDAY, due.trigger) == (5.5 * 3600, "schedule")


def test_spend_alerts_from_the_share_that_the_contour_says() -> None:
    usual, strict = contour(), contour("kubecost: {budgetAlert: 50}")
    assert not budget_alert(usual, 399.99, 500)
    assert budget_alert(usual, 400, 500)
    assert budget_alert(strict, 250, 500)
    assert not budget_alert(strict, 249, 500)


@pytest.mark.parametrize(
    ("spent", "budget"), [(math.nan, 500), (math.inf, 500), (1, math.nan), (1, 0), (0, -1)]
)
def test_spend_that_nobody_knows_alerts(spent: float, budget: float) -> None:
    assert budget_alert(contour(), spent, budget)


def test_news_goes_to_the_webhook_that_the_contour_names() -> None:
    named = contour("monitoring: {slackWebhook: 'env:SLACK_WEBHOOK_URL'}")
    assert receiver(named, degradation=True) == "env:SLACK_WEBHOOK_URL"
    assert receiver(contour(), degradation=True) is None


def test_news_of_degradation_can_be_silenced_and_no_other() -> None:
    silent = contour("monitoring: {slackWebhook: 'env:X', alertOnDegrade: false}")
    assert receiver(silent, degradation=True) is None
    assert receiver(silent, degradation=False) == "env:X"
