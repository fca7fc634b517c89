"""Documents without a category get one from their words, the same one each time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from predator.domain.documents import Document
from predator.learning.categories import MOST_CATEGORIES, learn_rules
from predator.search.processor import DEFAULT_ENTITIES, Processor, Rules
from tests.search.fakes import documents

TOPICS = {
    "sea": "whale dolphin shark coral reef harbour anchor sail",
    "sky": "cloud rain thunder wind storm rainbow sunset star",
    "kitchen": "knife spoon oven kettle bread butter recipe salt",
}


def topical(count: int) -> list[Document]:
    rng = np.random.default_rng(0)
    found = []
    for number in range(count):
        topic = list(TOPICS)[number % 3]
        words = " ".join(rng.choice(TOPICS[topic].split(), 12))
        found.append(Document(f"{topic}-{number}", "", words))
    return found


def test_topics_become_categories_named_by_their_words() -> None:
    docs = topical(480)
    rules = learn_rules(docs, seed=1)
    assert len(rules.categories) == 3
    processor = Processor(rules)
    for topic, words in TOPICS.items():
        found = {processor.process(d).category for d in docs if d.id.startswith(topic)}
        assert len(found) == 1
        (name,) = found
        assert len(set(name.split("-")) & set(words.split())) >= 1
    assert rules.entities == DEFAULT_ENTITIES


def test_rules_are_repeatable_and_survive_storage() -> None:
    docs = topical(480)
    rules = learn_rules(docs, seed=1)
    assert learn_rules(docs, seed=1).dump() == rules.dump()
    assert Rules.load(rules.dump()) == rules


def test_a_collection_with_categories_keeps_them() -> None:
    docs = [replace(d, category="own") for d in topical(480)]
    assert learn_rules(docs, seed=0).categories == {}


def test_too_little_or_nothing_to_cluster_leaves_no_rules() -> None:
    assert learn_rules([], 0).categories == {}
    assert learn_rules(topical(30), 0).categories == {}
    assert learn_rules([Document(str(i), "", "") for i in range(60)], 0).categories == {}
    assert learn_rules([Document(str(i), "", f"word{i}") for i in range(60)], 0).categories == {}


def test_there_are_never_too_many_categories() -> None:
    assert 2 <= len(learn_rules(documents(60), 0).categories) <= MOST_CATEGORIES
