"""People stop, allow and except by commands; what they say holds at once and is on record."""

from __future__ import annotations

import fcntl
import shutil
import time
from collections.abc import Iterator
from typing import Any

import pytest

from predator.adapters.runtime.dbos_client import DbosFlows
from predator.bootstrap.governed import Stores, governance_of
from predator.bootstrap.optimizer import worker_of
from predator.domain.governance import Approval
from predator.domain.verdicts import Decision
from predator.policy.decision import ACTIONS, CONTOURS, Context, Principal
from predator.ports.runtime import Json, Runtime
from tests.edge.conftest import Commands, Founded

WAITS = "the id of what waits"
BECAUSE = ("--reason", "because")
WAY_BACK = {"rollback", "end_experiment", "charge", "notify"}
FINE: Context = {
    "cycles_within_limit": True, "budget_within_limit": True, "experiments_within_limit": True,
    "evaluation": "PASS", "experiment": "PASS", "rollback_target_healthy": True,
    "trigger": "ndcg_drop",
}  # fmt: skip


@pytest.fixture
def stores(founded: Founded) -> Iterator[Stores]:
    """What a worker has open while people give commands."""
    with founded.stores() as opened:
        yield opened


def allowed(founded: Founded, stores: Stores) -> set[str]:
    """What the loop may do now, all else being fine."""
    governance = governance_of(founded.settings, stores)
    loop = Principal("loop", "system")
    asked = {action: governance.ask(loop, action, FINE).answer for action in ACTIONS}
    return {action for action, answer in asked.items() if answer.decision is Decision.ALLOW}


def waiting(stores: Stores, contour: str = "local", *, by: str = "zoe") -> Approval:
    """A cycle that ``by`` asked for, waiting for a person."""
    now = time.time()
    cycle_id = stores.cycles.open(f"{contour}:{by}", contour, {"type": "manual", "actor": by}, now)
    return stores.approvals.request(
        Approval(
            f"{cycle_id}:promote", contour, cycle_id, "promote", "Promote v2.0", "d" * 64,
            "approval-required", now, now + 3600,
        )
    )  # fmt: skip


