"""Only what was shown, on measured ground, passes the gate."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray

from predator.domain.verdicts import Verdict
from predator.loop.evaluate import CATEGORY_QUERIES, Evaluation, Gates, Measured, evaluate
from predator.statistics.paired import needed_n, paired_gain, power_at

Floats = NDArray[np.float64]

GATES = Gates(
    ndcg_delta_rel_min=0.03,
    category_delta_rel_min=-0.02,
    latency_delta_rel_max=0.15,
    latency_floor_ms=50,
    cost_per_1k_usd_max=0.50,
    alpha=0.05,
    power=0.8,
)
FINE = Measured(40.0, 42.0, 0.10)
NAN, INF = math.nan, math.inf


def pairs(gain: float, n: int = 500, seed: int = 0, sd: float = 0.05) -> tuple[Floats, Floats]:
    """Candidate and baseline with exactly this relative gain of the means."""
    rng = np.random.default_rng(seed)
    baseline = np.clip(rng.normal(0.6, 0.2, n), 0, 1)
    noise = rng.normal(0, sd, n)
    candidate = baseline + noise - noise.mean()
    return shrunk(candidate * (baseline.mean() * (1 + gain) / candidate.mean()), baseline)


def shrunk(candidate: Floats, baseline: Floats) -> tuple[Floats, Floats]:
    """Both by the same factor, so that none is above 1: relative gains stay what they were."""
    factor = 1 / max(1.0, np.abs(candidate).max(), np.abs(baseline).max())
    return candidate * factor, baseline * factor


def judged(
    gain: float = 0.08,
    n: int = 500,
    measured: Measured = FINE,
    gates: Gates = GATES,
    sd: float = 0.05,
    categories: list[str] | None = None,
) -> Evaluation:
    candidate, baseline = pairs(gain, n, sd=sd)
    return evaluate(candidate, baseline, categories or ["all"] * n, measured, gates)


@pytest.mark.parametrize(
    ("gain", "n", "sd", "verdict"),
    [
        (0.08, 500, 0.05, Verdict.PASS),
        (0.031, 500, 0.05, Verdict.PASS),
        (0.029, 500, 0.05, Verdict.FAIL),  # shown to be a gain, and not large enough
        (0.0, 500, 0.05, Verdict.FAIL),
        (-0.10, 500, 0.05, Verdict.FAIL),
        (0.05, 30, 0.4, Verdict.INCONCLUSIVE),  # large, and nothing is shown
        (0.0, 30, 0.4, Verdict.INCONCLUSIVE),
    ],
)
def test_the_gate_on_relevance(gain: float, n: int, sd: float, verdict: Verdict) -> None:
    found = judged(gain, n, sd=sd)
    assert found.verdict is verdict, found.reason
    assert found.gain is not None
    assert found.gain.delta_rel == pytest.approx(gain)
    assert "\n" not in found.reason


def test_what_would_settle_it_is_told_in_queries() -> None:
    found = judged(0.02, 60, sd=0.2)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert found.gain is not None
    assert found.queries_needed == needed_n(found.gain.sd, 0.03, 0.05, 0.8)
    assert found.power_at_target == power_at(60, found.gain.sd, 0.03, 0.05)
    assert f"{found.queries_needed} would settle it" in found.reason


def test_at_the_level_of_a_ledger_more_is_asked_and_more_queries_would_settle_it() -> None:
    whole, late = (
        judged(0.035, 150, sd=0.1),
        judged(0.035, 150, sd=0.1, gates=replace(GATES, alpha=2e-4)),
    )
    assert whole.verdict is Verdict.PASS
    assert late.verdict is Verdict.INCONCLUSIVE
    assert whole.queries_needed is not None and late.queries_needed is not None
    assert late.queries_needed > 2 * whole.queries_needed
    enough = judged(0.035, late.queries_needed, sd=0.1, gates=replace(GATES, alpha=2e-4))
    assert enough.verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("gain", "share", "verdict"),
    [
        (0.029, 1.0, Verdict.FAIL),
        (0.029, 0.5, Verdict.PASS),
        (0.016, 0.5, Verdict.PASS),
        (0.014, 0.5, Verdict.FAIL),  # shown to be a gain, and less than half of the target
    ],
)
def test_the_sensitive_profile_asks_half_of_the_target(
    gain: float, share: float, verdict: Verdict
) -> None:
    gates = replace(GATES, point_share=share)
    found = judged(gain, gates=gates)
    assert found.verdict is verdict, found.reason
    # What the queries could show is still asked about the whole target.
    assert found.queries_needed == judged(gain).queries_needed


@pytest.mark.parametrize("share", [0.0, -0.5, 1.5, NAN])
def test_a_share_of_the_target_that_is_none_is_an_error(share: float) -> None:
    assert judged(0.08, gates=replace(GATES, point_share=share)).verdict is Verdict.ERROR


def test_what_passed_is_reported_without_the_winners_curse() -> None:
    sure, just = judged(0.08), judged(0.0305, n=300, sd=0.1)
    assert sure.gain_shrunken_rel == pytest.approx(0.08, rel=1e-4)
    assert just.verdict is Verdict.PASS
    assert just.gain_shrunken_rel is not None and just.gain_shrunken_rel < 0.015
    assert judged(0.0).gain_shrunken_rel is None
    assert judged(0.08, measured=Measured(100, 200, 0.1)).gain_shrunken_rel is None


def test_power_is_that_of_the_spread_that_was_seen() -> None:
    """Simulated: candidates that are really 3% better show a gain about as often as said."""
    rng = np.random.default_rng(0)
    n, shown, said = 150, 0, []
    for _ in range(400):
        baseline = np.clip(rng.normal(0.5, 0.15, n), 0.01, 1)
        candidate = baseline * 1.03 + rng.normal(0, 0.08, n)
        found = evaluate(*shrunk(candidate, baseline), ["a"] * n, FINE, GATES)
        assert found.gain is not None
        shown += found.gain.lower_bound > 0
        said.append(found.power_at_target)
    assert shown / 400 == pytest.approx(float(np.mean(np.asarray(said, float))), abs=0.06)


@pytest.mark.parametrize(
    ("measured", "verdict"),
    [
        (Measured(40, 49, 0.1), Verdict.PASS),
        (Measured(10, 49, 0.1), Verdict.PASS),  # five times slower, and still fast enough
        (Measured(100, 114, 0.1), Verdict.PASS),
        (Measured(100, 116, 0.1), Verdict.FAIL),
        (Measured(40, 51, 0.1), Verdict.FAIL),
        (Measured(40, 40, 0.5), Verdict.PASS),
        (Measured(40, 40, 0.51), Verdict.FAIL),
        (Measured(0, 0, 0), Verdict.PASS),
    ],
)
def test_guardrails_hold_or_break(measured: Measured, verdict: Verdict) -> None:
    found = judged(measured=measured)
    assert found.verdict is verdict, found.reason


MISSING = [None, NAN, INF, -INF, -1.0]


def test_a_missing_measure_never_passes() -> None:
    """Every combination of measured and unmeasured guardrails, the gain being real."""
    tried = 0
    for before, after, cost in product([40.0, *MISSING], [42.0, *MISSING], [0.1, *MISSING]):
        missing = [
            not isinstance(v, float) or not math.isfinite(v) or v < 0 for v in (before, after, cost)
        ]
        found = judged(measured=Measured(before, after, cost))
        assert found.verdict is (Verdict.ERROR if any(missing) else Verdict.PASS)
        held = {guardrail.name: guardrail.held for guardrail in found.guardrails}
        assert (held["latency_p95_ms"] is None) == (missing[0] or missing[1])
        assert (held["cost_per_1k_usd"] is None) == missing[2]
        json.dumps(found.to_json(), allow_nan=False)
        tried += 1
    assert tried == 6**3


@pytest.mark.parametrize("bad", [NAN, INF, -INF])
@pytest.mark.parametrize("side", [0, 1])
def test_scores_that_are_not_finite_are_an_error(bad: float, side: int) -> None:
    both = list(pairs(0.08))
    both[side] = both[side].copy()
    both[side][17] = bad
    found = evaluate(both[0], both[1], ["a"] * 500, FINE, GATES)
    assert found.verdict is Verdict.ERROR
    assert found.gain is None
    json.dumps(found.to_json(), allow_nan=False)


@pytest.mark.parametrize(
    ("candidate", "baseline"),
    [
        ([], []),
        ([0.9], [0.5]),
        ([0.9, 0.8], [0.5]),
        ([0.5, 0.6, 0.7], [0.0, 0.0, 0.0]),
        ([0.6] * 50, [0.5] * 50),  # a gain without any spread cannot be tested
    ],
)
def test_scores_that_cannot_be_compared_are_an_error(
    candidate: list[float], baseline: list[float]
) -> None:
    found = evaluate(
        np.asarray(candidate, float),
        np.asarray(baseline, float),
        ["a"] * len(baseline),
        FINE,
        GATES,
    )
    assert found.verdict is Verdict.ERROR
    assert found.reason.startswith("relevance:")


def test_categories_that_do_not_fit_the_queries_are_an_error() -> None:
    candidate, baseline = pairs(0.08)
    assert evaluate(candidate, baseline, ["a"] * 499, FINE, GATES).verdict is Verdict.ERROR


@pytest.mark.parametrize("target", [0.0, -0.01, NAN, 1e-12])
def test_a_target_that_no_test_can_reach_is_an_error(target: float) -> None:
    found = judged(gates=replace(GATES, ndcg_delta_rel_min=target))
    assert found.verdict is Verdict.ERROR


def test_an_equal_candidate_is_no_improvement() -> None:
    _, baseline = pairs(0.0)
    found = evaluate(baseline, baseline, ["a"] * 500, FINE, GATES)
    assert found.verdict is Verdict.FAIL
    assert found.power_at_target == 1.0


def with_category(loss: float, n: int) -> Evaluation:
    """A real gain overall, and one category of ``n`` queries that changes by ``loss``."""
    candidate, baseline = pairs(0.08, 600)
    small, before = pairs(loss, n, seed=1)
    return evaluate(
        np.concatenate([candidate, small]),
        np.concatenate([baseline, before]),
        ["large"] * 600 + ["small"] * n,
        FINE,
        GATES,
    )


def test_a_category_shown_to_be_worse_blocks() -> None:
    found = with_category(-0.10, 100)
    assert found.verdict is Verdict.FAIL
    assert "worst_category" in found.reason
    assert found.categories["small"]["ndcg_delta_rel"] == pytest.approx(-0.10)
    assert found.categories["small"]["n"] == 100


@pytest.mark.parametrize(
    ("loss", "n"),
    [
        (-0.01, 100),
        (0.05, 100),
        (-0.10, CATEGORY_QUERIES - 1),  # too few to show anything
    ],
)
def test_a_category_not_shown_to_be_worse_does_not(loss: float, n: int) -> None:
    assert with_category(loss, n).verdict is Verdict.PASS


@pytest.mark.parametrize(("before", "after"), [(0.5, 0.6), (0.0, 0.3), (0.5, 0.5), (0.0, 0.0)])
def test_a_category_without_spread_is_no_obstacle(before: float, after: float) -> None:
    candidate, baseline = pairs(0.08, 600)
    found = evaluate(
        np.concatenate([candidate, np.full(40, after)]),
        np.concatenate([baseline, np.full(40, before)]),
        ["large"] * 600 + ["flat"] * 40,
        FINE,
        GATES,
    )
    assert found.verdict is Verdict.PASS, found.reason


def test_a_category_that_lost_everything_blocks() -> None:
    candidate, baseline = pairs(0.20, 600)
    found = evaluate(
        np.concatenate([candidate, np.zeros(40)]),
        np.concatenate([baseline, np.full(40, 0.5)]),
        ["large"] * 600 + ["gone"] * 40,
        FINE,
        GATES,
    )
    assert found.verdict is Verdict.FAIL


def test_the_evaluation_is_written_as_plain_json() -> None:
    written = json.loads(json.dumps(judged().to_json(), allow_nan=False))
    assert written["verdict"] == "PASS"
    assert written["gain"]["delta_rel"] == pytest.approx(0.08)
    names = {guardrail["name"] for guardrail in written["guardrails"]}
    assert names == {"latency_p95_ms", "cost_per_1k_usd", "worst_category_upper_bound"}


def verdicts(gain: float, n: int, rounds: int, seed: int) -> Counter[Verdict]:
    """NDCG-like pairs: baseline mean 0.82, spread of a query's relative gain 0.18."""
    rng = np.random.default_rng(seed)
    counts: Counter[Verdict] = Counter()
    for _ in range(rounds):
        baseline = np.clip(rng.normal(0.82, 0.15, n), 0.05, 1.0)
        candidate = baseline * (1 + gain) + rng.normal(0, 0.18 * 0.82, n)
        found = evaluate(*shrunk(candidate, baseline), ["a"] * n, FINE, GATES)
        counts[found.verdict] += 1
    return counts


