"""An experiment is planned before it starts and judged once; whatever is odd is never a PASS."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Sequence

import numpy as np
import pytest
from scipy.stats import binom

from predator.domain.verdicts import Verdict
from predator.loop.experiment import BOT_SEARCHES, Plan, judge, plan
from predator.ports.feedback import Impression
from tests.loop.impressions import by_share, impression, traffic

ALPHA, POWER, CSAT = 0.05, 0.8, 4.0
ARMS = {"inside": "candidate", "outside": "baseline"}


def planned(
    history: Sequence[Impression], *, at_least: float = 0.1, most: int = 100_000, least: int = 100
) -> Plan:
    return plan(
        history,
        0.2,
        at_least,
        share=0.2,
        alpha=ALPHA,
        power=POWER,
        searches_at_most=most,
        searches_at_least=least,
    )


@pytest.fixture(scope="module")
def history() -> list[Impression]:
    return traffic(np.random.default_rng(0), 2000)


def passes(
    runs: int, searches: int, lift: float, *, users: int, seed: int = 0
) -> tuple[int, dict[Verdict, int]]:
    """How many of ``runs`` experiments with a true gain of ``lift`` PASS, and all verdicts."""
    rng = np.random.default_rng(seed)
    plan_ = planned(traffic(rng, 2000), least=searches, most=searches)
    verdicts = dict.fromkeys(Verdict, 0)
    for number in range(runs):
        arm = by_share(f"exp-{seed}-{number}", 0.2, **ARMS)
        seen = traffic(rng, searches, arm, users=users, lift={"candidate": 1 + lift})
        verdicts[judge(plan_, seen, CSAT, POWER).verdict] += 1
    return verdicts[Verdict.PASS], verdicts


class TestPlan:
    def test_the_sample_shows_the_effect_that_it_declares(self, history: list[Impression]) -> None:
        one = planned(history)
        assert not one.limited
        assert one.effect_rel == pytest.approx(0.1, rel=0.02)
        assert one.power_at_expected > 0.99
        assert planned(history, at_least=0.05).searches > 3.9 * one.searches
        assert json.loads(json.dumps(one.to_json()))["metric"] == "click_mrr"

    def test_it_says_when_the_traffic_is_too_little(self, history: list[Impression]) -> None:
        one = planned(history, at_least=0.01, most=500)
        assert one.limited and one.searches == 500
        assert one.effect_rel > 0.1
        assert one.power_at_expected < 0.9

    def test_the_shortest_duration_is_kept(self, history: list[Impression]) -> None:
        one = planned(history, at_least=2.0, least=700)
        assert one.searches == 700 and not one.limited

    def test_an_offline_gain_whose_lower_bound_is_zero_still_gets_a_plan(
        self, history: list[Impression]
    ) -> None:
        for at_least in (0.0, -0.2):
            assert planned(history, at_least=at_least, most=5000).searches == 5000

    @pytest.mark.parametrize(
        "history",
        [
            [],
            [impression(f"u{i}") for i in range(29)],
            [impression(f"u{i}") for i in range(100)],
            [impression(f"u{i}", clicks=(1,)) for i in range(100)],
        ],
        ids=["nothing", "too little", "no clicks", "no spread"],
    )
    def test_without_a_history_to_plan_from_there_is_no_plan(
        self, history: list[Impression]
    ) -> None:
        with pytest.raises(ValueError, match="searches"):
            planned(history)


class TestHonesty:
    def test_equal_releases_hardly_ever_pass(self) -> None:
        """A/A with sticky users of several searches each: at most 5% PASS (99.9% band of 300)."""
        runs = 300
        passed, verdicts = passes(runs, 900, 0.0, users=250)
        assert passed <= binom.ppf(0.999, runs, ALPHA), verdicts
        assert verdicts[Verdict.ERROR] == 0

    @pytest.mark.nightly
    def test_equal_releases_hardly_ever_pass_at_length(self) -> None:
        runs = 1200
        for users in (120, 2000):
            passed, verdicts = passes(runs, 900, 0.0, users=users, seed=users)
            assert passed <= binom.ppf(0.999, runs, ALPHA), verdicts

    def test_a_real_gain_passes_with_about_the_power_declared(self) -> None:
        """Planned for +20% at 80%, truly +20%: 77% PASS in the long run, since the better arm
        spreads wider than the history that the plan knows."""
        history = traffic(np.random.default_rng(1), 3000)
        searches = planned(history, at_least=0.2).searches
        passed, verdicts = passes(120, searches, 0.2, users=searches, seed=3)
        assert passed >= binom.ppf(0.001, 120, 0.77), verdicts

    def test_a_real_loss_never_passes(self) -> None:
        passed, verdicts = passes(60, 2000, -0.3, users=500, seed=5)
        assert passed == 0
        assert verdicts[Verdict.FAIL] >= 50


class TestJudge:
    def arms(
        self, searches: int = 3000, lift: float = 0.3, share: float = 0.2, seed: int = 2
    ) -> list[Impression]:
        arm = by_share("exp", share, **ARMS)
        rng = np.random.default_rng(seed)
        return traffic(rng, searches, arm, users=900, lift={"candidate": 1 + lift})

    def verdict(self, plan_: Plan, seen: Sequence[Impression]) -> Verdict:
        return judge(plan_, seen, CSAT, POWER).verdict

    def test_a_clear_gain_passes_and_says_how_much(self, history: list[Impression]) -> None:
        found = judge(planned(history, most=600), self.arms(), CSAT, POWER)
        assert found.verdict is Verdict.PASS
        assert found.difference is not None and found.difference.lower_bound > 0
        assert found.reason.startswith("click-MRR +") and "one look" in found.reason
        assert found.users["baseline"] > 3 * found.users["candidate"]
        assert json.loads(json.dumps(found.to_json()))["verdict"] == "PASS"

    def test_without_a_gain_it_is_inconclusive_and_names_too_little_traffic(
        self, history: list[Impression]
    ) -> None:
        weak = planned(history, at_least=0.01, most=100)
        found = judge(weak, self.arms(lift=0.0, seed=4), CSAT, POWER)
        assert found.verdict is Verdict.INCONCLUSIVE
        assert found.reason.endswith("(the plan had too little traffic)")

    def test_a_shown_loss_fails(self, history: list[Impression]) -> None:
        found = judge(planned(history, most=600), self.arms(lift=-0.5), CSAT, POWER)
        assert found.verdict is Verdict.FAIL and "a loss is shown" in found.reason

    def test_a_sample_ratio_mismatch_is_inconclusive_however_good_it_looks(
        self, history: list[Impression]
    ) -> None:
        found = judge(planned(history, most=600), self.arms(share=0.35), CSAT, POWER)
        assert found.verdict is Verdict.INCONCLUSIVE
        assert found.reason.startswith("sample-ratio mismatch")
        odd = [i for i in self.arms() if i.variant == "candidate" or int(i.user[1:]) % 2]
        assert self.verdict(planned(history, most=600), odd) is Verdict.INCONCLUSIVE

    @pytest.mark.parametrize("empty", ["baseline", "candidate", "both"])
    def test_an_empty_arm_is_an_error(self, history: list[Impression], empty: str) -> None:
        seen = [i for i in self.arms() if empty not in (i.variant, "both")]
        assert self.verdict(planned(history, most=600), seen) is Verdict.ERROR

    def test_strangers_to_the_experiment_do_not_count(self, history: list[Impression]) -> None:
        strangers = [impression(f"s{i}", "elsewhere", (1,)) for i in range(500)]
        assert self.verdict(planned(history, most=600), strangers) is Verdict.ERROR

    @pytest.mark.parametrize("arm", ["baseline", "candidate"])
    def test_missing_ratings_never_pass(self, history: list[Impression], arm: str) -> None:
        seen = [dataclasses.replace(i, rating=None) if i.variant == arm else i for i in self.arms()]
        found = judge(planned(history, most=600), seen, CSAT, POWER)
        assert found.verdict is Verdict.INCONCLUSIVE and "ratings are missing" in found.reason

    def test_dissatisfied_users_outweigh_clicks(self, history: list[Impression]) -> None:
        seen = [
            dataclasses.replace(i, rating=2) if i.rating and i.variant == "candidate" else i
            for i in self.arms()
        ]
        found = judge(planned(history, most=600), seen, CSAT, POWER)
        assert found.verdict is Verdict.FAIL and "satisfaction 2.00" in found.reason

    def test_without_clicks_in_the_baseline_it_is_an_error(self, history: list[Impression]) -> None:
        seen = [
            dataclasses.replace(i, clicks=()) if i.variant == "baseline" else i for i in self.arms()
        ]
        assert self.verdict(planned(history, most=600), seen) is Verdict.ERROR

    def test_bots_are_left_out_in_both_directions(self, history: list[Impression]) -> None:
        """A flood of clicks buys no PASS; a flood without clicks sinks no good candidate."""
        equal = self.arms(lift=0.0, seed=4)
        bot = [
            impression("bot", "candidate", (1,), rating=5, at=i) for i in range(BOT_SEARCHES + 1)
        ]
        bought = judge(planned(history, most=600), [*equal, *bot, *bot], CSAT, POWER)
        assert bought.verdict is not Verdict.PASS
        assert bought.excluded_users == 1
        assert bought.difference == judge(planned(history, most=600), equal, CSAT, POWER).difference
        saboteur = [impression("bot", "candidate", at=i) for i in range(1000)]
        assert self.verdict(planned(history, most=600), [*self.arms(), *saboteur]) is Verdict.PASS

    def test_a_person_may_search_a_lot(self, history: list[Impression]) -> None:
        busy = [impression("busy", "baseline", (1,), at=i) for i in range(BOT_SEARCHES)]
        assert (
            judge(planned(history, most=600), [*self.arms(), *busy], CSAT, POWER).excluded_users
            == 0
        )

    def test_the_order_of_searches_does_not_matter(self, history: list[Impression]) -> None:
        seen = self.arms()
        shuffled = [seen[i] for i in np.random.default_rng(9).permutation(len(seen))]
        first, second = (
            judge(planned(history, most=600), s, CSAT, POWER) for s in (seen, shuffled)
        )
        assert first.verdict is second.verdict
        assert first.difference is not None and second.difference is not None
        assert first.difference.p_value == pytest.approx(second.difference.p_value)

    def test_there_is_a_verdict_for_every_mess(self, history: list[Impression]) -> None:
        """Few users, no clicks, no ratings, one arm: an answer, never an exception or a PASS."""
        plan_ = planned(history)
        for users, clicked, rated, arms in itertools.product(
            (0, 1, 2, 3), ((), (1,)), (None, 5), (("baseline",), ("baseline", "candidate"))
        ):
            seen = [
                impression(f"{arm}{u}", arm, clicked, rating=rated)
                for arm in arms
                for u in range(users)
            ]
            assert self.verdict(plan_, seen) in (Verdict.ERROR, Verdict.INCONCLUSIVE)

    def test_fewer_searches_than_declared_are_not_judged(self, history: list[Impression]) -> None:
        one = planned(history, least=5000, most=5000)
        found = judge(one, self.arms(lift=0.5), CSAT, POWER)
        assert found.verdict is Verdict.INCONCLUSIVE
        assert "declared" in found.reason

    def test_another_release_in_an_arm_is_an_error(self, history: list[Impression]) -> None:
        wanted = {"baseline": "no such release", "candidate": "nor this"}
        one = planned(history, most=600)
        assert judge(one, self.arms(), CSAT, POWER, wanted).verdict is Verdict.ERROR
