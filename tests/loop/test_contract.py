"""The contract of spec 6A.11, line by line."""

from __future__ import annotations

import pytest

from predator.loop.contract import CONTRACT, row


@pytest.mark.parametrize(
    ("signal", "direction", "threshold", "relative", "react_within_s"),
    [
        ("ndcg_at_10", "down", -0.03, True, 3600),
        ("recall_at_20", "down", -0.05, True, 7200),
        ("latency_p95_ms", "up", 800, False, 300),
        ("etl_backlog_s", "up", 60, False, 600),
        ("cost_share_of_budget", "up", 0.8, False, 1800),
        ("index_errors", "up", 3, False, 180),
        ("user_satisfaction", "down", 4.0, False, 86400),
    ],
)
def test_every_signal_has_its_line(
    signal: str, direction: str, threshold: float, relative: bool, react_within_s: float
) -> None:
    line = row(signal)
    assert (line.direction, line.threshold, line.relative) == (direction, threshold, relative)
    assert line.react_within_s == react_within_s
    assert line.actions


def test_there_are_seven_signals_and_no_others() -> None:
    assert len(CONTRACT) == len({line.signal for line in CONTRACT}) == 7
    assert len({line.trigger for line in CONTRACT}) == 7
    with pytest.raises(KeyError):
        row("nps")
