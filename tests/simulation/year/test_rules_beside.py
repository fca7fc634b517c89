"""The rules that the loop is compared with do what they are said to do, in the same worlds."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from benchmarks import year as benchmark
from predator.config import load_settings
from predator.domain.verdicts import Verdict, WatchDecision
from predator.loop.evaluate import Measured
from predator.ports.ledger import GoldReading
from predator.simulation.year.served import Served
from predator.simulation.year.world import DAY_S

SETTINGS = load_settings({"contour": "edge-oracle"})
READING = GoldReading("gold", "c:1", 900, "LOND", 0.05, 1e-6, (), 0.04, 0.01, 0.0)


def served(gain: float, n: int = 20_000, window: int = 1) -> Served:
    """Half of the searches in each arm; arm 1 is clicked ``gain`` more often, always on top."""
    rng = np.random.default_rng(1)
    arm = np.arange(n) % 2
    clicked = rng.random(n) < 0.5 * (1 + gain * arm)
    whole = np.zeros(n, np.intp)
    return Served(
        np.linspace(0, 1, n), np.arange(n), arm, whole, whole, np.where(clicked, 0, 10), whole,
        np.full(n, 10.0), np.full(n, np.nan), np.zeros(n, bool), np.full(n, window, np.intp),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "gain", "verdict"),
    [("spec", 0.04, "PASS"), ("spec", 0.02, "FAIL"), ("peeking", 0.02, "PASS")],
)
def test_offline_one_asks_a_point_gain_and_the_other_a_test_at_five_percent(
    rule: str, gain: float, verdict: str
) -> None:
    rng = np.random.default_rng(2)
    baseline = rng.uniform(0.3, 0.8, 1000)
    candidate = baseline * (1 + gain) + rng.normal(0, 0.02, 1000)
    rules = benchmark.Simple(SETTINGS, rule)
    found = rules.gate(candidate, baseline, ["a"] * 1000, Measured(10, 10, 0.1), READING)
    assert found.verdict == verdict
    slow = rules.gate(candidate, baseline, ["a"] * 1000, Measured(60, 90, 0.1), READING)
    assert slow.verdict is Verdict.FAIL


@pytest.mark.parametrize(
    ("rule", "gain", "days", "verdict"),
    [
        ("spec", 0.08, 6, None),
        ("spec", 0.08, 7, "PASS"),
        ("spec", -0.05, 7, "FAIL"),
        ("peeking", 0.08, 1, "PASS"),
        ("peeking", 0.0, 1, None),
        ("peeking", -0.08, 1, "FAIL"),
        ("patient", 0.08, 6, None),
        ("patient", 0.08, 7, "PASS"),
    ],
)
def test_an_experiment_ends_by_the_rule(
    rule: str, gain: float, days: int, verdict: str | None
) -> None:
    trial = benchmark.SimpleTrial(rule, SETTINGS)
    found = trial.look(served(gain), days * DAY_S, last=False)
    assert (found and found[0]) == verdict


def test_an_experiment_without_a_difference_fails_at_its_last_look() -> None:
    found = benchmark.SimpleTrial("peeking", SETTINGS).look(served(0.0), 14 * DAY_S, last=True)
    assert found is not None and found[0] is Verdict.FAIL


def test_the_watch_of_the_spec_takes_back_what_is_below_its_baseline_by_any_amount() -> None:
    clicked = float(served(0.0).click_mrr[::2].mean())
    for baseline, decision in ((clicked + 1e-6, "ROLL_BACK"), (clicked - 1e-6, "HOLD")):
        found = benchmark.SimpleWatch("spec", baseline, SETTINGS).look(1, served(0.0))
        assert found[0] == decision
    kept = benchmark.SimpleWatch("spec", 0.0, SETTINGS).look(12, served(0.0, window=12))
    assert kept[0] is WatchDecision.KEEP and kept[2]


def test_the_peeking_watch_compares_with_the_hold_back() -> None:
    watch = benchmark.SimpleWatch("peeking", 1.0, SETTINGS)
    assert watch.look(1, served(0.1))[0] is WatchDecision.ROLL_BACK
    assert watch.look(1, served(0.0))[0] is WatchDecision.HOLD
    assert watch.look(1, served(-0.1))[0] is WatchDecision.HOLD


def test_years_are_summed_and_a_broken_promise_fails_the_benchmark() -> None:
    years = [benchmark.lived(("peeking", seed, 2)) for seed in (1, 2)]
    row = benchmark.summed("peeking", years)
    assert row["years"] == 2 and row["went_live"] == 0 and row["broken_promises"] == 0
    json.dumps([row, benchmark.summed("peeking", years[:1])], allow_nan=False)
    good = {
        **row, "cumulative_gain": 0.1, "true_gain_at_the_end": 0.1, "true_gain_error": 0.01,
        "years_with_a_gain_shown": 2,
    }  # fmt: skip
    assert benchmark._failed(good) == 0
    for name, value in (
        ("worse_than_gold_at_the_end", 1),
        ("broken_promises", 1),
        ("cumulative_gain", -0.01),
        ("true_gain_at_the_end", 0.01),
        ("years_with_a_gain_shown", 1),
    ):
        assert benchmark._failed({**good, name: value}) == 1


def test_searches_that_failed_count_as_no_click() -> None:
    bad = served(0.0)
    bad = replace(bad, failed=bad.arm == 1)
    assert benchmark._difference(bad, 0, 1)[0] == pytest.approx(-1.0)
    assert benchmark._difference(bad.none(), 0, 1) == (0.0, 0.0)
