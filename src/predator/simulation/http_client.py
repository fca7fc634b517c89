"""A small HTTP/1.1 keep-alive client for one host: httptools on an asyncio transport.

Users share the machine's cores with the platform they search and the training that runs meanwhile,
so the client's own cost counts. Measured for a search with a 4 kB answer, two cores: 0.04 ms of CPU
here (0.03 on uvloop, which is not worth a second event loop), 1.0 ms with ``httpx.AsyncClient``.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, cast

import httptools

_LARGEST_BODY = 8 * 2**20


class RequestError(Exception):
    """No usable answer came. ``kind`` is one of connect, reset, timeout, malformed, too_large."""

    def __init__(self, kind: str, detail: str = "") -> None:
        self.kind = kind
        super().__init__(f"{kind}: {detail}" if detail else kind)


@dataclass(frozen=True, slots=True)
class Response:
    """A complete answer, whatever its status."""

    status: int
    body: bytes


class HttpClient:
    """Posts JSON to one address over as many kept-alive connections as are busy at once.

    Nothing is retried and no redirect followed: a request that the server dropped is a failure that
    the report must show. Connections idle for ``idle_s`` are closed here, well before a server
    would (uvicorn: 5 s), so that its closing cannot meet a request on the way.
    """

    def __init__(self, address: str, port: int, *, timeout_s: float = 10.0, idle_s: float = 2.0):
        self._address = address
        self._port = port
        self._timeout_s = timeout_s
        self._idle_s = idle_s
        self._idle: list[_Connection] = []
        host = f"[{address}]" if ":" in address else address
        self._head = (
            f"HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n"
            "Accept: application/json\r\nContent-Length: "
        ).encode()

    async def post(self, path: str, body: bytes) -> Response:
        """The answer to ``POST path``, or :class:`RequestError`; the time limit covers it all."""
        request = b"POST %b %b%d\r\n\r\n%b" % (path.encode("ascii"), self._head, len(body), body)
        try:
            async with asyncio.timeout(self._timeout_s):
                connection = self._reusable() or await self._connect()
                response = await connection.exchange(request)
        except TimeoutError as error:
            raise RequestError("timeout", f"no answer in {self._timeout_s:g} s") from error
        if connection.open:
            self._idle.append(connection)
        return response

    def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            self._idle.pop().close()

    def _reusable(self) -> _Connection | None:
        # Last in, first out: those at the bottom fall idle and go when the load does.
        oldest = asyncio.get_running_loop().time() - self._idle_s
        while self._idle and (not self._idle[0].open or self._idle[0].idle_since < oldest):
            self._idle.pop(0).close()
        while self._idle:
            connection = self._idle.pop()
            if connection.open and connection.idle_since >= oldest:
                return connection
            connection.close()
        return None

    async def _connect(self) -> _Connection:
        loop = asyncio.get_running_loop()
        try:
            _, connection = await loop.create_connection(_Connection, self._address, self._port)
        except OSError as error:
            raise RequestError("connect", str(error)) from error
        return connection


class _Connection(asyncio.Protocol):
    """One request at a time; ``open`` while another may follow."""

    def __init__(self) -> None:
        self.open = False
        self.idle_since = 0.0
        self._loop = asyncio.get_running_loop()
        self._parser: Any = httptools.HttpResponseParser(self)
        self._answer: asyncio.Future[Response] | None = None
        self._body = bytearray()

    async def exchange(self, request: bytes) -> Response:
        if not self.open:
            raise RequestError("reset", "the connection closed as soon as it opened")
        self._body.clear()
        self._answer = self._loop.create_future()
        self._transport.write(request)
        try:
            return await self._answer
        except BaseException:
            self.open = False
            raise
        finally:
            self._answer = None
            self.idle_since = self._loop.time()
            if not self.open:
                self.close()

    def close(self) -> None:
        self.open = False
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have the methods but not the base class.
        self._transport = cast(asyncio.Transport, transport)
        self.open = True

    def data_received(self, data: bytes) -> None:
        if self._answer is None or self._answer.done():
            self.close()
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail("malformed", str(error))
        if len(self._body) > _LARGEST_BODY:
            self._fail("too_large", f"an answer of more than {_LARGEST_BODY} bytes")

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail("reset", str(exc or "the server closed the connection before it answered"))

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        status = int(self._parser.get_status_code())
        if status < 200:
            return
        self.open = self.open and bool(self._parser.should_keep_alive())
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(Response(status, bytes(self._body)))

    def _fail(self, kind: str, detail: str) -> None:
        self.open = False
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(RequestError(kind, detail))
