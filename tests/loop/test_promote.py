"""A release goes live on a complete chain of evidence, or not at all."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from predator.domain.canonical import digest_of
from predator.domain.verdicts import Decision, Verdict
from predator.loop.promote import IllegalPromotion, Promotion, next_version

OURS, OTHER = "a" * 64, "b" * 64
EVALUATION, EXPERIMENT = {"ndcg": 0.7}, {"click_mrr": 0.4}

Link = Callable[[Promotion], Promotion]

GOOD: dict[str, Link] = {
    "evaluated": lambda p: p.evaluated(OURS, Verdict.PASS, EVALUATION),
    "experimented": lambda p: p.experimented(OURS, Verdict.PASS, EXPERIMENT),
    "allowed": lambda p: p.allowed(OURS, Decision.ALLOW, "rule"),
}
BAD: dict[str, Link] = {
    **{
        f"evaluated {verdict}": lambda p, v=verdict: p.evaluated(OURS, v, EVALUATION)  # type: ignore[misc]
        for verdict in Verdict
        if verdict is not Verdict.PASS
    },
    **{
        f"experimented {verdict}": lambda p, v=verdict: p.experimented(OURS, v, EXPERIMENT)  # type: ignore[misc]
        for verdict in Verdict
        if verdict is not Verdict.PASS
    },
    **{
        f"allowed {decision}": lambda p, d=decision: p.allowed(OURS, d, "rule")  # type: ignore[misc]
        for decision in Decision
        if decision is not Decision.ALLOW
    },
    "evaluated another": lambda p: p.evaluated(OTHER, Verdict.PASS, EVALUATION),
    "experimented another": lambda p: p.experimented(OTHER, Verdict.PASS, EXPERIMENT),
    "allowed another": lambda p: p.allowed(OTHER, Decision.ALLOW, "rule"),
}
LINKS = {**GOOD, **BAD}
LEGAL = [("evaluated", "experimented", "allowed")[:length] for length in range(4)]


def test_every_sequence_of_links_is_legal_or_raises() -> None:
    """All sequences of up to four links, good and bad: only the one order goes through.

    Where a link raises, the chain before it is unharmed, so a sequence is legal exactly when
    each of its beginnings is.
    """
    walked = 0
    for length in range(5):
        for names in itertools.product(LINKS, repeat=length):
            if length and names[:-1] not in LEGAL:
                continue  # a beginning of it raised already
            walked += 1
            chain = Promotion(OURS)
            for name in names[:-1]:
                chain = LINKS[name](chain)
            before = chain
            if names in LEGAL:
                chain = LINKS[names[-1]](chain) if names else chain
                assert chain != before or not names
            else:
                with pytest.raises(IllegalPromotion):
                    LINKS[names[-1]](chain)
                assert chain == before
            if LEGAL[-1] in (names, names[:-1]):
                assert chain.trailers["Release"] == OURS
            else:
                with pytest.raises(IllegalPromotion):
                    _ = chain.trailers
    assert walked == 1 + 4 * len(LINKS)


def test_the_trailers_bind_the_evidence_by_hash() -> None:
    chain = Promotion(OURS)
    for name in LEGAL[-1]:
        chain = LINKS[name](chain)
    assert chain.trailers == {
        "Release": OURS,
        "Evaluation": digest_of(EVALUATION),
        "Experiment": digest_of(EXPERIMENT),
        "Policy": "rule",
    }
    other = Promotion(OURS).evaluated(OURS, Verdict.PASS, {"ndcg": 0.7000001})
    assert other.evaluation != chain.evaluation


def test_evidence_that_is_not_finite_is_no_evidence() -> None:
    with pytest.raises(ValueError, match="JSON"):
        Promotion(OURS).evaluated(OURS, Verdict.PASS, {"ndcg": float("nan")})


@pytest.mark.parametrize(
    ("before", "after"), [("v1.0", "v2.0"), ("v9.0", "v10.0"), ("v3.1", "v4.0")]
)
def test_every_promoted_release_is_a_new_major_version(before: str, after: str) -> None:
    assert next_version(before) == after
