"""Every pod is asked, and every pod flips, or it is said which did not."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest

from predator.adapters.argocd.errors import UnreachableError
from predator.adapters.argocd.replicas import Replicas
from predator.adapters.gitops.memory import MemoryGitOps
from predator.domain.errors import InputError, PredatorError

OLD, NEW = "0" * 64, "1" * 64


class Pod:
    """Serves ``release``; refuses to flip where ``loaded`` is false."""

    def __init__(self, address: str, port: int, *, loaded: bool = True) -> None:
        self.release, self.loaded, self.preparing = NEW, loaded, []  # type: str, bool, list[Any]
        pod = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                pod.answer(self, 200, pod.state())

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                if not pod.loaded:
                    pod.answer(self, 409, {"detail": "release is not loaded"})
                    return
                pod.release = body["release"]
                pod.answer(self, 200, pod.state())

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        self.server = HTTPServer((address, port), Handler)

    def state(self) -> dict[str, Any]:
        return {
            "release": self.release, "revision": "r", "ready": True, "healthy": True,
            "detail": "", "preparing": self.preparing,
        }  # fmt: skip

    @staticmethod
    def answer(handler: BaseHTTPRequestHandler, status: int, value: Any) -> None:
        body = json.dumps(value).encode()
        handler.send_response(status)
        handler.send_header("content-length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)


@contextmanager
def pods(*loaded: bool) -> Iterator[tuple[Replicas, list[Pod]]]:
    """Pods at addresses of their own and one port, as behind a headless service."""
    made: list[Pod] = []
    with ExitStack() as stack:
        for number, one in enumerate(loaded):
            port = made[0].server.server_port if made else 0
            pod = Pod(f"127.0.0.{number + 1}", port, loaded=one)
            stack.enter_context(pod.server)
            thread = Thread(target=pod.server.serve_forever, args=(0.01,), daemon=True)
            thread.start()
            stack.callback(thread.join)
            stack.callback(pod.server.shutdown)
            made.append(pod)

        def resolve(host: str, port: int) -> Sequence[str]:
            assert host == "predator-search"
            return [str(pod.server.server_address[0]) for pod in made]

        url = f"http://predator-search:{made[0].server.server_port}"
        found = Replicas(url, "token", MemoryGitOps(), resolve=resolve)
        stack.callback(found.close)
        yield found, made


def test_a_flip_reaches_every_pod() -> None:
    with pods(True, True, True) as (replicas, made):
        replicas.flip(OLD)
        assert [pod.release for pod in made] == [OLD] * 3
        assert (replicas.serving().release, replicas.serving().ready) == (OLD, True)


def test_a_pod_that_does_not_flip_is_told_after_all_others_did() -> None:
    with pods(False, True) as (replicas, made):
        with pytest.raises(PredatorError, match=r"1 of 2 pods did not flip: .*not loaded"):
            replicas.flip(OLD)
        assert [pod.release for pod in made] == [NEW, OLD]
        found = replicas.serving()
        assert (found.release, found.ready) == ("", False)
        assert found.detail == "the pods serve 2 releases at once"


def test_the_slowest_pod_says_how_far_it_is() -> None:
    with pods(True, True) as (replicas, made):
        for pod, done in zip(made, (7, 3), strict=True):
            pod.preparing = [{"documents": done, "total": 9, "eta_s": 2.0}]
        preparing = replicas.serving().preparing
        assert preparing is not None
        assert (preparing.done, preparing.total) == (3, 9)


def test_no_pod_is_no_good_news() -> None:
    def nobody(host: str, port: int) -> Sequence[str]:
        raise OSError("no such name")

    replicas = Replicas("http://predator-search", "token", MemoryGitOps(), resolve=nobody)
    with pytest.raises(UnreachableError, match="no search pod stands behind predator-search"):
        replicas.serving()
    with pytest.raises(PredatorError, match="no search pod"):
        replicas.flip(OLD)


@pytest.mark.parametrize("url", ["", "search", "https://search", "http://u:p@search", "ftp://x"])
def test_what_is_no_plain_address_is_refused(url: str) -> None:
    with pytest.raises(InputError, match="argocd_control_url"):
        Replicas(url, "token", MemoryGitOps())
