"""The key figures say how the loop does, and what nobody knows is never counted as good."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from predator.adapters.cycles.memory import MemoryCycles
from predator.domain.canonical import sha256_hex
from predator.journal.audit import AuditJournal
from predator.loop.kpi import DAY_S, MONTH_S, TARGETS, CycleFact, Kpi, kpis
from predator.loop.kpi_facts import entries_since, facts_of

HOUR_S = 3_600.0


def facts(count: int, outcome: str = "success") -> list[CycleFact]:
    """Cycles of 30 days, each with a verdict after an hour."""
    return [
        CycleFact(
            f"c{n}", n * MONTH_S / count, outcome, n * MONTH_S / count + HOUR_S,
            n * MONTH_S / count + 2 * HOUR_S,
        )
        for n in range(count)
    ]  # fmt: skip


def live(fact: CycleFact, gain: float | None = 0.03, cost: float | None = -0.06) -> CycleFact:
    return replace(
        fact, live_at=fact.requested_at + DAY_S, ndcg_delta_rel=gain, cost_delta_rel=cost
    )


def figures(given: list[CycleFact], until: float = MONTH_S) -> dict[str, Kpi]:
    return {one.name: one for one in kpis(given, 0.0, until)}


def test_a_month_that_meets_every_target_says_so() -> None:
    month = facts(70)
    month[3] = live(month[3])
    found = figures(month)
    assert [one.name for one in TARGETS] == list(found)
    of_one = {"rollback_share", "ndcg_delta_rel", "cost_delta_rel"}
    assert {name for name, one in found.items() if one.met is None} == of_one
    assert all(found[name].met for name in found if name not in of_one)
    assert found["cycles_per_month"].current == 70
    assert found["success_share"].current == 1.0
    assert found["cycle_time_p95_s"].current == HOUR_S
    assert found["ndcg_delta_rel"].current == 0.03
    json.dumps([one.to_json() for one in found.values()])


def test_a_few_cycles_say_little_and_the_interval_says_so() -> None:
    found = figures([live(one, gain) for one, gain in zip(facts(2), (0.01, 0.05), strict=True)])
    low, high = found["ndcg_delta_rel"].interval or (0.0, 0.0)
    assert low == pytest.approx(0.03 - 12.7062 * 0.02) and high == pytest.approx(
        0.03 + 0.2541, abs=1e-4
    )
    assert found["rollback_share"].interval == pytest.approx((0.0, 0.8419), abs=1e-4)
    assert figures([live(facts(1)[0])])["ndcg_delta_rel"].interval is None
    assert figures([])["success_share"].interval is None


def test_a_cycle_that_changed_nothing_is_a_success_and_an_error_is_none() -> None:
    found = figures([*facts(9), *facts(1, "error")])["success_share"]
    assert found.current == 0.9 and found.met is None, "too few to show it"
    assert figures([*facts(98), *facts(2, "error")])["success_share"].met
    found = figures([*facts(8), *facts(1, "error"), *facts(1, "denied")])["success_share"]
    assert found.current == 0.8 and not found.met


def test_without_any_cycle_nothing_is_met() -> None:
    found = figures([])
    assert found["cycles_per_month"].current == 0 and found["cycles_per_month"].met is False
    assert all(one.met is None for name, one in found.items() if name != "cycles_per_month")
    assert all(one.current is None for name, one in found.items() if name != "cycles_per_month")


def test_one_that_hangs_is_slow_until_somebody_ends_it() -> None:
    hangs = [CycleFact("c", 0.0, "")]
    assert figures(hangs)["cycle_time_p95_s"].current == MONTH_S
    assert figures(hangs)["cycle_time_p95_s"].met is False


def test_a_cycle_without_a_verdict_lasts_until_its_end_and_one_without_times_is_missing() -> None:
    ended = CycleFact("c", 0.0, "error", None, 5 * HOUR_S)
    assert figures([ended])["cycle_time_p95_s"].current == 5 * HOUR_S
    found = figures([ended, CycleFact("d", 0.0, "error")])["cycle_time_p95_s"]
    assert found.missing == 1 and found.met is None


def test_a_gain_that_is_not_known_keeps_the_target_from_being_met() -> None:
    known, unknown = live(facts(2)[0]), live(facts(2)[1], None, None)
    found = figures([known, unknown])["ndcg_delta_rel"]
    assert (found.current, found.n, found.missing, found.met) == (0.03, 1, 1, None)
    low = figures([live(facts(2)[0], 0.01), unknown])["ndcg_delta_rel"]
    assert low.met is False and low.missing == 1


def test_rollbacks_are_counted_against_what_went_live_and_their_gain_is_none() -> None:
    month = [live(fact) for fact in facts(20)]
    month[0] = replace(month[0], outcome="rolled_back", ndcg_delta_rel=0.5)
    found = figures(month)
    assert found["rollback_share"].current == 0.05 and found["rollback_share"].met is None
    assert found["ndcg_delta_rel"].current == pytest.approx(0.03)
    month[1] = replace(month[1], outcome="")
    assert figures(month)["rollback_share"].missing == 1


def test_the_trend_is_by_30_days_and_a_few_days_are_no_month() -> None:
    later = [replace(fact, requested_at=fact.requested_at + MONTH_S) for fact in facts(60)]
    found = figures([*facts(70), *later], 2 * MONTH_S + 3 * DAY_S)["cycles_per_month"]
    assert list(found.trend) == [70, 60, None]
    assert found.current == pytest.approx(130 / (2 + 3 / 30))


@pytest.mark.parametrize("until", [0.0, -1.0, math.nan, math.inf])
def test_a_time_that_is_none_is_refused(until: float) -> None:
    with pytest.raises(ValueError, match="no figures"):
        kpis([], 0.0, until)


@given(
    st.lists(
        st.builds(
            CycleFact,
            st.just("c"),
            st.floats(0, MONTH_S - 1),
            st.sampled_from(["", "success", "error", "denied", "rolled_back"]),
            st.none() | st.floats(MONTH_S, 2 * MONTH_S),
            st.none() | st.floats(MONTH_S, 2 * MONTH_S),
            st.none() | st.floats(0, MONTH_S - 1),
            st.none() | st.floats(-1, 1),
            st.none() | st.floats(-1, 1),
        ),
        max_size=12,
    )
)
def test_nothing_missing_is_ever_met(given: list[CycleFact]) -> None:
    for one in figures(given).values():
        assert one.met is not True or (one.missing == 0 and one.current is not None)
        assert (one.current is None) == (one.n == 0) or one.name == "cycles_per_month"


def test_the_facts_of_a_home_are_read_from_register_and_journals(tmp_path: Path) -> None:
    cycles = MemoryCycles()
    ids = [
        cycles.open(f"k{n}", "local", {"type": "drill" if n == 2 else "scheduled"}, 1e9 + n * DAY_S)
        for n in range(5)
    ]
    cycles.open("other", "dev-mac", {"type": "scheduled"}, 1e9)
    for n, cost in ((0, 0.2), (3, 0.19), (4, None)):
        evaluated: dict[str, Any] = {
            "gain": {"delta_rel": 0.05},
            "gain_shrunken_rel": 0.04 if n else None,
            "guardrails": [{"name": "cost_per_1k_usd", "value": cost}],
        }
        _left(tmp_path, ids[n], evaluated, 1e9 + n * DAY_S + 60)
        cycles.mark(ids[n], "offline_verdict", 1e9 + n * DAY_S + 30)
        cycles.finish(ids[n], "success", 1e9 + n * DAY_S + 90)
    found = facts_of(tmp_path, entries_since(cycles, "local", 1e9))
    assert [fact.cycle_id for fact in found] == [ids[0], ids[1], ids[3], ids[4]]
    assert [fact.ndcg_delta_rel for fact in found] == [0.05, None, 0.04, 0.04]
    assert [fact.cost_delta_rel for fact in found] == [None, None, pytest.approx(-0.05), None]
    assert [fact.live_at is not None for fact in found] == [True, False, True, True]
    assert entries_since(cycles, "local", 1e9 + 3.5 * DAY_S)[0].cycle_id == ids[4]


@pytest.mark.parametrize(
    ("to_version", "outcome", "told"),
    [
        ("v1.0", "success", "rolled_back"),
        (None, "success", "rolled_back"),
        ("v2.0", "success", "success"),
        ("v1.0", "error", "success"),
    ],
)
def test_a_release_that_people_went_back_from_was_rolled_back(
    tmp_path: Path, to_version: str | None, outcome: str, told: str
) -> None:
    cycles = MemoryCycles()
    name = cycles.open("k", "local", {"type": "scheduled"}, 1e9)
    _left(tmp_path, name, {}, 1e9 + 60)
    cycles.finish(name, "success", 1e9 + 90)
    trigger = {"type": "operator_rollback", "to_version": to_version}
    cycles.finish(cycles.open("r", "local", trigger, 1e9 + 500), outcome, 1e9 + 510)
    [fact] = facts_of(tmp_path, entries_since(cycles, "local", 0.0))
    assert fact.outcome == told


def test_a_release_that_people_brought_back_counts_again(tmp_path: Path) -> None:
    cycles = MemoryCycles()
    name = cycles.open("k", "local", {"type": "scheduled"}, 1e9)
    _left(tmp_path, name, {}, 1e9 + 60)
    cycles.finish(name, "success", 1e9 + 90)
    for number, (version, told) in enumerate((("v1.0", "rolled_back"), ("v2.0", "success"))):
        trigger = {"type": "operator_rollback", "to_version": version}
        at = 1e9 + 500 * (number + 1)
        cycles.finish(cycles.open(f"r{number}", "local", trigger, at), "success", at + 10)
        [fact] = facts_of(tmp_path, entries_since(cycles, "local", 0.0))
        assert fact.outcome == told


def test_of_a_cycle_whose_files_are_not_what_its_journal_says_nothing_is_known(
    tmp_path: Path,
) -> None:
    cycles = MemoryCycles()
    name = cycles.open("k", "local", {"type": "scheduled"}, 1e9)
    _left(tmp_path, name, {"gain_shrunken_rel": 0.03}, 1e9 + 60)
    sha256 = sha256_hex((tmp_path / name / "evaluation.json").read_bytes())
    AuditJournal(tmp_path / name / "audit.jsonl").append(
        {"type": "files", "files": {"evaluation.json": sha256}}
    )
    cycles.finish(name, "success", 1e9 + 90)
    [fact] = facts_of(tmp_path, entries_since(cycles, "local", 0.0))
    assert (fact.ndcg_delta_rel, fact.outcome) == (0.03, "success")
    (tmp_path / name / "evaluation.json").write_text('{"gain_shrunken_rel": 0.5}')
    [fact] = facts_of(tmp_path, entries_since(cycles, "local", 0.0))
    assert (fact.ndcg_delta_rel, fact.outcome) == (None, "")


@pytest.mark.parametrize(
    ("then", "told"), [(None, ""), ("keep", "success"), ("rollback", "rolled_back")]
)
def test_a_release_that_its_watch_held_is_not_known_until_people_say(
    tmp_path: Path, then: str | None, told: str
) -> None:
    cycles = MemoryCycles()
    name = cycles.open("k", "local", {"type": "scheduled"}, 1e9)
    _left(tmp_path, name, {}, 1e9 + 60)
    (tmp_path / name / "watch.json").write_text('{"looks": [{"decision": "HOLD"}]}')
    cycles.finish(name, "success", 1e9 + 90)
    more = {"to_version": "v1.0", "cycle_id": name}
    if then is not None:
        trigger = {"type": f"operator_{then}", **more}
        cycles.finish(cycles.open("t", "local", trigger, 1e9 + 500), "success", 1e9 + 510)
    found = facts_of(tmp_path, entries_since(cycles, "local", 0.0))
    assert [fact.outcome for fact in found] == [told]
    rollbacks = figures(list(found), 1e9 + MONTH_S)["rollback_share"]
    assert (rollbacks.missing, rollbacks.met) == {"": (1, None), "success": (0, None)}.get(
        told, (0, False)
    )


@pytest.mark.parametrize(
    "text", ["", "[]", "not json", '{"gain": 3, "guardrails": 7}', '{"gain": {"delta_rel": "x"}}']
)
def test_what_cannot_be_read_is_not_known(tmp_path: Path, text: str) -> None:
    cycles = MemoryCycles()
    name = cycles.open("k", "local", {"type": "scheduled"}, 1e9)
    (tmp_path / name).mkdir()
    for file in ("evaluation.json", "audit.jsonl"):
        (tmp_path / name / file).write_text(text)
    [fact] = facts_of(tmp_path, entries_since(cycles, "local", 0.0))
    assert fact.ndcg_delta_rel is None and fact.cost_delta_rel is None and fact.live_at is None


def _left(artifacts: Path, cycle_id: str, evaluated: dict[str, Any], at: float) -> None:
    folder = artifacts / cycle_id
    folder.mkdir()
    (folder / "evaluation.json").write_text(json.dumps(evaluated))
    journal = AuditJournal(folder / "audit.jsonl", now=lambda: at)
    for status in ("denied", "completed"):
        action = {"type": "deploy", "status": status, "version": "v2.0"}
        journal.append({"type": "action", "action": action})
