"""The page on policy keeps up with the rules."""

from __future__ import annotations

import re
from pathlib import Path

from predator.policy.decision import ACTIONS, CONTOURS, ROLES
from predator.policy.flags import FLAGS
from predator.policy.overrides import FIRM
from predator.policy.rules import shipped

PAGE = (Path(__file__).parents[2] / "docs/policy.md").read_text("utf-8")


def test_every_action_role_contour_flag_and_value_stands_on_the_page() -> None:
    named = set(re.findall(r"`([a-z_-]+)`", PAGE))
    fields = {field for metadata in FLAGS.values() for field in metadata}
    values = {name for rule in shipped().rules for name in rule.reads}
    assert (ACTIONS | ROLES | {*CONTOURS} | FIRM | {*FLAGS} | fields | values) - named == set()


def test_every_condition_is_named_and_no_rule_that_is_not_there() -> None:
    rows = re.findall(r"^\| ((?:`[a-z-]+`(?:, )?)+) \|", PAGE.split("## Who may do what")[1], re.M)
    named = {rule for row in rows for rule in re.findall(r"`([a-z-]+)`", row)}
    conditions = {rule.id for rule in shipped().rules if rule.effect == "forbid"}
    assert named == conditions