class TestKill:
    def test_a_stop_leaves_nothing_but_the_way_back_at_once(
        self, commands: Commands, founded: Founded, stores: Stores
    ) -> None:
        assert "promote" in allowed(founded, stores)
        shown = commands.does("kill", "on", *BECAUSE)
        assert allowed(founded, stores) == WAY_BACK
        assert "stopped everywhere" in shown
        assert f"stopped now: {', '.join(sorted(CONTOURS))}" in shown
        assert "not stopped" not in commands.does("kill", "status")
        assert "not stopped" in commands.does("kill", "off", *BECAUSE) + commands.does("state")
        assert "promote" in allowed(founded, stores)

    def test_a_stop_needs_neither_run_nor_flows_nor_journal(
        self, commands: Commands, founded: Founded, stores: Stores
    ) -> None:
        shutil.rmtree(founded.home.root / "runs")
        (founded.home.root / "current.json").write_text("no json")
        founded.home.operators.mkdir()
        found = commands.json("kill", "on", *BECAUSE)
        assert found["stopped"] == sorted(CONTOURS)
        assert (found["recorded"], found["drained"]) == (False, True)
        assert allowed(founded, stores) == WAY_BACK
        assert not (founded.home.root / "runs").exists()
        assert "journal of operators could not be written" in commands.does("kill", "on", *BECAUSE)

    def test_a_stop_of_one_contour_is_told_apart(
        self, commands: Commands, founded: Founded
    ) -> None:
        found = commands.json("kill", "on", "--contour", "edge-oracle", *BECAUSE)
        assert (found["environment"], found["stopped"]) == ("edge-oracle", ["edge-oracle"])
        rows = {row["contour"]: row["stopped"] for row in commands.json("kill", "status")}
        assert rows == {name: name == "edge-oracle" for name in CONTOURS}

    def test_a_start_says_what_is_still_stopped(self, commands: Commands, founded: Founded) -> None:
        commands.does("kill", "on", *BECAUSE)
        shown = commands.does("kill", "off", "--contour", "local", *BECAUSE)
        assert "local stays stopped by the row for all" in shown
        assert "local" in shown.splitlines()[1]
        assert commands.json("kill", "off", *BECAUSE)["stopped"] == []
        status = commands.does("kill", "status")
        assert "last started everywhere by ann" in status and "because" in status

    def test_an_effect_under_way_is_told(
        self, commands: Commands, founded: Founded, stores: Stores
    ) -> None:
        with stores.fence.passing():
            assert "still under way" in commands.does("kill", "on", *BECAUSE)
        assert "still under way" not in commands.does("kill", "on", *BECAUSE)

    def test_it_is_acknowledged_within_a_second_whoever_is_in_the_way(
        self, commands: Commands, founded: Founded, stores: Stores
    ) -> None:
        commands.does("kill", "on", *BECAUSE)
        took = []
        with founded.home.operators.open("a") as journal, stores.fence.passing():
            fcntl.flock(journal, fcntl.LOCK_EX)
            for _ in range(3):
                started = time.monotonic()
                found = commands.json("kill", "on", *BECAUSE)
                took.append(time.monotonic() - started)
                assert (found["drained"], found["recorded"]) == (False, False)
        assert min(took) <= 5.0

    def test_a_stop_of_nothing_is_no_stop(self, commands: Commands) -> None:
        line = commands.refuses("kill", "on", *BECAUSE)
        assert "there is no platform" in line and "predator run" in line and "home=" in line
        assert list(commands.folder.iterdir()) == []

    def test_an_unknown_contour(self, commands: Commands, founded: Founded) -> None:
        assert "no contour 'moon'" in commands.refuses("kill", "on", "--contour", "moon", *BECAUSE)


class TestApprovals:
    def test_what_waits_is_shown_and_answered_once(
        self, commands: Commands, founded: Founded, stores: Stores
    ) -> None:
        one = waiting(stores)
        assert one.id in commands.does("approvals", "--pending")
        assert one.id in commands.does("state")
        shown = commands.does("approve", one.id, "--reason", "looks good")
        assert "approved: promote on local" in shown and "within a minute" in shown
        kept = stores.approvals.get(one.id)
        assert kept is not None
        assert (kept.state, kept.actor, kept.reason) == ("approved", "ann", "looks good")
        assert "nothing waits" in commands.does("approvals", "--pending")
        assert "approved by ann: looks good" in commands.does("approvals")
        commands.refuses("reject", one.id, *BECAUSE, code=1)
        assert "no approval" in commands.refuses("approve", "si_2025_12_07_001:x", *BECAUSE)

    def test_nobody_approves_what_they_asked_for(
        self, commands: Commands, founded: Founded, stores: Stores
    ) -> None:
        one = waiting(stores, by="ann")
        assert "cannot approve it" in commands.refuses("approve", one.id, *BECAUSE, code=1)
        commands.refuses("approve", one.id, *BECAUSE, "--actor", " ANN ", code=1)
        assert commands.json("reject", one.id, *BECAUSE)["approval"]["state"] == "rejected"

    def test_an_answer_wakes_the_flow_that_waits(
        self, commands: Commands, founded: Founded, stores: Stores
    ) -> None:
        """A flow of its own, or the story of ``predator run``, which runs its cycles itself."""
        own, told = waiting(stores), waiting(stores, by="yan")

        def waits(runtime: Runtime, asked: Json) -> Json:
            return runtime.wait(f"approval:{asked['id']}", 60.0)

        def restores(_: Runtime, asked: Json) -> Json:
            return asked["to_version"]

        url, story = founded.home.flows_url(founded.run), f"story-{founded.run.folder.name}"
        flows = {"cycle": waits, "story": waits, "rollback": restores}
        queues = {"local.cycles": 2, "local.urgent": 2}
        with worker_of(url, "tests", flows, founded.settings, queues=queues) as worker:
            handles = [
                worker.run("cycle", own.cycle_id, {"id": own.id}),
                worker.run("story", story, {"id": told.id}),
            ]
            started = time.monotonic()
            for one in (own, told):
                assert commands.json("approve", one.id, *BECAUSE)["delivered"] is True
            answers = [handle.result(30.0) for handle in handles]
            assert time.monotonic() - started < 30
            assert answers == [{"approved": True, "actor": "ann", "reason": "because"}] * 2
            done = commands.json("cycle", "rollback", "--to", "v1.0", *BECAUSE, "--wait", "30")
            assert (done["state"], done["result"]) == ("done", "v1.0")


