"""An experiment is planned before it starts and looked at until it is clear; whatever is odd is
never a PASS."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from scipy.stats import binom

from predator.domain.verdicts import Verdict
from predator.loop.experiment.evidence import Evidence, Limits, gather
from predator.loop.experiment.look import LEAST_USERS, look
from predator.loop.experiment.plan import Cuped, Plan, plan
from predator.loop.experiment.result import Point, Result
from predator.ports.feedback import Impression
from predator.statistics.evidence import information_needed
from tests.loop.impressions import by_share, impression, traffic

ALPHA, POWER = 0.05, 0.8
LIMITS = Limits(4.0, 0.15, 50.0, 0.5)
ARMS = {"inside": "candidate", "outside": "baseline"}
MIN_S, MAX_S = 100.0, 1000.0


def planned(
    history: Sequence[Impression], *, at_least: float = 0.1, rate: float = 20.0, **more: Any
) -> Plan:
    given = {"share": 0.2, "alpha": ALPHA, "power": POWER, "min_s": MIN_S, "max_s": MAX_S}
    return plan(history, 0.2, at_least, rate_per_s=rate, **{**given, **more})


@pytest.fixture(scope="module")
def history() -> list[Impression]:
    return traffic(np.random.default_rng(0), 2000)


@pytest.fixture(scope="module")
def trial(history: list[Impression]) -> Plan:
    return planned(history, at_least=0.2)


def arms(
    searches: int = 3000, lift: float = 0.3, share: float = 0.2, seed: int = 2, users: int = 900
) -> list[Impression]:
    arm = by_share("exp", share, **ARMS)
    rng = np.random.default_rng(seed)
    return traffic(rng, searches, arm, users=users, lift={"candidate": 1 + lift})


def looked(
    plan_: Plan,
    seen: Sequence[Impression],
    *,
    elapsed_s: float = 500.0,
    last: bool = False,
    **more: Any,
) -> Result:
    return look(
        plan_, gather(seen, LIMITS, **more), LIMITS, number=1, elapsed_s=elapsed_s, last=last
    )


class TestPlan:
    def test_it_names_what_is_measured_and_what_that_can_show(self, trial: Plan) -> None:
        told = json.loads(json.dumps(trial.to_json()))
        assert (told["metric"], told["evidence"]) == ("click_mrr", 20.0)
        assert [one["name"] for one in told["metrics"]] == [
            "click_mrr", "click_ndcg", "success", "abandonment", "csat", "latency_p95_ms",
            "failed_share", "cost_per_1k_usd",
        ]  # fmt: skip
        assert told["searches"] > told["users"] > 0
        assert told["min_s"] <= told["expected_s"] <= told["max_s"]

    def test_the_sample_shows_the_effect_that_it_declares(self, history: list[Impression]) -> None:
        one = planned(history, at_least=0.15)
        assert not one.limited and one.effect_rel == 0.15
        assert one.power_at_expected > 0.99
        variance = one.sd**2 / one.searches * (1 / 0.2 + 1 / 0.8) * one.design_effect
        left = variance * (1 - one.cuped.variance_reduction)
        assert one.effect_abs**2 / left == pytest.approx(information_needed(POWER), rel=0.01)

    def test_sticky_users_make_it_larger(self, history: list[Impression]) -> None:
        loners = [dataclasses.replace(i, user=f"n{n}") for n, i in enumerate(history)]
        sticky, alone = planned(history), planned(loners)
        assert (alone.icc, alone.design_effect, alone.users) == (0.0, 1.0, alone.searches)
        assert sticky.icc > 0.02 and sticky.searches > 1.2 * alone.searches

    def test_it_says_when_the_traffic_is_too_little(self, history: list[Impression]) -> None:
        one = planned(history, at_least=0.01, rate=0.5)
        assert one.limited and one.searches <= 500 and one.expected_s == MAX_S
        assert one.effect_rel > 0.1
        assert one.power_at_expected < 0.9

    def test_the_shortest_duration_is_kept(self, history: list[Impression]) -> None:
        one = planned(history, at_least=2.0, rate=50.0)
        assert one.expected_s == MIN_S and not one.limited

    def test_an_offline_gain_whose_lower_bound_is_zero_still_gets_a_plan(
        self, history: list[Impression]
    ) -> None:
        for at_least in (0.0, -0.2):
            assert planned(history, at_least=at_least).limited

    def test_the_past_of_users_is_used_where_it_tells_something(self) -> None:
        """Users who click always, or never; and users of whom nobody came twice."""
        rng = np.random.default_rng(3)
        habits = [impression(f"u{u}", clicks=(1,) * (u % 2)) for u in rng.integers(200, size=2000)]
        told = planned(habits).cuped
        assert told.used and told.rho == pytest.approx(1.0) and told.variance_reduction > 0.99
        lucky = [impression(f"u{n}", clicks=(1,) * (n % 2)) for n in range(2000)]
        assert planned(lucky).cuped == Cuped()

    @pytest.mark.parametrize(
        "history",
        [
            [],
            [impression(f"u{i}") for i in range(29)],
            [impression(f"u{i}") for i in range(100)],
            [impression(f"u{i}", clicks=(1,)) for i in range(100)],
            [impression("u", clicks=(1,) * (i % 2)) for i in range(100)],
        ],
        ids=["nothing", "too little", "no clicks", "no spread", "one user"],
    )
    def test_without_a_history_to_plan_from_there_is_no_plan(
        self, history: list[Impression]
    ) -> None:
        with pytest.raises(ValueError, match=r"searches|1 user"):
            planned(history)


class TestHonesty:
    def test_equal_releases_hardly_ever_pass_however_often_one_looks(self, trial: Plan) -> None:
        """A/A with sticky users, four looks each: at most 5% PASS (99.9% band). In full:
        ``tests/statistics/test_experiment_figures.py``."""
        rng, runs, passed = np.random.default_rng(5), 20, 0
        for number in range(runs):
            seen = traffic(rng, 1200, by_share(f"e{number}", 0.2, **ARMS), users=600)
            for part in range(1, 5):
                found = looked(trial, seen[: 300 * part], elapsed_s=200.0 * part)
                if found.ended:
                    break
            passed += found.verdict is Verdict.PASS
        assert passed <= binom.ppf(0.999, runs, ALPHA)


class TestLook:
    def test_a_clear_gain_passes_and_says_how_much(self, trial: Plan) -> None:
        found = looked(trial, arms())
        assert found.verdict is Verdict.PASS and found.ended
        assert found.difference is not None and found.difference.evidence >= 20
        assert found.difference.ci_low is not None
        assert found.difference.ci_low < found.difference.delta_rel < 2 * 0.3
        assert found.reason.startswith("click-MRR +") and "a gain is shown" in found.reason
        assert found.users["baseline"] > 3 * found.users["candidate"]
        assert {m.state for m in found.metrics} == {"holds"}
        assert json.loads(json.dumps(found.to_json()))["verdict"] == "PASS"

    def test_not_before_the_shortest_duration(self, trial: Plan) -> None:
        found = looked(trial, arms(), elapsed_s=MIN_S - 1)
        assert (found.verdict, found.ended) == (Verdict.INCONCLUSIVE, False)

    def test_a_clock_that_is_put_back_makes_no_last_look_a_pass(self, trial: Plan) -> None:
        found = looked(trial, arms(), elapsed_s=-5.0, last=True)
        assert (found.verdict, found.ended) == (Verdict.INCONCLUSIVE, True)

    def test_a_machine_that_slept_has_all_of_its_time_left(self, trial: Plan) -> None:
        seen = gather(arms(700, lift=0.0, seed=6), LIMITS)
        given: Any = {"number": 1, "elapsed_s": 5 * MAX_S, "last": False}
        assert look(trial, seen, LIMITS, **given).ended, "out of reach"
        assert not look(trial, seen, LIMITS, **given, left_s=0.9 * MAX_S).ended

    def test_a_shown_loss_fails_at_any_look(self, trial: Plan) -> None:
        found = looked(trial, arms(lift=-0.5), elapsed_s=10.0)
        assert found.verdict is Verdict.FAIL and "a loss is shown" in found.reason

    def test_looks_add_up_for_the_plot(self, trial: Plan) -> None:
        seen = arms(lift=0.05)
        points: Sequence[Point] = ()
        for number in range(1, 4):
            found = look(
                trial, gather(seen[: 400 * number], LIMITS), LIMITS,
                number=number, elapsed_s=10.0 * number, last=False, looks=points,
            )  # fmt: skip
            points = found.looks
        assert [(p.number, p.elapsed_s) for p in points] == [(1, 10.0), (2, 20.0), (3, 30.0)]
        assert points[0].n_a < points[1].n_a < points[2].n_a

    def test_at_the_longest_duration_it_is_inconclusive(self, trial: Plan) -> None:
        found = looked(trial, arms(lift=0.08, seed=4), elapsed_s=MAX_S, last=True)
        assert found.verdict is Verdict.INCONCLUSIVE and found.ended
        assert "in the longest duration" in found.reason

    def test_it_stops_early_where_the_gain_is_excluded_or_out_of_reach(
        self, history: list[Impression]
    ) -> None:
        excluded = looked(planned(history, at_least=0.3), arms(lift=0.0, seed=4))
        assert (excluded.verdict, excluded.ended) == (Verdict.INCONCLUSIVE, True)
        assert "is excluded" in excluded.reason
        late = looked(planned(history, at_least=0.1), arms(700, lift=0.0, seed=6), elapsed_s=990.0)
        assert (late.verdict, late.ended) == (Verdict.INCONCLUSIVE, True)
        assert "a chance of" in late.reason

    def test_a_gain_of_the_first_half_alone_does_not_pass(self, trial: Plan) -> None:
        arm = by_share("exp", 0.2, **ARMS)
        rng = np.random.default_rng(7)
        first = traffic(rng, 3000, arm, users=900, lift={"candidate": 1.8})
        rest = traffic(rng, 3000, arm, users=900, lift={"candidate": 0.9})
        rest = [dataclasses.replace(i, at=i.at + 3000.0) for i in rest]
        found = looked(trial, [*first, *rest])
        assert found.difference is not None and found.difference.evidence >= 20
        assert (found.verdict, found.ended) == (Verdict.INCONCLUSIVE, False)
        assert found.novelty is not None and found.novelty.first_rel is not None
        assert not found.novelty.holds and found.novelty.first_rel > 0.5
        assert "the second half of the time" in found.reason

    def test_a_sample_ratio_mismatch_is_inconclusive_however_good_it_looks(
        self, trial: Plan
    ) -> None:
        found = looked(trial, arms(share=0.35))
        assert (found.verdict, found.ended) == (Verdict.INCONCLUSIVE, True)
        assert found.reason.startswith("sample-ratio mismatch")
        odd = [i for i in arms() if i.variant == "candidate" or int(i.user[1:]) % 2]
        assert looked(trial, odd).verdict is Verdict.INCONCLUSIVE

    @pytest.mark.parametrize("empty", ["baseline", "candidate", "both"])
    def test_an_empty_arm_is_an_error_at_the_end(self, trial: Plan, empty: str) -> None:
        """With users in one arm alone, the sample ratio has told so long before."""
        seen = [i for i in arms() if empty not in (i.variant, "both")]
        assert looked(trial, seen, last=True).verdict is Verdict.ERROR

    def test_few_users_are_waited_for(self, trial: Plan) -> None:
        few = [i for i in arms() if int(i.user[1:]) < 2 * LEAST_USERS]
        found = looked(trial, few)
        assert (found.verdict, found.ended) == (Verdict.INCONCLUSIVE, False)
        assert "at least 50" in found.reason
        assert looked(trial, few, last=True).ended

    def test_strangers_to_the_experiment_do_not_count(self, trial: Plan) -> None:
        strangers = [impression(f"s{i}", "elsewhere", (1,)) for i in range(500)]
        assert looked(trial, strangers, last=True).verdict is Verdict.ERROR

    @pytest.mark.parametrize("arm", ["baseline", "candidate"])
    def test_missing_ratings_never_pass(self, trial: Plan, arm: str) -> None:
        seen = [dataclasses.replace(i, rating=None) if i.variant == arm else i for i in arms()]
        found = looked(trial, seen, last=True)
        assert found.verdict is Verdict.INCONCLUSIVE and "ratings are missing" in found.reason

    def test_a_single_rating_is_no_satisfaction(self, trial: Plan) -> None:
        seen = [dataclasses.replace(i, rating=None) for i in arms()]
        for arm in ("baseline", "candidate"):
            place = next(n for n, i in enumerate(seen) if i.variant == arm)
            seen[place] = dataclasses.replace(seen[place], rating=5)
        found = looked(trial, seen)
        assert found.verdict is not Verdict.PASS
        assert "ratings" in found.reason

    def test_dissatisfied_users_outweigh_clicks(self, trial: Plan) -> None:
        seen = [
            dataclasses.replace(i, rating=2) if i.rating and i.variant == "candidate" else i
            for i in arms()
        ]
        found = looked(trial, seen)
        assert found.verdict is Verdict.FAIL and "satisfaction 2.00" in found.reason

    def test_a_slow_candidate_fails_and_an_unmeasured_one_never_passes(self, trial: Plan) -> None:
        slow = [
            dataclasses.replace(i, latency_ms=80.0)
            if i.variant == "candidate" and i.at % 4 == 0
            else i
            for i in arms()
        ]
        found = looked(trial, slow)
        assert found.verdict is Verdict.FAIL and "longer than 50 ms" in found.reason
        unmeasured = [dataclasses.replace(i, latency_ms=0.0) for i in arms()]
        found = looked(trial, unmeasured)
        assert (found.verdict, found.ended) == (Verdict.INCONCLUSIVE, False)

    def test_a_candidate_that_fails_its_users_does_not_pass_on_those_it_answered(
        self, trial: Plan
    ) -> None:
        seen = arms()
        asked = [i.user for i in seen if i.variant == "candidate"]
        found = looked(trial, seen, failed={"candidate": asked[::8]})
        assert found.verdict is Verdict.FAIL
        assert "searches failed" in found.reason
        unlucky = looked(trial, seen, failed={"candidate": asked[:1] * 30})
        assert unlucky.verdict is Verdict.PASS, "one user's bad luck"
        both = {"candidate": asked[::8], "baseline": [i.user for i in seen[::8]]}
        assert looked(trial, seen, failed=both).verdict is not Verdict.FAIL

    def test_a_dear_candidate_fails(self, trial: Plan) -> None:
        assert looked(trial, arms(), cost_per_1k_usd=0.4).verdict is Verdict.PASS
        dear = looked(trial, arms(), cost_per_1k_usd=0.6)
        assert dear.verdict is Verdict.FAIL and "0.6 USD" in dear.reason

    def test_clicks_further_down_withhold_a_pass_of_more_clicks(self, trial: Plan) -> None:
        """The debiased click-NDCG falls where fewer clicks come from low ranks."""
        few = [
            dataclasses.replace(i, clicks=(1,) if i.clicks else ())
            if i.variant == "candidate"
            else dataclasses.replace(i, clicks=(2, 3, 4) if i.clicks else ())
            for i in arms(lift=0.0)
        ]
        found = looked(trial, few)
        assert found.verdict is Verdict.FAIL and "click_ndcg" in found.reason

    def test_without_clicks_in_the_baseline_nothing_passes(self, trial: Plan) -> None:
        seen = [dataclasses.replace(i, clicks=()) if i.variant == "baseline" else i for i in arms()]
        assert looked(trial, seen, last=True).verdict is Verdict.INCONCLUSIVE

    def test_another_release_in_an_arm_is_an_error(self, trial: Plan) -> None:
        wanted = {"baseline": "no such release", "candidate": "nor this"}
        assert looked(trial, arms(), releases=wanted).verdict is Verdict.ERROR

    def test_the_order_of_searches_does_not_matter(self, trial: Plan) -> None:
        seen = arms()
        shuffled = [seen[i] for i in np.random.default_rng(9).permutation(len(seen))]
        first, second = looked(trial, seen), looked(trial, shuffled)
        assert first.verdict is second.verdict is Verdict.PASS
        assert first.difference is not None and second.difference is not None
        assert first.difference.evidence == pytest.approx(second.difference.evidence)

    def test_the_past_of_users_makes_the_evidence_stronger(self, trial: Plan) -> None:
        """Corrected by what they did before, users who differ a lot are told apart from luck."""
        rng = np.random.default_rng(11)
        habit = {f"u{n}": float(rng.random()) for n in range(800)}
        arm = by_share("exp", 0.2, **ARMS)
        seen = [
            impression(u, arm(u), (1,) if rng.random() < habit[u] else (), at=float(n),
                       rating=5 if n % 5 == 0 else None)
            for n, u in enumerate(rng.choice(list(habit), 4000))
        ]  # fmt: skip
        used = dataclasses.replace(trial, cuped=dataclasses.replace(trial.cuped, used=True))
        plain = looked(trial, seen).difference
        found = looked(used, seen, before=habit, centre=0.5).difference
        assert plain is not None and found is not None
        assert found.variance_reduction > 0.3 and plain.variance_reduction == 0.0
        assert found.ci_high is not None and found.ci_low is not None
        assert plain.ci_high is not None and plain.ci_low is not None
        assert found.ci_high - found.ci_low < 0.9 * (plain.ci_high - plain.ci_low)

    def test_there_is_a_verdict_for_every_mess(self, trial: Plan) -> None:
        """Few users, no clicks, no ratings, one arm: an answer, never an exception or a PASS."""
        for users, clicked, rated, named in itertools.product(
            (0, 1, 2, 3, 80), ((), (1,)), (None, 5), (("baseline",), ("baseline", "candidate"))
        ):
            seen = [
                impression(f"{arm}{u}", arm, clicked, rating=rated)
                for arm in named
                for u in range(users)
            ]
            for last in (False, True):
                found = looked(trial, seen, last=last)
                assert found.verdict in (Verdict.ERROR, Verdict.INCONCLUSIVE)
                assert found.ended or not last

    def test_no_searches_are_no_evidence(self, trial: Plan) -> None:
        empty: Evidence = gather([], LIMITS)
        found = look(trial, empty, LIMITS, number=1, elapsed_s=0.0, last=False)
        assert (found.verdict, found.ended, found.difference) == (Verdict.INCONCLUSIVE, False, None)


class TestMachines:
    def test_a_flood_is_left_out_in_both_directions(self, trial: Plan) -> None:
        """A flood of clicks buys no PASS; a flood without clicks sinks no good candidate."""
        equal = arms(lift=0.0, seed=4)
        bought = looked(trial, [*equal, *(self.flood((1,)))])
        assert bought.verdict is not Verdict.PASS
        assert bought.excluded.reasons == {"flood": 1}
        assert bought.difference == looked(trial, equal).difference
        assert looked(trial, [*arms(), *self.flood(())]).verdict is Verdict.PASS

    def flood(self, clicks: tuple[int, ...]) -> list[Impression]:
        return [impression("bot", "candidate", clicks, at=float(i)) for i in range(1000)]

    def test_a_person_may_search_a_lot(self, trial: Plan) -> None:
        busy = [
            impression("busy", "baseline", (1,) if i % 2 else (), at=float(i)) for i in range(50)
        ]
        assert looked(trial, [*arms(), *busy]).excluded.users == 0

    def test_two_in_a_hundred_put_the_data_in_quarantine(self, trial: Plan) -> None:
        seen = arms()
        users = len({i.user for i in seen})
        machines = [
            impression(f"m{m}", "candidate" if m % 5 == 0 else "baseline", (1,), at=m + i / 50)
            for m in range(round(0.03 * users))
            for i in range(200)
        ]
        found = looked(trial, [*seen, *machines])
        assert (found.verdict, found.ended) == (Verdict.INCONCLUSIVE, True)
        assert found.excluded.quarantined and "quarantine" in found.reason

    def test_whom_the_candidate_finds_nothing_are_not_left_out_as_machines(
        self, trial: Plan
    ) -> None:
        """One in twelve of the candidate's users never gets anything to click; the others click
        more."""
        seen = arms(60_000, lift=0.1, users=2000)
        hurt = set(sorted({i.user for i in seen if i.variant == "candidate"})[::12])
        seen = [
            dataclasses.replace(i, clicks=(), rating=None) if i.user in hurt else i for i in seen
        ]
        found = looked(trial, seen)
        assert found.excluded.reasons["constant"] > 10 and not found.excluded.quarantined
        assert found.verdict is Verdict.INCONCLUSIVE
        assert "different shares of their users" in found.reason

    def test_who_is_answered_by_both_arms_is_left_out(self, trial: Plan) -> None:
        torn = [impression("torn", arm, (1,)) for arm in ("baseline", "candidate")]
        found = looked(trial, [*arms(), *torn])
        assert found.excluded.reasons == {"both_arms": 1}

    def test_clicks_that_are_all_alike_do_not_carry_a_gain(self, trial: Plan) -> None:
        """A tenth of the users always click from one arm and never from the other; of all others
        the candidate gets fewer clicks."""
        people = arms(12_000, lift=-0.1, users=2500)
        arm = by_share("exp", 0.2, **ARMS)
        paid = [
            impression(f"p{u}", arm(f"p{u}"), (1,) if arm(f"p{u}") == "candidate" else (),
                       at=float(2000 * n + u))
            for n in range(6) for u in range(500)
        ]  # fmt: skip
        found = looked(trial, [*people, *paid])
        assert found.difference is not None and found.difference.evidence >= 20
        assert (found.verdict, found.ended) == (Verdict.INCONCLUSIVE, False)
        assert "click alike in every search" in found.reason
