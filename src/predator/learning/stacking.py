"""A cross-encoder beside the features: out-of-fold scores, and what is made of them.

A model's scores of its own training queries are too good to be learnt from: LambdaMART would
trust them as it should not trust them on new queries (Wolpert 1992, stacked generalisation). So
queries are split by cluster into folds, a model trained on the others scores each fold, and the
one that serves is trained on all of them at the end. Its scores are a little better than those
that the second stage has learnt from, which errs on the safe side.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from predator.domain.canonical import sha256_hex
from predator.domain.errors import InputError
from predator.domain.release import RetrievalParameters
from predator.learning import cross_encoder
from predator.learning.cross_encoder import Plan
from predator.learning.examples import Example
from predator.learning.kept_files import KeptFiles
from predator.learning.lambdamart import Prepared
from predator.learning.measures import score
from predator.learning.pairs import JUDGED, Pair, Pairs, Targets, check_pairs, make_pairs
from predator.learning.splits import split_by_cluster
from predator.learning.trainable import Report
from predator.search.cross_encoder import passage
from predator.search.encoder.export_pairs import LEAST_PROBES, PROBES
from predator.search.encoder.source import Source
from predator.search.index import Index
from predator.search.rankers import blended, column_named, columns_of

FOLDS = 2
"""The price is one more training on everything (with three folds: two more)."""
DEV_SHARE = 0.15
"""Training queries that only choose the checkpoint."""
MOST_DEV_PAIRS = 400
"""What is read again at each evaluation."""
MOST_PROBES = 200
TRAINING_SHARE = 0.7
"""Of the budget; scoring and exporting get the rest."""
WEIGHTS = tuple(i / 10 for i in range(10))
"""Shares of the cross-encoder in a blend that are tried, none first: ties go to less of it."""


@dataclass(frozen=True, slots=True)
class Question:
    """A query to learn from. Texts are numbers into :attr:`Lessons.texts`.

    ``candidates`` are in the live order, with their ``fused`` scores; ``grades`` holds everything
    judged. Questions of one ``group`` are alike and stay together; those of group -1 (generated)
    are learnt from and never scored. ``pairs`` are (text, target, weight).
    """

    query: str
    group: int
    candidates: tuple[int, ...]
    fused: tuple[float, ...]
    grades: Mapping[int, int]
    pairs: tuple[tuple[int, float, float], ...]


@dataclass(frozen=True, slots=True)
class Lessons:
    """All that a cross-encoder and a blend of it are trained from; ``teacher`` made the targets."""

    texts: Sequence[str]
    questions: Sequence[Question]
    teacher: str = JUDGED


@dataclass(frozen=True, slots=True)
class Stacked:
    """A trained cross-encoder's files, and its out-of-fold scores of every question's candidates
    (NaN where the question is never scored)."""

    files: Mapping[str, bytes]
    scores: Sequence[NDArray[np.float64]]
    folds: Sequence[Mapping[str, object]]


def make_lessons(
    index: Index,
    examples: Sequence[Example],
    groups: NDArray[np.int64],
    live: RetrievalParameters,
    *,
    seed: int,
    depth: int,
    generated: Sequence[Example] = (),
    generated_weight: float = 0.3,
    teacher: tuple[str, Targets] | None = None,
    masked: Index | None = None,
) -> Lessons:
    """Lessons from judged ``examples`` (one cluster number each) and ``generated`` ones, which
    were found in ``masked`` (in ``index`` without it).

    ``live`` orders the candidates, ``depth`` is how many of them the model will read.
    ``teacher`` is a name and its soft targets.
    """
    numbers: dict[str, int] = {}

    def number(text: str) -> int:
        return numbers.setdefault(text, len(numbers))

    targets = None if teacher is None else teacher[1]
    questions: list[Question] = []
    for part, within, weight, of in (
        (examples, index, 1.0, groups.tolist()),
        (generated, masked or index, generated_weight, [-1] * len(generated)),
    ):
        made = make_pairs(
            within, part, live, seed=seed, depth=depth, weight=weight, teacher=targets
        )
        for example, pairs, group in zip(part, made, of, strict=True):
            found = example.refused(live).take(depth)
            questions.append(
                Question(
                    example.query.text,
                    group,
                    tuple(number(passage(within.documents[row])) for row in found.rows.tolist()),
                    tuple(found.fused.astype(float).tolist()),
                    {
                        number(passage(within.documents[row])): grade
                        for row, grade in example.grade_of.items()
                    },
                    tuple((number(p.document), p.target, p.weight) for p in pairs),
                )
            )
    return Lessons(list(numbers), questions, JUDGED if teacher is None else teacher[0])


def train_stacked(
    source: Source,
    lessons: Lessons,
    plan: Plan,
    *,
    report: Report = lambda _what, _done, _total: None,
    checkpoints: Path | None = None,
) -> Stacked:
    """Train a model a fold, score its questions, train the final one on all; needs torch.

    ``plan.budget_s`` is for everything together. ``checkpoints`` is a folder of this training
    alone, for going on after a kill. ``InputError`` where there is too little to learn from.
    """
    scored = [i for i, one in enumerate(lessons.questions) if one.group >= 0]
    groups = np.asarray([lessons.questions[i].group for i in scored], np.int64)
    rng = np.random.default_rng(plan.seed)
    folds = split_by_cluster(groups, [1.0] * FOLDS, rng)
    if not len(folds) or np.bincount(folds, minlength=FOLDS).min() == 0:
        raise InputError(
            f"{len(scored)} training queries do not make {FOLDS} groups of different questions",
            cure="bring more judgments",
        )
    fold_of = np.full(len(lessons.questions), -1)
    fold_of[scored] = folds
    scores = [np.full(len(one.candidates), np.nan) for one in lessons.questions]
    told: list[Mapping[str, object]] = []
    # All folds' models together read everything FOLDS - 1 times, the last one once more.
    unit = TRAINING_SHARE * plan.budget_s / FOLDS
    for fold in range(FOLDS):
        part = split_pairs(lessons, fold_of != fold, plan.seed)
        files = _fit(
            source, part, replace(plan, budget_s=unit * (FOLDS - 1) / FOLDS), report,
            checkpoints, f"fold {fold + 1} of {FOLDS}",
        )  # fmt: skip
        model = cross_encoder.load(files, threads=plan.threads)
        told.append(model.report)
        asked = np.flatnonzero(fold_of == fold).tolist()
        for done, i in enumerate(asked):
            one = lessons.questions[i]
            scores[i] = model.encoder.score(one.query, [lessons.texts[t] for t in one.candidates])
            report(f"scoring fold {fold + 1} of {FOLDS}", done + 1, len(asked))
    part = split_pairs(lessons, np.full(len(lessons.questions), True), plan.seed)
    files = _fit(source, part, replace(plan, budget_s=unit), report, checkpoints, "the last")
    return Stacked(files, scores, told)


def choose_weight(lessons: Lessons, stacked: Stacked) -> tuple[float, dict[float, float]]:
    """The share of the cross-encoder with the best NDCG@10 out of fold, and that of each share."""
    means = {weight: float(blend_ndcg(lessons, stacked, weight).mean()) for weight in WEIGHTS}
    return max(WEIGHTS, key=lambda weight: (round(means[weight], 9), -weight)), means


def blend_ndcg(lessons: Lessons, stacked: Stacked, weight: float) -> NDArray[np.float64]:
    """NDCG@10 of every scored question with an answer, out of fold, at a cross-encoder's share.

    Weight 0 is the live order; the first ``depth`` candidates are all there is to order.
    """
    judged, rankings = {}, {}
    for number, (one, scores) in enumerate(zip(lessons.questions, stacked.scores, strict=True)):
        if one.group < 0 or not any(grade > 0 for grade in one.grades.values()):
            continue
        judged[str(number)] = {str(text): grade for text, grade in one.grades.items()}
        mixed = blended(np.asarray(one.fused), scores, weight)
        order = np.arange(len(scores)) if not weight else np.argsort(-mixed, kind="stable")
        rankings[str(number)] = [str(one.candidates[i]) for i in order[:10].tolist()]
    return score(judged, rankings, ("nDCG@10",)).ndcg


def with_scores(
    prepared: Sequence[Prepared], scores: Mapping[str, Mapping[str, float]], name: str
) -> list[Prepared]:
    """The same queries with the column of ranker ``name`` after the features.

    ``scores`` holds its out-of-fold scores by query id and document id, those of the candidates
    that it will read at serving; what is not there stays missing. ``prepared`` has to be made
    under the retrieval parameters that the scored candidates came from.
    """
    found = []
    for one in prepared:
        known = scores.get(one.query_id, {})
        column = np.asarray([known.get(document, np.nan) for document in one.documents], float)
        found.append(
            replace(
                one,
                matrix=np.concatenate([one.matrix, columns_of([column])], axis=1),
                names=[*one.names, column_named(name)],
            )
        )
    return found


def scores_by_id(
    index: Index, examples: Sequence[Example], live: RetrievalParameters, stacked: Stacked
) -> dict[str, dict[str, float]]:
    """The out-of-fold scores by query id and document id; ``examples`` are the judged ones that
    the lessons were made of, in their order, and ``live`` their retrieval parameters."""
    found = {}
    for example, scores in zip(examples, stacked.scores, strict=False):
        rows = example.refused(live).take(len(scores)).rows
        known = zip(example.ids(index, rows), scores.tolist(), strict=True)
        found[example.query.id] = {d: value for d, value in known if np.isfinite(value)}
    return found


def split_pairs(lessons: Lessons, used: NDArray[np.bool_], seed: int) -> Pairs:
    """The pairs of the questions ``used``, some of the scored ones held out for the checkpoint."""
    numbers = [i for i in np.flatnonzero(used).tolist() if lessons.questions[i].pairs]
    scored = [i for i in numbers if lessons.questions[i].group >= 0]
    groups = np.asarray([lessons.questions[i].group for i in scored], np.int64)
    parts = split_by_cluster(groups, [1 - DEV_SHARE, DEV_SHARE], np.random.default_rng(seed))
    held_out = {i for i, part in zip(scored, parts.tolist(), strict=True) if part == 1}

    def pairs(of: Sequence[int]) -> list[Pair]:
        return [
            Pair(lessons.questions[i].query, lessons.texts[text], target, weight)
            for i in of
            for text, target, weight in lessons.questions[i].pairs
        ]

    return Pairs(
        pairs([i for i in numbers if i not in held_out]),
        pairs(sorted(held_out))[:MOST_DEV_PAIRS],
        lessons.teacher,
    )


def _fit(
    source: Source, pairs: Pairs, plan: Plan, report: Report, checkpoints: Path | None, what: str
) -> dict[str, bytes]:
    """The files of one training; kept beside the checkpoints, so that it is done once."""
    check_pairs(pairs)

    def told(step: str, done: int, total: int) -> None:
        report(f"{step}, {what}", done, total)

    folder = None if checkpoints is None else checkpoints / what.replace(" ", "-")
    known = [(pair.query, pair.document) for pair in (*pairs.dev, *pairs.train)][:MOST_PROBES]
    probes = known if len(known) >= LEAST_PROBES else PROBES
    kept = None
    if folder is not None:
        asked = {"source": source.hashes, "plan": asdict(plan), "pairs": asdict(pairs)}
        identity = sha256_hex(json.dumps(asked).encode())
        kept = KeptFiles(folder.with_suffix(".done"), identity)
        files = kept.load()
        if files is not None:
            return files
    tuned = cross_encoder.train(source, pairs, plan, report=told, checkpoints=folder)
    files = cross_encoder.export(tuned, probes)
    if kept is not None:
        kept.save(files)
    return files
