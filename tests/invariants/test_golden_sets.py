"""I23: Gold never learns from clicks or synthetic rows, and nothing learns from Gold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from predator.domain.documents import Collection, Document, Query
from predator.domain.errors import InputError
from predator.domain.gold_set import GoldRow, GoldSet, Human, Lineage, Provenance, SplitRule
from predator.learning.leakage import NEAR, gold_marks, near_duplicates, near_marks
from predator.search.analyze import terms
from predator.simulation.roles import deal_roles

ROWS = 10_000
SOURCES = (*map(str, Human), "click", "generated", "pseudo", "teacher", "")
WORDS = tuple(
    f"z{a}{b}{c}{d}" for a in "bdfgklmnprtv" for b in "aeiou" for c in "bdgkmnprtvz" for d in "aiou"
)


def asked(rng: np.random.Generator) -> list[str]:
    """Questions of three to nine words; every third is another one, slightly changed."""
    made: list[str] = []
    for number in range(ROWS):
        words = [
            WORDS[i] for i in set(rng.integers(0, len(WORDS), int(rng.integers(3, 10))).tolist())
        ]
        if number % 3 == 2:
            words = changed(made[int(rng.integers(number))], rng)
        made.append(" ".join(words))
    return made


def changed(question: str, rng: np.random.Generator) -> list[str]:
    """The same in another order and case, with function words, and a word more where it is long."""
    words = [word.upper() if rng.random() < 0.3 else word for word in question.split()]
    words = [words[i] for i in rng.permutation(len(words))]
    if len(words) >= 6:
        words.append(WORDS[int(rng.integers(len(WORDS)))])
    return ["how", "to", *words] if rng.random() < 0.5 else words


def world(seed: int, *, timed: bool, test: bool) -> tuple[Collection, Provenance]:
    rng = np.random.default_rng(seed)
    queries = [Query(f"q{i}", text) for i, text in enumerate(asked(rng))]
    grades = {query.id: {"d": 1} for query in queries}
    kinds = rng.choice(SOURCES, ROWS, p=[0.6, 0.2, 0.05, 0.05, 0.04, 0.03, 0.03])
    lineage = {
        query.id: Lineage(str(kind), "qrels/all.tsv", "a" * 64, (i + 2,))
        for i, (query, kind) in enumerate(zip(queries, kinds, strict=True))
    }
    at = {query.id: 1e9 + float(rng.random()) * 1e7 for query in queries} if timed else {}
    names = list(grades)
    splits = {"all": grades}
    if test:
        splits = {
            "train": {name: grades[name] for name in names[: ROWS * 7 // 10]},
            "test": {name: grades[name] for name in names[ROWS * 7 // 10 :]},
        }
    documents = [Document("d", "a title", "a text")]
    return Collection("many", documents, queries, splits, "c" * 64), Provenance(lineage, at)


def most_alike(left: Sequence[str], right: Sequence[str]) -> float:
    """The largest Jaccard similarity of term sets between the sides, by a plain product."""
    column: dict[str, int] = {}
    sides = []
    for texts in (left, right):
        sets = [frozenset(terms(text)) - {"how", "to"} for text in texts]
        where = [(i, column.setdefault(t, len(column))) for i, one in enumerate(sets) for t in one]
        sides.append((np.asarray(where), np.asarray([len(one) for one in sets])))
    matrices = [
        csr_matrix((np.ones(len(w)), (w[:, 0], w[:, 1])), (len(n), len(column))) for w, n in sides
    ]
    shared = (matrices[0] @ matrices[1].T).tocoo()
    union = sides[0][1][shared.row] + sides[1][1][shared.col] - shared.data
    return float((shared.data / union).max())


@pytest.mark.parametrize(
    ("timed", "test"),
    [
        pytest.param(True, False, id="by cluster and time"),
        pytest.param(False, True, id="the collection's own test"),
        pytest.param(False, False, id="by cluster", marks=pytest.mark.nightly),
    ],
)
def test_of_ten_thousand_rows_none_is_tainted_and_none_stands_on_both_sides(
    timed: bool, test: bool
) -> None:
    rng = np.random.default_rng(5)
    collection, provenance = world(5, timed=timed, test=test)
    clusters = rng.integers(0, ROWS // 10, ROWS)
    roles, rule = deal_roles(collection, collection.queries, clusters, rng, 5, provenance)
    text = {query.id: query.text for query in collection.queries}
    by_role = {role: [q for q, r in roles.items() if r == role] for role in ("training", "gold")}

    rows = tuple(
        GoldRow(q, text[q], {"d": 1}, provenance.lineage[q], provenance.asked_at.get(q))
        for q in by_role["gold"]
    )
    gold = GoldSet("many", collection.digest, "", rows, rule)
    assert len(rows) > 500 and len(by_role["training"]) > 1000
    assert sum(row.lineage.source not in ("judgment", "known_item") for row in gold.rows) == 0
    assert rule.watched > 0 and rule.aside > 0
    assert rule.by == (
        "the collection's test split" if test else "cluster and time" if timed else "cluster"
    )
    if not test:
        side = {role: {clusters[int(q[1:])] for q in names} for role, names in by_role.items()}
        assert not side["training"] & side["gold"]
    if rule.cut is not None:
        assert max(provenance.asked_at[q] for q in by_role["training"]) < rule.cut
        assert min(provenance.asked_at[q] for q in by_role["gold"]) >= rule.cut

    # Generated and click-derived rows, half of them after Gold questions, go through the filter.
    golden = [row.text for row in rows]
    planted = [" ".join(changed(one, rng)) for one in golden]
    candidates = [text[q] for q in by_role["training"]] + asked(rng)[:3000] + planted
    leaks = near_duplicates(candidates, golden)
    assert leaks[-len(planted) :].all()
    assert not leaks[: len(by_role["training"])].any()
    assert leaks.tolist() == near_marks(candidates, gold_marks(golden)).tolist()
    kept = [one for one, leak in zip(candidates, leaks, strict=True) if not leak]
    assert len(kept) > len(by_role["training"])
    assert not set(kept) & set(golden)
    assert most_alike(kept, golden) < NEAR


def test_one_tainted_row_among_ten_thousand_is_found() -> None:
    sound = Lineage(Human.JUDGMENT.value, "qrels/all.tsv", "a" * 64, (2,))
    rows = [GoldRow(f"q{i}", f"question {i}", {"d": 1}, sound) for i in range(ROWS)]
    bad = Lineage("click", "events.ndjson", "b" * 64, (77,))
    rows[7_531] = GoldRow("q7531", "what they clicked", {"d": 1}, bad)
    rule = SplitRule("cluster", "nobody says when they were asked", 0)
    with pytest.raises(InputError, match=r"'q7531' cannot be Gold.*'click' \(events.ndjson:77\)"):
        GoldSet("many", "c" * 64, "", tuple(rows), rule)
