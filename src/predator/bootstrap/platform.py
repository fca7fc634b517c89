"""A platform from settings: its collection, its first release, its HTTP application."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from predator.bootstrap.home import Home, Run
from predator.config import Settings
from predator.domain.errors import InputError
from predator.domain.release import Release, RetrievalParameters

if TYPE_CHECKING:
    from fastapi import FastAPI

    from predator.adapters.platform.embedded_deployer import EmbeddedDeployer
    from predator.domain.documents import Collection, Document
    from predator.loop.release.desired_state import DesiredState
    from predator.ports.object_store import ObjectStore
    from predator.ports.progress import Progress
    from predator.search.encoder.files import EncoderFiles
    from predator.search.processor import Rules

FIRST_VERSION = "v1.0"


def objects_of(folder: Path) -> ObjectStore:
    """The object store below ``folder``."""
    from predator.adapters.object_store.folder import FolderObjectStore

    return FolderObjectStore((folder / "objects").resolve())


def desired_of(run: Run, contour: str) -> DesiredState:
    """The contour's files in a run's GitOps repository."""
    from predator.adapters.gitops.bare_git import BareGit
    from predator.loop.release.desired_state import DesiredState

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


def first_retrieval(files: EncoderFiles) -> RetrievalParameters:
    """Both sides by RRF, and words alone for the languages that the encoder cannot read."""
    from predator.search.encoder.languages import unread_languages

    unread = unread_languages(files)
    return RetrievalParameters(language_weights=tuple((code, 0.0) for code in unread))


def found_platform(run: Run, files: EncoderFiles, rules: Rules, name: str, contour: str) -> None:
    """The first release, BM25 + dense by RRF, committed to the run's GitOps repository.

    In a repository that is shared, a contour that is there already keeps what is live on it.
    ``InputError`` where the first version there is another release: contours that share releases
    are founded on the same documents and the same encoder.
    """
    from predator.loop.release.bundle import keep_encoder
    from predator.loop.replica import keep_release
    from predator.search.analyze import SCHEMA
    from predator.search.desired import values_path

    objects = objects_of(run.folder)
    digest = objects.put(rules.dump())
    keep_encoder(objects, files)
    release = Release(files.digest, SCHEMA, digest, first_retrieval(files))
    keep_release(objects, release)
    desired = desired_of(run, contour)
    if desired.gitops.read(values_path(contour)) is None:
        _found_contour(run, desired, objects, release.digest)
    about = {"name": name, "contour": contour, "rules": digest, "encoder": files.digest}
    partial = run.folder / "platform.json.partial"
    partial.write_text(json.dumps(about))
    partial.replace(run.folder / "platform.json")


def _found_contour(run: Run, desired: DesiredState, objects: ObjectStore, digest: str) -> None:
    from predator.adapters.releases.gto_git import GtoGitReleases
    from predator.loop.gold.versions import keep_version
    from predator.ports.releases import KeptRelease
    from predator.search.desired import LiveRelease

    releases, first = GtoGitReleases(run.gitops), desired.gitops.head() is None
    if any(one.version == FIRST_VERSION and one.digest != digest for one in releases.list()):
        raise InputError(
            f"{FIRST_VERSION} of the shared repository is another release",
            cure="found each contour on the same documents with the same model and seed",
        )
    revision = desired.set_release(
        LiveRelease(FIRST_VERSION, digest, "bootstrap"),
        None,
        f"Found the platform with {FIRST_VERSION}: BM25 + dense by RRF",
        {
            "Cycle": "bootstrap",
            "Step": "release" if first else f"release-{desired.contour}",
            "Contour": desired.contour,
        },
    )
    kept = KeptRelease(FIRST_VERSION, digest, revision, "bootstrap", time.time())
    keep_version(releases, objects, desired, kept)
    releases.mark(FIRST_VERSION, "stable", time.time())


def platform_app(settings: Settings, run: Run) -> FastAPI:
    """The HTTP application that serves a run."""
    from predator.adapters.gitops.bare_git import BareGit
    from predator.search.encoder.onnx_encoder import OnnxEncoder
    from predator.search.encoder.worker import BackgroundEncoder
    from predator.search.serving.app import create_app
    from predator.search.serving.platform import Platform, Seams
    from predator.search.serving.spaces import Dense, OnVectors, VectorSource

    home = Home(settings)
    files = home.encoder_files()
    if files.digest != run.about["encoder"]:
        raise InputError(
            "the platform was founded with another encoder",
            cure="set the same model and max_tokens as then, or start a new run",
        )
    objects = objects_of(run.folder)

    def dense(exported: EncoderFiles) -> Dense:
        def background(on_vectors: OnVectors) -> VectorSource:
            return BackgroundEncoder(exported, on_vectors, home.vector_cache(exported))

        return Dense(OnnxEncoder(exported), background)

    founding = dense(files)
    seams = Seams(
        database=run.database,
        objects=objects,
        gitops=BareGit(run.gitops),
        contour=run.about["contour"],
        encoder=founding.encoder,
        background=founding.background,
        rules=run.about["rules"],
        secret=run.assignment_secret,
        dense_of=lambda digest: dense(home.restored_encoder(objects, digest)),
    )
    return create_app(Platform(seams), run.control_token)


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
