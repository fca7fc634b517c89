"""What a cross-encoder learns from: pairs of query and document with a target from 0 to 1.

Positives come from judgments (target: the grade as a share of the highest), negatives from where
the model will serve: the live ranker's candidates. A named teacher may give soft targets instead
(distillation, Hinton et al. 2015).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from predator.domain.errors import InputError
from predator.domain.release import RetrievalParameters
from predator.learning.examples import Example
from predator.search.cross_encoder import passage
from predator.search.index import Index

NEGATIVES = 4
"""Negatives a positive, half of them from the first ``HARD`` candidates."""
HARD = 10
POSITIVE_SHARE = 0.95
"""An unjudged candidate that the lexical and the dense side both score above this share of their
best known answer is left out: two witnesses that know nothing of each other say that it may be an
answer nobody judged. The share is that of NV-Retriever (Moreira et al. 2024)."""
JUDGED = "judgments"

Targets = Mapping[tuple[str, str], float]
"""A teacher's targets by query id and document id."""


@dataclass(frozen=True, slots=True)
class Pair:
    """``target`` is the relevance to learn, 0 to 1; ``weight`` how much the pair counts."""

    query: str
    document: str
    target: float
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Pairs:
    """``train`` to learn from, ``dev`` to choose the checkpoint by, and who set the targets."""

    train: Sequence[Pair]
    dev: Sequence[Pair] = ()
    teacher: str = JUDGED


def make_pairs(
    index: Index,
    examples: Sequence[Example],
    live: RetrievalParameters,
    *,
    seed: int,
    depth: int,
    weight: float = 1.0,
    teacher: Targets | None = None,
) -> list[list[Pair]]:
    """The pairs of each of ``examples``; empty queries and those without a known answer have none.

    Negatives are among the first ``depth`` candidates in the order of ``live``, which are those
    that a cross-encoder reads: those judged 0 first, then unjudged ones.
    With a ``teacher`` its target stands in for the judgment wherever it has one.
    """
    rng = np.random.default_rng(seed)
    highest = max((max(one.grade_of.values(), default=0) for one in examples), default=0)
    made: list[list[Pair]] = []
    for example in examples:
        made.append([])
        answers = [row for row, grade in example.grade_of.items() if grade > 0]
        if not example.query.text.strip() or not answers:
            continue
        wrong = _negatives(example, example.best(live, depth).tolist(), answers, rng)
        for row in (*answers, *wrong):
            document = index.documents[row]
            target = max(example.grade_of.get(row, 0), 0) / highest
            if teacher is not None:
                target = teacher.get((example.query.id, document.id), target)
            made[-1].append(Pair(example.query.text, passage(document), target, weight))
    return made


def _negatives(
    example: Example, found: Sequence[int], answers: Sequence[int], rng: np.random.Generator
) -> list[int]:
    count = NEGATIVES * len(answers)
    judged = [row for row in found if example.grade_of.get(row, 1) <= 0]
    unsure = _maybe_answers(example, answers)
    unjudged = [row for row in found if row not in example.grade_of and row not in unsure]
    hard = [row for row in unjudged if row in found[:HARD]]
    chosen = judged[:count]
    room = count - len(chosen)
    chosen += [hard[i] for i in rng.permutation(len(hard))[: room // 2]]
    rest = [row for row in unjudged if row not in chosen]
    return chosen + [rest[i] for i in rng.permutation(len(rest))[: count - len(chosen)]]


def _maybe_answers(example: Example, answers: Sequence[int]) -> set[int]:
    """Candidates that both sides put beside the best known answer."""
    rows = example.found.rows
    known = np.isin(rows, answers)
    if not known.any():
        return set()
    both = np.ones(len(rows), bool)
    for scores in (example.found.all.bm25, example.found.cosine):
        best = float(np.max(scores[known], initial=-np.inf))
        # Where a side has no score for the answer it is no witness, and nothing is left out.
        both &= scores > POSITIVE_SHARE * best if math.isfinite(best) and best > 0 else False
    return set(rows[both & ~known].tolist())


def check_pairs(pairs: Pairs) -> None:
    """``InputError`` for pairs that cannot be learnt from."""
    for name, part in (("training", pairs.train), ("dev", pairs.dev)):
        for number, pair in enumerate(part):
            if not pair.query.strip():
                raise InputError(f"{name} pair {number} has an empty query", cure="Leave it out")
            if not (0 <= pair.target <= 1 and 0 < pair.weight < math.inf):
                raise InputError(
                    f"{name} pair {number} has target {pair.target} and weight {pair.weight}",
                    cure="Give targets from 0 to 1, weights above 0, and no NaN",
                )
    targets = {pair.target for pair in pairs.train}
    if len(targets) < 2:
        what = f"all have the target {targets.pop():g}" if targets else "there is none"
        raise InputError(
            f"a cross-encoder learns from pairs of both kinds, and of {len(pairs.train)} {what}",
            cure="Bring judgments of documents that answer, and candidates that do not",
        )
