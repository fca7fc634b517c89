"""The drill pushes a bad release; whatever happens then, users do not keep it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from predator.domain.errors import PredatorError
from predator.domain.readings import Value
from predator.journal.audit import verify_journal
from predator.loop import real_stations as stations_module
from predator.loop.drill import DRILL as PUSHER
from predator.loop.drill import drill
from predator.loop.labels import Labels
from predator.loop.stations import Situation
from predator.search.desired import LiveRelease
from tests.loop.small_ring import DRILL, START, World, by_luck, no_clicks_on

NOWHERE = Situation(None, Value(0.5, 100, 0.4, 0.6, START), START, START, START, START)


def drilled(world: World) -> Any:
    record = world.record({"type": "drill"}, DRILL, PUSHER)
    return drill(record, world.stations(NOWHERE))


@pytest.fixture
def lived(world: World) -> World:
    world.live_through()
    return world


def outcome(world: World) -> str:
    path = world.folder / "artifacts" / DRILL / "audit.jsonl"
    assert verify_journal(path).ok
    summary = json.loads(path.read_text().splitlines()[-1])["summary"]
    found: str = summary["outcome"]
    return found


def check_back(world: World) -> None:
    wanted = world.desired.read()
    assert wanted.release.version == "v1.0"
    assert (wanted.experiment, wanted.holdback) == (None, None)
    world.agent.step()
    assert world.agent.routing is not None
    assert world.agent.routing.live_digest == wanted.release.digest


def test_a_bad_release_is_caught_and_undone_by_one_commit(lived: World) -> None:
    found = drilled(lived)
    assert found["caught"] and found["detected_s"] is not None
    assert found["detected_s"] <= 2 * lived.settings.watch_look_s
    assert found["restored_s"] < 5
    assert found["reverts"] == 1
    assert lived.commits == ["drill", "rollback", "rollback-end-watch"]
    check_back(lived)
    assert outcome(lived) == "success"
    written = json.loads((lived.folder / "artifacts" / DRILL / "drill.json").read_text())
    assert written == found
    assert (written["caught"], written["reverts"]) == (True, 1)
    assert lived.tracking.runs[f"run-{DRILL}"].summary.outcome == "success"
    (told,) = [one for one in lived.notifier.sent() if one.title == "Drill on local"]
    assert told.severity == "info" and told.link.endswith(DRILL)
    assert "traffic back 0.00 s" in told.text and "by 1 commit" in told.text


def test_the_bad_release_is_really_bad(lived: World) -> None:
    served_before = len(lived.served)
    drilled(lived)
    during = [one for one in lived.served[served_before:] if one.variant]
    found = {
        arm: [1.0 / min(one.clicks) if one.clicks else 0.0 for one in during if one.variant == arm]
        for arm in ("live", "holdback")
    }
    means = {arm: sum(values) / len(values) for arm, values in found.items()}
    assert means["live"] < 0.5 * means["holdback"]


def test_what_clicks_do_not_show_judged_queries_do(lived: World) -> None:
    """Users who click by luck, whatever is shown to them."""
    lived.clicks = by_luck
    lived.sleep(70)
    found = drilled(lived)
    assert found["caught"] and "ndcg_at_10" in found["looks"][-1]["reason"]


def test_a_watch_that_is_blind_is_a_missed_drill_and_the_release_goes_anyway(
    lived: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Users who click by luck, and ask what nobody has judged: the watch would keep it."""
    monkeypatch.setattr(Labels, "monitored", {})
    lived.clicks = by_luck
    lived.sleep(70)
    found = drilled(lived)
    assert not found["caught"] and found["detected_s"] is None
    assert found["looks"][-1]["decision"] == "KEEP"
    assert found["reverts"] == 1
    check_back(lived)
    assert outcome(lived) == "missed"
    assert [one.severity for one in lived.notifier.sent() if "missed" in one.title] == ["critical"]


def test_without_clicks_nothing_is_pushed(lived: World) -> None:
    lived.clicks = no_clicks_on("")
    lived.sleep(70)
    with pytest.raises(PredatorError, match="could not be watched"):
        drilled(lived)
    assert lived.commits == []
    assert outcome(lived) == "error"


def test_what_went_live_meanwhile_is_not_drilled_against_the_release_before(
    lived: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody rolled back between the baseline and the push: that one must not come back."""
    good = lived.desired.read().release
    other = LiveRelease("v0.9", good.digest, "by hand")
    measured = stations_module.RealStations.watch_baseline

    def then_moved(stations: Any, record: Any, old: Any) -> Any:
        found = measured(stations, record, old)
        lived.desired.set_release(other, None, "Roll back", {"Cycle": "by hand", "Step": "r"})
        return found

    monkeypatch.setattr(stations_module.RealStations, "watch_baseline", then_moved)
    with pytest.raises(PredatorError, match="went live meanwhile"):
        drilled(lived)
    assert lived.desired.read().release == other
    assert outcome(lived) == "error"


def test_the_kill_switch_lets_nothing_be_pushed(lived: World) -> None:
    lived.engage()
    with pytest.raises(PredatorError, match="kill-switch"):
        drilled(lived)
    assert lived.commits == []
    check_back(lived)


def test_the_kill_switch_in_the_middle_lets_it_be_taken_back(lived: World) -> None:
    def pull(event: str) -> None:
        if event.startswith("note look 1"):
            lived.engage()

    lived.at = pull
    assert drilled(lived)["reverts"] == 1
    check_back(lived)


@pytest.mark.parametrize("stopped", [False, True], ids=["error", "ctrl-C"])
@pytest.mark.parametrize("point", ["station drill", "station watch", "sleep", "note look 1"])
def test_wherever_it_breaks_the_bad_release_goes(
    world_with: Callable[..., World], point: str, stopped: bool
) -> None:
    """After an error at once, after a ctrl-C when the drill goes on."""
    world = world_with()
    world.live_through()
    broken: list[str] = []

    def at(event: str) -> None:
        if event.startswith(point) and not broken:
            broken.append(event)
            raise KeyboardInterrupt if stopped else RuntimeError("x")

    world.at = at
    with pytest.raises(KeyboardInterrupt if stopped else (RuntimeError, PredatorError)):
        drilled(world)
    if stopped:
        drilled(world)
    check_back(world)
    assert world.commits in ([], ["drill", "rollback", "rollback-end-watch"])
    assert outcome(world) == ("success" if stopped else "error")
