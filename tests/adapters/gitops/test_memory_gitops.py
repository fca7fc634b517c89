"""The history in memory keeps the contract."""

from __future__ import annotations

from pathlib import Path

from predator.adapters.gitops.memory import MemoryGitOps
from predator.ports.gitops import GitOps
from tests.contracts.gitops import NOW, GitOpsContract


class TestMemoryGitOps(GitOpsContract):
    def make(self, folder: Path) -> GitOps:
        return MemoryGitOps(now=lambda: NOW)
