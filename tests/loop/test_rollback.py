"""Rollback: traffic first, git by one commit, and the same whoever asks how often."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from predator.domain.errors import PolicyDenied, PredatorError
from predator.domain.release import RetrievalParameters
from predator.loop import rollback
from predator.loop.record import Record
from predator.loop.replica import keep_release
from predator.loop.rollback import roll_back, roll_back_to, withdraw
from predator.policy.decision import Principal
from predator.search.desired import Holdback, LiveRelease, RunningExperiment
from predator.search.serving.agent import load_release
from tests.loop.small_ring import CYCLE, World

BY = {"Cycle": CYCLE, "Step": "promote"}


def promoted(world: World) -> tuple[LiveRelease, LiveRelease, str]:
    """A second release goes live and is watched: the old one, the new one, the revision."""
    old = world.desired.read().release
    first = load_release(world.objects.get(old.digest))
    second = type(first)(
        first.encoder, first.schema, first.rules, RetrievalParameters(fusion="bm25")
    )
    new = LiveRelease("v2.0", keep_release(world.objects, second), CYCLE)
    held = Holdback(f"watch-{CYCLE}", old.digest, 0.05)
    revision = world.desired.set_release(new, held, "Promote", {**BY, "Release": new.digest})
    world.agent.step()
    return old, new, revision


@pytest.fixture
def lived(world: World) -> World:
    world.live_through()
    return world


@pytest.fixture
def record(lived: World) -> Record:
    record = lived.record({"type": "test"})
    record.begin()
    return record


def test_traffic_is_back_at_once_and_git_follows(lived: World, record: Record) -> None:
    old, new, bad = promoted(lived)
    lived.sleep(5)
    assert {one.release for one in lived.impressions(lived.time - 5, lived.time)} == {
        old.digest,
        new.digest,
    }
    found = roll_back(record, bad, old, "it is bad")
    assert (found.restored_s, found.git_s, found.reverts) == (0.0, 0.0, 1)
    assert lived.desired.read().release == old
    assert lived.desired.read().holdback is None
    lived.sleep(5)
    assert {one.release for one in lived.impressions(lived.time - 5, lived.time)} == {old.digest}
    action = record.actions[-1]
    assert (action["type"], action["status"]) == ("rollback", "completed")
    assert action["gitops_revision"] == found.revision
    assert action["reason"] == "it is bad"


def test_it_says_how_long_users_still_got_the_bad_release(
    lived: World, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Measured on what was served, not on what was asked for."""
    old, _, bad = promoted(lived)
    swap = lived.agent._swap

    def late(routing: object) -> None:
        lived.rate = 30
        for tenth in range(20):
            lived._search(lived.time + tenth / 10)
        lived.time += 2
        monkeypatch.setattr(lived.agent, "_swap", swap)
        swap(routing)  # type: ignore[arg-type]

    monkeypatch.setattr(lived.agent, "_swap", late)
    found = roll_back(record, bad, old, "it is bad")
    assert found.restored_s is not None and 1.5 < found.restored_s <= 2.0


def test_without_searches_nobody_knows_when_traffic_was_back(lived: World, record: Record) -> None:
    old, _, bad = promoted(lived)
    lived.rate = 0
    assert roll_back(record, bad, old, "it is bad").restored_s is None


