"""The world of a run: what arrives when, who asks what, and which judgments serve for what."""

from __future__ import annotations

import json

import numpy as np
import pytest
from numpy.typing import NDArray

from predator.domain.documents import Collection, Document, Query
from predator.domain.errors import InputError
from predator.search.processor import Rules
from predator.simulation.local_world import (
    LEAST_QUERIES,
    NEW_QUERIES,
    LocalWorld,
    answerable,
    judged,
    plan_world,
)

RULES = Rules({}, {})


def vectors(count: int, seed: int = 0) -> NDArray[np.float32]:
    found = np.random.default_rng(seed).standard_normal((count, 16)).astype(np.float32)
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    return found


def collection(
    queries: int = 120,
    *,
    categories: int = 6,
    documents: int = 240,
    arrivals: bool = False,
    test: int = 0,
) -> Collection:
    docs = [
        Document(f"d{i}", f"title {i}", "text", f"topic-{i % categories}") for i in range(documents)
    ]
    asked = [Query(f"q{i}", f"question {i}") for i in range(queries)]
    grades = {query.id: {f"d{i}": 1, f"d{i + 1}": 0} for i, query in enumerate(asked)}
    splits = {"all": grades}
    if test:
        in_test = {query.id for query in asked[:test]}
        splits = {
            "test": {q: g for q, g in grades.items() if q in in_test},
            "train": {q: g for q, g in grades.items() if q not in in_test},
        }
    groups: list[list[str]] = []
    if arrivals:
        groups = [[d.id for d in docs[: documents // 2]], [d.id for d in docs[documents // 2 :]]]
    return Collection("c", docs, asked, splits, "d" * 64, groups)


def planned(data: Collection, seed: int = 0) -> LocalWorld:
    return plan_world(data, RULES, vectors(len(data.queries)), data.queries, seed)


class TestAnswerable:
    def test_queries_that_nothing_answers_are_left_out(self) -> None:
        data = collection(30)
        (judgments,) = data.splits.values()
        odd = {**judgments, "q0": {"d1": 0}, "q1": {}}
        data = Collection("c", data.documents, data.queries, {"odd": odd}, "d")
        assert [q.id for q in answerable(data)] == [f"q{i}" for i in range(2, 30)]

    def test_splits_that_contradict_each_other_are_told(self) -> None:
        data = collection(30)
        (judgments,) = data.splits.values()
        document, grade = next(iter(judgments["q0"].items()))
        both = {**data.splits, "other": {"q0": {document: grade + 1}}}
        with pytest.raises(InputError, match=r"qrels/other\.tsv judges"):
            answerable(Collection("c", data.documents, data.queries, both, "d"))

    def test_a_query_of_two_splits_keeps_all_its_judgments(self) -> None:
        data = collection(30)
        more = {**data.splits, "more": {"q0": {"d7": 1}}}
        found = judged(Collection("c", data.documents, data.queries, more, "d"))
        assert found["q0"].keys() > {"d7"}

    def test_too_few_are_said_with_their_number(self) -> None:
        with pytest.raises(InputError, match="19 judged queries are too few") as error:
            answerable(collection(LEAST_QUERIES - 1))
        assert str(LEAST_QUERIES) in str(error.value)
        assert len(answerable(collection(LEAST_QUERIES))) == LEAST_QUERIES

    def test_every_split_is_judged(self) -> None:
        assert set(judged(collection(50, test=20))) == {f"q{i}" for i in range(50)}


class TestWaves:
    def test_a_collection_that_names_its_arrivals_keeps_them(self) -> None:
        world = planned(collection(240, arrivals=True))
        assert [len(wave) for wave in world.waves] == [120, 120]
        assert world.waves[0][0].id == "d0" and world.waves[1][0].id == "d120"
        assert {world.wave_of[f"q{i}"] for i in range(120)} == {0}
        assert {world.wave_of[f"q{i}"] for i in range(120, 240)} == {1}

    @pytest.mark.parametrize("seed", range(6))
    def test_otherwise_whole_categories_come_later(self, seed: int) -> None:
        data = collection()
        world = planned(data, seed)
        first, second = world.waves
        assert {d.category for d in first} & {d.category for d in second} == set()
        assert len(first) + len(second) == len(data.documents)
        share = sum(world.wave_of.values()) / len(world.wave_of)
        assert NEW_QUERIES[0] <= share <= NEW_QUERIES[1]

    def test_a_collection_of_one_category_has_no_shift(self) -> None:
        world = planned(collection(categories=1))
        assert [len(wave) for wave in world.waves] == [240]
        assert set(world.wave_of.values()) == {0}

    def test_where_all_that_is_known_would_be_new_there_is_no_shift(self) -> None:
        """All queries are about the second arrival: nothing would be left to learn from."""
        data = collection(100, arrivals=True)
        groups = [data.arrivals[1], data.arrivals[0]]
        data = Collection("c", data.documents, data.queries, data.splits, "d", groups)
        world = planned(data)
        assert len(world.waves) == 1
        assert len(world.labels(0, 1000, 1000).training) >= 5

    def test_empty_documents_arrive_too(self) -> None:
        data = collection()
        docs = [*data.documents, Document("void", "", "")]
        data = Collection("c", docs, data.queries, data.splits, "d")
        assert sum(len(wave) for wave in planned(data).waves) == 241


class TestRoles:
    @pytest.mark.parametrize("queries", [20, 25, 40, 200])
    @pytest.mark.parametrize("seed", range(3))
    def test_every_query_has_one_role_and_every_role_has_queries(
        self, queries: int, seed: int
    ) -> None:
        world = planned(collection(queries), seed)
        assert set(world.role_of) == {f"q{i}" for i in range(queries)}
        roles = list(world.role_of.values())
        assert min(roles.count(role) for role in ("training", "live", "gold")) > 0

    def test_a_test_split_is_the_gold(self) -> None:
        world = planned(collection(100, test=40))
        gold = {q for q, role in world.role_of.items() if role == "gold"}
        assert gold == {f"q{i}" for i in range(40)}

    def test_questions_that_are_all_alike_cannot_be_split(self) -> None:
        data = collection(60)
        same = np.full((60, 16), 0.25, np.float32)
        with pytest.raises(InputError, match="leave none for the role"):
            plan_world(data, RULES, same, data.queries, 0)

    def test_near_identical_questions_share_a_role(self) -> None:
        data = collection(90)
        pairs = np.repeat(vectors(30), 3, axis=0)
        world = plan_world(data, RULES, pairs, data.queries, 0)
        for i in range(0, 90, 3):
            assert len({world.role_of[f"q{i + j}"] for j in range(3)}) == 1


class TestLabels:
    def test_the_roles_never_overlap_and_gold_is_never_watched(self) -> None:
        world = planned(collection(200))
        for wave in range(len(world.waves)):
            labels = world.labels(wave, 1000, 1000)
            parts = [{q.id for q in part} for part in (labels.training, labels.live, labels.gold)]
            assert sum(len(part) for part in parts) == len(set.union(*parts))
            assert parts[2].isdisjoint(labels.monitored.values())
            assert all(world.wave_of[q] <= wave for part in parts for q in part)

    def test_nothing_is_learnt_from_judgments_about_the_newest_wave(self) -> None:
        world = planned(collection(200))
        labels = world.labels(1, 1000, 1000)
        assert {world.wave_of[q.id] for q in labels.training} == {0}
        assert {world.wave_of[q.id] for q in labels.gold} == {0, 1}
        assert {world.wave_of[q.id] for q in labels.live} == {0, 1}

    def test_limits_are_kept(self) -> None:
        labels = planned(collection(200)).labels(0, 7, 3)
        assert (len(labels.training), len(labels.gold)) == (7, 3)

    def test_the_same_seed_deals_the_same_world(self) -> None:
        first, again, other = (planned(collection(), seed) for seed in (1, 1, 2))
        assert first.role_of == again.role_of and first.wave_of == again.wave_of
        assert first.role_of != other.role_of


class TestTraffic:
    def test_half_of_the_traffic_asks_about_what_is_new(self) -> None:
        world = planned(collection(200))
        before, after = world.mix(0), world.mix(1)
        assert before == {"wave0": 1.0}
        assert after == {"wave0": 0.5, "wave1": 0.5}

    def test_older_waves_share_the_rest_by_their_size(self) -> None:
        data = collection(240, arrivals=True)
        thirds = [[d.id for d in data.documents[i : i + 80]] for i in (0, 80, 160)]
        data = Collection("c", data.documents, data.queries, data.splits, "d", thirds)
        mix = planned(data).mix(2)
        assert mix["wave2"] == 0.5
        assert sum(mix.values()) == pytest.approx(1.0)
        assert mix["wave0"] == pytest.approx(mix["wave1"])

    def test_the_questions_are_what_the_traffic_generator_reads(self, tmp_path: object) -> None:
        from pathlib import Path

        from predator.simulation.world import load_world

        world = planned(collection(60))
        file = Path(str(tmp_path)) / "world.json"
        file.write_text(json.dumps({"groups": world.questions()}))
        loaded = load_world(file)
        assert sum(len(group) for group in loaded.values()) == 60
        assert set(loaded) == set(world.mix(len(world.waves) - 1))
