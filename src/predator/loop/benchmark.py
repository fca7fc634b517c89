"""What the learning part gains on a collection, without users: one table, one honest protocol.

The parts of the queries are those of :mod:`~predator.loop.benchmark_parts`. Several cycles go on
from what the last one promoted, and each reading of the gate's queries spends from one error
ledger.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import numpy as np

from predator.domain.documents import Judgments
from predator.domain.release import Release, RetrievalParameters
from predator.domain.verdicts import Verdict
from predator.learning.measures import Scores
from predator.loop.benchmark_parts import Bench, Part, judged, label_free
from predator.loop.evaluate import Evaluation, Gates, Measured, evaluate
from predator.loop.profile import ROUNDS
from predator.loop.replica import keep_release
from predator.loop.train import Trained
from predator.loop.training.affordable import measured, offered, p95_ms
from predator.loop.training.submit import reading_room, submit
from predator.statistics.ledger import Kind, level
from predator.statistics.paired import paired_gain

PLAIN: Mapping[str, RetrievalParameters] = {
    "bm25": RetrievalParameters(fusion="bm25"),
    "dense": RetrievalParameters(fusion="dense"),
    "rrf": RetrievalParameters(fusion="rrf"),
    "zsum": RetrievalParameters(fusion="zsum"),
}
LabelKind = Literal["judgments", "none"]
LIVE = "live"


@dataclass(frozen=True, slots=True)
class Cycle:
    """One turn: the verdict, what was submitted, and the promoted release on the reported queries.

    ``gain`` is that release against the one before, ``None`` where nothing was promoted.
    """

    evaluation: Evaluation
    submitted: str
    chosen: str
    level: Mapping[str, Any]
    rows: Mapping[str, Scores]
    promoted: Scores
    gain: Mapping[str, Any] | None
    left_out: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        return {
            "verdict": str(self.evaluation.verdict),
            "reason": self.evaluation.reason,
            "submitted": self.submitted,
            "chosen": self.chosen,
            "ledger": {**self.level, "kind": str(self.level["kind"])},
            "promoted": row(self.promoted),
            "gain_over_the_last": self.gain,
            "left_out": dict(self.left_out),
            "evaluation": self.evaluation.to_json(),
        }


@dataclass(frozen=True, slots=True)
class Table:
    """Scores of every system on the same reported queries, and what each cycle decided."""

    systems: Mapping[str, Scores]
    cycles: Sequence[Cycle]
    labels: LabelKind
    protocol: str

    def to_json(self) -> dict[str, Any]:
        first, last = self.cycles[0], self.cycles[-1]
        return {
            "systems": {name: row(scores) for name, scores in self.systems.items()},
            "over_best_plain": _over_best_plain(self.systems),
            "labels": self.labels,
            "verdict": str(last.evaluation.verdict),
            "reason": last.evaluation.reason,
            "chosen": last.chosen,
            "left_out": dict(first.left_out),
            "protocol": self.protocol,
            "evaluation": last.evaluation.to_json(),
            "cycles": [cycle.to_json() for cycle in self.cycles],
        }


@dataclass
class _Turn:
    """The releases in force, one a part, and what the gate's queries have been read for."""

    live: list[Release]
    names: str = LIVE
    history: list[bool] = field(default_factory=list)


def relevance_table(
    bench: Bench,
    splits: Mapping[str, Judgments],
    test_queries: int,
    training_queries: int,
    *,
    labels: LabelKind = "judgments",
    cycles: int = 1,
) -> Table:
    """Run the protocol that the collection's splits and ``labels`` allow, for some cycles."""
    parts, protocol = (
        label_free(bench, splits)
        if labels == "none"
        else judged(bench, splits, test_queries, training_queries)
    )
    if not bench.queries:  # the report is of made queries, asked where they were learnt from
        bench = replace(bench, replica=parts[0].learning, judgments=parts[0].judgments)
    reported = [query for part in parts for query in part.report]
    systems = {
        name: bench.scores(
            name, bench.replica, _with(bench.live, how, bench), reported, bench.judgments
        )
        for name, how in PLAIN.items()
    }
    systems[LIVE] = bench.scores(LIVE, bench.replica, bench.live, reported, bench.judgments)
    turn = _Turn([bench.live] * len(parts))
    last, done = systems[LIVE], []
    for number in range(1, cycles + 1):
        if cycles > 1:
            bench.progress.note(f"cycle {number} of {cycles}")
        cycle = _cycle(bench, parts, turn, number, last, from_judgments=labels == "judgments")
        done.append(cycle)
        last = cycle.promoted
    systems |= {name: done[0].rows[name] for name in sorted(done[0].rows)}
    systems["promoted"] = last
    return Table(systems, done, labels, protocol)


