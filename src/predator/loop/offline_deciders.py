"""The deciders before any user is involved, from JSON to JSON: monitor, diagnose, evaluate and
its gates, and the two that let a release go on, policy and the chain of a promotion.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace

import numpy as np
from numpy.typing import NDArray

from predator.domain.canonical import canonical_json
from predator.domain.errors import InputError
from predator.domain.readings import Failed, NoData, Reading, Stale, Value
from predator.domain.verdicts import Decision, Verdict
from predator.loop import diagnose, evaluate, monitor, promote
from predator.loop.contract import Row
from predator.loop.plain import answer, or_none, plain, restore
from predator.loop.searches import distinct
from predator.loop.training import submit
from predator.policy.decision import Context, PolicyDecision, Principal, decide
from predator.policy.gates import Gate, GateResult, check
from predator.ports.ledger import GoldReading
from predator.ports.runtime import Json
from predator.statistics.divergence import Shift
from predator.statistics.ledger import Kind, level

_READINGS: Mapping[str, type[Reading]] = {
    "value": Value,
    "no_data": NoData,
    "stale": Stale,
    "failed": Failed,
}


def monitor_inputs(row: Row, baseline: Value, readings: Sequence[Reading], needed: int) -> Json:
    """What :func:`predator.loop.monitor.detect` looks at: the newest readings."""
    kinds = {kind: name for name, kind in _READINGS.items()}
    return {
        "row": plain(row),
        "baseline": plain(baseline),
        "readings": [
            {"kind": kinds[type(reading)], **_reading(reading)}
            for reading in list(readings)[-monitor.OF_LAST :]
        ],
        "needed": needed,
    }


def _reading(reading: Reading) -> Json:
    if isinstance(reading, Stale):
        return {"age_s": or_none(reading.age_s)}
    return plain(reading, "the reading")


def decide_monitor(inputs: Json) -> Json:
    readings = [
        restore(_READINGS[one["kind"]], {k: v for k, v in one.items() if k != "kind"})
        for one in inputs["readings"]
    ]
    found = monitor.detect(
        restore(Row, inputs["row"]), restore(Value, inputs["baseline"]), readings, inputs["needed"]
    )
    return answer(found)


def to_monitor(output: Json) -> monitor.Assessment:
    return restore(monitor.Assessment, output)


def diagnose_inputs(evidence: diagnose.Evidence, terms_named: int = 12) -> Json:
    """What :func:`predator.loop.diagnose.diagnose` looks at; the rest of the evidence is only
    reported. Terms of searches and names of categories come from users and documents.
    """
    return {
        "baseline_loss": plain(evidence.baseline_loss, "baseline_loss"),
        "searches": {
            name: plain([getattr(search, name) for search in evidence.searches], name)
            for name in ("category", "loss", "stage", "arrived", "new_terms")
        },
        "corpus_shift": plain(evidence.corpus_shift, "corpus_shift"),
        "query_shift": plain(evidence.query_shift, "query_shift"),
        "categories_before": plain(evidence.categories_before),
        "categories_now": plain(evidence.categories_now),
        "backlog_s": plain(evidence.backlog_s, "backlog_s"),
        "latency_p95_ms": plain(evidence.latency_p95_ms, "latency_p95_ms"),
        "terms_named": terms_named,
    }


def decide_diagnose(inputs: Json) -> Json:
    names = ("category", "loss", "stage", "arrived", "new_terms")
    rows = zip(*(inputs["searches"][name] for name in names), strict=True)
    evidence = diagnose.Evidence(
        signal=None,
        baseline_loss=inputs["baseline_loss"],
        searches=[diagnose.JudgedSearch(*row) for row in rows],
        corpus_shift=restore(Shift, inputs["corpus_shift"]),
        query_shift=restore(Shift, inputs["query_shift"]),
        new_terms=(),
        term_coverage=0.0,
        categories_before=inputs["categories_before"],
        categories_now=inputs["categories_now"],
        logs={},
        backlog_s=inputs["backlog_s"],
        latency_p95_ms=inputs["latency_p95_ms"],
        feature_contributions={},
    )
    return answer(diagnose.diagnose(evidence, inputs["terms_named"]))


def to_diagnose(output: Json) -> diagnose.Diagnosis:
    return restore(diagnose.Diagnosis, output)


def evaluate_inputs(
    candidate: NDArray[np.float64],
    baseline: NDArray[np.float64],
    categories: Sequence[str],
    measured: evaluate.Measured,
    gates: evaluate.Gates,
    reading: GoldReading | None = None,
) -> Json:
    """What :func:`predator.loop.evaluate.evaluate` looks at; ``null`` where a measure is none.

    With a ``reading`` of the Gold ledger, ``gates.alpha`` is the level of the whole row of
    readings, and the level of this one is derived from it when the verdict is.
    """
    return {
        "candidate": [or_none(value) for value in candidate.tolist()],
        "baseline": [or_none(value) for value in baseline.tolist()],
        "categories": distinct(categories),
        "measured": {
            "latency_p95_ms_baseline": or_none(measured.latency_p95_ms_baseline),
            "latency_p95_ms_candidate": or_none(measured.latency_p95_ms_candidate),
            "cost_per_1k_usd": or_none(measured.cost_per_1k_usd),
        },
        "gates": plain(gates, "gates"),
        "ledger": None
        if reading is None
        else {
            "kind": reading.kind,
            "gold_set": reading.gold_set,
            "index": reading.index,
            "discovered": list(reading.discovered),
        },
    }


def decide_evaluate(inputs: Json) -> Json:
    categories = inputs["categories"]
    gates = restore(evaluate.Gates, inputs["gates"])
    # Cycles from before the ledger have none.
    if (row := inputs.get("ledger")) is not None:
        history = [number in row["discovered"] for number in range(1, row["index"])]
        gates = replace(gates, alpha=level(Kind(row["kind"]), gates.alpha, history).value)
    found = evaluate.evaluate(
        _vector(inputs["candidate"]),
        _vector(inputs["baseline"]),
        [categories["values"][number] for number in categories["at"]],
        restore(evaluate.Measured, inputs["measured"]),
        gates,
    )
    told = answer(found)
    if "ledger" not in inputs:  # nor did they tell of the winner's curse
        told.pop("gain_shrunken_rel")
    return told


def to_evaluate(output: Json) -> evaluate.Evaluation:
    return restore(evaluate.Evaluation, output)


def _vector(values: Json) -> NDArray[np.float64]:
    return np.array([math.nan if value is None else value for value in values], np.float64)


def reading_room_inputs(before_ms: float | None, gates: evaluate.Gates) -> Json:
    """What :func:`predator.loop.training.submit.reading_room` looks at."""
    return {"before_ms": or_none(before_ms), "gates": plain(gates, "gates")}


def decide_reading_room(inputs: Json) -> Json:
    gates = restore(evaluate.Gates, inputs["gates"])
    return {"room_ms": submit.reading_room(inputs["before_ms"], gates)}


def to_reading_room(output: Json) -> float | None:
    return None if output["room_ms"] is None else float(output["room_ms"])


def submit_inputs(offered: Sequence[submit.Offered], gates: evaluate.Gates) -> Json:
    """What :func:`.training.submit.submit` looks at; ``null`` where a measure is none."""
    return {
        "offered": [
            {
                "name": one.name,
                "tried": None
                if one.tried is None
                else {name: or_none(value) for name, value in asdict(one.tried).items()},
            }
            for one in offered
        ],
        "gates": plain(gates, "gates"),
    }


def decide_submit(inputs: Json) -> Json:
    offered = [
        submit.Offered(
            one["name"],
            None if one["tried"] is None else restore(evaluate.Measured, one["tried"]),
        )
        for one in inputs["offered"]
    ]
    return answer(submit.submit(offered, restore(evaluate.Gates, inputs["gates"])))


def to_submit(output: Json) -> submit.Submission:
    return restore(submit.Submission, output)


def gate_inputs(gate: Gate, baseline: float | None, candidate: float | None) -> Json:
    """What :func:`predator.policy.gates.check` looks at; ``null`` for a level that is none."""
    return {
        "gate": plain(gate, "the gate"),
        "baseline": or_none(baseline),
        "candidate": or_none(candidate),
    }


def decide_gate(inputs: Json) -> Json:
    return answer(check(restore(Gate, inputs["gate"]), inputs["baseline"], inputs["candidate"]))


def to_gate(output: Json) -> GateResult:
    return restore(GateResult, output)


def policy_inputs(principal: Principal, action: str, contour: str, context: Context) -> Json:
    """What :func:`predator.policy.decision.decide` is asked."""
    return {
        "role": principal.role,
        "name": plain(principal.name),
        "action": action,
        "contour": contour,
        "context": plain(context, "the context"),
    }


def decide_policy(inputs: Json) -> Json:
    principal = Principal(inputs["role"], inputs["name"])
    return answer(decide(principal, inputs["action"], inputs["contour"], inputs["context"]))


def to_policy(output: Json) -> PolicyDecision:
    return restore(PolicyDecision, output)


def promotion_inputs(release: str, evaluation: Json, result: Json, answer: PolicyDecision) -> Json:
    """The chain's links: ``evaluation.json`` and ``ab_test_results.json`` as they are written
    (exact, because their hashes become trailers), and what policy said.
    """
    return {
        "release": release,
        "evaluation": _exact(evaluation),
        "experiment": _exact(result),
        "policy": {"decision": str(answer.decision), "rule": answer.rule},
    }


def decide_promotion(inputs: Json) -> Json:
    release, evaluation, result = inputs["release"], inputs["evaluation"], inputs["experiment"]
    policy = inputs["policy"]
    try:
        chain = (
            promote.Promotion(release)
            .evaluated(evaluation["release"], Verdict(evaluation["verdict"]), evaluation)
            .experimented(result["release"], Verdict(result["verdict"]), result)
            .allowed(release, Decision(policy["decision"]), policy["rule"])
        )
        return chain.trailers
    except promote.IllegalPromotion as error:
        return {"error": str(error)}


def to_promotion(output: Json) -> dict[str, str]:
    """The evidence as commit trailers; raises ``IllegalPromotion`` as the chain does."""
    if "error" in output:
        raise promote.IllegalPromotion(output["error"])
    return dict(output)


def _exact(value: Json) -> Json:
    try:
        return json.loads(canonical_json(value))
    except (TypeError, ValueError) as error:
        raise InputError(f"evidence that is not plain JSON cannot be recorded: {error}") from error
