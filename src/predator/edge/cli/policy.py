"""``predator policy explain``: what policy says now, by which rule, and what mattered."""

from __future__ import annotations

from collections.abc import Sequence

from predator.edge.cli.desk import at_desk
from predator.edge.cli.shown import plain, print_facts, print_json, print_table, say
from predator.policy.explain import Explanation


def explain(
    action: str, contour: str | None, role: str, as_json: bool, pairs: Sequence[str]
) -> None:
    """What only a cycle knows (verdicts, counts) counts as missing, which is its careful side."""
    with at_desk(pairs) as office:
        where = contour or office.settings.contour
        found = office.operator.policy_explain(action, where, role)
        flags = office.operator.state(where).flags
    if as_json:
        print_json({**found.to_json(), "flags": plain(flags)})
        return
    say(f"{found.decision}: {role} {action} on {where}")
    place = f"  ({found.file}:{found.line})" if found.file else ""
    print_facts([("rule", f"{found.rule}{place}"), ("reason", found.reason)])
    say(*(f"  {line}" for line in found.source.splitlines() if line.strip()))
    _print_context(found)
    others = [one for one in found.concerns if one.rule != found.rule]
    rows = [
        (one.rule, one.answer, "has a say" if one.matched else "does not apply", one.reason)
        for one in others
    ]
    if rows:
        say("other rules about this:")
        print_table(("rule", "would say", "", "reason"), rows, "")
    say("flags in force: " + ", ".join(f"{name} {_word(on)}" for name, on in flags.items()))


def _print_context(found: Explanation) -> None:
    facts = [(name, _word(value)) for name, value in found.context.items()]
    facts += [(name, "not known, so on its careful side") for name in found.missing]
    if facts:
        say("what mattered:")
        print_facts([(f"  {name}", value) for name, value in facts])


def _word(value: bool | int | str) -> str:
    return ("on" if value else "off") if isinstance(value, bool) else str(value)