class TestOverrides:
    def test_on_compute_one_counts_with_the_word_of_a_second_person(
        self, commands: Commands, founded: Founded
    ) -> None:
        where = ("--contour", "compute-nvidia")
        given = (*BECAUSE, "--expires", "7d", *where)
        before = commands.json("policy", "explain", "promote", *where)
        assert before["decision"] == "DENY"
        granted = commands.json("override", "policy", "promote", *given)
        assert granted["needs_second"] is True
        assert "waits for a second person" in commands.does("override", "list")
        assert commands.json("policy", "explain", "promote", *where)["rule"] == before["rule"]
        for same in ("ann", " Ann"):
            line = commands.refuses("override", "confirm", granted["id"], "--actor", same, code=1)
            assert "second" in line or "granted" in line
        commands.does("override", "confirm", granted["id"], "--actor", "bob")
        after = commands.json("policy", "explain", "promote", *where)
        assert (after["decision"], after["rule"]) == ("ALLOW", f"override:{granted['id']}")
        commands.does("override", "revoke", granted["id"])
        assert commands.json("policy", "explain", "promote", *where)["decision"] == "DENY"

    def test_a_gate_has_its_new_level_until_the_end(
        self, commands: Commands, founded: Founded
    ) -> None:
        given = ("latency_p95", "--threshold", "900", *BECAUSE, "--expires", "12h")
        granted = commands.json("override", "gate", *given)
        assert abs(granted["expires_at"] - time.time() - 43_200) < 60
        [gate] = [one for one in commands.json("gates") if one["name"] == "latency_p95"]
        assert (gate["limit"], gate["override_id"]) == (900, granted["id"])
        assert granted["id"] in commands.does("gates")
        assert "ends in 12 h" in commands.does("override", "list")
        assert commands.json("gates", "--contour", "edge-oracle")[1]["limit"] != 900

    @pytest.mark.parametrize(
        ("arguments", "word"),
        [
            (("gate", "speed", "--threshold", "1", "--expires", "7d"), "no gate 'speed'"),
            (("gate", "ndcg_at_10", "--threshold", "7", "--expires", "7d"), "threshold"),
            (("gate", "ndcg_at_10", "--threshold", "nan", "--expires", "7d"), "threshold"),
            (("gate", "ndcg_at_10", "--threshold", "0.5", "--expires", "31d"), "expires_at"),
            (("gate", "ndcg_at_10", "--threshold", "0.5", "--expires", "soon"), "--expires"),
            (("policy", "fly", "--expires", "7d"), "target"),
            (("policy", "promote", "--expires", "2025-02-30"), "--expires"),
            (("policy", "promote", "--expires", "2020-01-01"), "expires_at"),
            (("policy", "promote", "--expires", "7d", "--contour", "moon"), "no contour"),
        ],
        ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
    )
    def test_what_cannot_be_granted(
        self, commands: Commands, founded: Founded, arguments: tuple[str, ...], word: str
    ) -> None:
        assert word in commands.refuses("override", *arguments, *BECAUSE)
        assert commands.json("override", "list") == []


