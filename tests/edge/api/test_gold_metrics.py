"""Whoever watches the loop sees which Gold set decides, and how stale it is."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from predator.domain.errors import IntegrityError, PredatorError
from predator.domain.readings import NoData, Reading, Value
from predator.edge.api.gold_metrics import gold_metrics
from predator.loop.gold.report import GoldNow
from predator.loop.gold.sets import Sealed
from predator.loop.operator.desk import Desk
from tests.domain.test_gold_set import gold_set
from tests.loop.operator_world import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def known(at: float) -> GoldNow:
    sealed = Sealed("f" * 64, replace(gold_set(), version=3, sealed_at=at - 60))
    readings: dict[str, Reading] = {
        "seal_age_s": Value(60, 1, 60, 60, at),
        "judgment_age_s": NoData("no judgment says when it was made"),
        "new_documents": Value(0.25, 4, 0.25, 0.25, at),
        "gone_documents": Value(0.0, 2, 0.0, 0.0, at),
    }
    return GoldNow(sealed, [sealed], readings)


def values(desk: Desk) -> dict[str, float]:
    return {
        f"{sample.name.removeprefix('predator_loop_gold_')}{sorted(sample.labels.values())}":
        sample.value
        for family in gold_metrics(desk)
        for sample in family.samples
    }  # fmt: skip


def evaluated(world: World, text: str) -> None:
    cycle = world.desk.cycles.open("key", "local", {}, world.now)
    world.desk.cycles.mark(cycle, "offline_verdict", world.now)
    folder = world.artifacts / cycle
    folder.mkdir()
    (folder / "evaluation.json").write_text(text)


def test_what_is_known_is_shown_and_what_is_not_has_no_sample(world: World) -> None:
    readings = {
        "baseline": {"value": 0.2, "n": 9, "ci": [0.1, 0.3], "at": 1.0},
        "candidate": {"value": None, "reason": "1 Gold queries found something"},
    }
    evaluated(world, json.dumps({"gold": {"unjudged_at_10": readings}}))
    assert values(replace(world.desk, gold=known)) == {
        "version[]": 3,
        "queries[]": 2,
        "seal_age_seconds[]": 60,
        "new_documents_ratio[]": 0.25,
        "gone_documents_ratio[]": 0,
        "unjudged_ratio['baseline', 'local']": 0.2,
    }


def test_without_a_run_there_is_nothing(world: World) -> None:
    assert values(world.desk) == {}


@pytest.mark.parametrize("text", ["{}", "[]", '{"gold": null}', '{"gold": {"unjudged_at_10": {}}}'])
def test_an_evaluation_without_gold_has_no_sample(world: World, text: str) -> None:
    evaluated(world, text)
    assert values(world.desk) == {}


def test_what_cannot_be_read_is_an_error_for_the_caller_to_count(world: World) -> None:
    def broken(_: float) -> GoldNow:
        raise IntegrityError("the seal of the Gold set is broken")

    with pytest.raises(IntegrityError):
        values(replace(world.desk, gold=broken))
    evaluated(world, "{")
    with pytest.raises(PredatorError, match="cannot be read"):
        values(world.desk)
