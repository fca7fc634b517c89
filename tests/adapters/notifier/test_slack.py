"""Slack's webhook, against a real HTTP server on loopback."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from predator.adapters.database.engine import Database
from predator.adapters.notifier.delivery import RetryLater
from predator.adapters.notifier.outbox import Outbox
from predator.adapters.notifier.slack import SlackWebhook, message
from predator.domain.errors import InputError, PredatorError
from tests.contracts.notifier import NOTICE, notice

PATH = "/services/T000/B000/canary"


class Slack(ThreadingHTTPServer):
    """Answers as Slack does; what it answers can be set."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer: tuple[int, dict[str, str], bytes] = (200, {}, b"ok")
        self.got: list[tuple[str, str, dict[str, Any]]] = []

    @property
    def url(self) -> str:
        return f"http://localhost:{self.server_address[1]}{PATH}"


class Handler(BaseHTTPRequestHandler):
    server: Slack

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((self.path, self.headers["Host"], json.loads(body)))
        status, headers, answer = self.server.answer
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def slack() -> Iterator[Slack]:
    with Slack() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def webhook(slack: Slack) -> SlackWebhook:
    return SlackWebhook(slack.url, allow_loopback=True, timeout_s=5)


def test_a_notice_arrives_as_text_and_blocks(slack: Slack) -> None:
    webhook(slack)(NOTICE)
    [(path, host, body)] = slack.got
    assert path == PATH
    assert host == f"localhost:{slack.server_address[1]}"
    assert set(body) == {"text", "blocks"}
    assert NOTICE.title in body["text"]
    assert [block["type"] for block in body["blocks"]] == ["header", "section", "context"]
    assert NOTICE.text in json.dumps(body, ensure_ascii=False)
    assert NOTICE.link in json.dumps(body)


@pytest.mark.parametrize(
    ("status", "answer", "told"),
    [
        (400, b"invalid_payload", r"HTTP 400 \(invalid_payload\)"),
        (403, b"action_prohibited", r"HTTP 403 \(action_prohibited\)"),
        (404, b"no_service", r"HTTP 404 \(no_service\)"),
        (410, b"channel_is_archived", r"HTTP 410 \(channel_is_archived\)"),
        (500, b"<html>canary</html>" * 9999, r"HTTP 500$"),
        (200, b"<html>a captive portal</html>", r"HTTP 200$"),
        (200, b"", r"HTTP 200$"),
    ],
)
def test_what_is_not_ok_is_a_failure(slack: Slack, status: int, answer: bytes, told: str) -> None:
    slack.answer = (status, {}, answer)
    with pytest.raises(PredatorError, match=told) as refused:
        webhook(slack)(NOTICE)
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(slack: Slack, status: int) -> None:
    slack.answer = (status, {"Location": f"{slack.url}/elsewhere"}, b"")
    with pytest.raises(PredatorError, match=f"HTTP {status}"):
        webhook(slack)(NOTICE)
    assert len(slack.got) == 1


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [({"Retry-After": "30"}, 30), ({}, 60), ({"Retry-After": "soon"}, 60),
     ({"Retry-After": "-1"}, 60), ({"Retry-After": "999999"}, 3600)],
)  # fmt: skip
def test_too_many_requests_is_a_wait(slack: Slack, headers: dict[str, str], wait_s: float) -> None:
    slack.answer = (429, headers, b"rate_limited")
    with pytest.raises(RetryLater) as wait:
        webhook(slack)(NOTICE)
    assert wait.value.wait_s == wait_s


def test_the_outbox_waits_as_long_as_slack_asks(slack: Slack, database: Database) -> None:
    now = [1_765_000_000.0]
    outbox = Outbox(database, webhook(slack), now=lambda: now[0])
    slack.answer = (429, {"Retry-After": "30"}, b"rate_limited")
    outbox.notify(notice("a"))
    slack.answer = (200, {}, b"ok")
    outbox.notify(notice("b"))
    assert len(slack.got) == 1
    now[0] += 30
    outbox.deliver()
    assert len(slack.got) == 3
    assert [each.key for each in outbox.sent()] == ["b", "a"]


def test_markup_in_a_notice_is_text(slack: Slack) -> None:
    hostile = "<!channel> <http://evil|click> & *b* \u202e</script>"
    webhook(slack)(
        replace(NOTICE, title=hostile, text=hostile, contour=hostile, link="javascript:x")
    )
    said = json.dumps(slack.got[0][2])
    assert "<!channel>" not in slack.got[0][2]["text"]
    assert "<http://evil" not in json.dumps(slack.got[0][2]["blocks"][1:])
    assert "javascript" not in said
    assert "&lt;!channel&gt;" in said


def test_long_notices_fit_slacks_limits() -> None:
    body = message(replace(NOTICE, title="<" * 9999, text="&" * 99_999, contour="<" * 9999))
    header, section, context = body["blocks"]
    assert len(header["text"]["text"]) <= 150
    assert len(section["text"]["text"]) <= 3000
    assert all(len(element["text"]) <= 2000 for element in context["elements"])
    assert len(body["text"]) <= 4000
    empty = message(replace(NOTICE, title="", text="", contour="", cycle_id="", link=""))
    assert all(block["type"] != "section" for block in empty["blocks"])


