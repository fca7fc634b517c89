"""Versions that never move: what becomes one, which is Gold, and the way back to any of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Protocol, runtime_checkable

from predator.domain.errors import InputError, IntegrityError
from predator.loop.release.bundle import verify_bundle
from predator.loop.release.desired_state import DesiredState
from predator.ports.object_store import ObjectStore
from predator.ports.releases import KeptRelease, Releases, version_number
from predator.ports.tracking import Tracking
from predator.search.desired import LiveRelease

DATASET = "predator-dataset"
"""GTO's name for the training data of the releases."""

_SUGGESTIONS = 3


@runtime_checkable
class NamedRevisions(Protocol):
    """A store of datasets whose revisions can get names (``adapters.datasets.dvc_git``)."""

    def register_artifact(self, name: str, version: str, revision: str) -> str: ...


def is_new_gold(
    ndcg: float | None, gold_ndcg: float | None, *, comparable: bool, passed_gate: bool
) -> bool:
    """Whether a release with ``ndcg`` becomes Gold after the newest Gold with ``gold_ndcg``.

    Without a passed gate, or without a measured NDCG from 0 to 1, never. Where both were measured
    on the same Gold queries (``comparable``), it has to be better. Where they were not, or where
    there is no Gold yet, two numbers say nothing about each other: the gate compared the release
    with what was live, on the same queries, and that decides.
    """
    if not passed_gate or not _measured(ndcg):
        return False
    if not comparable or not _measured(gold_ndcg):
        return True
    return ndcg > gold_ndcg  # type: ignore[operator]  # both are numbers here


def comparable(release: KeptRelease, gold: KeptRelease | None) -> bool:
    """Whether both were measured on Gold queries with the same content."""
    return gold is not None and release.gold_set != "" and release.gold_set == gold.gold_set


def next_version(live: str, kept: Iterable[KeptRelease]) -> str:
    """The first version above all that were ever given: a rolled-back one is not given again."""
    majors = [version_number(version)[0] for version in (live, *(e.version for e in kept))]
    return f"v{max(majors) + 1}.0"


def keep_version(
    releases: Releases, objects: ObjectStore, desired: DesiredState, release: KeptRelease
) -> KeptRelease:
    """Give a promoted release its version, once every byte of it is known to be kept.

    Idempotent. ``IntegrityError`` names the parts that are missing or damaged, or says that the
    commit made something else live; ``ConflictError`` where the version is another release.
    """
    _check_commit(desired, release)
    _check_bytes(objects, release)
    return releases.keep(release)


def settle(releases: Releases, version: str, at: float, *, passed_gate: bool) -> KeptRelease:
    """After a watch that kept it: ``version`` is stable, and Gold where it is the best known."""
    release = releases.mark(version, "stable", at)
    gold = releases.newest("gold")
    if gold is not None and version_number(gold.version) >= version_number(version):
        return release
    better = is_new_gold(
        release.ndcg,
        gold.ndcg if gold is not None else None,
        comparable=comparable(release, gold),
        passed_gate=passed_gate,
    )
    return releases.mark(version, "gold", at) if better else release


def tag_model(tracking: Tracking, reference: str, releases: Releases, version: str) -> None:
    """Say in the model registry what became of ``version``, whose model is ``reference``.

    Every Gold version keeps its tag; the alias ``gold`` points at the newest alone.
    """
    release = releases.get(version)
    if release.ndcg is not None:
        tracking.tag(reference, "ndcg", repr(release.ndcg))
    if release.stable_at is not None:
        tracking.tag(reference, "stable", "true")
        tracking.tag(reference, "version", release.version)
    if release.gold_at is not None:
        tracking.tag(reference, "gold", release.version)
    if release == releases.newest("gold"):
        tracking.alias(reference, "gold")


def tag_dataset(datasets: NamedRevisions, release: KeptRelease, name: str = DATASET) -> str | None:
    """Name the revision of the training data after the version; ``None`` where there is none.

    ``name`` is the artifact: platforms that share a store of datasets have one each.
    """
    if not release.dataset:
        return None
    major, minor = version_number(release.version)
    return datasets.register_artifact(name, f"v{major}.{minor}.0", release.dataset)


def target(
    releases: Releases, objects: ObjectStore, desired: DesiredState, version: str
) -> LiveRelease:
    """The release block that brings back ``version``, with everything verified beforehand.

    ``InputError`` where there is no such stable version, with the nearest that are, or where it
    was stable on another contour alone;
    ``IntegrityError`` where a part of it is missing or damaged, or where the entry does not say
    what its commit says. Changes nothing.
    """
    wanted = version_number(version)
    kept = releases.list()
    found = next((entry for entry in kept if entry.version == version), None)
    if found is None or found.stable_at is None:
        cause = f"{version} never proved stable" if found else f"there is no release {version}"
        raise InputError(cause, cure=_suggest(kept, wanted))
    _check_commit(desired, found)
    if not desired.was_live(found.digest):
        raise InputError(
            f"{version} was never live on {desired.contour}",
            cure="A release comes from the contour before: predator release promote",
        )
    _check_bytes(objects, found)
    return LiveRelease(found.version, found.digest, found.cycle_id)


def _measured(ndcg: float | None) -> bool:
    return ndcg is not None and math.isfinite(ndcg) and 0 <= ndcg <= 1


def _check_commit(desired: DesiredState, release: KeptRelease) -> None:
    """A tag can be forged by whoever may push; the commit has to say the same."""
    live = desired.made_live(release.revision)
    if live != LiveRelease(release.version, release.digest, release.cycle_id):
        raise IntegrityError(
            f"{release.version} is kept as {release.digest[:12]} of {release.cycle_id}, but its "
            f"commit made {live.version}, {live.digest[:12]} of {live.cycle} live"
        )


def _check_bytes(objects: ObjectStore, release: KeptRelease) -> None:
    faults = verify_bundle(objects, release.digest)
    if faults:
        raise IntegrityError(
            f"{release.version} is not whole: {'; '.join(faults)}",
            cure="Restore the object store from a backup",
        )


def _suggest(kept: Sequence[KeptRelease], wanted: tuple[int, int]) -> str:
    def distance(version: str) -> tuple[int, int]:
        major, minor = version_number(version)
        return abs(major - wanted[0]), abs(minor - wanted[1])

    stable = sorted((e.version for e in kept if e.stable_at is not None), key=distance)
    nearest = ", ".join(stable[:_SUGGESTIONS])
    return f"The nearest stable ones are {nearest}" if stable else "None is stable yet"
