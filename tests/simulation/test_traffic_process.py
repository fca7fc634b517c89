"""Simulated users in their own process against a real HTTP server."""

from __future__ import annotations

import asyncio
import itertools
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from predator.simulation.crowd import Crowd, Plan
from predator.simulation.http_client import HttpClient
from predator.simulation.world import Mix, load_world


@dataclass
class Platform:
    """Answers searches with the relevant document second, and remembers what it was sent."""

    url: str = ""
    received: dict[str, list[Any]] = field(default_factory=dict)
    status: dict[str, int] = field(default_factory=dict)
    delay_s: float = 0.0
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    def bodies(self, path: str) -> list[Any]:
        return self.received.setdefault(path, [])

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        path, request = scope["path"], json.loads(body)
        self.bodies(path).append(request)
        await asyncio.sleep(self.delay_s)
        answer: dict[str, Any] = {}
        if path == "/search":
            hits = ["filler", f"about {request['query']}", *(f"filler-{n}" for n in range(8))]
            answer = {"query_id": f"query-{next(self._numbers)}", "hits": [{"id": h} for h in hits]}
        status = self.status.get(path, 200)
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(answer).encode()})


@pytest.fixture
def platform() -> Iterator[Platform]:
    app = Platform()
    listener = socket.create_server(("127.0.0.1", 0))
    app.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    config = uvicorn.Config(app, lifespan="off", log_level="error", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield app
    server.should_exit = True
    thread.join()
    listener.close()


@pytest.fixture
def world(tmp_path: Path) -> Path:
    groups = {
        name: [
            {"id": f"{name}-{n}", "text": f"{name} {n}", "relevant": {f"about {name} {n}": 1}}
            for n in range(20)
        ]
        for name in ("old", "new")
    }
    path = tmp_path / "world.json"
    path.write_text(json.dumps({"groups": groups}))
    return path


class Traffic:
    """The process under test."""

    def __init__(self, url: str, world: Path, *arguments: str) -> None:
        command = [sys.executable, "-m", "predator.simulation.traffic"]
        command += ["--url", url, "--world", str(world), "--think-s", "0.01", *arguments]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self.reports: list[dict[str, Any]] = []

    def read_report(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        self.reports.append(json.loads(self.process.stdout.readline()))
        return self.reports[-1]

    def tell(self, **command: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(command).encode() + b"\n")
        self.process.stdin.flush()

    def end(self) -> tuple[int, dict[str, Any], str]:
        """Close stdin and wait: exit code, the final report, stderr."""
        out, errors = self.process.communicate(timeout=30)
        lines = out.decode().splitlines()
        final = json.loads(lines[-1]) if lines else {}
        return self.process.returncode, final, errors.decode()


def test_a_hundred_searches_a_second_none_failed(platform: Platform, world: Path) -> None:
    traffic = Traffic(
        platform.url, world, "--rate", "100", "--arrivals", "even", "--users", "30", "--seed", "5"
    )
    first = traffic.read_report()
    while (last := traffic.read_report())["at"] - first["at"] < 1.9:
        pass
    achieved = (last["sent"] - first["sent"]) / (last["at"] - first["at"])
    traffic.tell(cmd="stop")
    code, final, errors = traffic.end()
    assert (code, errors) == (0, "")
    assert achieved == pytest.approx(100, rel=0.1)
    assert final["final"] is True
    assert (final["failed"], final["failures"], final["skipped"]) == (0, {}, 0)
    assert final["sent"] == final["ok"] == len(platform.bodies("/search"))
    assert 0 < final["p50_ms"] <= final["p95_ms"]

    searches = platform.bodies("/search")
    assert {s["k"] for s in searches} == {10}
    clients = {(s["user_id"], s["client_id"]) for s in searches}
    assert len(clients) == len({s["user_id"] for s in searches}) == 30

    events = [event for batch in platform.bodies("/events") for event in batch]
    assert len(events) == final["events"]
    assert len(events) / len(searches) == pytest.approx(0.65, abs=0.2)
    asked = {(s["user_id"], s["session_id"], s["query"]) for s in searches}
    for event in events:
        assert event["action_name"] == "click" and event["timestamp"].endswith("Z")
        assert event["query_id"].startswith("query-")
        assert (event["user_id"], event["session_id"], event["user_query"]) in asked
        assert 1 <= event["event_attributes"]["position"]["ordinal"] <= 10
    relevant = [
        e["event_attributes"]["object"]["object_id"] == f"about {e['user_query']}" for e in events
    ]
    assert sum(relevant) / len(relevant) > 0.75

    ratings = platform.bodies("/feedback")
    assert len(ratings) == final["ratings"] > 0
    assert {r["rating"] for r in ratings} <= {1, 2, 3, 4, 5}


def test_the_mix_and_the_rate_follow_the_commands(platform: Platform, world: Path) -> None:
    traffic = Traffic(platform.url, world, "--rate", "50", "--mix", '{"old": 1}')
    traffic.read_report()
    assert {s["query"].split()[0] for s in platform.bodies("/search")} == {"old"}
    traffic.tell(cmd="mix", weights={"ghost": 1})
    traffic.tell(cmd="mix", weights={"new": 1})
    traffic.tell(cmd="rate", value=0)
    traffic.read_report()
    paused_at = traffic.read_report()["sent"]
    assert traffic.read_report()["sent"] == paused_at
    traffic.tell(cmd="rate", value=80)
    traffic.read_report()
    resumed = [s["query"].split()[0] for s in platform.bodies("/search")[paused_at:]]
    assert len(resumed) > 20 and set(resumed) == {"new"}
    code, final, errors = traffic.end()
    assert code == 0
    assert final["rejected_commands"] == 1
    assert errors == "command refused: unknown query group 'ghost'\n"


def test_the_end_of_stdin_and_a_signal_stop_it_cleanly(platform: Platform, world: Path) -> None:
    traffic = Traffic(platform.url, world)
    traffic.read_report()
    traffic.process.send_signal(signal.SIGTERM)
    code, final, _ = traffic.end()
    assert (code, final["final"], final["in_flight"], final["failed"]) == (0, True, 0, 0)
    code, final, _ = Traffic(platform.url, world).end()
    assert (code, final["final"]) == (0, True)


def test_a_server_that_is_gone_ends_the_run(world: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    traffic = Traffic(f"http://127.0.0.1:{port}", world, "--rate", "50", "--give-up-s", "0.5")
    while not traffic.read_report().get("final"):
        pass
    final = traffic.reports[-1]
    assert traffic.process.wait(10) == 3
    assert final["ok"] == 0
    assert final["failures"] == {"search:connect": final["failed"]}
    traffic.end()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--url", "http://192.0.2.1:80"], "is not this machine"),
        (["--world", "missing.json"], "missing.json cannot be read"),
        (["--rate", "-1"], "outside 0 to 10000"),
        (["--rate", "nan"], "outside"),
        (["--users", "many"], "invalid int value"),
        (["--mix", '{"ghost": 1}'], "unknown query group 'ghost'"),
        (["--mix", "["], "--mix"),
        (["--sing"], "unrecognized arguments: --sing"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    world: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    complaint: str,
) -> None:
    from predator.simulation.traffic import main

    assert main(["--url", "http://127.0.0.1:9", "--world", str(world), *arguments]) == 2
    message = capsys.readouterr().err
    assert complaint in message and message.count("\n") == 1


def run_crowd(platform: Platform, world_file: Path, plan: Plan) -> tuple[int, dict[str, Any]]:
    world = load_world(world_file)
    reports: list[dict[str, Any]] = []

    async def main() -> int:
        client = HttpClient("127.0.0.1", platform.port, timeout_s=plan.timeout_s)
        mix = Mix(world, {"old": 1})
        return await Crowd(client, world, mix, plan).run(reports.append)

    return asyncio.run(main()), reports[-1]


def test_failures_are_counted_by_what_failed_and_how(platform: Platform, world: Path) -> None:
    platform.status = {"/events": 422, "/feedback": 500}
    plan = Plan(rate=300, users=10, seed=1, duration_s=0.3, think_s=0.0)
    code, final = run_crowd(platform, world, plan)
    assert code == 0
    assert set(final["failures"]) == {"events:422", "feedback:500"}
    assert final["failures"]["events:422"] == len(platform.bodies("/events"))
    assert (final["events"], final["ratings"]) == (0, 0)
    assert final["sent"] == final["ok"]


def test_a_slow_server_does_not_slow_the_users_down(platform: Platform, world: Path) -> None:
    platform.delay_s = 0.3
    plan = Plan(rate=200, users=10, seed=1, arrivals="even", duration_s=0.5, max_in_flight=20)
    code, final = run_crowd(platform, world, plan)
    assert code == 0
    assert final["failures"]["search:saturated"] > 20
    assert final["ok"] == final["sent"] and final["p50_ms"] >= 300
    assert final["in_flight"] == 0


def test_an_unanswered_search_is_a_timeout(platform: Platform, world: Path) -> None:
    platform.delay_s = 0.5
    plan = Plan(rate=20, users=10, seed=1, duration_s=0.2, timeout_s=0.1)
    _, final = run_crowd(platform, world, plan)
    assert final["failures"] == {"search:timeout": final["sent"]}
    assert "no answer in 0.1 s" in final["examples"]["search:timeout"]


def test_the_same_seed_is_the_same_crowd(platform: Platform, world: Path) -> None:
    plan = Plan(rate=200, users=10, seed=7, arrivals="even", duration_s=0.2)
    run_crowd(platform, world, plan)
    first = {json.dumps(search) for search in platform.bodies("/search")[:30]}
    platform.received.clear()
    run_crowd(platform, world, plan)
    second = {json.dumps(search) for search in platform.bodies("/search")[:30]}
    assert len(first & second) >= 0.8 * len(first)