def test_equal_candidates_hardly_ever_pass() -> None:
    counts = verdicts(0.0, 300, 2000, seed=1)
    assert counts[Verdict.PASS] / 2000 <= 0.01  # by the gate; by the test alone it would be 5%
    assert counts[Verdict.ERROR] == 0


def test_better_candidates_mostly_pass() -> None:
    assert verdicts(0.05, 300, 500, seed=2)[Verdict.PASS] / 500 >= 0.90
    assert verdicts(0.08, 300, 200, seed=3)[Verdict.PASS] / 200 >= 0.99
    assert verdicts(-0.03, 300, 500, seed=4)[Verdict.PASS] == 0


def test_a_passing_gain_is_one_that_the_paired_test_shows() -> None:
    rng = np.random.default_rng(5)
    for _ in range(200):
        baseline = np.clip(rng.normal(0.6, 0.2, 80), 0.01, 1)
        candidate = baseline + rng.normal(rng.uniform(-0.05, 0.1), 0.15, 80)
        found = evaluate(*shrunk(candidate, baseline), ["a"] * 80, FINE, GATES)
        gain = paired_gain(candidate, baseline, alpha=0.05)
        shown = gain.delta_rel >= 0.03 and gain.p_value < 0.05
        worse = gain.ci_high < -0.02
        assert (found.verdict is Verdict.PASS) == (shown and not worse)
