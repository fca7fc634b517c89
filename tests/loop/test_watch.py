"""The watch is neither jumpy nor blind, and no data never counts as good news."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence

import numpy as np
import pytest
from scipy.stats import binom

from predator.domain.verdicts import WatchDecision
from predator.loop.watch import Before, Look, before, look
from predator.ports.feedback import Impression
from tests.loop.impressions import by_share, impression, traffic

KEEP, HOLD, ROLL_BACK = WatchDecision
LOOKS, PER_LOOK, SHARE = 6, 300, 0.2
ARMS = {"inside": "holdback", "outside": "live"}


def look_at(
    number: int,
    baseline: Before,
    seen: Sequence[Impression],
) -> Look:
    return look(
        number,
        LOOKS,
        baseline,
        [i for i in seen if i.variant == "live"],
        [i for i in seen if i.variant == "holdback"],
        gross_drop_rel=0.2,
        alpha=0.05,
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
    arm = by_share(f"watch-{number}", share, **ARMS)
    baseline = before(traffic(rng, 1500, users=900))
    seen: list[Impression] = []
    for turn in range(1, LOOKS + 1):
        seen += traffic(rng, per_look, arm, users=users, lift={"live": 1 - drop})
        found = look_at(turn, baseline, seen)
        if found.decision is not HOLD:
            return found
    return found


class TestFigures:
    def test_an_equal_release_is_kept(self) -> None:
        """At most 5% false rollbacks (99.9% band), and nothing ends undecided."""
        runs, rng = 80, np.random.default_rng(0)
        decisions = [watched(number, 0.0, rng).decision for number in range(runs)]
        assert decisions.count(ROLL_BACK) <= binom.ppf(0.999, runs, 0.05)
        assert decisions.count(HOLD) == 0

    def test_a_better_release_is_hardly_ever_rolled_back(self) -> None:
        runs, rng = 40, np.random.default_rng(1)
        decisions = [watched(number, -0.1, rng).decision for number in range(runs)]
        assert decisions.count(ROLL_BACK) <= binom.ppf(0.999, runs, 0.01)

    def test_a_gross_drop_is_caught_in_two_looks(self) -> None:
        """−30% at 800 searches a look and a 5% hold-back: by the second look in at least 95%."""
        runs, rng = 60, np.random.default_rng(2)
        found = [
            watched(number, 0.3, rng, share=0.05, per_look=800, users=3000)
            for number in range(runs)
        ]
        quick = sum(one.decision is ROLL_BACK and one.number <= 2 for one in found)
        assert quick >= binom.ppf(0.001, runs, 0.95), [one.number for one in found]

    def test_with_little_traffic_a_gross_drop_takes_longer_but_does_not_get_away(self) -> None:
        """−30% at 300 searches a look: about 60% by the second look, all by the sixth."""
        runs, rng = 60, np.random.default_rng(3)
        found = [watched(number, 0.3, rng) for number in range(runs)]
        assert all(one.decision is ROLL_BACK for one in found)
        assert sum(one.number <= 2 for one in found) >= binom.ppf(0.001, runs, 0.6)

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


class TestDecisions:
    @pytest.fixture
    def baseline(self) -> Before:
        return before(traffic(np.random.default_rng(5), 2000))

    @pytest.fixture
    def fine(self) -> list[Impression]:
        return traffic(np.random.default_rng(6), 2000, by_share("w", SHARE, **ARMS), users=900)

    def test_it_holds_until_the_last_look_and_then_keeps(
        self, baseline: Before, fine: list[Impression]
    ) -> None:
        decisions = [look_at(n, baseline, fine).decision for n in range(1, LOOKS + 1)]
        assert decisions == [HOLD] * (LOOKS - 1) + [KEEP]

    @pytest.mark.parametrize("number", range(1, LOOKS + 1))
    def test_no_data_is_held_never_kept(self, baseline: Before, number: int) -> None:
        found = look_at(number, baseline, [])
        assert found.decision is HOLD
        assert found.click_mrr is None and found.z_score is None

    def test_too_little_data_is_held_and_says_so(
        self, baseline: Before, fine: list[Impression]
    ) -> None:
        live = [i for i in fine if i.variant == "live"]
        held = [i for i in fine if i.variant == "holdback"]
        for some in ([*live[:99], *held], [*live, *held[:29]], held, live):
            found = look_at(LOOKS, baseline, some)
            assert found.decision is HOLD
            assert "too few" in found.reason

    def test_what_cannot_be_compared_with_the_holdback_is_not_kept(
        self, baseline: Before, fine: list[Impression]
    ) -> None:
        """A hold-back without clicks, or of a single user, is no comparison."""
        mute = [dataclasses.replace(i, clicks=()) if i.variant == "holdback" else i for i in fine]
        alone = [dataclasses.replace(i, user="one") if i.variant == "holdback" else i for i in fine]
        for seen in (mute, alone):
            found = look_at(LOOKS, baseline, seen)
            assert (found.decision, found.z_score) == (HOLD, None)

    def test_a_drop_against_the_past_needs_no_holdback(self, baseline: Before) -> None:
        seen = [impression(f"u{i}", "live") for i in range(100)]
        found = look_at(1, baseline, seen)
        assert found.decision is ROLL_BACK
        assert "a drop of more than 10% is shown" in found.reason

    def test_a_seasonal_drop_of_everybody_is_no_fault_of_the_release(
        self, baseline: Before
    ) -> None:
        """Users who click 7% less on both releases: below gross, and equal to the hold-back."""
        rng = np.random.default_rng(7)
        both = {"live": 0.93, "holdback": 0.93}
        arm = by_share("w", SHARE, **ARMS)
        assert look_at(LOOKS, baseline, traffic(rng, 2000, arm, lift=both)).decision is KEEP

    def test_a_small_drop_is_caught_by_the_holdback(self, baseline: Before) -> None:
        rng = np.random.default_rng(8)
        seen = traffic(rng, 16000, by_share("w", SHARE, **ARMS), users=8000, lift={"live": 0.92})
        found = look_at(LOOKS, baseline, seen)
        assert found.decision is ROLL_BACK and "below the hold-back" in found.reason

    def test_a_latency_spike_is_rolled_back_at_the_second_look(
        self, baseline: Before, fine: list[Impression]
    ) -> None:
        slow = [dataclasses.replace(i, latency_ms=i.latency_ms + 100) for i in fine]
        assert look_at(1, baseline, slow).decision is HOLD
        found = look_at(2, baseline, slow)
        assert found.decision is ROLL_BACK and "p95 latency" in found.reason
        few = [i for i in slow if i.variant == "live"][:99]
        assert look_at(2, baseline, few).decision is HOLD

    def test_a_fast_release_may_get_a_little_slower(
        self, baseline: Before, fine: list[Impression]
    ) -> None:
        slower = [dataclasses.replace(i, latency_ms=i.latency_ms + 30) for i in fine]
        assert look_at(2, baseline, slower).decision is HOLD

    def test_one_busy_user_is_no_proof(self, baseline: Before, fine: list[Impression]) -> None:
        """A thousand searches without a click by one user count as one user's opinion."""
        flood = [impression("robot", "live", at=i) for i in range(1000)]
        assert look_at(3, baseline, [*fine, *flood]).decision is HOLD

    def test_a_look_can_be_written_down(self, baseline: Before, fine: list[Impression]) -> None:
        for seen in (fine, []):
            found = look_at(2, baseline, seen)
            assert json.loads(json.dumps(found.to_json(), allow_nan=False))["decision"] == "HOLD"


class TestBefore:
    def test_it_is_the_click_mrr_and_the_p95_of_the_old_release(self) -> None:
        found = before(
            [impression(f"u{i}", clicks=(2,) if i % 2 else (), latency_ms=i) for i in range(100)]
        )
        assert (found.click_mrr, found.n, found.latency_p95_ms) == (0.25, 100, 94.0)

    @pytest.mark.parametrize("seen", [[], [impression(f"u{i}") for i in range(50)]])
    def test_without_clicks_nothing_can_be_watched(self, seen: list[Impression]) -> None:
        with pytest.raises(ValueError, match="nothing to compare"):
            before(seen)
