"""The only place that knows concrete classes: builds a platform and a ring from settings."""

from __future__ import annotations

import json
import os
import re
import secrets
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from predator.config import Settings
from predator.domain.errors import InputError
from predator.domain.release import Release, RetrievalParameters

if TYPE_CHECKING:
    import numpy as np
    from fastapi import FastAPI
    from numpy.typing import NDArray

    from predator.adapters.platform.embedded_deployer import EmbeddedDeployer
    from predator.adapters.tracking.mlflow_sqlite import MlflowTracking
    from predator.domain.documents import Collection, Document
    from predator.loop.desired_state import DesiredState
    from predator.loop.evaluate import Gates
    from predator.loop.ring import Ring
    from predator.ports.object_store import ObjectStore
    from predator.ports.progress import Progress
    from predator.search.encoder.files import EncoderFiles
    from predator.search.encoder.onnx_encoder import OnnxEncoder
    from predator.search.processor import Rules

FIRST_VERSION = "v1.0"


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

    def encode_all(
        self, files: EncoderFiles, progress: Progress, what: str, processes: int = 1
    ) -> Callable[[Sequence[str]], NDArray[np.float32]]:
        """A function from texts to vectors, cached by content."""
        from predator.search.encoder.vector_cache import VectorCache
        from predator.search.encoder.worker import encode_all

        cache = VectorCache(self.caches / "vectors" / files.digest[:16], files.dim)

        def encode(texts: Sequence[str]) -> NDArray[np.float32]:
            return encode_all(
                texts,
                files,
                cache,
                processes=processes,
                progress=lambda done, total: progress.work(what, done, total),
            )

        return encode

    def new_run(self, name: str) -> Run:
        """A fresh folder for a platform, and ``current`` pointing at it."""
        slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or "collection"
        stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
        folder = self.root / "runs" / f"{stamp}-{slug}-{secrets.token_hex(2)}"
        folder.mkdir(parents=True)
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
        partial.write_text(json.dumps({"run": str(run.folder)}))
        partial.replace(pointer)

    def current_run(self) -> Run | None:
        """The run that ``current`` points at, if it is still there."""
        try:
            folder = Path(json.loads((self.root / "current.json").read_text())["run"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return Run(folder) if (folder / "platform.json").exists() else None


@dataclass(frozen=True)
class Run:
    """One platform's folder: its GitOps repository, objects, records and what it is about."""

    folder: Path

    @property
    def gitops(self) -> Path:
        return self.folder / "gitops.git"

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
    def assignment_secret(self) -> bytes:
        """Keys the assignment of users to arms."""
        return (self.folder / "assignment.secret").read_bytes()

    @property
    def control_token(self) -> str:
        """Opens ``/control`` of this run's platform."""
        return (self.folder / "control.secret").read_text()


def objects_of(folder: Path) -> ObjectStore:
    """The object store below ``folder``."""
    from predator.adapters.object_store.folder import FolderObjectStore

    return FolderObjectStore(folder / "objects")


def desired_of(run: Run, contour: str) -> DesiredState:
    """The contour's files in a run's GitOps repository."""
    from predator.adapters.gitops.bare_git import BareGit
    from predator.loop.desired_state import DesiredState

    return DesiredState(BareGit(run.gitops), contour)


def deployer_of(run: Run, url: str) -> EmbeddedDeployer:
    """The deployer of a running platform."""
    from predator.adapters.gitops.bare_git import BareGit
    from predator.adapters.platform.embedded_deployer import EmbeddedDeployer

    return EmbeddedDeployer(url, run.control_token, BareGit(run.gitops))


def collection_of(
    data: Path | None, home: Home, missing_docs: str, waves: int, progress: Progress
) -> Collection:
    """A BEIR folder, or the embedded corpus where none is given."""
    if missing_docs not in ("error", "ignore"):
        raise InputError(f"--missing-docs cannot be {missing_docs!r}", cure="use error or ignore")
    if data is not None:
        from predator.adapters.collections.beir import load_beir

        return load_beir(data, missing_docs="ignore" if missing_docs == "ignore" else "error")
    from predator.adapters.collections.docstrings import embedded_collection

    return embedded_collection(
        home.caches / "docstrings",
        waves=waves,
        progress=lambda done, total: progress.work("reading docstrings", done, total),
    )


def found_platform(run: Run, files: EncoderFiles, rules: Rules, name: str, contour: str) -> None:
    """The first release, BM25 + dense by RRF, committed to a new GitOps repository."""
    from predator.loop.replica import keep_release
    from predator.search.analyze import SCHEMA
    from predator.search.desired import LiveRelease

    objects = objects_of(run.folder)
    digest = objects.put(rules.dump())
    release = Release(files.digest, SCHEMA, digest, RetrievalParameters())
    keep_release(objects, release)
    desired_of(run, contour).set_release(
        LiveRelease(FIRST_VERSION, release.digest, "bootstrap"),
        None,
        f"Found the platform with {FIRST_VERSION}: BM25 + dense by RRF",
        {"Cycle": "bootstrap", "Step": "release"},
    )
    about = {"name": name, "contour": contour, "rules": digest, "encoder": files.digest}
    partial = run.folder / "platform.json.partial"
    partial.write_text(json.dumps(about))
    partial.replace(run.folder / "platform.json")


def platform_app(settings: Settings, run: Run) -> FastAPI:
    """The HTTP application that serves a run."""
    from predator.adapters.gitops.bare_git import BareGit
    from predator.search.encoder.onnx_encoder import OnnxEncoder
    from predator.search.encoder.vector_cache import VectorCache
    from predator.search.encoder.worker import BackgroundEncoder
    from predator.search.serving.app import create_app
    from predator.search.serving.platform import Platform, Seams

    home = Home(settings)
    files = home.encoder_files()
    if files.digest != run.about["encoder"]:
        raise InputError(
            "the platform was founded with another encoder",
            cure="set the same model and max_tokens as then, or start a new run",
        )
    cache = VectorCache(home.caches / "vectors" / files.digest[:16], files.dim)
    seams = Seams(
        database=run.database,
        objects=objects_of(run.folder),
        gitops=BareGit(run.gitops),
        contour=run.about["contour"],
        encoder=OnnxEncoder(files),
        background=lambda on_vectors: BackgroundEncoder(files, on_vectors, cache),
        rules=run.about["rules"],
        secret=run.assignment_secret,
    )
    return create_app(Platform(seams), run.control_token)


def ring_of(
    settings: Settings,
    run: Run,
    url: str,
    encoder: OnnxEncoder,
    files: EncoderFiles,
    progress: Progress,
) -> Ring:
    """The ring of the local contour, connected to one running platform."""
    from predator.adapters.clock import SystemClock
    from predator.adapters.datasets.dvc_git import DvcDatasets
    from predator.adapters.platform.records import PlatformRecords
    from predator.loop.ring import Ring

    home = Home(settings)
    records = PlatformRecords(run.database)
    return Ring(
        options=settings,
        desired=desired_of(run, settings.contour),
        objects=objects_of(run.folder),
        datasets=DvcDatasets(
            home.root / "lineage",
            home.root / "lineage-remote",
            [Path(sys.executable).name, "-m", "predator.loop.dataset_stage"],
        ),
        tracking=tracking_of(settings),
        deployer=deployer_of(run, url),
        feedback=records,
        corpus=records,
        clock=SystemClock(),
        encoder=encoder,
        encode_all=home.encode_all(files, progress, "vectors"),
        progress=progress,
        artifacts=home.artifacts,
        flags=lambda: {"kill_switch": False, "manual_approval_required": False},
    )


def tracking_of(settings: Settings) -> MlflowTracking:
    """MLflow on SQLite in the home folder."""
    from predator.adapters.tracking.mlflow_sqlite import MlflowTracking

    home = Home(settings)
    return MlflowTracking(home.root / "mlflow.db", home.root / "mlflow-artifacts")


def next_cycle_id(artifacts: Path, now: datetime) -> str:
    """The first free cycle id of the day; its folder is made, so that no two can share it."""
    from predator.domain.ids import cycle_id

    artifacts.mkdir(parents=True, exist_ok=True)
    number = 1
    while True:
        name = cycle_id(now.date(), number)
        try:
            (artifacts / name).mkdir()
        except FileExistsError:
            number += 1
        else:
            return name


def process(rules: Rules, documents: Sequence[Document]) -> list[Document]:
    """Documents as the platform's processor would leave them."""
    from predator.domain.errors import PredatorError
    from predator.search.processor import Processor

    processor = Processor(rules)
    ready = []
    for document in documents:
        try:
            ready.append(processor.process(document))
        except PredatorError:
            continue
    return ready


def settings_table(settings: Settings) -> Sequence[Mapping[str, str]]:
    """Name, value, and help of every setting."""
    return [
        {"name": name, "value": str(getattr(settings, name)), "help": field.description or ""}
        for name, field in type(settings).model_fields.items()
    ]


def gates_of(settings: Settings) -> Gates:
    """The offline gates of the contour."""
    from predator.loop.evaluate import Gates

    return Gates(
        settings.ndcg_delta_rel_min,
        settings.category_delta_rel_min,
        settings.latency_delta_rel_max,
        settings.latency_floor_ms,
        settings.cost_per_1k_usd_max,
        settings.alpha,
        settings.power,
    )
