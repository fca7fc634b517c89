"""One answer drafted from the lists of two releases; the users then say which is better."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np

from predator.search.engine import Ranking
from predator.search.serving.routing import Route
from predator.statistics.interleaving import UNANSWERED, Place, coins, team_draft

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    """What is shown, under which variant it is recorded, and who put each hit there.

    ``places`` is empty where one release answered alone; a drafted list is no ``release``'s.
    """

    ranking: Ranking
    variant: str
    release: str
    places: tuple[Place[int], ...] = ()


def rank(route: Route, text: str, k: int, query_id: str) -> Answer:
    """The best ``k`` rows for ``text`` by whoever ``route`` names.

    Whatever the candidate of a draft raises, the user gets the live release's list.
    """
    live, release = route.engine.rank(text, k), route.engine.release.digest
    if route.rival is None:
        return Answer(live, route.variant, release)
    try:
        rival = route.rival.rank(text, k)
    except Exception:
        log.warning("the candidate of %s gave no list", route.experiment, exc_info=True)
        return Answer(live, UNANSWERED, release)
    places = team_draft(live.rows.tolist(), rival.rows.tolist(), k, coins(query_id, k))
    # Scores of two rankers do not compare: each hit keeps its own, in the drafted order.
    scores = dict(zip(rival.rows.tolist(), rival.scores.tolist(), strict=True))
    scores |= dict(zip(live.rows.tolist(), live.scores.tolist(), strict=True))
    rows = [place.item for place in places]
    drafted = Ranking(
        np.array(rows, dtype=np.int64), np.array([scores[row] for row in rows], dtype=np.float64)
    )
    return Answer(drafted, route.variant, "", tuple(places))