def test_secrets_do_not_leave_through_a_notice() -> None:
    body = message(replace(NOTICE, title="token=canary11", text="Bearer canary22222", link=""))
    assert "canary" not in json.dumps(body)


@pytest.mark.parametrize(
    "url",
    [
        *["", "x", "file:///etc/passwd", "ftp://h/canary", "gopher://h/canary", "//h/canary"],
        *["http://hooks.slack.com/canary", "https://user:canary@hooks.slack.com/", "https://"],
        *["https://[canary/", "https://h:99999999/canary", "javascript:canary"],
    ],
)
def test_only_an_https_url_is_a_webhook(url: str) -> None:
    with pytest.raises(InputError) as refused:
        SlackWebhook(url)
    assert "canary" not in str(refused.value)


PRIVATE = [
    *["169.254.169.254", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1"],
    *["224.0.0.1", "255.255.255.255", "[fe80::1]", "[fc00::1]", "[fd00:ec2::254]", "[ff02::1]"],
    *["0.0.0.0", "[::]", "[::ffff:169.254.169.254]", "[::ffff:10.0.0.1]", "[64:ff9b::a9fe:a9fe]"],  # noqa: S104
    *["[2002:a9fe:a9fe::]", "[2001:db8::1]", "2852039166", "0xa9.0xfe.0xa9.0xfe"],
]
LOOPBACK = ["127.0.0.1", "127.1", "2130706433", "0x7f000001", "localhost", "[::1]",
            "[::ffff:127.0.0.1]", "017700000001"]  # fmt: skip


@pytest.mark.parametrize("host", [*PRIVATE, *LOOPBACK])
def test_no_private_address_is_connected_to(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """However it is spelt; ``allow_loopback`` opens loopback and nothing else."""
    monkeypatch.setattr(socket, "create_connection", lambda *a, **k: pytest.fail("connected"))
    for allow in {False, host in PRIVATE}:
        with pytest.raises(PredatorError) as refused:
            SlackWebhook(f"https://{host}{PATH}", allow_loopback=allow)(NOTICE)
        assert "canary" not in str(refused.value)
        assert "not public" in str(refused.value) or "cannot be resolved" in str(refused.value)


def test_a_name_that_resolves_to_a_private_address_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every address of the name counts, and the checked one is the one connected to."""
    answers = {"public.example": ["93.184.216.34", "169.254.169.254"]}

    def resolve(host: str, port: int, **_kind: object) -> list[Any]:
        return [(2, 1, 6, "", (address, port)) for address in answers[host]]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with pytest.raises(PredatorError, match="not public"):
        SlackWebhook("https://public.example/canary")(NOTICE)
    with pytest.raises(PredatorError, match="not public"):
        SlackWebhook("https://public.example/canary", allow_loopback=True)(NOTICE)
    connected = []

    def connect(address: tuple[str, int], *_a: object, **_k: object) -> socket.socket:
        connected.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "create_connection", connect)
    answers["public.example"] = ["93.184.216.34"]
    with pytest.raises(PredatorError, match="did not answer"):
        SlackWebhook("https://public.example/canary")(NOTICE)
    assert connected == [("93.184.216.34", 443)]


def test_tls_asks_for_the_name_although_the_address_is_dialled() -> None:
    """So the certificate is checked against the name. An address is never sent as one."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def listen() -> bytes:
            with server.accept()[0] as connection:
                return connection.recv(4096)

        with ThreadPoolExecutor(1) as pool:
            hello = pool.submit(listen)
            url = f"https://localhost:{server.getsockname()[1]}{PATH}"
            with pytest.raises(PredatorError, match="did not answer"):
                SlackWebhook(url, allow_loopback=True, timeout_s=5)(NOTICE)
            assert b"localhost" in hello.result(10)


def test_plain_http_is_for_this_machine_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda *a, **k: [(2, 1, 6, "", ("93.184.216.34", 80))]
    )
    with pytest.raises(PredatorError, match="not public"):
        SlackWebhook("http://public.example/x", allow_loopback=True)(NOTICE)


def test_the_url_is_in_no_log_and_no_error(slack: Slack, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    hook = webhook(slack)
    hook(NOTICE)
    slack.answer = (500, {}, b"canary")
    with pytest.raises(PredatorError) as refused:
        hook(NOTICE)
    slack.server_close()
    slack.shutdown()
    with pytest.raises(PredatorError, match="did not answer") as down:
        hook(NOTICE)
    assert "canary" not in caplog.text + repr(hook) + repr(refused.value) + repr(down.value)
    assert down.value.__cause__ is None


def test_a_receiver_that_never_answers_is_left(slack: Slack) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}{PATH}"
        started = time.monotonic()
        with pytest.raises(PredatorError, match="did not answer"):
            SlackWebhook(url, allow_loopback=True, timeout_s=0.2)(NOTICE)
        assert time.monotonic() - started < 30


def test_proxies_of_the_environment_are_not_used(
    slack: Slack, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    webhook(slack)(NOTICE)
    assert len(slack.got) == 1
