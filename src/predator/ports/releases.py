"""The register of releases: which version was which bundle, and which of them proved itself."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from predator.domain.errors import InputError

Stage = Literal["stable", "gold"]
"""``stable``: served and kept by its watch. ``gold``: the best one known when it was marked."""

_VERSION = re.compile(r"v(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})\Z")


@dataclass(frozen=True, slots=True)
class KeptRelease:
    """A version and what it names, for good.

    ``digest`` is the bundle (``domain.release``), ``revision`` the GitOps commit that made it
    live, ``at`` unix seconds. ``ndcg`` is its NDCG@10 on the Gold queries whose content has the
    digest ``gold_set``; ``dataset`` the revision that locks its training data. ``""`` and
    ``None`` mean that there is none. The last two say when the version got that stage.
    """

    version: str
    digest: str
    revision: str
    cycle_id: str
    at: float
    ndcg: float | None = None
    gold_set: str = ""
    dataset: str = ""
    stable_at: float | None = None
    gold_at: float | None = None


class Releases(Protocol):
    """Append-only: a version never names another bundle, and never loses a stage."""

    def keep(self, release: KeptRelease) -> KeptRelease:
        """Give ``release.version`` to its bundle; returns the entry that now stands.

        Idempotent by version and digest: the first entry stays. ``ConflictError`` where the
        version names another bundle or the revision has another version; ``InputError`` for a
        malformed field or a revision that the GitOps repository does not hold. Stages in
        ``release`` are not looked at.
        """
        ...

    def mark(self, version: str, stage: Stage, at: float) -> KeptRelease:
        """Give ``version`` a stage; doing so again changes nothing.

        Gold is for stable versions, newer than the newest Gold: ``ConflictError`` otherwise, so
        that a late writer cannot move Gold back. ``InputError`` for an unknown version.
        """
        ...

    def get(self, version: str) -> KeptRelease:
        """The entry of ``version``; ``InputError`` where there is none."""
        ...

    def list(self) -> Sequence[KeptRelease]:
        """Every entry, newest version first."""
        ...

    def newest(self, stage: Stage) -> KeptRelease | None:
        """The newest version that has ``stage``, or ``None``."""
        ...


def version_number(version: str) -> tuple[int, int]:
    """``v2.0`` → ``(2, 0)``; ``InputError`` for anything but ``v<number>.<number>``."""
    match = _VERSION.match(version) if isinstance(version, str) else None
    if match is None:
        raise InputError(f"{version!r:.60} is not a version", cure="A version reads v2.0")
    return int(match[1]), int(match[2])
