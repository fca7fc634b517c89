"""The pieces of the simulated year: its clock, its world, its crowd, and the faster arithmetic."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

from predator.loop.experiment.evidence import ARMS, Limits, gather
from predator.simulation.year import candidates
from predator.simulation.year.crowd import HOLDOUT, PEOPLE, Crowd
from predator.simulation.year.gathered import gathered, past_of
from predator.simulation.year.gold import QUERIES, SPREAD_REL, Gold
from predator.simulation.year.identities import suspects
from predator.simulation.year.served import NO_CLICK, PAGES, Served
from predator.simulation.year.timeline import Flow, Timeline
from predator.simulation.year.weather import Campaign, Outage, Weather
from predator.simulation.year.world import DAY_S, NOVELTY_S, Chances, World
from predator.simulation.year.year import BEGAN
from predator.statistics import fraud
from predator.statistics.cluster_moments import Moments

LIMITS = Limits(4.0, 0.15, 50.0, 0.5)


def test_flows_go_on_in_the_order_of_their_moments() -> None:
    seen: list[tuple[str, float]] = []
    clock = Timeline(100.0)

    def flow(name: str, *waits: float) -> Flow[None]:
        seen.append((name, clock.now()))
        for wait in waits:
            yield wait
            seen.append((name, clock.now()))

    clock.spawn(flow("a", 5.0, 5.0))
    clock.spawn(flow("b", 7.0), after_s=1.0)
    clock.run(106.0)
    assert seen == [("a", 100.0), ("b", 101.0), ("a", 105.0)]
    assert clock.now() == 106.0
    clock.run(200.0)
    assert seen[3:] == [("b", 108.0), ("a", 110.0)]


def test_a_release_that_stays_loses_and_one_that_is_trained_does_not() -> None:
    world = World(1, BEGAN, 365)
    first, later = world.first(), BEGAN + 300 * DAY_S
    values = [world.truth(first, BEGAN + day * DAY_S) for day in (0, 100, 200, 300)]
    assert values[0] > values[1] > values[3]
    made, _ = candidates.train(world, first, "c", later, np.random.default_rng(1))
    assert world.truth(made, later) > 1.05 * world.truth(first, later)


def test_gold_has_the_mean_of_its_topics_and_the_same_quirks_each_time() -> None:
    world = World(2, BEGAN, 365)
    gold, first = Gold(2, world), world.first()
    scores = gold.scores(first, BEGAN)
    assert scores.shape == (QUERIES,) and scores.min() >= 0 and scores.max() <= 1
    assert scores.mean() == pytest.approx(world.truth(first, BEGAN), abs=0.02)
    assert np.array_equal(scores, gold.scores(first, BEGAN))
    other, _ = candidates.train(world, first, "c1", BEGAN, np.random.default_rng(1))
    paired = gold.scores(other, BEGAN) - scores
    assert paired.std() / scores.mean() == pytest.approx(SPREAD_REL, abs=0.02)


def test_gold_speaks_the_language_of_the_day_on_which_it_was_judged() -> None:
    world = World(2, BEGAN, 365)
    gold, first = Gold(2, world), world.first()
    assert np.array_equal(gold.scores(first, BEGAN), gold.scores(first, BEGAN + 29 * DAY_S))
    assert gold.scores(first, BEGAN + 31 * DAY_S).mean() < gold.scores(first, BEGAN).mean()


def test_users_keep_their_arm_and_the_hold_out_is_never_in_an_experiment() -> None:
    world = World(3, BEGAN, 30)
    crowd, first = Crowd(3, world), world.first()
    days = [
        crowd.searches("exp", (first, first), 0.2, BEGAN + d * DAY_S, BEGAN + (d + 1) * DAY_S, 8000)
        for d in range(2)
    ]
    arms: dict[int, int] = {}
    for served in days:
        for user, arm in zip(served.user.tolist(), served.arm.tolist(), strict=True):
            assert arms.setdefault(user, arm) == arm
    share = sum(arms.values()) / len(arms)
    assert share == pytest.approx(0.2, abs=0.02)
    (held, _), (rest, _) = crowd.panel(first, BEGAN, 8000)
    assert not set(held.tolist()) & (set(rest.tolist()) | arms.keys())
    assert len(set(held.tolist())) < 2 * HOLDOUT * PEOPLE


def test_a_better_release_is_clicked_higher_and_a_broken_one_lower() -> None:
    world = World(4, BEGAN, 30)
    crowd, first = Crowd(4, world), world.first()
    bad = candidates.bad_release(first, "d", np.random.default_rng(1))
    served = crowd.searches("exp", (first, bad), 0.5, BEGAN, BEGAN + DAY_S, 20_000)
    means = [served.click_mrr[served.arm == arm].mean() for arm in (0, 1)]
    assert means[1] < 0.95 * means[0]
    ndcg = served.ndcg[(served.arm == 0) & ~np.isnan(served.ndcg)]
    assert ndcg.mean() == pytest.approx(world.truth(first, BEGAN), abs=0.02)


def test_curiosity_passes() -> None:
    world = World(5, BEGAN, 30)
    crowd, first = Crowd(5, world), world.first()
    values = {field.name: getattr(first, field.name) for field in fields(first)}
    new = type(first)(**{**values, "novelty": 0.3, "novel_from": BEGAN})
    gains = []
    for start in (BEGAN, BEGAN + 6 * NOVELTY_S):
        served = crowd.searches("exp", (first, new), 0.5, start, start + DAY_S, 20_000)
        means = [served.click_mrr[served.arm == arm].mean() for arm in (0, 1)]
        gains.append(means[1] / means[0] - 1)
    assert gains[0] > 0.1 and abs(gains[1]) < 0.04


def test_an_outage_is_named_and_the_largest_attack_is_the_one_that_counts() -> None:
    weather = Weather(6, BEGAN, 365)
    weather.outages = {"git": [(BEGAN, BEGAN + 10)], "metrics": []}
    weather.campaigns = [Campaign(0, 10, 0.01, True), Campaign(5, 20, 0.02, False)]
    assert weather.down(BEGAN + 9) == ["git"] and weather.down(BEGAN + 10) == []
    weather.need(BEGAN, "metrics")
    with pytest.raises(Outage, match="git does not answer"):
        weather.need(BEGAN, "metrics", "git")
    assert weather.campaign(6, 8) == weather.campaigns[1]
    assert weather.campaign(21, 30) is None


def test_streams_of_chance_do_not_shift_each_other() -> None:
    chances = Chances(7)
    alone = chances.of("a", 1).random(3)
    chances.of("b", 1).random(100)
    assert np.array_equal(chances.of("a", 1).random(3), alone)
    assert not np.array_equal(chances.of("a", 2).random(3), alone)


def served(seed: int, campaign: Campaign | None, errors: bool = False) -> tuple[Served, Served]:
    """A week's history and two days of an experiment."""
    world = World(seed, BEGAN, 30)
    crowd, first = Crowd(seed, world), world.first()
    bad = candidates.deployed(first, BEGAN, np.random.default_rng(seed), float(errors))
    history = crowd.searches("history", (first,), 0.0, BEGAN - 7 * DAY_S, BEGAN, 3_000)
    parts = [
        crowd.searches(
            "exp", (first, bad), 0.3, BEGAN + d * DAY_S, BEGAN + (d + 1) * DAY_S, 1_500, campaign
        )
        for d in range(2)
    ]
    return history, parts[1].after(parts[0])


