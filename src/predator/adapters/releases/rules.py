"""What every register of releases checks before it writes, and when it reads."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import get_args

from predator.domain.errors import ConflictError, InputError
from predator.ports.releases import KeptRelease, Stage, version_number

_SHA256 = re.compile(r"[0-9a-f]{64}\Z")
_REVISION = re.compile(r"[0-9a-f]{40}\Z")
_CYCLE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}\Z")
_LATEST = 2.0**37
"""Year 6325: git and GTO turn times into dates, which end with year 9999."""


def check(release: KeptRelease) -> KeptRelease:
    """``release`` without stages; ``InputError`` naming the first field that cannot stand."""
    version_number(release.version)
    texts = (
        ("digest", _SHA256, True),
        ("revision", _REVISION, True),
        ("cycle_id", _CYCLE, True),
        ("gold_set", _SHA256, False),
        ("dataset", _REVISION, False),
    )
    for name, pattern, needed in texts:
        value: object = getattr(release, name)
        absent = value == "" and not needed
        if not isinstance(value, str) or (pattern.match(value) is None and not absent):
            raise InputError(f"{value!r:.90} cannot be the {name} of a kept release")
    if release.ndcg is not None and not _between(release.ndcg, 0, 1):
        raise InputError(f"an NDCG of {release.ndcg!r:.60} does not lie between 0 and 1")
    return replace(release, at=check_time(release.at), stable_at=None, gold_at=None)


def check_time(at: float) -> float:
    """``at`` as a float; ``InputError`` where it is no point in time."""
    if not _between(at, 0, _LATEST):
        raise InputError(f"{at!r:.60} is not a time in unix seconds")
    return float(at)


def check_stage(stage: str) -> None:
    if stage not in get_args(Stage):
        raise InputError(f"there is no stage {stage!r:.60}", cure="A stage is stable or gold")


def unknown(version: str) -> InputError:
    version_number(version)
    return InputError(f"there is no release {version}")


def standing(release: KeptRelease, kept: Mapping[str, KeptRelease]) -> KeptRelease | None:
    """The entry that has the version already; ``ConflictError`` where it cannot be given."""
    known = kept.get(release.version)
    if known is not None:
        if known.digest != release.digest:
            raise ConflictError(
                f"{release.version} is release {known.digest[:12]}, not {release.digest[:12]}: "
                "a version never moves"
            )
        return known
    # GTO refuses a repository in which one commit has two versions.
    for other in kept.values():
        if other.revision == release.revision:
            raise ConflictError(f"revision {release.revision[:12]} is {other.version} already")
    return None


def check_gold(release: KeptRelease, gold: KeptRelease | None) -> None:
    """``ConflictError`` where ``release`` cannot become Gold after ``gold``."""
    if release.stable_at is None:
        raise ConflictError(f"{release.version} is not stable, so it cannot be Gold")
    if gold is not None and version_number(gold.version) > version_number(release.version):
        raise ConflictError(f"{gold.version} is Gold, and newer than {release.version}")


def newest_first(kept: Mapping[str, KeptRelease]) -> Sequence[KeptRelease]:
    return sorted(kept.values(), key=lambda entry: version_number(entry.version), reverse=True)


def newest(kept: Mapping[str, KeptRelease], stage: Stage) -> KeptRelease | None:
    check_stage(stage)
    return next((e for e in newest_first(kept) if stage_time(e, stage) is not None), None)


def stage_time(entry: KeptRelease, stage: Stage) -> float | None:
    return entry.gold_at if stage == "gold" else entry.stable_at


def with_stage(entry: KeptRelease, stage: Stage, at: float) -> KeptRelease:
    return replace(entry, gold_at=at) if stage == "gold" else replace(entry, stable_at=at)


def _between(value: object, least: float, most: float) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value) and least <= value <= most  # type: ignore[arg-type,operator]
