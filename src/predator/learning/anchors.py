"""The anchor set: what search already did well, and a tuned encoder may not undo. Pure.

Tuning on one kind of question makes an encoder worse at others, and in-batch tuning can make it
worse at all (TREC-COVID 66.1 → 56.0 in the GPL paper). Held-out questions of the same kind do not
show it. So a candidate also has to keep two groups of anchors, each by non-inferiority: the upper
bound of its loss, not the loss itself, must stay below a margin, so that few anchors prove nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from predator.domain.documents import Document
from predator.domain.verdicts import Verdict
from predator.search.serving.spaces import embedding_text

HALVES_MARGIN = 0.02
"""Loss of the mean reciprocal rank, relative: as the contours' limit for one category of queries.
Nobody chose these pairs by how well they did, so an equal encoder loses nothing on average."""
ANSWERED_MARGIN = 0.05
"""The same for questions that were answered right. They were chosen for that, so an encoder that
is equal in truth shows a loss here and no gain (regression to the mean): the larger margin is the
room for it. See decision 25 for how large it was between equal encoders."""
LEAST = 30
"""Anchors of a group below which nothing can be shown about it, as for categories."""
GREATEST = 1000
"""Anchors of a group: by then an equal encoder that ranks every seventh anchor anew passes in nine
of ten cases; with 500 in three of four."""
DEPTH = 10
HALF_WORDS = 64
"""Words of a half: more would be cut off by the encoder."""
LEAST_WORDS = 16

_SPACE = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Anchor:
    """``query`` is to find the text number ``target`` of a pool."""

    query: str
    target: int


@dataclass(frozen=True, slots=True)
class AnchorSet:
    """One group: its anchors and the texts that they are searched in."""

    name: str
    anchors: Sequence[Anchor]
    pool: Sequence[str]
    margin: float


@dataclass(frozen=True, slots=True)
class AnchorResult:
    """What one group says. ``loss_rel`` is relative to the baseline's mean reciprocal rank;
    ``loss_upper`` bounds it from above at the level of the gate. ``None`` where it could not be
    measured. ``lost`` anchors were first before and are not now, ``won`` the other way round."""

    name: str
    verdict: Verdict
    reason: str
    n: int
    baseline_mrr: float | None
    candidate_mrr: float | None
    loss_rel: float | None
    loss_upper: float | None
    margin: float
    lost: int
    won: int

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "verdict": str(self.verdict)}


def halves(documents: Sequence[Document], seed: int, most: int = GREATEST) -> AnchorSet:
    """General pairs: the first half of a document's beginning is to find the second.

    Documents of fewer than twice ``LEAST_WORDS`` words give none. Made from the collection alone,
    so that there are some without any question.
    """
    anchors: list[Anchor] = []
    pool: list[str] = []
    for i in np.random.default_rng(seed).permutation(len(documents)):
        words = _SPACE.split(embedding_text(documents[i])[:20_000].strip())
        if len(words) < 2 * LEAST_WORDS:
            continue
        words = words[: 2 * HALF_WORDS]
        middle = len(words) // 2
        anchors.append(Anchor(" ".join(words[:middle]), len(pool)))
        pool.append(" ".join(words[middle:]))
        if len(anchors) == most:
            break
    return AnchorSet("halves", anchors, pool, HALVES_MARGIN)


def answered(questions: Sequence[tuple[str, str]], others: Sequence[str]) -> AnchorSet:
    """Questions that the live release answers right, as (query, the text it put first).

    ``others`` are texts that it put below, to be told from the right ones.
    """
    row_of: dict[str, int] = {}
    anchors = [
        Anchor(query, row_of.setdefault(text, len(row_of))) for query, text in questions[:GREATEST]
    ]
    pool = list(row_of) + [text for text in dict.fromkeys(others) if text not in row_of]
    return AnchorSet("answered", anchors, pool, ANSWERED_MARGIN)


def reciprocal_ranks(
    queries: NDArray[np.float32], pool: NDArray[np.float32], targets: Sequence[int]
) -> NDArray[np.float64]:
    """Reciprocal rank of each query's target by cosine, 0 below the first ``DEPTH``.

    ``queries`` [n, dim] and ``pool`` [texts, dim] are of unit length. Equal cosines count against
    the target, so that an encoder that gives one vector for all finds nothing.
    """
    found = np.zeros(len(targets))
    for row, target in enumerate(targets):
        cosines = pool @ queries[row]
        ahead = int(np.sum(cosines >= cosines[target])) - 1
        found[row] = 1 / (1 + ahead) if ahead < DEPTH else 0.0
    return found


def judge(
    anchors: AnchorSet,
    baseline: NDArray[np.float64],
    candidate: NDArray[np.float64],
    *,
    alpha: float = 0.05,
) -> AnchorResult:
    """The gate of one group, from both encoders' reciprocal ranks of the same anchors.

    PASS where the loss is shown to be below the margin at level ``alpha`` (one-sided, Student's t),
    FAIL where it is shown to be above, INCONCLUSIVE between; ERROR where a number is missing.
    """
    n = len(anchors.anchors)
    if len(baseline) != n or len(candidate) != n:
        return _without(anchors, Verdict.ERROR, f"{n} anchors do not have as many ranks")
    if not (np.isfinite(baseline).all() and np.isfinite(candidate).all()):
        return _without(anchors, Verdict.ERROR, "a rank is no number")
    if n < LEAST:
        return _without(anchors, Verdict.INCONCLUSIVE, f"{n} anchors, {LEAST} are needed")
    before, after = float(baseline.mean()), float(candidate.mean())
    if before <= 0:
        return _without(anchors, Verdict.INCONCLUSIVE, "the baseline finds none of the anchors")
    from scipy.special import stdtrit

    ratio = after / before
    # The loss is a ratio of means; its spread is that of the linearised ratio (Cochran 1977).
    spread = float(np.std((candidate - ratio * baseline) / before, ddof=1))
    half = float(stdtrit(n - 1, 1 - alpha)) * spread / n**0.5
    loss = 1 - ratio
    if loss + half < anchors.margin:
        verdict, reason = Verdict.PASS, "the loss is shown to be below the margin"
    elif loss - half > anchors.margin:
        verdict, reason = Verdict.FAIL, "the loss is shown to be above the margin"
    else:
        verdict, reason = Verdict.INCONCLUSIVE, "the anchors do not show on which side it is"
    return AnchorResult(
        anchors.name,
        verdict,
        f"{reason} ({loss:+.2%}, at most {loss + half:+.2%}, allowed {anchors.margin:.0%})",
        n,
        before,
        after,
        loss,
        loss + half,
        anchors.margin,
        int(np.sum((baseline == 1) & (candidate < 1))),
        int(np.sum((baseline < 1) & (candidate == 1))),
    )


def verdict_of(results: Sequence[AnchorResult]) -> Verdict:
    """The worst of all groups; without any group nothing was shown."""
    verdicts = [result.verdict for result in results]
    for worst in (Verdict.ERROR, Verdict.FAIL, Verdict.INCONCLUSIVE):
        if worst in verdicts:
            return worst
    return Verdict.PASS if verdicts else Verdict.INCONCLUSIVE


def _without(anchors: AnchorSet, verdict: Verdict, reason: str) -> AnchorResult:
    return AnchorResult(
        anchors.name, verdict, reason, len(anchors.anchors), None, None, None, None,
        anchors.margin, 0, 0,
    )  # fmt: skip