class TestFlags:
    def test_a_row_counts_from_the_next_effect_on(
        self, commands: Commands, founded: Founded, stores: Stores
    ) -> None:
        given = ("ab_testing", "off", "--env", "local", *BECAUSE)
        commands.does("flags", "set", *given)
        assert "start_experiment" not in allowed(founded, stores)
        assert "ab_testing" in commands.does("flags", "list")
        commands.does("flags", "remove", "ab_testing", "--env", "local", *BECAUSE)
        assert "start_experiment" in allowed(founded, stores)
        gone = commands.json("flags", "remove", "ab_testing", "--env", "local", *BECAUSE)
        assert gone == {"removed": False}

    def test_metadata_are_a_json_object_of_known_fields(
        self, commands: Commands, founded: Founded
    ) -> None:
        given = ("flags", "set", "ab_testing", "on", "--env", "all", *BECAUSE, "--metadata")
        assert commands.json(*given, '{"split_ratio": 0.1}')["metadata"] == {"split_ratio": 0.1}
        assert "split_ratio" in commands.does("flags", "list", "--contour", "local")
        for wrong in ("{", "[]", '{"split": 1}', '{"split_ratio": NaN}', "[" * 100_000):
            commands.refuses(*given, wrong)
        assert commands.json("flags", "list")[0]["metadata"] == {"split_ratio": 0.1}

    @pytest.mark.parametrize("name", ["ab_test", "", "\x1b[31m", "x" * 500])
    def test_an_unknown_flag(self, commands: Commands, founded: Founded, name: str) -> None:
        commands.refuses("flags", "set", name, "on", "--env", "all", *BECAUSE)
        assert "on or off" in commands.refuses(
            "flags", "set", "ab_testing", "maybe", "--env", "all", *BECAUSE
        )


class TestPolicy:
    def test_an_explanation_names_rule_text_and_what_mattered(
        self, commands: Commands, founded: Founded
    ) -> None:
        shown = commands.does("policy", "explain", "promote", "--contour", "edge-oracle")
        for part in (
            "DENY: loop promote on edge-oracle", "evidence-required", "common.cedar:",
            'action == Action::"promote"', "evaluation", "careful side", "flags in force:",
            "auto-promote-off",
        ):  # fmt: skip
            assert part in shown
        commands.does("kill", "on", *BECAUSE)
        assert commands.json("policy", "explain", "train")["rule"] == "kill-switch"
        rolled = commands.json("policy", "explain", "rollback", "--role", "operator")
        assert rolled["decision"] == "ALLOW"

    @pytest.mark.parametrize(
        "arguments", [("fly",), ("promote", "--role", "king"), ("promote", "--contour", "moon")]
    )
    def test_what_nobody_knows(
        self, commands: Commands, founded: Founded, arguments: tuple[str, ...]
    ) -> None:
        assert "Known: " in commands.refuses("policy", "explain", *arguments)


@pytest.mark.parametrize(
    "command",
    [
        ("kill", "on"), ("kill", "off"), ("approve", WAITS), ("reject", WAITS),
        ("flags", "set", "ab_testing", "on", "--env", "all"),
        ("flags", "remove", "ab_testing", "--env", "all"),
        ("override", "gate", "ndcg_at_10", "--threshold", "0.5", "--expires", "7d"),
        ("override", "policy", "promote", "--expires", "7d"),
        ("cycle", "request"), ("cycle", "rollback", "--to", "v1.0", "--wait", "0"),
    ],
    ids=lambda command: " ".join(command[:2]),
)  # fmt: skip
def test_every_act_needs_a_reason(
    commands: Commands, founded: Founded, stores: Stores, command: tuple[str, ...]
) -> None:
    one = waiting(stores)
    command = tuple(one.id if word == WAITS else word for word in command)
    for reason in ("", "  \t", "x" * 501, "nul\0"):
        assert "reason" in commands.refuses(*command, "--reason", reason)
    assert "Missing option '--reason'" in commands.refuses(*command)
    assert [entry.cycle_id for entry in stores.cycles.list()] == [one.cycle_id]
    assert stores.approvals.get(one.id) == one
    assert (stores.flags.rows(), stores.overrides.list()) == ([], [])


