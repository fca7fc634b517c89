"""Whole platforms for tests: real index, routing, records and git, an encoder without a model."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from predator.adapters.gitops.bare_git import BareGit
from predator.adapters.object_store.folder import FolderObjectStore
from predator.domain.release import Release, RetrievalParameters
from predator.loop.release.bundle import restore_encoder
from predator.loop.release.desired_state import DesiredState
from predator.loop.replica import keep_release
from predator.ports.gitops import GitOps
from predator.ports.object_store import ObjectStore
from predator.search.analyze import SCHEMA
from predator.search.desired import Holdback, LiveRelease
from predator.search.encoder.background import BackgroundEncoder
from predator.search.encoder.onnx_encoder import OnnxEncoder
from predator.search.encoder.vector_cache import VectorCache
from predator.search.processor import DEFAULT_ENTITIES, Rules
from predator.search.serving.app import create_app
from predator.search.serving.platform import OnVectors, Platform, Seams
from predator.search.serving.spaces import Dense, VectorSource
from tests.search.fakes import HashedEncoder

TOKEN = "t" * 64
CONTOUR = "local"


class AtOnce:
    """Vectors before ``submit`` returns."""

    backlog = 0
    failed = 0

    def __init__(self, on_vectors: OnVectors) -> None:
        self._on_vectors = on_vectors

    def submit(self, keys: Sequence[int], texts: Sequence[str]) -> None:
        self._on_vectors(keys, HashedEncoder().encode(texts))

    def close(self) -> None:
        pass


def at_once(on_vectors: OnVectors) -> VectorSource:
    return AtOnce(on_vectors)


@dataclass
class Place:
    """One platform's folder, with everything that outlives its process."""

    folder: Path
    gitops: GitOps = field(init=False)
    objects: ObjectStore = field(init=False)

    def __post_init__(self) -> None:
        self.gitops = BareGit(self.folder / "gitops.git")
        self.objects = FolderObjectStore(self.folder / "objects")
        self.rules = self.objects.put(Rules({}, DEFAULT_ENTITIES).dump())

    @property
    def database(self) -> Path:
        return self.folder / "platform.db"

    @property
    def desired(self) -> DesiredState:
        return DesiredState(self.gitops, CONTOUR)

    def release(
        self,
        reranker: str | None = None,
        encoder: str = HashedEncoder.digest,
        **retrieval: object,
    ) -> Release:
        """A release kept in the object store; what tells it apart are its parameters."""
        parameters = RetrievalParameters(**retrieval)  # type: ignore[arg-type]
        release = Release(encoder, SCHEMA, self.rules, parameters, reranker)
        keep_release(self.objects, release)
        return release

    def commit(self, version: str, digest: str, held: Holdback | None = None) -> str:
        """Make a release live in git."""
        return self.desired.set_release(
            LiveRelease(version, digest, "tests"), held, version, {"Cycle": "t", "Step": version}
        )

    def dense_of(self, digest: str) -> Dense:
        """An exported encoder out of the object store, its vectors made by a process."""
        files = restore_encoder(self.objects, digest, self.folder / "restored" / digest)
        cache = VectorCache(self.folder / "vectors" / digest[:16], files.dim)

        def background(on_vectors: OnVectors) -> VectorSource:
            return BackgroundEncoder(files, on_vectors, cache)

        return Dense(OnnxEncoder(files), background)

    def platform(self, dense_of: Callable[[str], Dense] | None = None) -> Platform:
        """The platform, founded with the hashed encoder."""
        return Platform(
            Seams(
                self.database, self.objects, self.gitops, CONTOUR, HashedEncoder(), at_once,
                self.rules, b"tests", dense_of or self.dense_of,
            )
        )  # fmt: skip

    def app(self, token: str | None = TOKEN) -> FastAPI:
        return create_app(self.platform(), token)


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """The URL of ``app`` behind a real server on a free port."""
    server = uvicorn.Server(
        uvicorn.Config(
            app, port=0, log_level="warning", access_log=False, timeout_graceful_shutdown=5
        )
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    started = threading.Event()
    while not server.started and thread.is_alive():
        started.wait(0.005)
    try:
        [listening] = server.servers
        yield "http://{}:{}".format(*listening.sockets[0].getsockname()[:2])
    finally:
        server.should_exit = True
        thread.join(10)


@contextmanager
def process(folder: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The platform of ``folder`` in a process of its own: its URL, and the process to kill."""
    root = Path(__file__).parents[3]
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.adapters.platform.platforms", str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=root,
    )
    try:
        assert child.stdout is not None
        yield child.stdout.readline().strip(), child
    finally:
        child.kill()
        child.wait()
        assert child.stdout is not None
        child.stdout.close()


if __name__ == "__main__":
    with served(Place(Path(sys.argv[1])).app()) as address:
        sys.stdout.write(f"{address}\n")
        sys.stdout.flush()
        threading.Event().wait()
