"""The decision point equals its plain reference, and every rule and every word of it counts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib.resources import files

import pytest

from predator.policy.decision import DEFAULT_DENY, UNKNOWN, Principal, decide, decide_by
from predator.policy.rules import RuleSet, shipped
from tests.policy.reference import ALLOW, DENY, NEEDS_APPROVAL, Request, reference, requests


def differences(seed: int, count: int) -> tuple[list[Request], Counter[tuple[str, str]]]:
    wrong, seen = [], Counter[tuple[str, str]]()
    for role, action, contour, context in requests(seed, count):
        answer = decide(Principal(role), action, contour, context)
        given = (answer.decision, answer.rule)
        if given != reference(role, action, contour, context):
            wrong.append((role, action, contour, context))
        seen[given] += 1
    return wrong, seen


def test_equals_its_reference_on_random_requests_and_every_rule_gets_to_decide() -> None:
    wrong, seen = differences(16, 100_000)
    assert wrong == []
    assert {rule for _, rule in seen} == {
        *(rule.id for rule in shipped().rules),
        DEFAULT_DENY,
        UNKNOWN,
    }
    assert {decision for decision, _ in seen} == {ALLOW, DENY, NEEDS_APPROVAL}


@pytest.mark.nightly
def test_equals_its_reference_on_a_million() -> None:
    wrong, seen = differences(17, 1_000_000)
    assert wrong == []
    assert sum(seen.values()) == 1_000_000


def corpus(count: int) -> list[Request]:
    """Requests whose names are known, so that the rules answer them."""
    return [r for r in requests(18, count * 2) if reference(*r)[1] != UNKNOWN][:count]


def noticed(rules: RuleSet, asked: Sequence[Request], *, by_name: bool = False) -> bool:
    """Whether the reference sees that these are other rules: by a decision, or also by the rule
    that is named."""
    for role, action, contour, context in asked:
        answer = decide_by(rules, Principal(role), action, contour, context)
        decision, rule = reference(role, action, contour, context)
        if answer.decision is not decision or (by_name and answer.rule != rule):
            return True
    return False


def test_no_rule_can_be_dropped_unnoticed() -> None:
    asked = corpus(6_000)
    assert not noticed(shipped(), asked)
    for rule in shipped().rules:
        decided = [request for request in asked if reference(*request)[1] == rule.id]
        assert noticed(shipped().without(rule.id), decided), rule.id


def mutants() -> Iterator[tuple[str, dict[str, str]]]:
    """The rules with one word changed: a value turned, a condition loosened, a name removed."""
    texts = {
        file.name: file.read_text(encoding="utf-8")
        for file in files("predator.policy").iterdir()
        if file.name.endswith(".cedar")
    }
    changes = [
        (r"== true\b", "== false"),
        (r"!= (true|false)\b", r"== \1"),
        (r"== false\b", "== true"),
        (r'== "PASS"', '== "FAIL"'),
        (r'== "PASS"', '!= "FAIL"'),
        (r"(?<=[\w\")]) &&\n", " ||\n"),
        (r"\) \|\|\n", ") &&\n"),
        (r"^unless", "when"),
        (r"^forbid", "permit"),
        (r"^permit", "forbid"),
        (r'== Role::"loop"', '== Role::"operator"'),
        (r'resource == Contour::"[a-z-]+"', "resource"),
        (r'Action::"(\w+)"', 'Action::"nothing"'),
    ]
    for name, text in texts.items():
        for pattern, new in changes:
            for found in re.finditer(pattern, text, re.M):
                if text.rfind("//", 0, found.start()) > text.rfind("\n", 0, found.start()):
                    continue
                line = text.count("\n", 0, found.start()) + 1
                mutant = text[: found.start()] + found.expand(new) + text[found.end() :]
                yield f"{name}:{line}: {found[0]!r} → {new!r}", {**texts, name: mutant}


@pytest.mark.nightly
def test_no_word_of_a_rule_can_be_changed_unnoticed() -> None:
    asked = corpus(20_000)
    survived, count = [], 0
    for name, texts in mutants():
        try:
            rules = RuleSet(texts)
        except ValueError:
            continue
        count += 1
        if not noticed(rules, asked, by_name=True):
            survived.append(name)
    assert count > 100
    assert survived == []
