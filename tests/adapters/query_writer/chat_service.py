"""A real HTTP server on loopback that answers as OpenAI's chat completions do."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "sk-canary-0123456789abcdef"

Reply = tuple[int, dict[str, str], bytes]
"""Status, headers, body."""


def queries_of(document: dict[str, str], n: int) -> str:
    """What a well-behaved model says."""
    words = f"{document['title']} {document['text'][:300]}".split()
    return "\n".join(" ".join(words[i : i + 5]) for i in range(n))


def completion(text: Any, **more: Any) -> Reply:
    """A whole answer of the API."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}}
    value = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "choices": [{**choice, "finish_reason": more.pop("finish_reason", "stop")}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120},
        **more,
    }
    return 200, {"Content-Type": "application/json"}, json.dumps(value).encode()


def error(status: int, **headers: str) -> Reply:
    """A failure as the API tells it; here it repeats the key, as a careless gateway may."""
    body = {"error": {"message": f"bad key {KEY}", "type": "x", "code": "invalid_api_key"}}
    return status, headers, json.dumps(body).encode()


class ChatService(ThreadingHTTPServer):
    """``reply`` gets the document, n and the number of the request; what was wrong with requests
    stands in ``wrong``."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.reply: Callable[[dict[str, str], int, int], Reply] = lambda document, n, _: completion(
            queries_of(document, n)
        )
        self.got: list[dict[str, Any]] = []
        self.wrong: list[str] = []
        self.delay_s = 0.0
        self.drip = False
        self.lock = threading.Lock()
        self.most_at_once = self.at_once = 0

    @property
    def url(self) -> str:
        return f"http://localhost:{self.server_address[1]}/v1"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: ChatService

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        with self.server.lock:
            self.server.at_once += 1
            self.server.most_at_once = max(self.server.most_at_once, self.server.at_once)
        try:
            self._answer(json.loads(raw))
        finally:
            with self.server.lock:
                self.server.at_once -= 1

    def _answer(self, value: dict[str, Any]) -> None:
        server = self.server
        server.wrong += problems(self.path, dict(self.headers), value)
        given = json.loads(value["messages"][-1]["content"])
        with server.lock:
            server.got.append(value)
            number = len(server.got)
        status, headers, body = server.reply(given["document"], given["n"], number)
        time.sleep(server.delay_s)
        self.send_response(status)
        for name, text in headers.items():
            self.send_header(name, text)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        for i in range(0, len(body), 20) if server.drip else ():
            self.wfile.write(body[i : i + 20])
            time.sleep(0.05)
        if not server.drip:
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def handle(self) -> None:
        try:
            super().handle()
        except OSError:  # a client that has had enough
            self.close_connection = True


def problems(path: str, headers: dict[str, str], value: Any) -> list[str]:
    """What the API would not take."""
    found = []
    if path != "/v1/chat/completions":
        found.append(f"path {path}")
    if headers.get("Authorization") != f"Bearer {KEY}":
        found.append("authorization")
    if headers.get("Content-Type") != "application/json":
        found.append("content type")
    if set(value) != {"model", "messages", "max_tokens"}:
        found.append(f"members {sorted(value)}")
    if value.get("model") != "small-model" or not 0 < value.get("max_tokens", 0) <= 10_000:
        found.append("model or max_tokens")
    for message in value.get("messages", []):
        if set(message) != {"role", "content"} or not isinstance(message["content"], str):
            found.append("a message")
    if [message["role"] for message in value.get("messages", [])] != ["system", "user"]:
        found.append("roles")
    return found


@contextmanager
def serving() -> Iterator[ChatService]:
    with ChatService() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
