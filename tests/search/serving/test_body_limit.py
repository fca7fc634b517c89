"""A body that is too long is refused as soon as that is known, and every answer is counted."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from predator.search.serving.instruments import Instruments
from predator.search.serving.limits import BodyLimit, Counting

LIMIT = 100


async def read_all(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


async def reply(send: Send, status: int, body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": body})


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    await reply(send, 200, await read_all(receive))


async def framework(scope: Scope, receive: Receive, send: Send) -> None:
    """As FastAPI: a body that cannot be read is a bad request of its own making."""
    try:
        body = await read_all(receive)
    except Exception:
        await reply(send, 400, b"There was an error parsing the body")
    else:
        await reply(send, 200, body)


async def never_reads(scope: Scope, receive: Receive, send: Send) -> None:
    await reply(send, 204, b"")


async def answers_first(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await read_all(receive)
    await send({"type": "http.response.body", "body": b""})


async def broken(scope: Scope, receive: Receive, send: Send) -> None:
    raise RuntimeError("broken")


def call(
    app: ASGIApp,
    chunks: Sequence[bytes] = (b"",),
    length: str | None = None,
    path: str = "/search",
    sent: list[Message] | None = None,
) -> tuple[list[Message], int]:
    """The messages sent, and how many chunks were taken."""
    headers = [] if length is None else [(b"content-length", length.encode())]
    scope: dict[str, Any] = {"type": "http", "path": path, "headers": headers, "method": "POST"}
    taken = 0
    sent = [] if sent is None else sent

    async def receive() -> Message:
        nonlocal taken
        taken += 1
        more = taken < len(chunks)
        return {"type": "http.request", "body": chunks[taken - 1], "more_body": more}

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))  # type: ignore[arg-type]
    return sent, taken


def limited(app: ASGIApp) -> BodyLimit:
    return BodyLimit(app, default=LIMIT, routes={"/documents": 1000})


def status(sent: Sequence[Message]) -> int:
    starts = [m["status"] for m in sent if m["type"] == "http.response.start"]
    assert len(starts) == 1
    return int(starts[0])


def test_a_body_of_exactly_the_limit_passes() -> None:
    for chunks in ([b"x" * LIMIT], [b"x" * 50, b"x" * 50, b""]):
        for length in (None, str(LIMIT)):
            sent, _ = call(limited(echo), chunks, length)
            assert status(sent) == 200
            assert sent[1]["body"] == b"x" * LIMIT


def test_a_body_declared_too_long_is_refused_unread() -> None:
    sent, taken = call(limited(echo), [b"x" * 101], "101")
    assert status(sent) == 413
    assert taken == 0
    problem = json.loads(sent[1]["body"])
    assert problem["status"] == 413
    assert "100 bytes" in problem["detail"]
    headers = dict(sent[0]["headers"])
    assert headers[b"content-type"] == b"application/problem+json"
    assert int(headers[b"content-length"]) == len(sent[1]["body"])
    assert headers[b"connection"] == b"close"


@pytest.mark.parametrize("length", ["x", "-1", "1e3", "", " 5", "0x10", "9" * 10_000, "5,5"])
def test_a_length_that_is_none_is_refused(length: str) -> None:
    sent, taken = call(limited(echo), [b"x"], length)
    assert status(sent) == 413
    assert taken == 0


@pytest.mark.parametrize("app", [echo, framework])
@pytest.mark.parametrize("length", [None, "10"])
def test_a_body_that_grows_too_long_is_refused_at_that_chunk(
    app: ASGIApp, length: str | None
) -> None:
    sent, taken = call(limited(app), [b"x" * 60] * 50, length)
    assert status(sent) == 413
    assert taken == 2
    assert len(sent) == 2


def test_routes_have_their_own_limits() -> None:
    assert status(call(limited(echo), [b"x" * 1000], None, "/documents")[0]) == 200
    assert status(call(limited(echo), [b"x" * 1001], None, "/documents")[0]) == 413
    assert status(call(limited(echo), [b"x" * 1000], None, "/documents/")[0]) == 413


def test_an_answer_that_needs_no_body_is_given() -> None:
    assert status(call(limited(never_reads), [b"x" * 500])[0]) == 204


def test_an_answer_under_way_is_not_answered_twice() -> None:
    sent: list[Message] = []
    with pytest.raises(Exception, match=r"^$"):
        call(limited(answers_first), [b"x" * 60] * 3, sent=sent)
    assert status(sent) == 200


def test_other_protocols_pass() -> None:
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    for middleware in (limited(app), Counting(app, Instruments())):
        asyncio.run(middleware({"type": "lifespan"}, None, None))  # type: ignore[arg-type]
    assert seen == ["lifespan", "lifespan"]


def counted(instruments: Instruments) -> dict[tuple[str, str], float]:
    return {
        (sample.labels["route"], sample.labels["status"]): sample.value
        for metric in instruments.requests.collect()
        for sample in metric.samples
        if sample.name.endswith("_total")
    }


def test_answers_are_counted_by_route_and_status() -> None:
    instruments = Instruments()
    for path in ("/search", "/search", "/nowhere", "/search/../etc"):
        call(Counting(never_reads, instruments), path=path)
    call(Counting(limited(echo), instruments), [b"x" * 500])
    with pytest.raises(RuntimeError):
        call(Counting(broken, instruments))
    assert counted(instruments) == {
        ("/search", "204"): 2,
        ("other", "204"): 2,
        ("/search", "413"): 1,
        ("/search", "500"): 1,
    }
