"""Where state lies: the home folder, and each platform's own folder in it."""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from predator.config import Settings
from predator.domain.errors import InputError
from predator.locks import file_lock

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from predator.loop.replica import EncodeAll, EncoderOf
    from predator.ports.encoder import Encoder
    from predator.ports.object_store import ObjectStore
    from predator.ports.progress import Progress
    from predator.search.encoder.files import EncoderFiles
    from predator.search.encoder.vector_cache import VectorCache


@dataclass(frozen=True)
class Home:
    """Where state and caches lie. Caches are shared by all runs; each run has its own folder."""

    settings: Settings

    @property
    def root(self) -> Path:
        return self.settings.home.expanduser().absolute()

    def make(self) -> None:
        """Make its folders; ``InputError`` where they cannot be had."""
        for folder in (self.root, self.artifacts):
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise InputError(
                    f"the folder {folder} cannot be had: {error.strerror}",
                    cure="Choose another with --set home=FOLDER or --set artifacts=FOLDER",
                ) from error

    @property
    def caches(self) -> Path:
        return self.root / "cache"

    @property
    def artifacts(self) -> Path:
        return self.settings.artifacts.expanduser().absolute()

    def encoder_files(self, say: Callable[[str], None] = lambda _: None) -> EncoderFiles:
        """The exported encoder, built once and reused."""
        from predator.search.encoder.export import prepare_encoder

        return prepare_encoder(
            self.settings.model,
            self.caches / "encoder",
            say,
            max_tokens=self.settings.max_tokens,
        )

    def restored_encoder(self, objects: ObjectStore, digest: str) -> EncoderFiles:
        """The encoder that a release names, out of the object store; files are kept for next time.

        Safe to run from several processes at once. Raises as ``bundle.restore_encoder`` does.
        """
        from predator.loop.release.bundle import restore_encoder

        folder = self.caches / "restored"
        folder.mkdir(parents=True, exist_ok=True)
        with (
            (folder / ".lock").open("ab") as lock,
            file_lock(lock.fileno(), str(folder), timeout_s=300),
        ):
            return restore_encoder(objects, digest, folder / digest, anew=True)

    def encoder_of(self, objects: ObjectStore, progress: Progress) -> EncoderOf:
        """What brings the encoder of any release whose bundle lies in ``objects``."""
        from predator.search.encoder.onnx_encoder import OnnxEncoder

        def bring(digest: str) -> tuple[Encoder, EncodeAll]:
            files = self.restored_encoder(objects, digest)
            return OnnxEncoder(files), self.encode_all(files, progress, "vectors")

        return bring

    def vector_cache(self, files: EncoderFiles) -> VectorCache:
        """The vectors of an encoder that were once computed, for all runs."""
        from predator.search.encoder.vector_cache import VectorCache

        return VectorCache(self.caches / "vectors" / files.digest[:16], files.dim)

    def encode_all(
        self, files: EncoderFiles, progress: Progress, what: str, processes: int = 1
    ) -> Callable[[Sequence[str]], NDArray[np.float32]]:
        """A function from texts to vectors, cached by content."""
        from predator.search.encoder.worker import encode_all

        cache = self.vector_cache(files)

        def encode(texts: Sequence[str]) -> NDArray[np.float32]:
            return encode_all(
                texts,
                files,
                cache,
                processes=processes,
                progress=lambda done, total: progress.work(what, done, total),
            )

        return encode

    @property
    def database_url(self) -> str:
        """Where the loop keeps what people and policy say, and, on PostgreSQL, its flows."""
        given = self.settings.database_url
        return given.get_secret_value() if given else f"sqlite:///{self.root / 'optimizer.db'}"

    def flows_url(self, run: Run) -> str:
        """Where a run's flows are kept."""
        given = self.settings.database_url
        return given.get_secret_value() if given else f"sqlite:///{run.folder / 'flows.db'}"

    @property
    def operators(self) -> Path:
        """The journal of what people did."""
        return self.root / "operators.jsonl"

    def unfinished(self, arguments: Mapping[str, Any]) -> Run | None:
        """The newest run with these arguments that was stopped before its end."""
        for folder in sorted((self.root / "runs").glob("*"), reverse=True):
            run = Run(folder)
            if (folder / "platform.json").exists() and run.state == {
                "arguments": dict(arguments), "state": "running"
            } and not run.is_locked():  # fmt: skip
                return run
        return None

    def new_run(self, name: str, *, shared: bool = False) -> Run:
        """A fresh folder for a platform.

        ``shared``: its repository and its objects are those of the home's other platforms, so that
        a release can go from one contour to the next.
        """
        slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or "collection"
        stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
        folder = self.root / "runs" / f"{stamp}-{slug}-{secrets.token_hex(2)}"
        folder.mkdir(parents=True)
        if shared:
            for part in ("gitops.git", "objects"):
                (self.root / "shared").mkdir(exist_ok=True)
                (folder / part).symlink_to(Path("..", "..", "shared", part))
        for name_of_secret in ("assignment", "control"):
            path = folder / f"{name_of_secret}.secret"
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(fd, "w") as file:
                file.write(secrets.token_hex(32))
        return Run(folder)

    def point_current(self, run: Run) -> None:
        """Make ``run`` the one that ``serve`` and ``search`` use."""
        pointer = self.root / "current.json"
        partial = pointer.with_suffix(".partial")
        inside = run.folder.is_relative_to(self.root)
        folder = run.folder.relative_to(self.root) if inside else run.folder
        partial.write_text(json.dumps({"run": str(folder)}))
        partial.replace(pointer)

    def current_run(self) -> Run | None:
        """The run that ``current`` points at, if it is still there.

        In a home that was copied or moved it is the copy's own run, never that of the original.
        """
        try:
            folder = self.root / json.loads((self.root / "current.json").read_text())["run"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        own = self.root / "runs" / folder.name
        if not folder.is_relative_to(self.root) and own.is_dir():
            folder = own
        return Run(folder) if (folder / "platform.json").exists() else None


@dataclass(frozen=True)
class Run:
    """One platform's folder: its GitOps repository, objects, records and what it is about."""

    folder: Path

    @property
    def gitops(self) -> Path:
        """Where the repository really lies: one that is shared is locked beside itself."""
        return (self.folder / "gitops.git").resolve()

    @property
    def database(self) -> Path:
        return self.folder / "platform.db"

    @cached_property
    def about(self) -> dict[str, str]:
        try:
            return dict(json.loads((self.folder / "platform.json").read_text()))
        except (OSError, ValueError) as error:
            raise InputError(
                f"{self.folder} holds no platform", cure="run `predator run` first"
            ) from error

    @property
    def state(self) -> dict[str, Any]:
        """What ``predator run`` was asked, and whether it came to its end."""
        try:
            return dict(json.loads((self.folder / "run.json").read_text()))
        except (OSError, ValueError):
            return {}

    def note(self, arguments: Mapping[str, Any], state: str) -> None:
        """Keep how far the run is: ``running`` or ``done``."""
        partial = self.folder / "run.json.partial"
        partial.write_text(json.dumps({"arguments": dict(arguments), "state": state}))
        partial.replace(self.folder / "run.json")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep others from going on with this run; dropped with this process."""
        with (self.folder / "run.lock").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def claim_serving(self) -> bool:
        """Whether this process is the only one that serves this run; its claim ends with it."""
        fd = os.open(self.folder / "serve.lock", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(fd)
            return False
        return True

    def is_locked(self) -> bool:
        """Whether another process is at work on this run."""
        with (self.folder / "run.lock").open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return True
        return False

    @property
    def assignment_secret(self) -> bytes:
        """Keys the assignment of users to arms."""
        return (self.folder / "assignment.secret").read_bytes()

    @property
    def control_token(self) -> str:
        """Opens ``/control`` of this run's platform."""
        return (self.folder / "control.secret").read_text()
