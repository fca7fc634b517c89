"""Before the deploy: what a watch will see, and what it does where that is too little (I12)."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from predator.loop.watch.before import CLICK_MRR, NDCG, Before
from predator.loop.watch.plan import WatchLimits, WatchPlan, plan_watch
from predator.statistics.watch_control import control_z
from predator.statistics.watch_failures import allowed_share, failed_share, failure_evidence
from predator.statistics.watch_sample import Level, level
from predator.statistics.watch_share import smallest_share, visible_drop

JUDGED = Level(0.82, 0.25, 800, 800, 1.0)
CLICKS = Level(0.33, 0.42, 800, 800, 1.0)
BOTH = Before(20.0, 0.0, {CLICK_MRR: CLICKS, NDCG: JUDGED})


def planned(per_look: float, **changes: object) -> WatchPlan:
    given: dict[str, object] = {
        "looks": 12, "look_s": 600.0, "share": 0.05, "share_max": 0.2, "extend_max": 2,
        "tolerated_drop_rel": 0.05, "gross_drop_rel": 0.2, "alpha": 0.05,
    }  # fmt: skip
    return plan_watch(BOTH, per_look, WatchLimits(**{**given, **changes}))  # type: ignore[arg-type]


class TestWhatItSays:
    @pytest.mark.parametrize("per_look", [100, 400, 800, 3200])
    def test_the_drop_that_is_seen_goes_with_the_root_of_the_traffic(self, per_look: int) -> None:
        """About 5% · √(800/q) with 5% held back."""
        found = planned(per_look, share_max=0.05, extend_max=1)
        assert found.sees_rel[NDCG] == pytest.approx(0.05 * math.sqrt(800 / per_look), rel=0.1)
        assert f"{min(found.sees_rel[NDCG], 1):.1%} of ndcg_at_10" in found.told

    def test_enough_traffic_needs_no_change(self) -> None:
        found = planned(3200)
        assert (found.looks, found.share) == (12, 0.05)
        assert "widened" not in found.told and "lengthened" not in found.told

    def test_less_traffic_widens_the_holdback_as_far_as_is_needed(self) -> None:
        found = planned(500)
        assert 0.05 < found.share < 0.2 and found.looks == 12
        assert found.sees_rel[NDCG] <= 0.05
        assert "the hold-back was widened from 5.0%" in found.told

    def test_still_less_lengthens_the_watch_too(self) -> None:
        found = planned(200)
        assert found.share == 0.2 and 12 < found.looks <= 24
        assert found.sees_rel[NDCG] <= 0.05
        assert "lengthened from 12 looks" in found.told

    def test_where_nothing_helps_a_person_has_to_keep_it_and_the_plan_says_so(self) -> None:
        found = planned(50)
        assert (found.share, found.looks, found.looks_max) == (0.2, 24, 24)
        assert found.sees_rel[NDCG] > 0.05
        assert "a drop of 5.0% would not be seen, so that a person has to keep it" in found.told

    def test_one_error_level_is_split_and_most_goes_to_what_sees_most(self) -> None:
        found = planned(800)
        assert sum(found.levels.values()) == pytest.approx(0.05)
        assert found.levels[NDCG] == pytest.approx(0.045)
        alone = plan_watch(Before(20.0, 0.0, {CLICK_MRR: CLICKS}), 800, found.limits)
        assert alone.levels == {CLICK_MRR: 0.05}

    def test_a_metric_that_comes_too_rarely_to_be_compared_is_not_planned(self) -> None:
        rare = Level(0.82, 0.25, 100, 100, 1.0)
        often = Level(0.33, 0.42, 1000, 1000, 1.0)
        before = Before(20.0, 0.0, {CLICK_MRR: often, NDCG: rare})
        few = plan_watch(before, 100, planned(800, looks=6, share_max=0.1).limits)
        assert few.levels == {CLICK_MRR: 0.05}
        more = plan_watch(before, 600, planned(800, looks=6, tolerated_drop_rel=0.9).limits)
        assert set(more.levels) == {CLICK_MRR, NDCG}
        assert more.share * 6 * 60 >= 60, "as much held back as a comparison needs"

    def test_without_a_metric_or_traffic_there_is_no_plan(self) -> None:
        with pytest.raises(ValueError, match="no metric"):
            plan_watch(Before(20.0), 800, planned(800).limits)
        with pytest.raises(ValueError, match="above 0"):
            planned(0)

    @settings(max_examples=15)
    @given(
        st.floats(1, 1e5), st.floats(0.01, 0.5), st.floats(0.01, 0.5), st.floats(0.01, 0.9),
        st.sampled_from([1, 3]), st.integers(1, 2),
    )  # fmt: skip
    def test_it_stays_within_what_the_contour_allows(
        self,
        per_look: float,
        share: float,
        share_max: float,
        tolerated: float,
        looks: int,
        more: int,
    ) -> None:
        found = planned(
            per_look, share=share, share_max=share_max, tolerated_drop_rel=tolerated, looks=looks,
            extend_max=more,
        )  # fmt: skip
        assert share <= found.share <= max(share, share_max)
        assert looks <= found.looks <= found.looks_max <= looks * more
        seen = min(found.sees_rel.values())
        exhausted = found.share == max(share, share_max) and found.looks == looks * more
        assert seen <= 1.05 * tolerated or exhausted, "boundaries rise a little with the looks"


@settings(max_examples=15)
@given(st.floats(1, 1e5), st.floats(0.001, 0.5), st.floats(0.001, 0.5), st.floats(0.005, 0.9))
def test_the_smallest_share_is_enough_and_hardly_more(
    per_look: float, share: float, share_max: float, drop: float
) -> None:
    found = smallest_share(
        JUDGED, per_look, 12, 0.05, drop_rel=drop, share=share, share_max=share_max
    )
    seen = visible_drop(JUDGED, per_look, 12, found, 0.05)
    assert seen <= drop * (1 + 1e-9) or found == max(share, share_max)
    if share < found < max(share, share_max):
        assert visible_drop(JUDGED, per_look, 12, max(share, found - 0.002), 0.05) > drop * 0.999


class TestLevels:
    def test_searches_of_users_of_their_own_have_no_design_effect(self) -> None:
        rng = np.random.default_rng(1)
        found = level(range(5000), rng.random(5000))
        assert found.design_effect == pytest.approx(1.0, abs=0.01)
        assert found.sd == pytest.approx(math.sqrt(1 / 12), abs=0.01)

    def test_six_alike_searches_a_user_count_for_fewer(self) -> None:
        """ICC 0.3 and 6 searches: 1 + 5 · 0.3."""
        rng = np.random.default_rng(2)
        mood, luck = rng.normal(0, 0.3**0.5, (2000, 1)), rng.normal(0, 0.7**0.5, (2000, 6))
        found = level(np.repeat(np.arange(2000), 6), (mood + luck).ravel())
        assert found.design_effect == pytest.approx(2.5, rel=0.1)

    @pytest.mark.parametrize("users", [[], ["u"], ["u", "u"]])
    def test_one_user_is_no_spread(self, users: list[str]) -> None:
        with pytest.raises(ValueError, match=r"user|observation"):
            level(users, [0.5] * len(users))


class TestControls:
    @pytest.mark.parametrize("drift", [0.0, 0.01, 0.1])
    def test_at_equal_releases_z_is_standard(self, drift: float) -> None:
        """The past has drifted by chance, live and hold-back are one and the same."""
        rng, found = np.random.default_rng(3), []
        for _ in range(1500):
            moved = rng.normal(0, drift)
            parts = [
                Level(0.8 + m + rng.normal(0, 0.25 / math.sqrt(n)), 0.25, n, n, 1.0)
                for n, m in ((2000, moved), (100, moved), (800, 0.0))
            ]
            live, held, before = parts
            found.append(control_z(live, held, before, drift))
        assert np.mean(found) == pytest.approx(0.0, abs=0.1)
        assert np.std(found) == pytest.approx(1.0, abs=0.1)

    def test_a_past_that_the_holdback_contradicts_does_not_count(self) -> None:
        live, held = Level(0.7, 0.25, 3000, 3000, 1.0), Level(0.7, 0.25, 300, 300, 1.0)
        assert control_z(live, held, JUDGED, 0.0) == 0.0

    def test_nothing_moves_where_nothing_has_a_spread(self) -> None:
        still = Level(0.5, 0.0, 100, 100, 1.0)
        assert control_z(still, still, still, 0.0) == 0.0


class TestFailures:
    def test_what_is_allowed_is_a_percent_or_twice_the_past_or_what_fails_beside_it(self) -> None:
        assert allowed_share(0.0, range(100), ()) == 0.01
        assert allowed_share(0.03, range(100), ()) == 0.06
        assert 0.1 < allowed_share(0.0, range(90), range(90, 100)) < 0.2
        assert allowed_share(0.9, (), range(10)) == 0.5

    def test_who_searches_seldom_and_fails_often_fails_no_release_that_changed_nothing(
        self,
    ) -> None:
        """1.2% of the searches fail, before as after: of users who search seldom 5%."""
        users, cried = 4000, 0
        eager = np.arange(users) % 5 == 0
        weights = np.where(eager, 16.0, 1.0) / np.where(eager, 16.0, 1.0).sum()
        for seed in range(40):
            rng = np.random.default_rng(seed)
            who = rng.choice(users, 9600, p=weights)
            fails = rng.random(9600) < np.where(eager, 0.002, 0.05)[who]
            past = failed_share(who[~fails].tolist(), who[fails].tolist())
            held = rng.random(users) < 0.05
            who = rng.choice(users, 9600, p=weights)
            fails = rng.random(9600) < np.where(eager, 0.002, 0.05)[who]
            for n in range(800, 9601, 800):
                kept, lost = (held[who[:n]], fails[:n])
                beside = [who[:n][kept & one].tolist() for one in (~lost, lost)]
                served, failed = (who[:n][~kept & one].tolist() for one in (~lost, lost))
                if failure_evidence(served, failed, allowed_share(past, *beside)) >= 60:
                    cried += 1
                    break
        assert cried <= binom.ppf(0.999, 40, 1 / 60)

    def test_a_percent_that_fails_is_no_evidence_however_often_one_looks(self) -> None:
        """Ville's inequality: evidence of 20 in at most 5% (99.9% band)."""
        rng, cried = np.random.default_rng(4), 0
        for _ in range(200):
            failed = rng.random(600) < 0.01
            looks = [
                failure_evidence(
                    np.flatnonzero(~failed[:n]), np.flatnonzero(failed[:n]), 0.01
                )
                for n in (100, 200, 400, 600)
            ]  # fmt: skip
            cried += max(looks) >= 20
        assert cried <= 21
