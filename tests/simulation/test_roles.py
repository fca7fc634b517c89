"""Which judged question may teach, watch or decide, and what is said about how that was dealt."""

from __future__ import annotations

import numpy as np

from predator.domain.documents import Collection, Document, Query
from predator.domain.gold_set import Lineage, Provenance, SplitRule
from predator.simulation.roles import deal_roles

COUNT = 200
WORDS = [f"z{a}{b}{c}" for a in "bdfglmn" for b in "aeiou" for c in "bdgkmnprt"]


def questions() -> list[Query]:
    """Of three words each; no two share more than one."""
    rng = np.random.default_rng(1)
    return [Query(f"q{i}", " ".join(rng.choice(WORDS, 3, replace=False))) for i in range(COUNT)]


def dealt(
    queries: list[Query],
    splits: dict[str, list[Query]] | None = None,
    times: dict[str, float] | None = None,
    tainted: frozenset[str] = frozenset(),
) -> tuple[dict[str, str], SplitRule]:
    named = splits or {"all": queries}
    grades = {name: {q.id: {"d": 1} for q in part} for name, part in named.items()}
    data = Collection("c", [Document("d", "t", "x")], queries, grades, "c" * 64)
    lineage = {
        q.id: Lineage("click" if q.id in tainted else "judgment", "f", "a" * 64) for q in queries
    }
    clusters = np.arange(len(queries)) // 4
    return deal_roles(
        data, queries, clusters, np.random.default_rng(0), 7, Provenance(lineage, times or {})
    )


def test_shares_are_half_a_fifth_and_the_rest() -> None:
    roles, rule = dealt(questions())
    counts = [list(roles.values()).count(role) for role in ("training", "live", "gold", "aside")]
    np.testing.assert_allclose(counts, [100, 40, 60, 0], atol=8)
    assert (rule.by, rule.seed, rule.watched, rule.aside) == ("cluster", 7, 0, 0)
    assert rule.why == "none of 200 questions say when they were asked"


def test_a_time_that_some_do_not_have_splits_nothing_and_that_is_said() -> None:
    times = {f"q{i}": 1e9 + i for i in range(COUNT - 1)}
    roles, rule = dealt(questions(), times=times)
    assert (rule.by, rule.cut) == ("cluster", None)
    assert rule.why == "199 of 200 questions say when they were asked"
    assert "aside" not in roles.values()


def test_the_newest_questions_decide_where_all_have_a_time() -> None:
    times = {f"q{i}": 1e9 + i for i in range(COUNT)}
    roles, rule = dealt(questions(), times=times)
    assert rule.by == "cluster and time" and rule.cut is not None
    gold = [times[q] for q, role in roles.items() if role == "gold"]
    taught = [times[q] for q, role in roles.items() if role in ("training", "live")]
    assert len(gold) >= 50 and len(taught) >= 120
    assert max(taught) < rule.cut <= min(gold)


def test_one_moment_for_all_splits_nothing() -> None:
    _, rule = dealt(questions(), times={f"q{i}": 1e9 for i in range(COUNT)})
    assert (rule.by, rule.why) == (
        "cluster",
        "no cut in time leaves enough questions on both sides",
    )


def test_a_variant_of_a_test_question_is_watched_and_not_learnt_from() -> None:
    queries = questions()
    test, train = queries[:60], queries[60:]
    train[5] = Query(train[5].id, f"how do I {test[3].text.upper()}?")
    roles, rule = dealt([*test, *train], {"test": test, "train": train})
    assert {roles[q.id] for q in test} == {"gold"}
    assert roles[train[5].id] == "live" and rule.watched <= 1
    assert rule.by == "the collection's test split"


def test_what_no_person_judged_never_decides() -> None:
    queries = questions()
    tainted = frozenset(q.id for q in queries[::2])
    for splits in (None, {"test": queries[:60], "train": queries[60:]}):
        roles, rule = dealt(queries, splits, tainted=tainted)
        assert not tainted & {q for q, role in roles.items() if role == "gold"}
        assert rule.aside > 0 and "gold" in roles.values()
        assert tainted & {q for q, role in roles.items() if role == "training"}


def test_variants_of_one_question_stand_on_one_side() -> None:
    queries = questions()
    twins = [Query(f"t{i}", f"the {queries[i].text}, please?") for i in range(0, COUNT, 2)]
    roles, _ = dealt([*queries, *twins])
    learnt = {q for q, role in roles.items() if role == "training"}
    split = [t for t in twins if {roles[t.id], roles[f"q{t.id[1:]}"]} == {"training", "gold"}]
    assert split == [] and len(learnt) > 50
