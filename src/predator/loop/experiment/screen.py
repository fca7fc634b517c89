"""Before the experiment, a screen: lists drafted from both releases, and whom users clicked.

It costs a fraction of the experiment's searches and turns away what users like less. It never
promotes: what it lets through still has to pass the experiment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from predator.domain.verdicts import Screening
from predator.statistics.interleaving import Preference, credit, preference
from predator.statistics.samples import open_unit

FRACTION = 1 / 3
"""Of the experiment's searches. Interleaving asks at most a third of an A/B test's searches for the
same power, whatever the users are like: ``benchmarks/interleaving.py`` holds it to that."""
MOST_FAILED = 0.01
"""A candidate that fails to answer more than one search in a hundred is broken."""


@dataclass(frozen=True, slots=True)
class ScreenPlan:
    """Declared before the start: whose lists are drafted, and how many searches are waited for."""

    share: float
    searches: int
    alpha: float


@dataclass(frozen=True, slots=True)
class Drafted:
    """One drafted search: whose it was, and the ``(place, live_rank, candidate_rank)`` of each
    click, 1-based, a rank of 0 where that list does not hold the hit."""

    user: str
    clicked: Sequence[Sequence[int]]


@dataclass(frozen=True, slots=True)
class Screened:
    """What the screen says; ``failed`` counts searches that the candidate did not answer."""

    verdict: Screening
    reason: str
    searches: int
    failed: int
    preference: Preference | None


def plan_screen(searches: int, share: float, alpha: float) -> ScreenPlan:
    """A screen before an experiment of so many ``searches`` in both arms.

    Raises ``ValueError`` for a share or a level outside (0, 1], and for no searches.
    """
    open_unit("alpha", alpha)
    if not 0.0 < share <= 1.0:
        raise ValueError(f"a screen for {share} of the users")
    if searches < 1:
        raise ValueError(f"a screen before an experiment of {searches} searches")
    return ScreenPlan(share, max(1, round(searches * FRACTION)), alpha)


def screen(planned: ScreenPlan, drafted: Sequence[Drafted], failed: int) -> Screened:
    """GO where users prefer the candidate at level ``alpha``, NO_GO where they prefer the live
    release or the candidate fails to answer, UNDECIDED otherwise.

    One look, one-sided tests in both directions, users as the units. Fewer searches than declared
    are judged as they are: when it ended did not depend on what was clicked, so that they cost
    power and nothing else.
    """
    searches = len(drafted) + failed

    def found(verdict: Screening, reason: str, told: Preference | None = None) -> Screened:
        return Screened(verdict, reason, searches, failed, told)

    if _fails(searches, failed, planned.alpha):
        return found(Screening.NO_GO, f"the candidate failed {failed} of {searches} searches")
    try:
        told = preference(
            [one.user for one in drafted],
            [_credit(one) for one in drafted],
            planned.alpha,
        )
    except ValueError as error:
        return found(Screening.UNDECIDED, f"nothing to prefer by: {error}")
    shown = (
        f"the candidate's credit is {told.mean:+.4f} a search "
        f"({told.ci_low:+.4f} to {told.ci_high:+.4f}), {told.wins} users for it, "
        f"{told.losses} against"
    )
    if searches < planned.searches:
        shown += f"; {searches} of the {planned.searches} searches declared"
    if told.p_better <= planned.alpha:
        return found(Screening.GO, shown, told)
    if told.p_worse <= planned.alpha:
        return found(Screening.NO_GO, f"users prefer the live release: {shown}", told)
    return found(Screening.UNDECIDED, shown, told)


def _credit(one: Drafted) -> float:
    clicked = {place: (live, candidate) for place, live, candidate in one.clicked}
    depth = max(clicked, default=0)
    ranks = [clicked.get(place, (0, 0)) for place in range(1, depth + 1)]
    return credit(list(clicked), [live for live, _ in ranks], [theirs for _, theirs in ranks])


def _fails(searches: int, failed: int, alpha: float) -> bool:
    """Whether a failure rate above the limit is shown (exact binomial test)."""
    from scipy.special import bdtrc

    return failed > 0 and float(bdtrc(failed - 1, searches, MOST_FAILED)) <= alpha
