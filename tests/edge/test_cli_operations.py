"""People look at the loop, ask it for something, and let others in, by commands."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.core import TyperGroup
from typer.main import get_command

from predator.adapters.gitops.bare_git import BareGit
from predator.adapters.releases.gto_git import GtoGitReleases
from predator.bootstrap.governed import Stores
from predator.bootstrap.home import Home
from predator.bootstrap.operator import operating
from predator.bootstrap.platform import desired_of
from predator.domain.governance import Role
from predator.edge.cli.main import app
from predator.journal.audit import AuditJournal
from predator.search.desired import LiveRelease, RunningExperiment
from tests import documents
from tests.edge.conftest import Commands, Founded
from tests.edge.test_bad_input import child_usage
from tests.loop.recorded import CYCLE, recorded

BECAUSE = ("--reason", "because")
LOOKS = (
    ("state",), ("releases",), ("notices",), ("experiment", "list"), ("gates",), ("approvals",),
    ("flags", "list"),
    ("override", "list"), ("token", "list"), ("kill", "status"), ("cycle", "list"),
    ("audit", "verify"), ("audit", "operators"), ("policy", "explain", "promote"),
)  # fmt: skip
ACTS = (
    ("kill", "on", *BECAUSE), ("kill", "off", *BECAUSE), ("cycle", "request", *BECAUSE),
    ("cycle", "rollback", "--to", "v1.0", *BECAUSE), ("approve", "x", *BECAUSE),
    ("cycle", "cancel", CYCLE, *BECAUSE), ("flags", "set", "ab_testing", "on", "--env", "all",
    *BECAUSE), ("token", "issue", "--actor", "bob", "--role", "viewer"),
    ("override", "policy", "promote", "--expires", "7d", *BECAUSE),
)  # fmt: skip


@pytest.fixture
def stores(founded: Founded) -> Iterator[Stores]:
    """What a worker has open while people give commands."""
    with founded.stores() as opened:
        yield opened


def test_every_look_is_for_people_and_for_programs(commands: Commands, founded: Founded) -> None:
    for look in LOOKS:
        assert commands.does(*look).strip()
        commands.json(*look)


def test_every_command_of_people_takes_json_and_settings() -> None:
    """Whoever scripts one can script all."""
    without = {"run", "serve", "worker", "admin", "bench latency", "bench relevance"}
    root = get_command(app)
    assert isinstance(root, TyperGroup)
    for name, command in leaves(root):
        options = {option for parameter in command.params for option in parameter.opts}
        assert "--set" in options, name
        assert ("--json" in options) or name in without, name


def test_the_page_of_commands_shows_each() -> None:
    page = Path(__file__).parents[2] / "docs" / "cli.md"
    shown = [" ".join(words) for words in documents.commands(page.read_text("utf-8"), "predator")]
    root = get_command(app)
    assert isinstance(root, TyperGroup)
    missing = [
        name for name, _ in leaves(root) if not any(f"{s} ".startswith(f"{name} ") for s in shown)
    ]
    assert missing == []


def leaves(group: TyperGroup, before: str = "") -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from leaves(command, f"{before}{name} ")
        else:
            yield f"{before}{name}", command


@pytest.mark.parametrize("arguments", ACTS, ids=lambda words: " ".join(words[:2]))
def test_without_a_platform_it_says_what_to_run(
    commands: Commands, arguments: tuple[str, ...]
) -> None:
    line = commands.refuses(*arguments)
    assert "there is no platform" in line and "predator run" in line
    assert list(commands.folder.iterdir()) == []


def test_where_the_run_is_gone_what_needs_it_says_so(commands: Commands, founded: Founded) -> None:
    (founded.home.root / "current.json").unlink()
    for arguments in (
        ("releases",), ("experiment", "list"), ("cycle", "request", *BECAUSE),
        ("cycle", "rollback", "--to", "v1.0", *BECAUSE),
    ):  # fmt: skip
        assert "there is no platform" in commands.refuses(*arguments)
    assert commands.json("cycle", "list") == [], "nothing is queued that nobody will do"
    shown = commands.does("state")
    assert "unknown: there is no platform" in shown and "0 under way" in shown
    assert set(commands.json("state")["unknown"]) == {"live", "gold"}


class TestCycles:
    def test_a_request_is_queued_and_cancelled(
        self, commands: Commands, founded: Founded, stores: Stores
    ) -> None:
        shown = commands.does("cycle", "request", *BECAUSE)
        [cycle_id] = re.findall(r"^queued (si_\S+) on local$", shown, re.M)
        entry = stores.cycles.get(cycle_id)
        assert entry is not None
        assert entry.trigger == {"type": "manual", "actor": "ann", "reason": "because"}
        assert "flow" in commands.does("cycle", "show", cycle_id)
        assert commands.json("cycle", "show", cycle_id)["flow"] == "queued"
        [row] = commands.json("cycle", "list")
        assert (row["state"], row["outcome"], row["contour"]) == ("queued", "unfinished", "local")
        assert f"{cycle_id} for manual: queued" in commands.does("state")
        assert "takes back" in commands.does("cycle", "cancel", cycle_id, "--reason", "enough")
        assert "before" in commands.does("cycle", "cancel", cycle_id, "--reason", "enough")
        assert commands.json("cycle", "list")[0]["state"] == "stopping"
        assert "ann: enough" in commands.does("cycle", "show", cycle_id)
        stores.cycles.finish(cycle_id, "cancelled", time.time())
        line = commands.refuses("cycle", "cancel", cycle_id, *BECAUSE, code=1)
        assert "has ended: cancelled" in line

    def test_its_times_are_told_and_the_experiment_apart(
        self, commands: Commands, founded: Founded, stores: Stores
    ) -> None:
        begun = time.time() - 700_000
        cycle_id = stores.cycles.open("one", "local", {"type": "ndcg_drop"}, begun)
        for moment, after in (
            ("started", 1), ("first_action", 12), ("offline_verdict", 3000),
            ("experiment_started", 3600), ("experiment_ended", 608_400),
        ):  # fmt: skip
            stores.cycles.mark(cycle_id, moment, begun + after)
        assert commands.json("cycle", "list")[0]["state"] == "running"
        stores.cycles.finish(cycle_id, "success", begun + 612_000)
        [row] = commands.json("cycle", "list", "--contour", "local")
        found = (row["reaction_s"], row["cycle_s"], row["experiment_s"])
        assert found == pytest.approx((12, 7200, 604_800), abs=0.01)
        assert commands.json("cycle", "list", "--contour", "dev-mac") == []
        shown = commands.does("cycle", "show", cycle_id)
        for part in ("12 s", "2 h, and 7 days of experiment", "first action", "8 days ago"):
            assert part in shown
        assert "2 h" in commands.does("cycle", "list")

    def test_those_of_before_the_register_are_listed_too(
        self, commands: Commands, founded: Founded, stores: Stores
    ) -> None:
        gitops = BareGit(founded.run.gitops)
        recorded(founded.home.artifacts, gitops, CYCLE)
        newer = stores.cycles.open("one", "edge-oracle", {"type": "scheduled"}, time.time())
        rows = commands.json("cycle", "list")
        assert [row["cycle_id"] for row in rows] == [newer, CYCLE]
        assert (rows[1]["state"], rows[1]["contour"]) == ("success", "local")
        assert rows[1]["cost_usd"] is not None
        assert "intact" in commands.does("cycle", "show", CYCLE)
        replayed = commands.does("cycle", "replay", CYCLE)
        assert re.search(r"(\d+) of \1 decisions of \S+ the same", replayed)
        shown = commands.does("audit", "show", CYCLE)
        assert "summary" in shown and "ALLOW by" in shown
        path = founded.home.artifacts / CYCLE / "audit.jsonl"
        records = len(path.read_bytes().splitlines())
        assert f"{records} records, intact" in shown
        assert len(commands.json("audit", "show", CYCLE)["records"]) == records
        path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
        assert "anchor" in commands.refuses("audit", "show", CYCLE, code=1)
        commands.refuses("audit", "verify", code=1)
        gitops.close()

    @pytest.mark.parametrize("name", ["../../etc", "si_2026_02_31_001", "x\ny", CYCLE])
    def test_one_that_is_not_there(self, commands: Commands, founded: Founded, name: str) -> None:
        for verb in (("show", name), ("cancel", name, *BECAUSE), ("replay", name)):
            line = commands.refuses("cycle", *verb)
            assert "no cycle" in line or "not a cycle id" in line
        commands.refuses("audit", "show", name)

    def test_a_rollback_is_kept_until_a_worker_does_it_also_when_stopped(
        self, commands: Commands, founded: Founded
    ) -> None:
        commands.does("kill", "on", *BECAUSE)
        given = ("cycle", "rollback", *BECAUSE, "--wait", "0")
        shown = commands.does(*given, "--to", "v1.0")
        assert "queued" in shown and "rollback-local-" in shown and "no worker" in shown
        found = commands.json(*given, "--contour", "local")
        assert (found["state"], found["to_version"]) == ("queued", None)
        assert "v9.0" in commands.refuses(*given, "--to", "v9.0")
        assert "no contour" in commands.refuses(*given, "--contour", "moon")
        elsewhere = commands.refuses(*given, "--to", "v1.0", "--contour", "edge-oracle")
        assert "v1.0 was never live on edge-oracle" in elsewhere


class TestReleases:
    def test_live_stable_and_gold_are_marked(self, commands: Commands, founded: Founded) -> None:
        desired = desired_of(founded.run, "local")
        first = desired.read().release
        assert first is not None
        desired.set_release(
            LiveRelease("v2.0", "e" * 64, CYCLE), None, "Promote v2.0",
            {"Cycle": CYCLE, "Step": "promote"},
        )  # fmt: skip
        releases = GtoGitReleases(founded.run.gitops)
        releases.mark("v1.0", "gold", time.time())
        shown = commands.does("releases")
        newest, oldest = shown.splitlines()[1:]
        assert newest.startswith("v2.0") and "live" in newest and "Gold" not in newest
        assert oldest.startswith("v1.0") and "stable, Gold" in oldest and "live," not in oldest
        assert [one["version"] for one in commands.json("releases")] == ["v2.0", "v1.0"]
        state = commands.json("state")
        assert (state["live"]["version"], state["gold"]["version"]) == ("v2.0", "v1.0")
        assert f"v1.0, release {first.digest[:12]}" in commands.does("state")
        releases.close()

    def test_what_users_try_is_told(self, commands: Commands, founded: Founded) -> None:
        assert "none is running" in commands.does("experiment", "list")
        desired_of(founded.run, "local").set_experiment(
            RunningExperiment("exp-1", "ranking", "c" * 64, 0.2), "Start exp-1",
            {"Cycle": CYCLE, "Step": "experiment"},
        )  # fmt: skip
        found = {"verdict": "PASS", "result": {"reason": "users click more"}}
        past = founded.home.artifacts / CYCLE
        past.mkdir()
        (past / "ab_test_results.json").write_text(json.dumps(found))
        AuditJournal(past / "audit.jsonl").append({"type": "start", "contour": "local"})
        shown = commands.does("experiment", "list")
        assert "exp-1 (ab) with cccccccccccc for 20% of the users" in shown
        assert re.search(rf"exp-{CYCLE} +PASS .*users click more", shown)
        assert commands.json("experiment", "list")["running"][0]["share"] == 0.2


class TestTokens:
    def test_its_text_is_shown_once_and_is_nowhere(
        self, commands: Commands, founded: Founded, stores: Stores
    ) -> None:
        given = ("token", "issue", "--actor", "bob", "--role", "operator", "--contour", "local")
        code, output, errors = commands(*given, "--days", "3")
        assert code == 0 and re.fullmatch(r"prd_[A-Za-z0-9_-]{43}\n", output)
        assert "operator on local, ends in 3 days" in errors
        secret = output.strip()
        looked = commands.does("token", "list") + commands.does("audit", "operators")
        looked += commands.does("token", "list", "--json") + errors
        looked += commands.does("audit", "operators", "--json")
        assert "bob" in looked and secret not in looked and secret[4:24] not in looked
        for path in founded.home.root.rglob("*"):
            assert not path.is_file() or secret.encode() not in path.read_bytes(), path
        [token] = stores.tokens.list()
        assert (token.actor, token.role) == ("bob", Role.OPERATOR)
        assert token.contours == {"local"}
        assert "from now on" in commands.does("token", "revoke", token.id)
        assert "since it was revoked" in commands.does("token", "revoke", token.id)
        assert "revoked" in commands.does("token", "list")

    def test_programs_get_it_with_its_id(self, commands: Commands, founded: Founded) -> None:
        found = commands.json("token", "issue", "--actor", "ci", "--role", "agent", "--by", "bob")
        assert found["token"].startswith("prd_") and found["contours"] == []
        assert commands.json("audit", "operators")["records"][0]["actor"] == "bob"

    @pytest.mark.parametrize(
        ("arguments", "word"),
        [
            (("--role", "king"), "known are viewer"),
            (("--role", "viewer", "--contour", "moon"), "no contour"),
            (("--role", "viewer", "--days", "0"), "expires_at"),
            (("--role", "viewer", "--days", "400"), "--days"),
        ],
        ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
    )
    def test_what_is_no_token(
        self, commands: Commands, founded: Founded, arguments: tuple[str, ...], word: str
    ) -> None:
        assert word in commands.refuses("token", "issue", "--actor", "bob", *arguments)
        assert commands.json("token", "list") == []
        assert "no token" in commands.refuses("token", "revoke", "tok-0")


def test_a_copied_home_acts_on_its_own_run_and_never_on_the_original(
    founded: Founded, tmp_path: Path
) -> None:
    copy = tmp_path / "copy" / founded.home.root.name
    shutil.copytree(founded.home.root, copy)
    for pointed in (None, {"run": str(founded.run.folder)}):  # an absolute path is an older one's
        if pointed is not None:
            (copy / "current.json").write_text(json.dumps(pointed))
        own = Home(founded.settings.model_copy(update={"home": copy})).current_run()
        assert own is not None and own.folder.is_relative_to(copy)


def test_a_desk_that_stays_open_follows_the_current_run(
    commands: Commands, founded: Founded
) -> None:
    with operating(founded.settings) as office:
        assert [one.version for one in office.operator.releases("local")] == ["v1.0"]
        run = founded.home.new_run("next")
        (founded.run.folder / "platform.json").rename(run.folder / "platform.json")
        BareGit(run.gitops).close()
        founded.home.point_current(run)
        assert office.operator.releases("local") == []
        cycle_id = office.operator.request_cycle("local", actor="ann", reason="because")
        assert office.operator.cycle(cycle_id).flow is not None
        assert (run.folder / "flows.db").is_file()


# In processes of their own.


def predator(folder: Path, *arguments: str) -> tuple[int, str, str]:
    """A command in a process of its own: exit code, output, errors."""
    done = subprocess.run(
        [sys.executable, "-m", "predator", *arguments],
        cwd=folder, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def test_a_stop_from_the_shell_is_quick(commands: Commands, founded: Founded) -> None:
    """A CPU second at most: the wall clock of a shared machine says little."""
    costs = []
    for _ in range(2):
        with child_usage() as used:
            code, output, errors = predator(commands.folder, "kill", "on", *BECAUSE)
        assert (code, errors) == (0, "") and "stopped everywhere" in output
        costs.append(used[0])
    assert min(costs) <= 1.0
    assert commands.json("state")["stopped"] is True


def test_exit_codes_of_the_shell(commands: Commands, founded: Founded) -> None:
    code, output, _ = predator(commands.folder, "state", "--json")
    assert code == 0 and json.loads(output)["stopped"] is False
    code, output, errors = predator(commands.folder, "kill", "on", "--reason", " ")
    assert (code, output) == (2, "") and errors == "error: reason is missing. Give a reason\n"


@contextmanager
def serving(folder: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The admin API in a process of its own, and its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "predator", "admin", "--with-parent", "--set", "admin_port=0"],
        cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip(), process
    finally:
        process.kill()
        process.communicate(timeout=30)


def test_the_admin_api_is_served_and_logs_no_token(commands: Commands, founded: Founded) -> None:
    secret = commands.json("token", "issue", "--actor", "bob", "--role", "operator")["token"]
    with serving(commands.folder) as (url, process):
        bearer = {"Authorization": f"Bearer {secret}"}
        with httpx.Client(base_url=url, timeout=30, trust_env=False) as client:
            assert client.get("/healthz").status_code == 200
            assert client.get("/readyz").json()["ready"] is True
            assert client.post("/api/v1/optimizer/stop").status_code == 401
            stopped = client.post("/api/v1/optimizer/stop", headers=bearer)
            assert stopped.status_code == 200, stopped.text
            wanted = {"environment": "local", "to_version": "v1.0"}
            queued = client.post("/api/v1/optimizer/rollback", json=wanted, headers=bearer)
            assert queued.status_code == 202, queued.text
        assert commands.json("state")["stopped"] is True
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=30)
    lines = [json.loads(line) for line in errors.splitlines() if line.startswith("{")]
    assert {line["status"] for line in lines if line["event"] == "request"} == {200, 202, 401}
    assert secret not in errors and "Traceback" not in errors


def test_the_admin_api_ends_with_its_parent(commands: Commands, founded: Founded) -> None:
    with serving(commands.folder) as (_, process):
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None
        assert process.wait(timeout=30) in {0, -signal.SIGTERM, 128 + signal.SIGTERM}
