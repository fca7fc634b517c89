"""No data is not good news for the watch: every fault of every metric, and never a KEEP (I8)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from predator.domain.errors import PredatorError
from predator.loop import deciders
from predator.ports.feedback import Failure, Impression
from predator.ports.runtime import Json
from tests.loop.impressions import by_share, traffic
from tests.loop.watched import limits

LOOKS = 6
ARMS = {"inside": "holdback", "outside": "live"}


@dataclass
class Source:
    """What one arm's source gives: searches, NDCG@10 by query, failed searches."""

    searches: Sequence[Any]
    ndcg: Mapping[str, Any]
    failed: Sequence[Any] = ()

    def recorded(self) -> Json:
        return deciders.arm_inputs(self.searches, self.ndcg, self.failed)


@cache
def source(seed: int, arm: str) -> Source:
    """A healthy one."""
    rng = np.random.default_rng(seed)
    made = traffic(rng, 900, by_share("w", 0.3, **ARMS), users=500)
    found = [replace(one, query_id=f"{arm}{n}") for n, one in enumerate(made) if one.variant == arm]
    scores = np.clip(rng.normal(0.8, 0.1, len(found)), 0, 1)
    return Source(
        found, {i.query_id: float(v) for i, v in zip(found, scores, strict=True)},
    )  # fmt: skip


def down(_: Source) -> Source:
    raise PredatorError("the source is down")


def slow(_: Source) -> Source:
    raise PredatorError("the source did not answer within 30 s")


def clicked(value: Any) -> Callable[[Source], Source]:
    return lambda s: replace(s, searches=[replace(i, clicks=(value,)) for i in s.searches])


def took(value: Any) -> Callable[[Source], Source]:
    return lambda s: replace(s, searches=[replace(i, latency_ms=value) for i in s.searches])


def scored(value: Any) -> Callable[[Source], Source]:
    return lambda s: replace(s, ndcg=dict.fromkeys(s.ndcg, value))


def failed(user: Any) -> Callable[[Source], Source]:
    lost = Failure(user, "r", "w", "live", 0.0)
    return lambda s: replace(s, failed=[lost] * 400)


NOTHING: Mapping[str, Callable[[Source], Source]] = {
    "down": down,
    "30 s slow": slow,
    "empty": lambda s: replace(s, searches=[], ndcg={}),
    "stale": lambda s: replace(s, searches=s.searches[:0], ndcg=s.ndcg),
}
"""Of the source as a whole; what is stale lies outside the span that is asked for."""
FAULTS: Mapping[str, Mapping[str, Callable[[Source], Source]]] = {
    "click_mrr": {
        **NOTHING,
        "NaN": clicked(math.nan), "+Inf": clicked(math.inf), "-Inf": clicked(-math.inf),
        "none": clicked(None), "a string": clicked("first"), "below the first": clicked(0),
        "two series": lambda s: replace(
            s, searches=[replace(i, clicks=[(1,), (2,)]) for i in s.searches]
        ),
        "another type": lambda s: replace(s, searches=["search"] * 900),
    },
    "ndcg_at_10": {
        **NOTHING,
        "NaN": scored(math.nan), "+Inf": scored(math.inf), "-Inf": scored(-math.inf),
        "none": scored(None), "a string": scored("good"), "huge": scored(1e308),
        "above one": scored(1.01), "below none": scored(-0.1),
        "two series": scored([0.8, 0.9]),
        "no longer judged": lambda s: replace(s, ndcg={}),
        "a single one": lambda s: replace(s, ndcg=dict(list(s.ndcg.items())[:1])),
    },
    "latency": {
        **NOTHING,
        "NaN": took(math.nan), "+Inf": took(math.inf), "-Inf": took(-math.inf),
        "none": took(None), "a string": took("fast"), "below none": took(-1.0),
        "two series": took([1.0, 2.0]),
    },
}  # fmt: skip


PARTS = {"before": (1, "live"), "live": (2, "live"), "held": (3, "holdback")}


@cache
def healthy(part: str) -> Json:
    return source(*PARTS[part]).recorded()


def decided(part: str, fault: Callable[[Source], Source]) -> str:
    """The last look's decision with one source broken; to refuse the input is no KEEP."""
    try:
        parts = {name: healthy(name) for name in PARTS if name != part}
        if part:
            parts[part] = fault(source(*PARTS[part])).recorded()
        decide = deciders.DECIDERS
        found = decide["watch_baseline"](deciders.watch_baseline_inputs(parts["before"]))
        before = deciders.to_watch_baseline(found)
        plan = deciders.to_watch_plan(
            decide["watch_plan"](deciders.watch_plan_inputs(before, 500.0, limits(looks=LOOKS)))
        )
        inputs = deciders.watch_look_inputs(LOOKS, plan, before, parts["live"], parts["held"])
        return str(decide["watch_look"](inputs)["decision"])
    except (PredatorError, ValueError, TypeError, AttributeError, OverflowError) as error:
        return type(error).__name__


def test_measured_it_is_kept() -> None:
    assert decided("", down) == "KEEP"


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize(
    ("metric", "fault"), [(metric, name) for metric, some in FAULTS.items() for name in some]
)
def test_no_fault_is_kept(part: str, metric: str, fault: str) -> None:
    found = decided(part, FAULTS[metric][fault])
    if part == "before" and fault in ("no longer judged", "a single one"):
        assert found == "KEEP", "it was never judged, so clicks alone are what it is kept by"
    else:
        assert found != "KEEP"


@pytest.mark.parametrize("huge", [1e12, 1e300])
def test_a_latency_beyond_all_measure_is_a_slow_release(huge: float) -> None:
    assert decided("live", took(huge)) == "ROLL_BACK"


def test_failures_by_whomever_are_no_good_news() -> None:
    many = [Failure(f"f{n}", "r", "w", "live", 0.0) for n in range(400)]
    assert decided("live", lambda s: replace(s, failed=many)) == "ROLL_BACK"
    assert decided("live", lambda s: replace(s, failed=["lost"] * 9)) != "KEEP"


def test_the_matrix_is_whole() -> None:
    assert {metric: len(some) for metric, some in FAULTS.items()} == {
        "click_mrr": 12, "ndcg_at_10": 15, "latency": 11,
    }  # fmt: skip
    assert all(isinstance(one, Impression) for one in source(1, "live").searches)