def _cycle(
    bench: Bench,
    parts: Sequence[Part],
    turn: _Turn,
    number: int,
    last: Scores,
    *,
    from_judgments: bool,
) -> Cycle:
    """Learn on every part, judge all parts together, and move on where the verdict is PASS."""
    rows: dict[str, list[Scores]] = {}
    gate: tuple[list[Scores], list[Scores]] = ([], [])
    submitted: list[tuple[str, Release]] = []
    left_out: dict[str, str] = {}
    best: list[Scores] = []
    for place, part in enumerate(parts):
        if len(parts) > 1:
            bench.progress.note(f"fold {place + 1} of {len(parts)}")
        live = turn.live[place]
        learner = bench.learner_of(part.learning, bench.seed + number - 1, from_judgments)
        if learner.read is not None:
            before = p95_ms(part.learning.engine(live), part.fit)
            learner = replace(learner, room_ms=reading_room(before, bench.gates))
        learnt = learner.learn(live.encoder, live.retrieval, part.fit, part.judgments)
        left_out |= learnt.left_out
        best_of_part = _affordable(bench, part, live, learnt.candidates, left_out)
        chosen = _release(bench, live, best_of_part)
        submitted.append((best_of_part.name, chosen))
        for release, into in ((chosen, gate[0]), (live, gate[1])):
            into.append(bench.scores("gate", part.learning, release, part.gate, part.judgments))
        for candidate in learnt.candidates:
            scored = bench.scores(
                candidate.name,
                bench.replica,
                _release(bench, live, candidate),
                part.report,
                bench.judgments,
            )
            rows.setdefault(candidate.name, []).append(scored)
            if candidate is best_of_part:
                best.append(scored)
    at = level(Kind.LOND, bench.gates.alpha, turn.history)
    evaluation = _judge(
        bench, _joined(gate[0]), _joined(gate[1]), parts[-1], turn.live[-1], submitted[-1][1],
        replace(bench.gates, alpha=at.value),
    )  # fmt: skip
    passed = evaluation.verdict is Verdict.PASS
    turn.history.append(passed)
    names = sorted({name for name, _ in submitted})
    whole = {name: _joined(found) for name, found in rows.items() if len(found) == len(parts)}
    promoted, gain = last, None
    if passed:
        turn.live = [release for _, release in submitted]
        turn.names = " or ".join(names)
        promoted = _joined(best).pick(last.queries)
        gain = _gain(promoted, last)
    return Cycle(
        evaluation, " or ".join(names), turn.names, asdict(at),
        {name: scores.pick(last.queries) for name, scores in whole.items()},
        promoted, gain, left_out,
    )  # fmt: skip


def _affordable(
    bench: Bench,
    part: Part,
    live: Release,
    candidates: Sequence[Trained],
    left_out: dict[str, str],
) -> Trained:
    """The best candidate that is not known beforehand to be too slow or too dear to serve."""
    engine = part.learning.engine

    def measure(candidate: Trained) -> Measured:
        release = _release(bench, live, candidate)
        return measured(engine(live), engine(release), part.fit, bench.cpu_hour_usd)

    found = submit(offered(candidates, bench.gates, measure), bench.gates)
    left_out |= {f"{name}, served": why for name, why in found.refused.items()}
    return next(one for one in candidates if one.name == found.name)


def _judge(
    bench: Bench,
    candidate: Scores,
    live: Scores,
    part: Part,
    before: Release,
    after: Release,
    gates: Gates,
) -> Evaluation:
    engine = part.learning.engine
    cost = measured(engine(before), engine(after), part.gate, bench.cpu_hour_usd, ROUNDS)
    return evaluate(candidate.ndcg, live.ndcg, ["all"] * len(candidate.queries), cost, gates)


def _release(bench: Bench, live: Release, trained: Trained) -> Release:
    objects = bench.replica.objects
    release = replace(
        live,
        encoder=trained.encoder or live.encoder,
        retrieval=trained.retrieval,
        reranker=None if trained.reranker is None else objects.put(trained.reranker),
    )
    keep_release(objects, release)
    return release


def _with(release: Release, retrieval: RetrievalParameters, bench: Bench) -> Release:
    plain = replace(release, retrieval=retrieval, reranker=None)
    keep_release(bench.replica.objects, plain)
    return plain


def _joined(parts: Sequence[Scores]) -> Scores:
    queries = tuple(query for part in parts for query in part.queries)
    names = parts[0].values
    return Scores(queries, {n: np.concatenate([p.values[n] for p in parts]) for n in names})


def _gain(after: Scores, before: Scores) -> dict[str, Any] | None:
    try:
        gain = paired_gain(after.ndcg, before.ndcg)
    except ValueError:
        return None
    return {"rel": gain.delta_rel, "ci_low": gain.ci_low, "ci_high": gain.ci_high}


def _over_best_plain(systems: Mapping[str, Scores]) -> dict[str, Any]:
    """The paired gain of the promoted release over the best row that learns nothing."""
    best = max((*PLAIN, LIVE), key=lambda name: systems[name].mean())
    try:
        gain = paired_gain(systems["promoted"].ndcg, systems[best].ndcg)
    except ValueError as error:
        return {"system": best, "rel": None, "ci_low": None, "ci_high": None, "why": str(error)}
    return {
        "system": best,
        "rel": gain.delta_rel,
        "ci_low": gain.ci_low,
        "ci_high": gain.ci_high,
    }


def row(scores: Scores) -> dict[str, Any]:
    """A system's line: means, and the 95% interval of NDCG@10 over the queries."""
    half = 1.96 * float(scores.ndcg.std(ddof=1)) / len(scores.ndcg) ** 0.5
    mean = scores.mean()
    return {
        "ndcg_at_10": round(mean, 4),
        "recall_at_20": round(scores.mean("R@20"), 4),
        "precision_at_10": round(scores.mean("P@10"), 4),
        "ci": [round(max(0.0, mean - half), 4), round(min(1.0, mean + half), 4)],
        "queries": len(scores.queries),
    }
