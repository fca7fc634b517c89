"""Made-up measurements drive the same monitor as real ones, and only where they are asked for."""

from __future__ import annotations

import pytest

from predator.contours.load import packaged
from predator.contours.mock import SIGNALS, mock_readings
from predator.domain.errors import InputError
from predator.domain.readings import Value
from predator.loop.contract import CONTRACT, row
from predator.loop.monitor import detect
from tests.contours.files import contour

BASELINE = Value(0.80, 1000, 0.799, 0.801, 0.0)


def test_every_signal_of_the_contract_can_be_made_up_and_no_other() -> None:
    assert set(SIGNALS.values()) == {line.signal for line in CONTRACT}


def test_the_developers_machine_reads_what_the_spec_says() -> None:
    found = mock_readings(packaged("dev-mac"), 5.0)
    assert set(found) == {"ndcg_at_10", "latency_p95_ms"}
    ndcg, latency = found["ndcg_at_10"], found["latency_p95_ms"]
    assert isinstance(ndcg, Value)
    assert isinstance(latency, Value)
    assert (ndcg.value, latency.value) == (0.75, 450)
    assert (ndcg.n, ndcg.at) == (1000, 5.0)
    assert ndcg.ci_low < 0.75 < ndcg.ci_high
    assert ndcg.ci_high - ndcg.ci_low < 0.002


def test_a_made_up_loss_fires_the_signal() -> None:
    for value, fires in ((0.75, True), (0.79, False)):
        mocked = contour(f"mockSignals: true\nmockMetrics: {{ndcg_at_10: {value}}}")
        readings = [mock_readings(mocked, at)["ndcg_at_10"] for at in (1.0, 2.0, 3.0)]
        found = detect(row("ndcg_at_10"), BASELINE, readings, 2)
        assert (found.signal is not None) is fires, found.reason
        assert not found.blind


def test_a_made_up_latency_fires_at_its_level() -> None:
    mocked = contour("mockSignals: true\nmockMetrics: {avg_latency_ms: 900}")
    readings = [mock_readings(mocked, 1.0)["latency_p95_ms"]] * 3
    baseline = Value(450, 1000, 449, 451, 0.0)
    assert detect(row("latency_p95_ms"), baseline, readings, 2).signal is not None


def test_without_mock_signals_nothing_is_made_up() -> None:
    assert mock_readings(contour("mockMetrics: {ndcg_at_10: 0.75}"), 1.0) == {}
    assert mock_readings(packaged("local"), 1.0) == {}


def test_an_unknown_metric_is_refused_with_the_nearest() -> None:
    with pytest.raises(InputError, match=r"mockMetrics\.ndcg_at_1\. did you mean ndcg_at_10\?"):
        contour("mockMetrics: {ndcg_at_1: 0.75}")


def test_one_signal_under_two_names_is_refused() -> None:
    with pytest.raises(InputError, match="latency_p95_ms under two names"):
        contour("mockMetrics: {avg_latency_ms: 450, latency_p95_ms: 450}")
