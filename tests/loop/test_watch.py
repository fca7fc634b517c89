"""The watch is neither jumpy nor blind, and no data never counts as good news."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from predator.domain.errors import InputError
from predator.domain.verdicts import WatchDecision
from predator.loop.watch.before import CLICK_MRR, NDCG, Arm, Before, before
from predator.loop.watch.look import EVIDENCE, Look, look
from predator.ports.feedback import Impression
from tests.loop.impressions import by_share, impression, traffic
from tests.loop.watched import arm, baseline, planned

KEEP, HOLD, ROLL_BACK = WatchDecision
LOOKS, PER_LOOK, SHARE = 6, 300, 0.2
ARMS = {"inside": "holdback", "outside": "live"}


def look_at(number: int, found: Before, seen: Sequence[Impression], **changes: Any) -> Look:
    return look(
        number,
        planned(found, **changes),
        found,
        arm([i for i in seen if i.variant == "live"]),
        arm([i for i in seen if i.variant == "holdback"]),
    )


def watched(
    number: int,
    drop: float,
    rng: np.random.Generator,
    *,
    share: float = SHARE,
    per_look: int = PER_LOOK,
    users: int = 900,
) -> Look:
    """The look that decides about a release that truly lost ``drop``."""
    to_arm = by_share(f"watch-{number}", share, **ARMS)
    found = baseline(traffic(rng, 1500, users=900))
    seen: list[Impression] = []
    for turn in range(1, LOOKS + 1):
        seen += traffic(rng, per_look, to_arm, users=users, lift={"live": 1 - drop})
        looked = look_at(turn, found, seen, share=share, share_max=share)
        if looked.decision is not HOLD:
            return looked
    return looked


class TestFigures:
    def test_an_equal_release_is_kept(self) -> None:
        """At most 5% false rollbacks (99.9% band), and nothing ends undecided."""
        runs, rng = 50, np.random.default_rng(0)
        decisions = [watched(number, 0.0, rng).decision for number in range(runs)]
        assert decisions.count(ROLL_BACK) <= binom.ppf(0.999, runs, 0.05)
        assert decisions.count(HOLD) == 0

    @pytest.mark.parametrize(("often", "seldom"), [(0.7, 0.45), (0.45, 0.7)])
    def test_so_is_one_whose_users_find_more_or_less_the_more_they_search(
        self, often: float, seldom: float
    ) -> None:
        """A fifth of the users make four fifths of the searches, and are not like the others."""
        runs, users = 20, 4000
        eager = np.arange(users) % 5 == 0
        weights = np.where(eager, 16.0, 1.0) / np.where(eager, 16.0, 1.0).sum()
        chance = np.where(eager, often, seldom)
        decisions = []
        for number in range(runs):
            rng = np.random.default_rng(number)

            def served(n: int, rng: np.random.Generator = rng) -> tuple[Any, Any]:
                who = rng.choice(users, n, p=weights)
                return who, (rng.random(n) < chance[who]).astype(float)

            who, value = served(9600)
            found = before(Arm(who, value, np.full(9600, 10.0), np.ones(9600, int)))
            held = rng.random(users) < 0.05
            arms: list[list[Any]] = [[], []]
            for turn in range(1, 13):
                who, value = served(800)
                for own, chosen in zip(arms, (~held[who], held[who]), strict=True):
                    own.append((who[chosen], value[chosen], np.full(chosen.sum(), turn)))
                live, kept = (
                    Arm(np.concatenate([o[0] for o in own]), np.concatenate([o[1] for o in own]),
                        np.full(sum(len(o[0]) for o in own), 10.0),
                        np.concatenate([o[2] for o in own]))
                    for own in arms
                )  # fmt: skip
                plan = planned(found, looks=12, share=0.05, share_max=0.05)
                looked = look(turn, plan, found, live, kept)
                if looked.decision is not HOLD:
                    break
            decisions.append(looked.decision)
        assert decisions.count(ROLL_BACK) <= binom.ppf(0.999, runs, 0.05)

    def test_a_better_release_is_hardly_ever_rolled_back(self) -> None:
        runs, rng = 25, np.random.default_rng(1)
        decisions = [watched(number, -0.1, rng).decision for number in range(runs)]
        assert decisions.count(ROLL_BACK) <= binom.ppf(0.999, runs, 0.01)

    def test_a_gross_drop_is_caught_in_two_looks(self) -> None:
        """−30% at 800 searches a look and a 5% hold-back: by the second look in at least 95%."""
        runs, rng = 40, np.random.default_rng(2)
        found = [
            watched(number, 0.3, rng, share=0.05, per_look=800, users=3000)
            for number in range(runs)
        ]
        quick = sum(one.decision is ROLL_BACK and one.number <= 2 for one in found)
        assert quick >= binom.ppf(0.001, runs, 0.95), [one.number for one in found]

    def test_with_little_traffic_a_gross_drop_takes_longer_but_does_not_get_away(self) -> None:
        """−30% at 300 searches a look: half of them by the third look, all by the sixth."""
        runs, rng = 40, np.random.default_rng(3)
        found = [watched(number, 0.3, rng) for number in range(runs)]
        assert all(one.decision is ROLL_BACK for one in found)
        assert sum(one.number <= 3 for one in found) >= binom.ppf(0.001, runs, 0.6)

    @pytest.mark.nightly
    def test_the_figures_hold_at_length(self) -> None:
        runs, rng = 400, np.random.default_rng(4)
        equal = [watched(number, 0.0, rng).decision for number in range(runs)]
        gross = [
            watched(number, 0.3, rng, share=0.05, per_look=800, users=3000)
            for number in range(runs)
        ]
        assert equal.count(ROLL_BACK) <= binom.ppf(0.999, runs, 0.05)
        quick = sum(one.decision is ROLL_BACK and one.number <= 2 for one in gross)
        assert quick >= binom.ppf(0.001, runs, 0.95)

    def test_a_total_loss_of_clicks_is_caught_at_the_first_look(self) -> None:
        rng = np.random.default_rng(4)
        found = watched(0, 1.0, rng)
        assert (found.decision, found.number) == (ROLL_BACK, 1)


class TestJudged:
    """NDCG@10 of judged queries has a smaller spread than clicks, so it sees more."""

    def scored(self, drop: float, seed: int, looks: int = 12) -> list[Look]:
        """800 judged searches a look, σ 0.25 around 0.82, about 5% held back."""
        rng = np.random.default_rng(seed)

        def some(n: int, mean: float) -> Arm:
            size = mean * (1 - mean) / 0.25**2 - 1
            ndcg = np.asarray(rng.beta(mean * size, (1 - mean) * size, n))
            clicks = np.where(rng.random(n) < 0.45, 1.0, 0.0)
            return Arm(range(n), clicks, np.full(n, 20.0), np.ones(n, int), range(n), ndcg)

        def joined(one: Arm, other: Arm) -> Arm:
            n = len(one.users) + len(other.users)
            return Arm(
                range(n), np.concatenate([one.click_mrr, other.click_mrr]), np.full(n, 20.0),
                np.ones(n, int), range(n), np.concatenate([one.ndcg, other.ndcg]),
            )  # fmt: skip

        found = before(some(800, 0.82))
        plan = planned(found, 800, looks=12, share=0.05, tolerated_drop_rel=0.05)
        live, held, seen = some(0, 0.5), some(0, 0.5), []
        for turn in range(1, looks + 1):
            kept = int(rng.binomial(800, plan.share))
            live = joined(live, some(800 - kept, 0.82 * (1 - drop)))
            held = joined(held, some(kept, 0.82))
            seen.append(look(turn, plan, found, live, held))
            if seen[-1].decision is not HOLD:
                break
        return seen

    def test_five_percent_less_is_caught_within_two_hours(self) -> None:
        runs = 8
        last = [self.scored(0.05, seed)[-1] for seed in range(runs)]
        caught = sum(one.decision is ROLL_BACK for one in last)
        assert caught >= binom.ppf(0.001, runs, 0.95)

    def test_an_equal_release_is_kept(self) -> None:
        runs = 8
        last = [self.scored(0.0, 100 + seed)[-1] for seed in range(runs)]
        assert sum(one.decision is ROLL_BACK for one in last) <= binom.ppf(0.999, runs, 0.05)
        assert all(one.decision is not HOLD for one in last)

    def test_thirty_percent_less_is_caught_at_once(self) -> None:
        (found,) = self.scored(0.3, 7)
        assert found.decision is ROLL_BACK
        assert {one.name for one in found.metrics} == {CLICK_MRR, NDCG}

    def test_judgments_that_no_longer_come_are_no_good_news(self) -> None:
        rng = np.random.default_rng(8)
        found = baseline(traffic(rng, 2000), [0.8, 0.7] * 500)
        seen = traffic(rng, 2000, by_share("w", SHARE, **ARMS), users=900)
        looked = look_at(LOOKS, found, seen)
        assert (looked.decision, looked.too_few) == (HOLD, True)
        assert "ndcg_at_10 cannot be compared" in looked.reason


class TestDecisions:
    @pytest.fixture
    def found(self) -> Before:
        return baseline(traffic(np.random.default_rng(5), 2000))

    @pytest.fixture
    def fine(self) -> list[Impression]:
        return traffic(np.random.default_rng(6), 2000, by_share("w", SHARE, **ARMS), users=900)

    def test_it_holds_until_the_last_look_and_then_keeps(
        self, found: Before, fine: list[Impression]
    ) -> None:
        looks = [look_at(n, found, fine) for n in range(1, LOOKS + 1)]
        assert [one.decision for one in looks] == [HOLD] * (LOOKS - 1) + [KEEP]
        assert not any(one.too_few for one in looks)

    @pytest.mark.parametrize("number", range(1, 2 * LOOKS + 1))
    def test_no_data_is_held_never_kept(self, found: Before, number: int) -> None:
        looked = look_at(number, found, [])
        assert looked.decision is HOLD
        assert looked.too_few is (number >= LOOKS)
        [one] = looked.metrics
        assert (one.live, one.z_score, looked.latency_p95_ms) == (None, None, None)

    def test_too_little_data_is_held_and_says_so(
        self, found: Before, fine: list[Impression]
    ) -> None:
        live = [i for i in fine if i.variant == "live"]
        held = [i for i in fine if i.variant == "holdback"]
        for some in ([*live[:99], *held], [*live, *held[:29]], held, live):
            looked = look_at(LOOKS, found, some)
            assert (looked.decision, looked.too_few) == (HOLD, True)
            assert "too few" in looked.reason

    def test_what_could_not_have_seen_the_drop_that_matters_is_not_kept(
        self, found: Before, fine: list[Impression]
    ) -> None:
        """Enough searches for a comparison, and not for one that shows a drop of 5%."""
        looked = look_at(LOOKS, found, fine, tolerated_drop_rel=0.05, extend_max=1)
        assert looked.decision is HOLD
        assert "5.0% is tolerated" in looked.reason

    def test_little_traffic_suffices_where_it_shows_that_nothing_was_lost(
        self, found: Before, fine: list[Impression]
    ) -> None:
        """Clearly better on few searches: that a drop of 5% would not be seen does not matter."""
        few = [
            dataclasses.replace(i, clicks=(1,) if i.variant == "live" else (1 + n % 4,))
            for n, i in enumerate(fine[:250])
        ]
        looked = look_at(LOOKS, found, few, tolerated_drop_rel=0.05, extend_max=1)
        assert looked.decision is KEEP
        [one] = looked.metrics
        assert (one.sees_rel or 0) > 1.25 * 0.05 and (one.at_least_rel or 0) > 0

    def test_what_cannot_be_compared_with_the_holdback_is_not_kept(
        self, found: Before, fine: list[Impression]
    ) -> None:
        """A hold-back without clicks, or of a single user, is no comparison."""
        mute = [dataclasses.replace(i, clicks=()) if i.variant == "holdback" else i for i in fine]
        alone = [dataclasses.replace(i, user="one") if i.variant == "holdback" else i for i in fine]
        for seen in (mute, alone):
            looked = look_at(LOOKS, found, seen)
            assert (looked.decision, looked.metrics[0].z_score) == (HOLD, None)

    def test_further_looks_decide_once_there_is_enough(
        self, found: Before, fine: list[Impression]
    ) -> None:
        assert look_at(LOOKS + 1, found, fine[:120]).too_few
        assert look_at(LOOKS + 1, found, fine).decision is KEEP
        assert look_at(2 * LOOKS, found, fine[:120]).decision is HOLD

    def test_a_drop_against_the_past_needs_no_holdback(self, found: Before) -> None:
        seen = [impression(f"u{i}", "live") for i in range(100)]
        looked = look_at(1, found, seen)
        assert looked.decision is ROLL_BACK
        assert "a drop of more than 10% is shown" in looked.reason

    @pytest.mark.parametrize("lift", [0.93, 0.7])
    def test_a_seasonal_drop_of_everybody_is_no_fault_of_the_release(
        self, found: Before, lift: float
    ) -> None:
        """Users who click less on both releases: worse than before, and equal to the hold-back."""
        rng = np.random.default_rng(7)
        both = {"live": lift, "holdback": lift}
        to_arm = by_share("w", SHARE, **ARMS)
        assert look_at(LOOKS, found, traffic(rng, 4000, to_arm, lift=both)).decision is KEEP

    def test_a_small_drop_is_caught_by_the_holdback(self, found: Before) -> None:
        rng = np.random.default_rng(8)
        seen = traffic(rng, 16000, by_share("w", SHARE, **ARMS), users=8000, lift={"live": 0.92})
        looked = look_at(LOOKS, found, seen)
        assert looked.decision is ROLL_BACK and "below the hold-back" in looked.reason

    def test_one_busy_user_is_no_proof(self, found: Before, fine: list[Impression]) -> None:
        """A thousand searches without a click by one user count as one user's opinion."""
        flood = [impression("robot", "live", at=i) for i in range(1000)]
        assert look_at(3, found, [*fine, *flood]).decision is HOLD

    def test_a_look_can_be_written_down(self, found: Before, fine: list[Impression]) -> None:
        for seen in (fine, []):
            looked = look_at(2, found, seen)
            assert json.loads(json.dumps(looked.to_json(), allow_nan=False))["decision"] == "HOLD"

    @given(st.integers(0, 2**32 - 1), st.integers(1, 2 * LOOKS), st.floats(0, 1))
    def test_a_hundred_searches_without_a_click_are_never_kept(
        self, seed: int, number: int, share: float
    ) -> None:
        rng = np.random.default_rng(seed)
        found = baseline(traffic(np.random.default_rng(5), 500))
        held = [impression(f"h{i}", "holdback") for i in range(int(200 * share))]
        live = [impression(f"l{i}", "live") for i in range(int(rng.integers(0, 300)))]
        assert look_at(number, found, [*live, *held]).decision is not KEEP


