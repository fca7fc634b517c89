"""The parts of a run that a replay in the shadow needs: its releases, documents and queries."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from predator.bootstrap.current import releases_of
from predator.bootstrap.home import Home, Run
from predator.bootstrap.platform import desired_of, objects_of
from predator.config import Settings
from predator.domain.errors import InputError

if TYPE_CHECKING:
    from predator.loop.replica import Replica
    from predator.ports.progress import Progress

SHORTEST = 8
"""Digits of a digest that name a release."""


def replica_of(settings: Settings, run: Run, progress: Progress) -> Replica:
    """The index of a run's documents, rebuilt beside its platform, with its releases over it."""
    from predator.adapters.platform.records import PlatformRecords
    from predator.loop.replica import Replica
    from predator.search.encoder.onnx_encoder import OnnxEncoder

    home, objects = Home(settings), objects_of(run.folder)
    files = home.restored_encoder(objects, run.about["encoder"])
    documents = PlatformRecords(run.database).documents()
    if not documents:
        raise InputError("the platform has no documents yet", cure="send some to POST /documents")
    return Replica.of(
        documents,
        OnnxEncoder(files),
        home.encode_all(files, progress, "vectors"),
        objects,
        home.encoder_of(objects, progress),
    )


def recorded_queries_of(run: Run, most: int) -> list[str]:
    """What users of a run's platform asked in the last week, newest first, each text once."""
    from predator.adapters.platform.records import PlatformRecords
    from predator.loop.experiment.shadow_replay import recorded_queries

    return recorded_queries(PlatformRecords(run.database), time.time(), most)


def live_digest(settings: Settings, run: Run) -> str:
    """The release that git wants on the contour."""
    return desired_of(run, settings.contour).read().release.digest


def digest_named(run: Run, name: str) -> str:
    """The release that ``name`` means: a version, a digest, or its first digits (8 at least).

    ``InputError`` where it means none, or several.
    """
    register = releases_of(run)
    try:
        kept = register.list()
    finally:
        register.close()
    if len(name) == 64 and all(digit in "0123456789abcdef" for digit in name):
        return name  # of a candidate: nothing but the object store knows it
    found = {
        one.digest
        for one in kept
        if one.version == name or (len(name) >= SHORTEST and one.digest.startswith(name))
    }
    if len(found) != 1:
        what = "no release" if not found else "several releases"
        raise InputError(f"{name[:70]!r} names {what}", cure="see `predator releases`")
    return found.pop()
