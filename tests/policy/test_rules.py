"""The rules are files that a person can read, sound against their schema, and cannot be misread."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

from predator.domain.verdicts import Decision
from predator.policy.decision import (
    ACTIONS,
    CONTOURS,
    DEFAULT_DENY,
    KILL_SWITCH_RULE,
    MALFORMED,
    UNKNOWN,
)
from predator.policy.rules import COMMON, RuleSet, UnreadableError, policy_digest, shipped
from tests.policy.reference import GOOD

RULE = '@id("a")\n@reason("b")\npermit (principal, action, resource);'
REFUSAL = RULE.replace("permit", "forbid")


def read(name: str) -> str:
    return files("predator.policy").joinpath(name).read_text(encoding="utf-8")


def test_each_contour_has_a_file_and_each_file_a_contour() -> None:
    named = {rule.file for rule in shipped().rules}
    assert named == {COMMON, *(f"{contour}.cedar" for contour in CONTOURS)}


def test_the_rules_are_sound_against_the_schema() -> None:
    from cedarpy import validate_policies

    source = "\n".join(rule.source for rule in shipped().rules)
    result = validate_policies(source, read("schema.cedarschema"))
    assert result.validation_passed, [str(error) for error in result.errors]


@pytest.mark.parametrize(
    "wrong",
    [
        "!(context has kill_switch) || context.kill_switch",
        "context.kill_swich == false",
        "context.kill_switch == false",
        "context has kill_switch && context.kill_switch > 1",
        'action == Action::"deploy"',
        'principal == Person::"ann"',
    ],
)
def test_the_schema_finds_a_rule_that_is_not_sound(wrong: str) -> None:
    from cedarpy import validate_policies

    source = f"permit (principal, action, resource) when {{ {wrong} }};"
    assert not validate_policies(source, read("schema.cedarschema")).validation_passed


def test_the_schema_names_every_action_and_every_value_and_no_other() -> None:
    schema = re.sub(r"//.*", "", read("schema.cedarschema"))
    (names,) = re.findall(r"action ([\w,\s]+?)\s+appliesTo", schema)
    assert set(re.split(r",\s*", names)) == ACTIONS
    values = set(re.findall(r"(\w+)\?:", schema))
    assert values == {name for rule in shipped().rules for name in rule.reads}
    assert values == {*GOOD, "approved", "from_contour"}


def test_each_rule_can_be_quoted_with_its_place() -> None:
    for rule in shipped().rules:
        lines = read(rule.file).splitlines()
        assert "\n".join(lines[rule.line - 1 :]).startswith(rule.source)
        assert rule.source.startswith(f'@id("{rule.id}")')
        assert rule.source.endswith(";")
        assert rule.reason
        assert len(rule.reason) < 100


def test_the_common_rules_come_first_and_the_kill_switch_before_all() -> None:
    rules = shipped().rules
    assert rules[0].id == KILL_SWITCH_RULE
    ends = [number for number, rule in enumerate(rules) if rule.file == COMMON]
    assert ends == list(range(len(ends)))
    assert not {rule.id for rule in rules} & {DEFAULT_DENY, MALFORMED, UNKNOWN}
    assert not any(rule.id.startswith("override:") for rule in rules)


MISREAD = {
    "two in a block": RULE + "\n" + RULE.replace('"a"', '"c"'),
    "one name twice": RULE + "\n\n" + RULE,
    "no name": RULE.replace('@id("a")\n', ""),
    "no reason": RULE.replace('@reason("b")\n', ""),
    "no Cedar": RULE.replace("permit", "allow"),
    "no such answer": REFUSAL.replace("forbid", '@answer("MAYBE")\nforbid'),
    "a refusal that allows": REFUSAL.replace("forbid", '@answer("ALLOW")\nforbid'),
    "an approval that lifts nothing": REFUSAL.replace(
        "forbid", '@answer("NEEDS_APPROVAL")\nforbid'
    ),
    "an approval that lifts a denial": REFUSAL.replace(";", " unless { context.approved };"),
    "a permit for what is approved": RULE.replace(";", " when { context.approved };"),
}


@pytest.mark.parametrize("text", list(MISREAD.values()), ids=list(MISREAD))
def test_rules_that_could_be_misread_are_not_loaded(text: str) -> None:
    assert len(RuleSet({"x.cedar": RULE}).rules) == 1
    with pytest.raises(ValueError, match=r"rule|policy|parse|Decision"):
        RuleSet({"x.cedar": text})


def test_a_rule_that_fails_denies_the_request() -> None:
    failing = '@id("f")\n@reason("r")\nforbid (principal, action, resource) when { context.a.b };'
    rules = RuleSet({"x.cedar": RULE + "\n\n" + failing})
    with pytest.raises(UnreadableError, match="a rule failed"):
        rules.matched("loop", "train", "local", {"a": 1})
    assert rules.rules[1].answer is Decision.DENY


def test_other_rules_have_another_digest() -> None:
    assert policy_digest() == shipped().digest
    assert shipped().without("edge-first").digest != policy_digest()
    assert re.fullmatch(r"[0-9a-f]{64}", policy_digest())