CAMPAIGNS = [None, Campaign(BEGAN, BEGAN * 2, 0.03, True), Campaign(BEGAN, BEGAN * 2, 0.02, False)]


@pytest.mark.parametrize("campaign", CAMPAIGNS, ids=["people", "flood", "slow"])
@pytest.mark.parametrize("seed", [1, 2])
def test_the_sums_by_columns_are_those_of_the_decider(seed: int, campaign: Campaign | None) -> None:
    history, seen = served(seed, campaign, errors=seed == 2)
    mean = float(history.click_mrr.mean())
    fast = gathered(seen, LIMITS, past_of(history, PEOPLE), mean, 0.2)
    means = past_of(history, PEOPLE)
    past = {f"u{user}": float(means[user]) for user in np.flatnonzero(~np.isnan(means))}
    slow = gather(seen.impressions(ARMS), LIMITS, before=past, centre=mean, cost_per_1k_usd=0.2)
    assert fast.searches == slow.searches and fast.identities == slow.identities
    assert dict(fast.excluded) == dict(slow.excluded)
    assert fast.cost_per_1k_usd == slow.cost_per_1k_usd
    for arm in ARMS:
        quick, whole = fast.arms[arm], slow.arms[arm]
        assert quick.metrics.keys() == whole.metrics.keys()
        for field in fields(quick):
            ours, theirs = getattr(quick, field.name), getattr(whole, field.name)
            sums = zip(ours.values(), theirs.values(), strict=True) if isinstance(ours, dict) else (
                [(ours, theirs)]
            )  # fmt: skip
            for mine, its in sums:
                left, right = (
                    [getattr(one, f.name) for f in fields(Moments)]
                    if isinstance(one, Moments)
                    else [one]
                    for one in (mine, its)
                )
                assert left == pytest.approx(right, rel=1e-9, abs=1e-6), (arm, field.name)


@pytest.mark.parametrize("seed", range(6))
def test_identities_are_flagged_as_the_decider_flags_them(seed: int) -> None:
    """Crowded, so that each rule applies to somebody."""
    rng = np.random.default_rng(seed)
    n = 4_000
    user = np.where(rng.random(n) < 0.3, rng.integers(0, 5, n), rng.integers(5, 400, n))
    odd = rng.random(n) < 0.5
    first = np.where((user % 7 == 3) & (user < 60), 2, rng.integers(0, NO_CLICK + 1, n))
    page = np.where((user % 11 == 4) & (user < 120), 7, rng.integers(0, PAGES, n))
    first = np.where((user % 11 == 4) & (user < 120), 0, first)
    nothing = np.zeros(n, np.intp)
    at = np.where(user == 20, np.floor(rng.uniform(0, 50, n)), rng.uniform(0, 1e5, n))
    seen = Served(
        at, user, nothing, nothing, page, first, nothing, np.ones(n), np.full(n, np.nan),
        odd & ~odd, nothing,
    )  # fmt: skip
    documents = seen.topic * PAGES + (seen.page + seen.first) % PAGES
    theirs = fraud.suspects(
        user.tolist(),
        at.tolist(),
        [(place + 1,) if place < NO_CLICK else () for place in first.tolist()],
        [
            [document] if place < NO_CLICK else []
            for document, place in zip(documents.tolist(), first.tolist(), strict=True)
        ],
    )
    assert suspects(seen, at, documents) == theirs
    assert {str(why) for why in theirs.values()} >= {"flood", "document", "constant"}
    assert suspects(seen.none(), at[:0], documents[:0]) == {}
