"""A simulated year keeps the loop's promises, whatever happens in it, and can be told again."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from predator.simulation.year import candidates, weather
from predator.simulation.year.account import account, broken_promises, facts_of, hidden
from predator.simulation.year.loop import NEEDED
from predator.simulation.year.weather import Campaign
from predator.simulation.year.world import DAY_S
from predator.simulation.year.year import BEGAN, Year
from tests.simulation.year.years import NEVER, lived, year


def only(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """A year in which training brings one kind of candidates, and nothing else goes wrong."""
    monkeypatch.setattr(candidates, "KINDS", ((kind, 1.0),))
    monkeypatch.setattr(weather, "OUTAGES_MONTH", 0.0)
    monkeypatch.setattr(weather, "CAMPAIGNS_YEAR", 0.0)


@pytest.fixture(scope="module")
def twenty_days() -> Year:
    """Training brings good candidates only, and nobody takes the news."""
    with pytest.MonkeyPatch.context() as patch:
        only(patch, "better")
        made = year(20, seed=3)
        made.loop.weather.outages["notifier"] = [(BEGAN, NEVER)]
        made.advance(20)
    return made


def test_twenty_days_of_good_candidates_promote_one_and_break_no_promise(twenty_days: Year) -> None:
    found = account(twenty_days)
    assert found["broken_promises"] == []
    assert found["hidden"]["went_live"] >= 1 and found["hidden"]["drills_caught"] >= 1
    assert found["hidden"]["false_promotions"] == found["hidden"]["missed_regressions"] == 0
    assert found["truth"]["live"] > found["truth"]["holdout"]


def test_what_went_live_had_its_evidence_and_every_system(twenty_days: Year) -> None:
    tally, facts = twenty_days.loop.tally, twenty_days.loop.facts
    for gone in (one for one in tally.gone_live if not one.drill):
        assert gone.evidence == ("Release", "Evaluation", "Experiment", "Policy")
        assert facts[gone.cycle].offline == facts[gone.cycle].experiment == "PASS"
        assert not set(gone.down) & set(NEEDED)


def test_cycles_run_on_while_an_experiment_is_open(twenty_days: Year) -> None:
    facts = facts_of(twenty_days)
    assert 60 <= len(facts) / 20 * 30 <= 90
    assert sum(fact.verdict_at is not None for fact in facts) > 0.9 * len(facts)
    waiting = twenty_days.loop.governance.slots.holders(twenty_days.loop.target)
    assert len(waiting) == sum(not fact.outcome and fact.verdict_at is not None for fact in facts)


def test_candidates_that_are_worse_never_go_live(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, "worse")
    found = hidden(lived(10, seed=4))
    assert found["went_live"] == 0 and found["false_promotions"] == 0


def test_a_regression_that_hides_offline_is_stopped_by_its_users(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    only(monkeypatch, "hidden")
    passed = lived(9, seed=5)
    assert passed.loop.tally.experiments
    assert "PASS" not in passed.loop.tally.experiments
    assert hidden(passed)["went_live"] == 0


def test_click_fraud_ends_an_experiment_without_a_verdict_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    only(monkeypatch, "better")
    attacked = year(9, seed=6)
    attacked.loop.weather.campaigns = [Campaign(BEGAN, NEVER, 0.05, True)]
    attacked.advance(9)
    assert set(attacked.loop.tally.experiments) == {"INCONCLUSIVE"}
    assert hidden(attacked)["went_live"] == 0


@pytest.mark.parametrize("system", NEEDED)
def test_nothing_goes_live_while_a_system_is_down(
    system: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    only(monkeypatch, "better")
    down = year(10, seed=3)
    down.loop.weather.outages[system] = [(BEGAN, NEVER)]
    down.advance(10)
    assert not any(one.drill is False for one in down.loop.tally.gone_live)
    assert broken_promises(down) == []
    outcomes = {fact.outcome for fact in facts_of(down)}
    assert outcomes & {"error", "denied"}


@pytest.mark.parametrize("system", ["git", "deployer"])
def test_an_outage_at_the_end_of_an_experiment_keeps_its_winner_from_going_live(
    system: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    only(monkeypatch, "better")
    down = year(9, seed=3)
    down.advance(7)
    assert down.loop.tally.experiments == {}
    down.loop.weather.outages[system] = [(BEGAN + 7 * DAY_S, NEVER)]
    down.advance(2)
    assert down.loop.tally.experiments == {"PASS": 1}
    assert down.loop.tally.gone_live == []
    [ended] = [f for f in facts_of(down) if down.loop.facts[f.cycle_id].experiment == "PASS"]
    assert ended.outcome == "error"


def test_news_wait_for_the_notifier_and_nothing_else_does(twenty_days: Year) -> None:
    found = account(twenty_days)
    assert found["hidden"]["went_live"] >= 1
    assert found["notices"] == 0 and found["notices_waiting"] >= 1


def test_the_same_seed_is_the_same_year_to_the_last_byte() -> None:
    told = [json.dumps(account(lived(3, seed=7))) for _ in range(2)]
    assert told[0] == told[1]
    assert told[0] != json.dumps(account(lived(1, seed=8)))


def test_a_year_in_steps_is_the_year_at_once() -> None:
    steps = year(3, seed=9)
    for _ in range(3):
        steps.advance(1)
    assert account(steps) == account(lived(3, seed=9))


@given(seed=st.integers(0, 10_000))
@settings(max_examples=2, deadline=None)
def test_no_promise_is_broken_in_any_world(seed: int) -> None:
    found = account(lived(9, seed=seed))
    assert found["broken_promises"] == []
    assert found["hidden"]["missed_regressions"] == 0


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(2))
def test_a_whole_year_keeps_every_promise_and_gains(seed: int) -> None:
    found = account(lived(365, seed=100 + seed))
    by_name = {one["name"]: one for one in found["kpis"]}
    assert found["broken_promises"] == []
    assert found["hidden"]["gain_vs_holdout"]["ci_low"] > 0
    assert 60 <= by_name["cycles_per_month"]["current"] <= 80
    assert by_name["success_share"]["met"] and by_name["cycle_time_p95_s"]["met"]
    assert found["hidden"]["drills_caught"] == found["hidden"]["drills"] >= 8
