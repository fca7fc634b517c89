"""The register in memory keeps the contract."""

from __future__ import annotations

from pathlib import Path

from predator.adapters.gitops.memory import MemoryGitOps
from predator.adapters.releases.memory import MemoryReleases
from predator.ports.gitops import GitOps
from predator.ports.releases import Releases
from tests.contracts.releases import ReleasesContract


class TestMemoryReleases(ReleasesContract):
    def make(self, folder: Path) -> tuple[Releases, GitOps]:
        gitops = MemoryGitOps()
        return MemoryReleases(gitops), gitops