class TestLatency:
    @pytest.fixture
    def found(self) -> Before:
        return baseline([impression(f"u{i}", clicks=(1 + i % 3,), latency_ms=100.0) for i in
                         range(300)])  # fmt: skip

    def seen(self, found: Before, number: int, *p95s: float, per_window: int = 200) -> Look:
        """One window a latency, searches in each as good as before."""
        live, windows = [], []
        for window, latency in enumerate(p95s, 1):
            live += [
                impression(f"{window}-{i}", "live", (1 + i % 3,), latency_ms=latency)
                for i in range(per_window)
            ]
            windows += [window] * per_window
        held = [impression(f"h{i}", "holdback", (1 + i % 3,)) for i in range(300)]
        return look(number, planned(found), found, arm(live, window=windows), arm(held))

    def test_half_as_much_again_in_two_windows_is_rolled_back_always(self, found: Before) -> None:
        assert self.seen(found, 1, 151.0).decision is HOLD
        assert self.seen(found, 2, 151.0, 149.0).decision is HOLD
        looked = self.seen(found, 2, 151.0, 151.0)
        assert looked.decision is ROLL_BACK and "151 ms > 150 ms in two windows" in looked.reason
        assert self.seen(found, 5, 20.0, 20.0, 20.0, 160.0, 170.0).decision is ROLL_BACK

    def test_one_slow_window_at_the_end_waits_for_one_more_look(self, found: Before) -> None:
        looked = self.seen(found, LOOKS, 90.0, 160.0)
        assert (looked.decision, looked.too_few) == (HOLD, True)
        assert self.seen(found, LOOKS + 1, 90.0, 160.0, 170.0).decision is ROLL_BACK
        assert self.seen(found, LOOKS + 1, 90.0, 160.0, 90.0).decision is KEEP

    def test_a_fast_release_may_get_slower(self) -> None:
        quick = baseline([impression(f"u{i}", clicks=(1 + i % 3,), latency_ms=10.0) for i in
                          range(300)])  # fmt: skip
        assert self.seen(quick, 2, 60.0, 60.0).decision is HOLD
        assert self.seen(quick, 2, 160.0, 160.0).decision is ROLL_BACK

    def test_little_traffic_is_judged_as_a_whole(self, found: Before) -> None:
        assert self.seen(found, 3, 200.0, 200.0, 200.0, per_window=40).decision is ROLL_BACK
        assert self.seen(found, 2, 200.0, 200.0, per_window=40).decision is HOLD, "under 100"


