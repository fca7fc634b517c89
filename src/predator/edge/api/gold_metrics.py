"""Gauges of the Gold set: which version decides, and how far it can still be trusted."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_client.core import GaugeMetricFamily, Metric

from predator.domain.errors import PredatorError
from predator.domain.readings import Value
from predator.loop.operator.desk import Desk

RECENT = 100
"""Cycles among which the newest evaluation is looked for."""
_READINGS = {
    "seal_age_s": ("seal_age_seconds", "Age of the sealed version"),
    "judgment_age_s": ("judgment_age_seconds", "Age of the newest judgment that has a date"),
    "new_documents": ("new_documents_ratio", "Share of documents that the judges could not see"),
    "gone_documents": ("gone_documents_ratio", "Share of the judged documents that are gone"),
}


def gold_metrics(desk: Desk) -> Iterator[Metric]:
    """What is known of the Gold set; a reading that is none has no sample, never a zero.

    ``PredatorError`` where the set is not whole, or an evaluation cannot be read.
    """
    yield _unjudged(desk)
    found = desk.gold(desk.clock.now())
    if found is None:
        return
    gold = found.sealed.gold
    yield GaugeMetricFamily("predator_loop_gold_version", "The version that decides", gold.version)
    yield GaugeMetricFamily("predator_loop_gold_queries", "Questions in it", len(gold.rows))
    for name, reading in found.readings.items():
        metric, what = _READINGS[name]
        if isinstance(reading, Value):
            yield GaugeMetricFamily(f"predator_loop_gold_{metric}", what, reading.value)


def _unjudged(desk: Desk) -> Metric:
    """unjudged@10 of the newest evaluation of each contour."""
    family = GaugeMetricFamily(
        "predator_loop_gold_unjudged_ratio",
        "Share of the first ten hits that nobody judged, in the newest evaluation",
        labels=["contour", "release"],
    )
    done = set()
    for entry in desk.cycles.list(limit=RECENT):
        if entry.contour in done or "offline_verdict" not in entry.moments:
            continue
        gold = _evaluation(desk, entry.cycle_id).get("gold")
        if not isinstance(gold, dict):
            continue
        done.add(entry.contour)
        for release, reading in dict(gold.get("unjudged_at_10", {})).items():
            if isinstance(reading, dict) and isinstance(reading.get("value"), int | float):
                family.add_metric([entry.contour, release], reading["value"])
    return family


def _evaluation(desk: Desk, cycle_id: str) -> Mapping[str, Any]:
    try:
        value = json.loads((desk.artifacts / cycle_id / "evaluation.json").read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise PredatorError(f"the evaluation of {cycle_id} cannot be read") from error
    return value if isinstance(value, dict) else {}
