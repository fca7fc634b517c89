"""Every way in which a server can fail a request is told apart; none is hidden by a retry."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from predator.simulation.http_client import HttpClient, RequestError, Response

T = TypeVar("T")
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def with_server(
    handler: Handler, use: Callable[[HttpClient], Awaitable[T]], *, timeout_s: float = 5.0
) -> T:
    async def main() -> T:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await handler(reader, writer)
            except (asyncio.IncompleteReadError, ConnectionError):
                pass
            finally:
                writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        client = HttpClient("127.0.0.1", server.sockets[0].getsockname()[1], timeout_s=timeout_s)
        try:
            return await use(client)
        finally:
            client.close()
            server.close()
            await asyncio.sleep(0.01)

    try:
        return asyncio.run(main())
    finally:
        gc.collect()


async def read_request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    return head + await reader.readexactly(length)


def answering(*parts: bytes, then_close: bool = False) -> Handler:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_request(reader)
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(0)
            if then_close:
                return

    return handler


async def one_post(client: HttpClient) -> Response:
    return await client.post("/search", b'{"query": "q"}')


def test_the_request_is_plain_http_with_a_json_body() -> None:
    seen: list[bytes] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await read_request(reader))
        writer.write(OK)

    assert with_server(handler, one_post) == Response(200, b"ok")
    head, body = seen[0].split(b"\r\n\r\n")
    assert head.startswith(b"POST /search HTTP/1.1\r\nHost: 127.0.0.1:")
    assert b"Content-Type: application/json" in head
    assert body == b'{"query": "q"}'


@pytest.mark.parametrize(
    "parts",
    [
        (OK,),
        tuple(OK[n : n + 1] for n in range(len(OK))),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n",
            b"1\r\nk\r\n0\r\n\r\n",
        ),
        (b"HTTP/1.1 103 Early Hints\r\n\r\n", OK),
    ],
    ids=["whole", "byte by byte", "chunked", "after early hints"],
)
def test_answers_are_read_however_they_arrive(parts: tuple[bytes, ...]) -> None:
    async def use(client: HttpClient) -> list[Response]:
        return [await one_post(client) for _ in range(3)]

    assert with_server(answering(*parts), use) == [Response(200, b"ok")] * 3


def test_connections_are_kept_and_shared_only_one_at_a_time() -> None:
    connections = 0

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while True:
            request = await read_request(reader)
            body = request.split(b"\r\n\r\n")[1]
            await asyncio.sleep(0.01)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    async def use(client: HttpClient) -> list[bytes]:
        answers: list[Response] = []
        for start in range(0, 20, 4):
            posts = (client.post("/x", b"%d" % n) for n in range(start, start + 4))
            answers += await asyncio.gather(*posts)
        return [answer.body for answer in answers]

    assert with_server(handler, use) == [b"%d" % n for n in range(20)]
    assert connections == 4


def test_a_server_that_says_close_gets_a_new_connection() -> None:
    closing = b"HTTP/1.1 503 Busy\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"

    async def use(client: HttpClient) -> list[int]:
        return [(await one_post(client)).status for _ in range(3)]

    assert with_server(answering(closing, then_close=True), use) == [503] * 3


def test_an_idle_connection_is_left_before_the_server_leaves_it() -> None:
    async def use(client: HttpClient) -> int:
        client._idle_s = 0.02
        await one_post(client)
        await asyncio.sleep(0.05)
        return (await one_post(client)).status

    async def impatient(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(OK)
        await asyncio.sleep(0.04)

    assert with_server(impatient, use) == 200


@pytest.mark.parametrize(
    ("parts", "kind"),
    [
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf",), "reset"),
        ((), "reset"),
        ((b"SSH-2.0-OpenSSH\r\n\r\n",), "malformed"),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n", b"x" * 9_000_000), "too_large"),
    ],
)
def test_an_answer_that_is_none_names_its_kind(parts: tuple[bytes, ...], kind: str) -> None:
    with pytest.raises(RequestError) as caught:
        with_server(answering(*parts, then_close=True), one_post)
    assert caught.value.kind == kind


def test_silence_is_a_timeout_and_the_next_request_is_fresh() -> None:
    calls = 0

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal calls
        calls += 1
        await read_request(reader)
        if calls > 1:
            writer.write(OK)
        await reader.read()

    async def use(client: HttpClient) -> tuple[str, int]:
        with pytest.raises(RequestError) as caught:
            await one_post(client)
        return caught.value.kind, (await one_post(client)).status

    assert with_server(handler, use, timeout_s=0.1) == ("timeout", 200)


def test_nobody_listening_is_a_failure_to_connect() -> None:
    async def use(client: HttpClient) -> str:
        nobody = HttpClient("127.0.0.1", 1)
        with pytest.raises(RequestError) as caught:
            await one_post(nobody)
        return caught.value.kind

    assert with_server(answering(OK), use) == "connect"