class TestFailures:
    @pytest.fixture
    def found(self) -> Before:
        return baseline(traffic(np.random.default_rng(5), 2000))

    def looked(self, found: Before, served: int, failed: Sequence[str], held: Arm, number: int = 1
               ) -> Look:  # fmt: skip
        live = traffic(np.random.default_rng(6), served, lambda _: "live", users=600)
        return look(number, planned(found), found, arm(live, failed=failed), held)

    def test_ten_percent_errors_are_caught_at_the_first_look(self, found: Before) -> None:
        failed = [f"u{i}" for i in range(0, 600, 10)]
        looked = self.looked(found, 540, failed, arm([]))
        assert looked.decision is ROLL_BACK
        assert "10.0% of 600 searches failed" in looked.reason
        assert looked.failure_evidence >= EVIDENCE

    def test_a_release_that_answers_nothing_at_all_is_caught(self, found: Before) -> None:
        looked = self.looked(found, 0, [f"u{i}" for i in range(20)], arm([]))
        assert looked.decision is ROLL_BACK and looked.failed_share == 1.0

    def test_a_few_errors_are_nothing(self, found: Before) -> None:
        for number in range(1, LOOKS):
            looked = self.looked(found, 600, [f"u{i}" for i in range(5)], arm([]), number)
            assert looked.decision is HOLD

    def test_what_fails_on_both_releases_is_no_fault_of_the_fresh_one(self, found: Before) -> None:
        failed = [f"u{i}" for i in range(0, 600, 10)]
        both = arm([impression(f"h{i}") for i in range(60)], failed=[f"h{i}" for i in range(7)])
        assert self.looked(found, 540, failed, both).decision is HOLD

    def test_one_user_whose_every_search_fails_is_one_user(self, found: Before) -> None:
        assert self.looked(found, 600, ["robot"] * 500, arm([])).decision is HOLD


