"""What the key figures of a simulated year hide, as names and values for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from predator.edge.cli.times import span
from predator.edge.cli.year_words import Words


def facts(found: Mapping[str, Any], words: Words) -> list[tuple[str, object]]:
    """What the key figures hide, as names and values."""
    hidden = found["hidden"]

    def told(name: str, **values: object) -> str:
        return words[name].format(**values)

    rows: list[tuple[str, object]] = [
        (words[name], _gain(hidden[name], words))
        for name in ("gain_vs_holdout", "gain_vs_holdout_lately")
    ]
    gain = hidden["true_gain_rel_of_promotions"]
    attacks = [one["share"] for one in found["attacks"]]
    rows += [
        (words["true_gain_vs_holdout"], f"{hidden['true_gain_vs_holdout']:+.1%}"),
        (
            words["promotions"],
            told(
                "promotions_told",
                n=hidden["went_live"],
                false=hidden["false_promotions"],
                harmful=hidden["harmful_promotions"],
                gain="–" if gain is None else f"{gain:+.1%}",
            ),
        ),
        (
            words["rollbacks"],
            told(
                "rollbacks_told",
                n=hidden["rollbacks"],
                false=hidden["false_rollbacks"],
                outage=hidden["rollbacks_while_policy_was_down"],
            ),
        ),
        (
            words["regressions"],
            told("regressions_told", n=hidden["regressions"], missed=hidden["missed_regressions"]),
        ),
        (words["drills"], told("drills_told", n=hidden["drills"], caught=hidden["drills_caught"])),
        (words["time_to_detect_s"], _spread(hidden["time_to_detect_s"], words)),
        (words["time_to_restore_s"], _spread(hidden["time_to_restore_s"], words)),
        (words["hours_worse"], told("hours", value=hidden["hours_worse_than_gold"])),
        (words["at_the_end"], words["yes" if hidden["worse_than_gold_at_the_end"] else "no"]),
        (words["experiments"], _counts(found["experiments"], words)),
        (words["experiment_s"], _spread(found["experiment_s"], words)),
        (words["in_line_s"], _spread(found["in_line_s"], words)),
        (words["cycles"], _counts(found["cycles"], words)),
        (words["because"], _counts(found["not_successful_because"], words)),
        (
            words["outages"],
            ", ".join(
                f"{name} {told('hours', value=value)}" for name, value in found["outages_h"].items()
            ),
        ),
        (
            words["attacks"],
            told(
                "attacks_told",
                n=len(attacks),
                least=f"{min(attacks):.1%}",
                most=f"{max(attacks):.1%}",
            )
            if attacks
            else words["nothing"],
        ),
    ]
    return rows


def _gain(found: Mapping[str, float] | None, words: Words) -> str:
    if found is None:
        return words["unknown"]
    return f"{found['delta_rel']:+.1%} ({found['ci_low']:+.1%} … {found['ci_high']:+.1%})"


def _spread(found: Mapping[str, float] | None, words: Words) -> str:
    if found is None:
        return words["nothing"]
    return words["spread"].format(
        median=span(found["median"]), most=span(found["most"]), n=int(found["n"])
    )


def _counts(found: Mapping[str, int], words: Words) -> str:
    return ", ".join(f"{name} {count}" for name, count in found.items()) or words["nothing"]