def test_where_traffic_cannot_be_flipped_git_restores_it(
    lived: World, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, _, bad = promoted(lived)

    def refuse(_: str) -> None:
        raise PredatorError("the control token is wrong")

    monkeypatch.setattr(lived.agent, "flip", refuse)
    assert roll_back(record, bad, old, "it is bad").reverts == 1
    assert lived.desired.read().release == old
    assert "traffic could not be flipped ahead of git: the control token is wrong" in lived.said


def test_a_target_that_cannot_serve_is_said_not_hidden(
    lived: World, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, _, bad = promoted(lived)
    lived.agent._hot.clear()

    def missing(digest: str) -> None:
        raise PredatorError(f"object {digest[:8]} is missing")

    monkeypatch.setattr(lived.agent, "_load", missing)
    with pytest.raises(PredatorError, match="was not applied within 30 s: object"):
        roll_back(record, bad, old, "it is bad")


def test_a_target_that_is_not_whole_is_never_applied_and_people_are_told(
    lived: World, record: Record
) -> None:
    old, new, bad = promoted(lived)
    release = load_release(lived.objects.get(old.digest))
    del lived.objects._objects[release.rules]
    with pytest.raises(PolicyDenied, match="target-"):
        roll_back(record, bad, old, "it is bad")
    assert lived.desired.read().release == new, "the contour holds"
    [page] = [n for n in lived.notifier.sent() if n.severity == "critical"]
    assert "No rollback to v1.0" in page.title and "rules" in page.text


def test_it_goes_back_to_any_version_by_one_commit(lived: World, record: Record) -> None:
    old, _, _ = promoted(lived)
    record.principal = Principal("operator", "ann")
    found = roll_back_to(record, old, "by ann")
    assert lived.desired.read().release == old
    assert lived.desired.read().holdback is None
    assert lived.commits == ["promote", "rollback"]
    lived.sleep(5)
    assert {one.release for one in lived.impressions(lived.time - 5, lived.time)} == {old.digest}
    assert found.restored_s is not None and found.restored_s < 5
    assert roll_back_to(again(lived), old, "by ann").revision == found.revision
    assert lived.commits == ["promote", "rollback"]


def again(world: World) -> Record:
    record = world.record({"type": "test"}, principal=Principal("operator", "ann"))
    record.begin()
    return record


def test_an_experiment_that_began_since_goes_on(lived: World, record: Record) -> None:
    old, new, bad = promoted(lived)
    trial = RunningExperiment("exp-other", "ranking", new.digest, 0.2)
    lived.desired.end_watch("Keep", {})
    lived.desired.set_experiment(trial, "Start", {})
    roll_back(record, bad, old, "it is bad")
    assert lived.desired.read().release == old
    assert lived.desired.read().experiment == trial


def test_a_newer_release_is_not_undone(lived: World, record: Record) -> None:
    old, _, bad = promoted(lived)
    newer = LiveRelease("v3.0", old.digest, "si_2025_12_07_009")
    lived.desired.set_release(newer, None, "Promote", {})
    with pytest.raises(PredatorError, match="went live after"):
        roll_back(record, bad, old, "too late")
    assert lived.desired.read().release == newer


def test_ten_rollbacks_at_once_are_one(lived: World, world_with: Callable[..., World]) -> None:
    old, _, bad = promoted(lived)
    lived.rate = 0
    records = [lived.record({"type": "test"}, f"si_2025_12_07_{n:03d}") for n in range(10, 20)]
    for one in records:
        one.begin()
    start = Barrier(10)

    def race(record: Record) -> str:
        start.wait()
        return roll_back(record, bad, old, "it is bad").revision

    with ThreadPoolExecutor(10) as pool:
        revisions = set(pool.map(race, records))
    assert len(revisions) == 1
    assert len(lived.desired.reverts(bad)) == 1
    assert lived.desired.read().release == old
    assert lived.desired.read().holdback is None


class TestWithdraw:
    def test_what_the_cycle_gave_nobody_is_left_alone(self, lived: World, record: Record) -> None:
        other = RunningExperiment("exp-si_2025_12_07_009", "ranking", "f" * 64, 0.2)
        lived.desired.set_experiment(other, "Start", {})
        before = lived.commits
        withdraw(record)
        assert lived.commits == before
        assert lived.desired.read().experiment == other

    def test_a_watched_release_is_rolled_back_once(self, lived: World, record: Record) -> None:
        old, _, _ = promoted(lived)
        withdraw(record)
        assert lived.commits == ["promote", "rollback", "rollback-end-watch"]
        assert lived.desired.read().release == old

    def test_a_rollback_that_was_interrupted_is_finished(
        self, lived: World, record: Record
    ) -> None:
        _, _, bad = promoted(lived)
        lived.desired.restore(bad, "Back", {"Cycle": CYCLE, "Step": "rollback"})
        withdraw(record)
        assert lived.commits == ["promote", "rollback", "rollback-end-watch"]
        assert lived.desired.read().holdback is None

    def test_what_cannot_be_taken_back_is_said(
        self, lived: World, record: Record, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        promoted(lived)

        def fail(*_: object, **__: object) -> None:
            raise OSError("disk full")

        monkeypatch.setattr(lived.gitops, "commit", fail)
        monkeypatch.setattr(rollback, "PAUSES_S", rollback.PAUSES_S[:3])
        withdraw(record)
        assert "the users may still be on what the cycle gave them: " in lived.said[-1]
        assert "disk full" in lived.said[-1]
        assert any("could not be taken back" in notice.title for notice in lived.notifier.sent())


def test_the_figures_can_be_written_down(lived: World, record: Record) -> None:
    old, _, bad = promoted(lived)
    found = roll_back(record, bad, old, "it is bad").to_json()
    assert json.loads(json.dumps(found)) == found
    assert set(found) == {"restored_s", "git_s", "reverts", "revision"}
