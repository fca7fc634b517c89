"""A cycle evaluates on a sealed Gold set or not at all, and says how far it can be trusted."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from predator.domain.errors import IntegrityError
from predator.domain.gold_set import GoldRow, GoldSet, Human, Lineage, SplitRule
from predator.loop.cycle import turn
from predator.loop.dataset import stage as dataset_stage
from predator.loop.gold.report import content
from predator.loop.gold.sets import GoldSets, keep_documents
from predator.loop.labels import Labels
from predator.loop.real_stations import RealStations
from predator.loop.record import Record
from predator.policy.gates import load_gates
from tests.loop.small_ring import CYCLE, World

OLD = 180
"""Documents that are there from the start; the judges saw no others."""


def sealed(world: World) -> Labels:
    labels = world.labels()
    made = Lineage(Human.JUDGMENT.value, "qrels/test.tsv", "a" * 64, (2,))
    rows = tuple(GoldRow(q.id, q.text, labels.judgments[q.id], made) for q in labels.gold)
    rule = SplitRule("cluster", "nobody says when they were asked", 0)
    seen = keep_documents(world.objects, [d.id for d in world.docs[:OLD]])
    found = GoldSets(world.objects, world.folder / "gold-set.json").supersede(
        GoldSet("small", "c" * 64, seen, rows, rule), world.time
    )
    return replace(labels, gold_set=found.gold, seal=found.digest)


def stations(world: World, labels: Labels) -> tuple[Record, RealStations]:
    situation = world.live_through()
    made = RealStations(world.sources(), labels, situation, load_gates(world.gates))
    return world.record(situation.trigger), made


def evaluate(world: World, labels: Labels) -> dict[str, Any]:
    """The station alone: what is live, against itself."""
    record, made = stations(world, labels)
    record.begin()
    opened = made.open(record)
    return dict(made.evaluate(record, opened, {"release": opened["before"]["digest"]}, 1))


def test_an_evaluation_says_on_what_it_was_made(world: World) -> None:
    labels = sealed(world)
    found = evaluate(world, labels)
    assert json.loads((world.folder / "artifacts" / CYCLE / "evaluation.json").read_text()) == found
    gold = found["gold"]
    assert (gold["version"], gold["digest"], gold["content"]) == (1, labels.seal, found["gold_set"])
    assert gold["sources"] == {"judgment": len(labels.gold)}
    share = (len(world.docs) - OLD) / len(world.docs)
    assert gold["readings"]["new_documents"]["value"] == pytest.approx(share)
    assert gold["readings"]["gone_documents"]["value"] == 0
    assert gold["readings"]["judgment_age_s"]["value"] is None
    shown = gold["unjudged_at_10"]
    assert 0 < shown["candidate"]["value"] == shown["baseline"]["value"] <= 1
    assert gold["bias"] == ""


@pytest.mark.parametrize("broken", ["the object is gone", "another judgment"])
def test_where_the_seal_does_not_hold_nothing_of_gold_is_read(world: World, broken: str) -> None:
    labels = sealed(world)
    if broken == "the object is gone":
        del world.objects._objects[labels.seal]
    else:
        query = labels.gold[0].id
        labels = replace(labels, judgments={**labels.judgments, query: {world.docs[0].id: 1}})
    with pytest.raises(IntegrityError, match="seal"):
        evaluate(world, labels)
    assert not [one for one in world.said if "Gold queries" in one]
    assert world.ledger.readings(content(labels)) == []
    assert not (world.folder / "artifacts" / CYCLE / "evaluation.json").exists()


def test_a_gold_question_among_the_training_data_ends_the_cycle_before_the_training(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels, honest = sealed(world), dataset_stage.read_rows
    leak = ("t", labels.gold[0].text, "d", 1, "click")
    monkeypatch.setattr(dataset_stage, "read_rows", lambda data: [*honest(data), leak])
    record, made = stations(world, labels)
    with pytest.raises(IntegrityError, match="training queries say what a Gold question says"):
        turn(record, made)
    last = (world.folder / "artifacts" / CYCLE / "audit.jsonl").read_text().splitlines()[-1]
    assert json.loads(last)["summary"]["outcome"] == "error"
    assert world.commits == [] and "evaluate" not in world.said