class TestCost:
    def test_a_dear_release_is_rolled_back_at_the_second_look(self) -> None:
        found = baseline([impression(f"u{i}", clicks=(1 + i % 3,), latency_ms=90.0) for i in
                          range(300)])  # fmt: skip
        live = [impression(f"l{i}", "live", (1 + i % 3,), latency_ms=95.0) for i in range(200)]
        priced: dict[str, Any] = {"cpu_hour_usd": 30.0, "cost_per_1k_usd_max": 0.5}
        plan = planned(found, **priced)
        assert look(1, plan, found, arm(live), arm([])).decision is HOLD
        looked = look(2, plan, found, arm(live), arm([]))
        assert looked.decision is ROLL_BACK and "1,000 searches cost 0.79 USD" in looked.reason
        unknown = look(2, planned(found), found, arm(live), arm([]))
        assert (unknown.decision, unknown.cost_per_1k_usd) == (HOLD, None)


class TestBefore:
    def test_it_is_the_level_of_each_metric_and_the_p95_of_the_old_release(self) -> None:
        seen = [impression(f"u{i}", clicks=(2,) if i % 2 else (), latency_ms=i) for i in range(100)]
        found = before(arm(seen, [0.5, 0.7] * 50, failed=["u1"] * 25))
        assert (found.latency_p95_ms, found.failed_share) == (94.0, 0.2)
        clicks, judged = found.metrics[CLICK_MRR], found.metrics[NDCG]
        assert (clicks.mean, clicks.n, clicks.users) == (0.25, 100, 100)
        assert clicks.design_effect == pytest.approx(1.0)
        assert judged.mean == pytest.approx(0.6)

    def test_few_judged_searches_are_no_baseline_of_ndcg(self) -> None:
        seen = [impression(f"u{i}", clicks=(1,)) for i in range(200)]
        assert set(before(arm(seen, [0.5] * 99)).metrics) == {CLICK_MRR}

    def test_searches_of_the_same_users_count_for_less(self) -> None:
        alike = [impression(f"u{i // 10}", clicks=(1,) if i // 10 % 2 else ()) for i in range(200)]
        assert baseline(alike).metrics[CLICK_MRR].design_effect == pytest.approx(10, rel=0.1)

    @pytest.mark.parametrize("seen", [[], [impression(f"u{i}") for i in range(50)]])
    def test_without_clicks_nothing_can_be_watched(self, seen: list[Impression]) -> None:
        with pytest.raises(ValueError, match="nothing to compare"):
            baseline(seen)

    def test_columns_have_to_be_of_one_length(self) -> None:
        with pytest.raises(InputError, match="one length"):
            Arm(users=["u"], click_mrr=[1.0], latency_ms=[], window=[1])
