"""The register in memory, proven equal to GTO's tags by the same tests."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock

from predator.adapters.releases import rules
from predator.ports.gitops import GitOps
from predator.ports.releases import KeptRelease, Stage


class MemoryReleases:
    """Versions of the revisions of ``gitops``; enough for tests and simulations."""

    def __init__(self, gitops: GitOps) -> None:
        self._gitops = gitops
        self._kept: dict[str, KeptRelease] = {}
        self._lock = Lock()

    def keep(self, release: KeptRelease) -> KeptRelease:
        release = rules.check(release)
        with self._lock:
            known = rules.standing(release, self._kept)
            if known is not None:
                return known
            self._gitops.read("values.yaml", release.revision)
            self._kept[release.version] = release
            return release

    def mark(self, version: str, stage: Stage, at: float) -> KeptRelease:
        rules.check_stage(stage)
        at = rules.check_time(at)
        with self._lock:
            entry = self.get(version)
            if rules.stage_time(entry, stage) is not None:
                return entry
            if stage == "gold":
                rules.check_gold(entry, rules.newest(self._kept, "gold"))
            self._kept[version] = rules.with_stage(entry, stage, at)
            return self._kept[version]

    def get(self, version: str) -> KeptRelease:
        if not isinstance(version, str) or version not in self._kept:
            raise rules.unknown(version)
        return self._kept[version]

    def list(self) -> Sequence[KeptRelease]:
        return rules.newest_first(dict(self._kept))

    def newest(self, stage: Stage) -> KeptRelease | None:
        return rules.newest(dict(self._kept), stage)
