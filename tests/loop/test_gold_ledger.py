"""Each cycle reads Gold at a level of its own, which its record keeps."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from predator.adapters.object_store.memory import MemoryObjectStore
from predator.domain.documents import Query
from predator.domain.errors import PredatorError
from predator.domain.gold_set import GoldRow, GoldSet, Human, Lineage, SplitRule
from predator.domain.verdicts import Verdict
from predator.loop.gold.ledger import row_of
from predator.loop.gold.report import content
from predator.loop.gold.sets import GoldSets, Sealed
from predator.loop.labels import Labels
from predator.loop.replay import replay
from predator.statistics.ledger import Kind, level
from tests.loop.small_ring import CYCLE, START, World


def evaluation(world: World) -> dict[str, Any]:
    path = world.folder / "artifacts" / CYCLE / "evaluation.json"
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def decided_on(world: World) -> dict[str, Any]:
    """The inputs of the offline verdict, as they were recorded."""
    [path] = (world.folder / "artifacts" / CYCLE / "decisions").glob("*-evaluate.json")
    found: dict[str, Any] = json.loads(path.read_bytes())["inputs"]
    return found


def test_a_cycle_is_judged_at_what_earlier_ones_have_left_and_enters_its_verdict(
    world: World,
) -> None:
    gold = content(world.labels())
    for key in ("passed", "crashed"):
        world.ledger.reserve(gold, key, START, kind="LOND", alpha=0.05)
    world.ledger.settle(gold, "passed", START, discovery=True)
    assert world.turn(world.live_through()).verdict is Verdict.PASS

    kept, now = evaluation(world), level(Kind.LOND, 0.05, [True, False])
    spent = now.value + level(Kind.LOND, 0.05, []).value + level(Kind.LOND, 0.05, [False]).value
    assert kept["ledger"] == {
        "kind": "LOND", "gold_set": gold, "index": 3, "alpha": 0.05, "level": now.value,
        "spent": pytest.approx(spent), "discoveries": 1, "left": now.left,
    }  # fmt: skip
    assert kept["gain"]["p_value"] < now.value
    assert 0 <= kept["gain_shrunken_rel"] <= kept["gain"]["delta_rel"]
    assert world.ledger.readings(gold)[2].key == f"{CYCLE}:1"
    assert [one.discovery for one in world.ledger.readings(gold)] == [True, None, True]
    # The level is derived again from what the decision was based on.
    assert decided_on(world)["gates"]["alpha"] == 0.05
    assert decided_on(world)["ledger"]["discovered"] == [1]
    assert replay(world.folder / "artifacts" / CYCLE).ok


def test_a_reading_that_broke_off_is_spent_and_is_the_same_one_when_it_goes_on(
    world: World,
) -> None:
    situation, gold = world.live_through(), content(world.labels())
    broken: list[str] = []

    def at(seen: str) -> None:
        if "Gold queries, candidate" in seen and not broken:
            broken.append(seen)
            raise KeyboardInterrupt

    world.at = at
    with pytest.raises(KeyboardInterrupt):
        world.turn(situation)
    [before] = world.ledger.readings(gold)
    assert before.discovery is None
    outcome = world.turn(situation)
    [after] = world.ledger.readings(gold)
    assert (after.level, after.index, after.key) == (before.level, 1, f"{CYCLE}:1")
    assert after.discovery is (outcome.evaluation["verdict"] == Verdict.PASS)


def test_without_a_ledger_nothing_of_gold_is_read(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def refuse(*_: object, **__: object) -> None:
        raise PredatorError("the ledger cannot be written")

    monkeypatch.setattr(world.ledger, "reserve", refuse)
    world.at = seen.append
    with pytest.raises(PredatorError, match="ledger cannot be written"):
        world.turn(world.live_through())
    assert not [one for one in seen if "Gold queries," in one]
    assert world.commits == []


def test_a_candidate_that_does_not_pass_is_no_discovery(world_with: Callable[..., World]) -> None:
    """Under the sensitive profile, which asks half of a gain that nobody reaches."""
    world = world_with(gate_profile="sensitive", ndcg_delta_rel_min=50, power=0.51)
    assert world.turn(world.live_through()).verdict in (Verdict.FAIL, Verdict.INCONCLUSIVE)
    assert decided_on(world)["gates"]["point_share"] == 0.5
    assert evaluation(world)["gain_shrunken_rel"] is None
    assert [one.discovery for one in world.ledger.readings(content(world.labels()))] == [False]


def gold(*questions: str, grade: int = 1, **how: Any) -> GoldSet:
    lineage = Lineage(Human.JUDGMENT, "qrels/test.tsv", "0" * 64)
    rows = tuple(
        GoldRow(f"q{n}", text, {"d1": grade}, lineage) for n, text in enumerate(questions)
    )  # fmt: skip
    rule = SplitRule("cluster", "because it says so", 0)
    return GoldSet("small", "0" * 64, "0" * 64, rows, rule, **how)


def labels_with(sealed: Sealed) -> Labels:
    queries = [Query(row.query, row.text) for row in sealed.gold.rows]
    judgments = {row.query: row.grades for row in sealed.gold.rows}
    return Labels([], [], queries, judgments, sealed.gold, sealed.digest)


class TestRow:
    """Which readings count together, as the questions of Gold change."""

    @pytest.fixture
    def rows(self, tmp_path: Path) -> Callable[..., str]:
        objects = MemoryObjectStore()
        sets = GoldSets(objects, tmp_path / "gold-set.json")
        return lambda *questions, **how: row_of(
            objects, labels_with(sets.supersede(gold(*questions, **how), 1.0))
        )

    def test_of_a_changed_judgment_is_the_same(self, rows: Callable[..., str]) -> None:
        first = rows("how do sparse matrices multiply", "plot a polar histogram")
        assert first == gold("how do sparse matrices multiply", "plot a polar histogram").content
        assert rows("how do sparse matrices multiply", "plot a polar histogram", grade=2) == first

    def test_of_a_question_more_or_less_or_in_other_words_is_the_same(
        self, rows: Callable[..., str]
    ) -> None:
        first = rows("how do sparse matrices multiply", "plot a polar histogram")
        assert rows("how do sparse matrices multiply", "fit a linear model") == first
        assert rows("how are sparse matrices multiplied") == first

    def test_of_other_questions_is_new_until_an_old_one_comes_back(
        self, rows: Callable[..., str]
    ) -> None:
        first = rows("how do sparse matrices multiply", "plot a polar histogram")
        second = rows("fit a linear model")
        assert second != first
        assert rows("fit a linear model", "read a csv file") == second
        assert rows("read a csv file", "plot a polar histogram") == first

    def test_of_queries_that_nobody_sealed_is_their_own(self, world: World) -> None:
        labels = world.labels()
        assert row_of(world.objects, labels) == content(labels)
