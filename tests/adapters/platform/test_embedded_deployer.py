"""The deployer of the embedded platform keeps the contract, over real HTTP."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from predator.adapters.gitops.memory import MemoryGitOps
from predator.adapters.platform.embedded_deployer import EmbeddedDeployer
from predator.domain.errors import PredatorError
from predator.ports.deployer import Deployer
from tests.adapters.platform.platforms import TOKEN, Place, served
from tests.contracts.deployer import SOON_S, DeployerContract


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
