"""What interleaving is said to save holds in simulation, in short here and in full every night."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from benchmarks import interleaving as bench
from predator.statistics import interleaving
from predator.statistics.click_model import reciprocal_rank_of_first_click


def test_all_queries_at_once_are_drafted_and_credited_as_one_by_one() -> None:
    """What the figures rest on: the arithmetic over all queries is that of the platform."""
    rng = np.random.default_rng(1)
    one = bench.better(rng, 60, 0.9, 0.5)
    coins = rng.random((60, bench.DEPTH)) < 0.5
    places = bench.drafted(one, coins)
    clicks = bench.clicked(rng, places, one.grades, "cascade", "noisy")
    credits_ = bench.credits_of(one, places, clicks)
    assert np.abs(credits_).max() > 0
    for query in range(60):
        live, candidate = (
            np.argsort(rank[query])[: bench.DEPTH].tolist() for rank in (one.live, one.candidate)
        )
        drafted = interleaving.team_draft(live, candidate, bench.DEPTH, coins[query].tolist())
        shown = np.argsort(np.where(places[query] > 0, places[query], 99))[: bench.DEPTH]
        assert [place.item for place in drafted] == shown.tolist()
        credit = interleaving.credit(
            [int(places[query, item]) for item in np.flatnonzero(clicks[query])],
            [place.live_rank for place in drafted],
            [place.candidate_rank for place in drafted],
        )
        assert credit == pytest.approx(credits_[query])


def test_the_screen_goes_where_the_test_over_users_does() -> None:
    rng = np.random.default_rng(2)
    credits_ = rng.normal(0.03, 0.2, 2000)
    fast = bench.goes(credits_, 200)
    slow = [
        interleaving.preference(range(200), part).p_better <= bench.ALPHA
        for part in credits_.reshape(10, 200)
    ]
    assert fast.tolist() == slow and 0 < sum(slow) < 10


@pytest.mark.parametrize("user", bench.USERS)
def test_the_expected_click_mrr_is_that_of_many_users(user: str) -> None:
    rng = np.random.default_rng(3)
    one = bench.better(rng, 3000, 0.0, 0.0)
    listed = np.where(one.live <= bench.DEPTH, one.live, 0)
    clicks = bench.clicked(rng, listed, one.grades, user, "noisy")
    seen = [
        reciprocal_rank_of_first_click([int(p) for p in places[clicked]])
        for places, clicked in zip(listed, clicks, strict=True)
    ]
    mean, square = bench.click_mrr(one.live, one.grades, user, "noisy")
    assert float(np.mean(seen)) == pytest.approx(float(mean.mean()), abs=0.025)
    assert float(np.mean(np.square(seen))) == pytest.approx(float(square.mean()), abs=0.025)


def test_interleaving_needs_a_third_of_an_ab_tests_searches_at_most() -> None:
    rows, sizes = bench.cells(3000, 5, seed=1)
    shares = [row for row in rows if row.name.endswith("share")]
    assert len(shares) == 9 and set(sizes) == {(u, c) for u in bench.USERS for c in bench.CLICKS}
    # So few queries leave the noisiest cell open; it is judged in full every night.
    assert sum(row.rate <= 1 / 3 for row in shares) >= 8
    assert shares[-1].rate <= 1 / 8


@pytest.mark.nightly
def test_every_figure_is_kept(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["interleaving.py", "--json"])
    with pytest.raises(SystemExit) as ended:
        bench.main()
    shown = json.loads(capsys.readouterr().out)
    assert [row for part in ("cells", "equal") for row in shown[part] if not row["kept"]] == []
    assert ended.value.code == 0
