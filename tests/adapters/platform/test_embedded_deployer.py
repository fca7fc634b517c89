"""The deployer of the embedded platform keeps the contract, over real HTTP."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import httpx
import pytest

from predator.adapters.gitops.memory import MemoryGitOps
from predator.adapters.platform.embedded_deployer import EmbeddedDeployer
from predator.domain.errors import InputError, PredatorError
from predator.ports.deployer import Deployer, Deployment
from predator.search.serving.app import create_app
from predator.search.serving.spaces import Dense, OnVectors, VectorSource
from tests.adapters.platform.platforms import TOKEN, Place, served
from tests.contracts.deployer import SOON_S, DeployerContract
from tests.search.fakes import HashedEncoder


class TestEmbeddedDeployer(DeployerContract):
    @contextmanager
    def deployed(self, place: Place) -> Iterator[Deployer]:
        with served(place.app()) as url:
            deployer = EmbeddedDeployer(url, TOKEN, place.gitops)
            try:
                yield deployer
            finally:
                deployer.close()


@contextmanager
def answering(body: bytes, status: int = 200) -> Iterator[str]:
    """Something else on the port: whatever is asked, it answers ``body``."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_platform_that_is_gone_is_an_error_at_once() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        deployer = EmbeddedDeployer(
            f"http://127.0.0.1:{taken.getsockname()[1]}", TOKEN, MemoryGitOps()
        )
        for call in (
            deployer.status,
            lambda: deployer.flip("f" * 64),
            lambda: deployer.wait("f" * 40, 30),
        ):
            with pytest.raises(PredatorError, match="does not answer"):
                call()
        deployer.close()


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"release": "x"}', b"null"])
def test_what_is_no_platform_is_an_error(body: bytes) -> None:
    with answering(body, 404) as url:
        deployer = EmbeddedDeployer(url, TOKEN, MemoryGitOps())
        for call in (deployer.status, lambda: deployer.flip("f" * 64)):
            with pytest.raises(PredatorError, match="does not answer"):
                call()
        deployer.close()


def test_without_the_token_nothing_is_flipped(tmp_path: Path) -> None:
    place = Place(tmp_path)
    digest = place.release().digest
    with served(place.app()) as url:
        deployer = EmbeddedDeployer(url, "guess", place.gitops)
        deployer.wait(place.commit("v1", digest), SOON_S)
        with pytest.raises(PredatorError, match="the control token is missing or wrong"):
            deployer.flip(digest)
        deployer.close()


class TestPreparing:
    """A release of another encoder takes as long as its vectors take, and no longer."""

    @contextmanager
    def waiting(self, place: Place) -> Iterator[tuple[EmbeddedDeployer, Slowly, str]]:
        """A deployer, what embeds, and the revision that waits for it."""
        place.commit("v1", place.release().digest)
        slowly = Slowly()
        app = create_app(place.platform(slowly.dense_of), TOKEN)
        with served(app) as url:
            body = [{"id": f"d{i}", "title": "", "text": f"matrix {i}"} for i in range(8)]
            assert httpx.post(f"{url}/documents", json=body).status_code == 202
            while httpx.get(f"{url}/readyz").json()["documents"] < len(body):
                time.sleep(0.02)
            deployer = EmbeddedDeployer(url, TOKEN, place.gitops)
            try:
                yield deployer, slowly, place.commit("v2", place.release(encoder=SLOW).digest)
            finally:
                slowly.pace_s = 0.0
                deployer.close()

    def test_it_is_waited_for_while_it_gets_on(self, tmp_path: Path) -> None:
        seen: list[int] = []

        def look(found: Deployment) -> None:
            if found.preparing is not None:
                assert found.preparing.total == 8
                seen.append(found.preparing.done)

        with self.waiting(Place(tmp_path)) as (deployer, slowly, revision):
            slowly.pace_s = 0.25
            assert deployer.wait(revision, 1.0, look).revision == revision
        assert seen == sorted(seen)
        assert len(set(seen)) > 2

    def test_what_gets_nowhere_is_not_waited_for(self, tmp_path: Path) -> None:
        with self.waiting(Place(tmp_path)) as (deployer, slowly, revision):
            slowly.pace_s = 60.0
            with pytest.raises(PredatorError, match=r"not applied within 0.6 s: vectors are being"):
                deployer.wait(revision, 0.6)
            assert deployer.status().healthy

    def test_a_stop_reaches_the_wait(self, tmp_path: Path) -> None:
        def stop(found: Deployment) -> None:
            if found.preparing is not None:
                raise InputError("stopped")

        with self.waiting(Place(tmp_path)) as (deployer, slowly, revision):
            slowly.pace_s = 60.0
            with pytest.raises(InputError, match="stopped"):
                deployer.wait(revision, 30, stop)


SLOW = "5" * 64


class Slowly:
    """An encoder that embeds one document each ``pace_s``."""

    pace_s = 60.0

    def dense_of(self, digest: str) -> Dense:
        encoder = HashedEncoder()
        encoder.digest = digest
        return Dense(encoder, self._source)

    def _source(self, on_vectors: OnVectors) -> VectorSource:
        return _SlowSource(self, on_vectors)


class _SlowSource:
    failed = 0

    def __init__(self, slowly: Slowly, on_vectors: OnVectors) -> None:
        self._slowly, self._on_vectors = slowly, on_vectors
        self._waiting: list[tuple[int, str]] = []
        self._closed = False
        Thread(target=self._run, daemon=True).start()

    @property
    def backlog(self) -> int:
        return len(self._waiting)

    def submit(self, keys: Sequence[int], texts: Sequence[str]) -> None:
        self._waiting.extend(zip(keys, texts, strict=True))

    def close(self) -> None:
        self._closed = True

    def _run(self) -> None:
        last = time.monotonic()
        while not self._closed:
            time.sleep(0.01)
            if self._waiting and time.monotonic() - last >= self._slowly.pace_s:
                last = time.monotonic()
                row, text = self._waiting[0]
                self._on_vectors([row], HashedEncoder().encode([text]))
                del self._waiting[0]