@pytest.mark.parametrize("actor", ["", " ", "x" * 201])
def test_every_act_has_somebody_who_did_it(
    commands: Commands, founded: Founded, actor: str
) -> None:
    assert "actor" in commands.refuses("kill", "off", *BECAUSE, "--actor", actor)


def test_what_people_did_is_on_record(commands: Commands, founded: Founded, stores: Stores) -> None:
    one = waiting(stores)
    commands.does("kill", "on", *BECAUSE, "--actor", "bob")
    commands.does("approve", one.id, *BECAUSE)
    commands.refuses("reject", one.id, *BECAUSE, code=1)
    found: dict[str, Any] = commands.json("audit", "operators")
    told = [(record["actor"], record["verb"], record["outcome"]) for record in found["records"]]
    assert told == [
        ("bob", "stop", "done"), ("ann", "approve", "asked"), ("ann", "approve", "done"),
        ("ann", "reject", "asked"), ("ann", "reject", "refused"),
    ]  # fmt: skip
    shown = commands.does("audit", "operators")
    assert "5 records" in shown and "intact" in shown and "of 2" in shown
    path = founded.home.operators
    path.write_bytes(path.read_bytes().replace(b"because", b"by luck"))
    line = commands.refuses("audit", "operators", code=1)
    assert "journal of operators does not hold: record 1" in line


def test_a_database_that_cannot_be_read_is_one_line(commands: Commands, founded: Founded) -> None:
    (founded.home.root / "optimizer.db").write_bytes(b"this is no database" * 100)
    for arguments in (("kill", "on", *BECAUSE), ("state",), ("cycle", "list"), ("approvals",)):
        assert "optimizer.db" in commands.refuses(*arguments, code=1)


def test_looking_makes_no_database_of_flows(
    commands: Commands, founded: Founded, stores: Stores
) -> None:
    flows = founded.run.folder / "flows.db"
    flows.unlink()
    one = waiting(stores)
    for arguments in (
        ("cycle", "list"), ("cycle", "show", one.cycle_id), ("state",), ("kill", "status"),
        ("kill", "on", *BECAUSE), ("releases",), ("experiment", "list"), ("approvals",),
        ("override", "list"), ("token", "list"), ("flags", "list"), ("gates",),
    ):  # fmt: skip
        commands.does(*arguments)
    assert not flows.exists()
    commands.does("cycle", "request", *BECAUSE)
    assert flows.exists()


def test_what_people_write_moves_no_cursor(
    commands: Commands, founded: Founded, stores: Stores
) -> None:
    hostile = "\x1b[2J\x1b]0;pwned\x07 [red]x[/] \u202egnp \x9b31m \u2028end"
    one = waiting(stores, by=hostile)
    commands.does("approve", one.id, "--reason", hostile)
    commands.does("kill", "on", "--reason", hostile, "--actor", hostile)
    commands.does("token", "issue", "--actor", hostile, "--role", "viewer")
    for look in (
        ("approvals",), ("kill", "status"), ("token", "list"), ("audit", "operators"),
        ("cycle", "list"), ("cycle", "show", one.cycle_id), ("state",),
    ):  # fmt: skip
        for more in ((), ("--json",)):
            shown = commands.does(*look, *more)
            assert not set(shown) & set("\x1b\x07\x9b\u202e\u2028"), look
    [approval] = commands.json("approvals")
    assert approval["reason"] == hostile
    assert "[red]x[/]" in commands.does("approvals")


def test_flows_of_the_client_are_those_of_the_current_run(
    commands: Commands, founded: Founded
) -> None:
    cycle_id = commands.json("cycle", "request", *BECAUSE)["cycle_id"]
    flows = DbosFlows(founded.home.flows_url(founded.run))
    found = flows.status(cycle_id)
    flows.close()
    assert found is not None and (found.name, found.state) == ("cycle", "queued")
