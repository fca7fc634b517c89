"""A user meets the same arm always, arms get their share, experiments do not disturb each other."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from predator.statistics.assignment import assign, bucket

SECRET = b"a secret of this contour"
SPLIT = (("candidate", 0.2), ("baseline", 0.8))


def test_a_fifth_of_100k_users_is_a_fifth() -> None:
    arms = Counter(assign(SECRET, "experiment-1", f"user-{n}", SPLIT) for n in range(100_000))
    assert arms["candidate"] / 100_000 == pytest.approx(0.2, abs=0.005)


def test_positions_are_uniform() -> None:
    positions = [bucket(SECRET, "layer", str(n)) for n in range(20_000)]
    assert min(positions) >= 0.0 and max(positions) < 1.0
    assert stats.kstest(positions, "uniform").pvalue > 0.01


def test_layers_are_independent() -> None:
    table = np.zeros((5, 5))
    for n in range(100_000):
        row, column = bucket(SECRET, "layer-1", f"u{n}"), bucket(SECRET, "layer-2", f"u{n}")
        table[int(row * 5), int(column * 5)] += 1
    assert stats.chi2_contingency(table).pvalue > 0.01


def test_the_assignment_never_changes_between_versions() -> None:
    assert bucket(SECRET, "experiment-1", "user-7") == 0.31246425177120507
    assert bucket(SECRET, "experiment-1", "користувач") == 0.8844114347748157


def test_widening_keeps_everyone_who_is_in() -> None:
    wide = (("candidate", 0.5), ("baseline", 0.5))
    for n in range(2000):
        if assign(SECRET, "x", f"u{n}", SPLIT) == "candidate":
            assert assign(SECRET, "x", f"u{n}", wide) == "candidate"


@settings(deadline=None)
@given(st.text(st.characters(codec=None)), st.text(st.characters(codec=None)))
def test_any_id_has_a_place_even_a_hostile_one(layer: str, unit: str) -> None:
    assert 0.0 <= bucket(SECRET, layer, unit) < 1.0
    assert assign(SECRET, layer, unit, SPLIT) == assign(SECRET, layer, unit, SPLIT)
    assert assign(SECRET, layer, unit, [("off", 0.0), ("all", 1.0), ("none", 0.0)]) == "all"


def test_layer_and_unit_do_not_run_together_and_the_secret_matters() -> None:
    assert bucket(SECRET, "ab", "c") != bucket(SECRET, "a", "bc")
    assert bucket(SECRET, "a", "b") != bucket(b"another", "a", "b")


@pytest.mark.parametrize(
    ("shares", "complaint"),
    [
        ([], "sum to 1"),
        ([("a", 0.5), ("b", 0.4)], "sum to 1"),
        ([("a", 0.5), ("a", 0.5)], "named twice"),
        ([("a", 1.5), ("b", -0.5)], "between 0 and 1"),
        ([("a", float("nan")), ("b", 1.0)], "between 0 and 1"),
    ],
)
def test_a_split_that_is_none_is_refused(shares: list[tuple[str, float]], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        assign(SECRET, "x", "u", shares)
    with pytest.raises(ValueError, match="secret"):
        bucket(b"", "x", "u")
