"""An explanation says what was decided, by which words, what else had a say, what was missing."""

from __future__ import annotations

import json
from importlib.resources import files

from hypothesis import given
from hypothesis import strategies as st

from predator.policy.decision import DEFAULT_DENY, MALFORMED, UNKNOWN, Principal, decide
from predator.policy.explain import Explanation, explain
from predator.policy.rules import shipped
from tests.policy.reference import ALLOW, DENY, GOOD, NEEDS_APPROVAL, reference, requests

LOOP = Principal("loop")


def test_a_denial_quotes_its_rule_and_names_what_else_stood_in_the_way() -> None:
    given: dict[str, bool | int | str] = {
        "kill_switch": False,
        "self_improvement_enabled": True,
        "evaluation": "FAIL",
    }
    told = explain(LOOP, "promote", "compute-nvidia", given)
    assert (told.decision, told.rule) == (DENY, "evidence-required")
    assert told.file == "common.cedar"
    source = files("predator.policy").joinpath(told.file).read_text(encoding="utf-8")
    assert source.splitlines()[told.line - 1] == '@id("evidence-required")'
    assert told.source in source
    said = {concern.rule: concern for concern in told.concerns}
    assert [name for name, concern in said.items() if concern.matched] == [
        "evidence-required",
        "approval-required",
        "auto-promote-off",
        "edge-first",
        "compute-loop-turns-the-ring",
    ]
    assert not said["kill-switch"].matched
    assert "edge-loop-turns-the-ring" not in said
    assert said["evidence-required"].context == {"evaluation": "FAIL"}
    assert said["evidence-required"].missing == ("experiment",)
    assert told.context == given
    assert set(told.missing) == {"experiment", "manual_approval_required", "approved",
                                 "auto_promote", "simulated", "edge_required",
                                 "edge_experiment", "from_contour"}  # fmt: skip


def test_a_wait_for_approval_names_the_rule_that_would_allow() -> None:
    told = explain(LOOP, "promote", "edge-oracle", {**GOOD, "auto_promote": False})
    assert (told.decision, told.rule) == (NEEDS_APPROVAL, "auto-promote-off")
    (allowing,) = [c for c in told.concerns if c.matched and c.answer is ALLOW]
    assert allowing.rule == "edge-loop-turns-the-ring"


def test_a_key_that_no_rule_reads_is_named() -> None:
    told = explain(LOOP, "train", "local", {**GOOD, "kil_switch": True})
    assert told.decision is ALLOW
    assert told.ignored == ("kil_switch",)
    assert explain(LOOP, "train", "local", GOOD).ignored == ()


def test_what_no_rule_decided_has_no_source() -> None:
    nobody = explain(Principal("drill"), "drill", "compute-nvidia", GOOD)
    assert (nobody.rule, nobody.file, nobody.line, nobody.source) == (DEFAULT_DENY, "", 0, "")
    assert [concern.rule for concern in nobody.concerns] == ["kill-switch"]
    for told, rule in (
        (explain(LOOP, "deploy", "local", GOOD), UNKNOWN),
        (explain(LOOP, "train", "local", {"x": 0.5}), MALFORMED),  # type: ignore[dict-item]
    ):
        assert (told.decision, told.rule, told.source) == (DENY, rule, "")
        assert told.concerns == ()


def check(told: Explanation) -> None:
    """What holds for every explanation: it is the decision, and its own words bear it out."""
    answer = decide(Principal(told.role), told.action, told.contour, told.context)
    matched = [concern for concern in told.concerns if concern.matched]
    if told.rule in (UNKNOWN, MALFORMED):
        assert told.concerns == ()
        return
    assert (answer.decision, answer.rule, answer.reason) == (told.decision, told.rule, told.reason)
    refusing = [concern for concern in matched if concern.effect == "forbid"]
    hard = [concern for concern in refusing if concern.answer is DENY]
    permitting = [concern.rule for concern in matched if concern.effect == "permit"]
    if hard:
        assert told.rule == hard[0].rule
    elif not permitting:
        assert told.rule == DEFAULT_DENY
    elif refusing:
        assert told.rule == refusing[0].rule
    else:
        assert told.rule == permitting[0]
    assert not set(told.context) & set(told.missing)


@given(st.integers(0, 2**32))
def test_an_explanation_always_bears_out_its_decision(seed: int) -> None:
    for role, action, contour, context in requests(seed, 3):
        told = explain(Principal(role), action, contour, context)
        answer = decide(Principal(role), action, contour, context)
        assert (told.decision, told.rule, told.reason) == (
            answer.decision,
            answer.rule,
            answer.reason,
        )
        check(told)
        assert json.loads(json.dumps(told.to_json()))["rule"] == answer.rule


def test_every_rule_can_be_quoted() -> None:
    left = {rule.id: rule for rule in shipped().rules}
    for role, action, contour, context in requests(3, 50_000):
        if rule := left.pop(reference(role, action, contour, context)[1], None):
            told = explain(Principal(role), action, contour, context)
            assert (told.file, told.line, told.source) == (rule.file, rule.line, rule.source)
    assert left == {}
