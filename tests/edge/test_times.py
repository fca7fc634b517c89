"""Moments as people write them come out as meant, and whatever else is refused in one line."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from predator.domain.errors import InputError
from predator.edge.cli.times import expiry, moment, relative, span, stamp

NOW = 1_765_070_000.0
"""2025-12-07 01:13:20 UTC."""


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("7d", NOW + 604_800),
        (" 12h ", NOW + 43_200),
        ("1m", NOW + 60),
        ("2025-12-08", 1_765_152_000),
        ("2025-12-08T02:00", 1_765_159_200),
        ("2025-12-08 02:00:00", 1_765_159_200),
        ("2025-12-08T02:00:00Z", 1_765_159_200),
        ("2025-12-08T04:00:00+02:00", 1_765_159_200),
    ],
)
def test_an_end(text: str, wanted: float) -> None:
    assert expiry(text, NOW) == wanted


@pytest.mark.parametrize(
    "text",
    ["", "7", "d", "-7d", "7.5d", "1s", "32d", "7 d", "2025-13-01", "2025-02-30", "tomorrow",
     "20251208", "1765159200", "٧d", "2025-12-08T25:00", "9" * 400 + "d", "2025-12-08\n"],
)  # fmt: skip
def test_what_is_no_end(text: str) -> None:
    if text.strip() == "2025-12-08":
        assert expiry(text, NOW) == 1_765_152_000
        return
    with pytest.raises(InputError, match="--expires cannot be"):
        expiry(text, NOW)


@given(st.text(max_size=40))
def test_any_text_is_an_end_or_refused(text: str) -> None:
    try:
        assert math.isfinite(expiry(text, NOW))
    except InputError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("away", "wanted"),
    [(0, "now"), (-0.4, "now"), (-42, "42 s ago"), (90, "in 2 min"), (-3599, "60 min ago"),
     (7200, "in 2 h"), (86_400, "in 1 day"), (604_799.9, "in 7 days")],
)  # fmt: skip
def test_how_far_away(away: float, wanted: str) -> None:
    assert relative(NOW + away, NOW) == wanted


@given(st.floats())
def test_any_moment_can_be_shown(at: float) -> None:
    assert stamp(at)
    if math.isfinite(at):
        assert moment(at, NOW)


def test_nothing_is_a_dash() -> None:
    assert (span(None), moment(None, NOW)) == ("–", "–")
    assert moment(NOW - 60, NOW) == "1 min ago (2025-12-07 01:12:20 UTC)"
