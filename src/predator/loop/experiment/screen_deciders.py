"""The deciders before an experiment, from JSON to JSON: the shadow and the screen."""

from __future__ import annotations

from collections.abc import Sequence

from predator.loop.experiment.screen import Drafted, Screened, ScreenPlan, screen
from predator.loop.experiment.shadow import Replayed, Shadowed, ShadowLimits, judge_shadow
from predator.loop.plain import answer, plain, restore
from predator.ports.feedback import Impression
from predator.ports.runtime import Json
from predator.statistics.interleaving import INTERLEAVED, UNANSWERED


def screen_inputs(planned: ScreenPlan, impressions: Sequence[Impression]) -> Json:
    """What :func:`.screen.screen` looks at; users by number, no word of theirs.

    A click outside the list is left out.
    """
    drafted = [one for one in impressions if one.variant == INTERLEAVED]
    numbers: dict[str, int] = {}
    return {
        "planned": plain(planned, "the plan"),
        "failed": sum(one.variant == UNANSWERED for one in impressions),
        "user": [numbers.setdefault(one.user, len(numbers)) for one in drafted],
        "clicked": [
            [
                [place, one.draft[place - 1].live_rank, one.draft[place - 1].candidate_rank]
                for place in sorted(set(one.clicks))
                if place <= len(one.draft)
            ]
            for one in drafted
        ],
    }


def decide_screen(inputs: Json) -> Json:
    drafted = [
        Drafted(f"u{user}", clicked)
        for user, clicked in zip(inputs["user"], inputs["clicked"], strict=True)
    ]
    return answer(screen(restore(ScreenPlan, inputs["planned"]), drafted, inputs["failed"]))


def to_screen(output: Json) -> Screened:
    return restore(Screened, output)


def shadow_inputs(seen: Replayed, limits: ShadowLimits) -> Json:
    """What :func:`predator.loop.experiment.shadow.judge_shadow` looks at: no query, no document."""
    return {"seen": plain(seen, "the replay"), "limits": plain(limits, "the limits")}


def decide_shadow(inputs: Json) -> Json:
    found = judge_shadow(restore(Replayed, inputs["seen"]), restore(ShadowLimits, inputs["limits"]))
    return answer(found)


def to_shadow(output: Json) -> Shadowed:
    return restore(Shadowed, output)
