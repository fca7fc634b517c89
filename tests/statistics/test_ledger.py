"""However often Gold is read, what the ledger lets through is mostly real."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from predator.statistics.ledger import DECAY, Kind, gamma, level

ALPHA = 0.05
histories = st.lists(st.booleans(), max_size=80)
kinds = st.sampled_from(Kind)


def levels(kind: Kind, history: list[bool]) -> list[float]:
    """The level of each reading of the history."""
    return [level(kind, ALPHA, history[:number]).value for number in range(len(history))]


def test_the_shares_of_all_readings_sum_to_one() -> None:
    shares = [gamma(t) for t in range(1, 20_001)]
    # The rest of the series, by Euler and Maclaurin: n^(1-s)/(s-1) - n^-s/2.
    n, total = 20_000, 1 / gamma(1)
    rest = (n ** (1 - DECAY) / (DECAY - 1) - n**-DECAY / 2) / total
    assert sum(shares) + rest == pytest.approx(1.0, abs=1e-9)
    assert all(left > right > 0 for left, right in pairwise(shares))


def test_the_first_reading_of_a_set_is_worth_making() -> None:
    """A candidate that is three standard errors better passes at the first four readings."""
    three_errors = 0.5 * math.erfc(3 / math.sqrt(2))
    found = levels(Kind.LOND, [False] * 5)
    assert found[3] > three_errors > found[4]
    assert level(Kind.LOND, ALPHA, []).value == pytest.approx(0.00894, abs=1e-5)
    assert level(Kind.LORD, ALPHA, []).value == pytest.approx(0.00447, abs=1e-5)


@given(histories)
def test_lond_is_its_closed_form(history: list[bool]) -> None:
    found = level(Kind.LOND, ALPHA, history)
    t, discoveries = len(history) + 1, sum(history)
    assert found.index == t
    assert found.discoveries == discoveries
    assert found.value == pytest.approx(ALPHA * t**-DECAY * max(discoveries, 1) * gamma(1))


@given(histories)
def test_lord_is_its_closed_form(history: list[bool]) -> None:
    t = len(history) + 1
    passed = [at for at, one in enumerate(history, 1) if one]
    wanted = 0.025 * gamma(t)
    wanted += sum(0.025 * gamma(t - at) for at in passed[:1])
    wanted += sum(0.05 * gamma(t - at) for at in passed[1:])
    assert level(Kind.LORD, ALPHA, history).value == pytest.approx(wanted)


@given(kinds, histories)
def test_no_more_is_spent_than_what_passed_has_earned(kind: Kind, history: list[bool]) -> None:
    """The estimate of the false discovery proportion, Σ levels / max(D, 1), stays below alpha."""
    spent = levels(kind, history)
    for t in range(1, len(history) + 1):
        assert sum(spent[:t]) <= ALPHA * max(1, sum(history[:t])) + 1e-12


@given(kinds, st.integers(0, 60), histories)
def test_what_is_left_is_what_is_still_to_come(
    kind: Kind, failures: int, history: list[bool]
) -> None:
    now = level(kind, ALPHA, history)
    then = level(kind, ALPHA, [*history, *[False] * failures])
    after = [[*history, *[False] * n] for n in range(1, failures + 1)]
    between = [level(kind, ALPHA, one).value for one in after]
    assert now.left == pytest.approx(sum(between) + then.left)
    assert then.left >= 0


@given(histories, st.data())
def test_a_pass_never_lowers_any_later_level(history: list[bool], data: st.DataObject) -> None:
    """What the proof for readings that depend on each other rests on: LOND is monotone."""
    more = [one or data.draw(st.booleans()) for one in history]
    assert level(Kind.LOND, ALPHA, more).value >= level(Kind.LOND, ALPHA, history).value


@given(kinds, histories)
def test_the_reading_after_a_pass_has_no_lower_level(kind: Kind, history: list[bool]) -> None:
    passed = level(kind, ALPHA, [*history, True]).value
    assert passed >= level(kind, ALPHA, [*history, False]).value


@given(kinds, histories)
def test_a_reading_costs(kind: Kind, history: list[bool]) -> None:
    """Without a discovery the next level is lower, and the one after a million is still there."""
    found = [level(kind, ALPHA, [*history, *[False] * n]) for n in (0, 1, 2)]
    assert found[0].value > found[1].value > found[2].value > 0
    assert found[0].left > found[1].left > found[2].left > 0


def test_after_a_million_readings_there_is_still_a_level() -> None:
    found = level(Kind.LOND, ALPHA, np.zeros(10**6, bool).tolist())
    assert 1e-11 < found.value < 1e-9
    assert found.left > 0


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.05, math.nan, math.inf])
@pytest.mark.parametrize("kind", Kind)
def test_a_level_outside_0_to_1_is_refused(kind: Kind, alpha: float) -> None:
    with pytest.raises(ValueError, match="alpha"):
        level(kind, alpha, [])


def test_readings_are_counted_from_one() -> None:
    with pytest.raises(ValueError, match="reading 0"):
        gamma(0)


def test_lord_keeps_the_rate_on_fresh_sets() -> None:
    """Independent readings, one in ten of a real gain: of what passes, at most 5% is noise."""
    rng = np.random.default_rng(5)
    wrong, found = [], 0
    for _ in range(40):
        real = rng.random(200) < 0.1
        z = rng.standard_normal(200) + np.where(real, 4.3, 0.0)
        p_values = [0.5 * math.erfc(one / math.sqrt(2)) for one in z]
        passed: list[bool] = []
        for p_value in p_values:
            passed.append(p_value < level(Kind.LORD, ALPHA, passed).value)
        wrong.append(sum(np.asarray(passed) & ~real) / max(1, sum(passed)))
        found += sum(np.asarray(passed) & real)
    assert np.mean(wrong) <= 0.05
    assert found > 40 * 20 * 0.6
