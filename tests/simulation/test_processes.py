"""The processes of a run: they say why they did not start, and none of them stays behind."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from predator.domain.errors import InputError, PredatorError
from predator.simulation import processes
from predator.simulation.processes import PlatformProcess, UsersProcess

Stand = Callable[[str], None]

SERVE = """
import http.server, sys, threading
class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.send_header("content-length", "0"); self.end_headers()
    def log_message(self, *_): pass
server = http.server.HTTPServer(("127.0.0.1", 0), Ready)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(f"http://127.0.0.1:{server.server_port}", flush=True)
sys.stdin.read()
"""
NEVER_READY = SERVE.replace("200", "503")
IGNORES = """
import sys, time
print("http://127.0.0.1:1", flush=True)
time.sleep(60)
"""


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stand:
    """Puts a script of ours in the place of the program that would be started."""

    def stand(code: str) -> None:
        program = tmp_path / "stand_in.py"
        program.write_text(code)
        script = tmp_path / "stand_in"
        # No `#!` line holds an interpreter whose path has a space in it.
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{program}" "$@"\n')
        script.chmod(0o755)
        monkeypatch.setattr(processes.sys, "executable", str(script))  # type: ignore[attr-defined]

    return stand


@pytest.fixture
def platform(tmp_path: Path) -> Callable[[], PlatformProcess]:
    return lambda: PlatformProcess(tmp_path, tmp_path / "logs" / "platform.log", {"port": "0"})


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


class TestPlatform:
    def test_it_is_ready_when_it_answers_and_gone_when_it_is_stopped(
        self, stand_in: Stand, platform: Callable[[], PlatformProcess]
    ) -> None:
        stand_in(SERVE)
        child = platform()
        url = child.wait_ready()
        assert url.startswith("http://127.0.0.1:") and child.url == url
        assert child.stop() == 0
        assert child.stop() == 0, "stopping twice is stopping once"
        assert gone(child.process.pid)

    def test_a_ctrl_c_at_the_terminal_does_not_reach_it(
        self, stand_in: Stand, platform: Callable[[], PlatformProcess]
    ) -> None:
        stand_in(SERVE)
        child = platform()
        child.wait_ready()
        assert os.getpgid(child.process.pid) != os.getpgid(0)
        child.stop()

    @pytest.mark.parametrize(("code", "kind"), [(2, InputError), (1, PredatorError)])
    def test_what_it_said_last_is_passed_on(
        self,
        stand_in: Stand,
        platform: Callable[[], PlatformProcess],
        code: int,
        kind: type[PredatorError],
    ) -> None:
        stand_in(
            f"import sys\nsys.stderr.write('error: the port\\n is taken\\n')\nsys.exit({code})"
        )
        child = platform()
        with pytest.raises(PredatorError, match=r"did not start: .*the port is taken") as error:
            child.wait_ready()
        assert type(error.value) is kind
        assert "\n" not in str(error.value)
        child.stop()

    def test_what_never_gets_ready_is_not_waited_for_without_end(
        self, stand_in: Stand, platform: Callable[[], PlatformProcess]
    ) -> None:
        stand_in(NEVER_READY)
        child = platform()
        with pytest.raises(PredatorError, match="did not get ready"):
            child.wait_ready(timeout_s=0.3)
        child.stop()

    def test_what_dies_before_it_is_ready_is_noticed_at_once(
        self, stand_in: Stand, platform: Callable[[], PlatformProcess]
    ) -> None:
        stand_in("print('http://127.0.0.1:1', flush=True)\nraise SystemExit('out of memory')")
        child = platform()
        started = time.monotonic()
        with pytest.raises(PredatorError, match="did not get ready: out of memory"):
            child.wait_ready(timeout_s=30)
        assert time.monotonic() - started < 29
        child.stop()

    def test_what_does_not_stop_is_killed(
        self,
        stand_in: Stand,
        platform: Callable[[], PlatformProcess],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        stand_in(IGNORES)
        child = platform()
        assert child.process.stdout is not None
        child.process.stdout.readline()
        monkeypatch.setattr(processes, "STOP_S", 0.2)
        assert child.stop() == -9
        assert gone(child.process.pid)


class TestUsers:
    def users(self, folder: Path) -> UsersProcess:
        return UsersProcess(
            "http://127.0.0.1:1", folder / "world.json", folder / "users.log",
            rate=1, users=10, seed=0, mix={"all": 1.0},
        )  # fmt: skip

    def test_the_last_report_is_theirs(self, stand_in: Stand, tmp_path: Path) -> None:
        stand_in(
            "import sys\n"
            "for line in sys.stdin: print('{\"heard\": ' + line.strip() + '}', flush=True)\n"
            "print('not json'); print('{\"final\": true, \"sent\": 7}')"
        )
        users = self.users(tmp_path)
        users.ask({"wave1": 0.5})
        deadline = time.monotonic() + 10
        while not users.last and time.monotonic() < deadline:
            time.sleep(0.01)
        assert users.last == {"heard": {"cmd": "mix", "weights": {"wave1": 0.5}}}
        assert users.finish() == {"final": True, "sent": 7}

    def test_users_who_are_gone_are_missed(self, stand_in: Stand, tmp_path: Path) -> None:
        stand_in("raise SystemExit('no such world')")
        users = self.users(tmp_path)
        users.process.wait(10)
        with pytest.raises(PredatorError, match="users are gone: no such world"):
            for _ in range(100):
                users.ask({"all": 1.0})
        assert users.finish() == {}

    def test_they_are_asked_what_the_run_wants(self, stand_in: Stand, tmp_path: Path) -> None:
        stand_in("import json, sys\nprint(json.dumps({'arguments': sys.argv[1:]}))")
        users = self.users(tmp_path)
        arguments = users.finish()["arguments"]
        assert arguments[:2] == ["-m", "predator.simulation.traffic"]
        given = dict(zip(arguments[2::2], arguments[3::2], strict=True))
        assert given["--rate"] == "1" and json.loads(given["--mix"]) == {"all": 1.0}
