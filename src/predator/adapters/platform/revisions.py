"""Which revision stands for which: a later one holds all that an earlier one did."""

from __future__ import annotations

from predator.ports.gitops import GitOps


def covers(gitops: GitOps, applied: str, wanted: str) -> bool:
    """Whether ``applied`` is ``wanted`` or stands after it on the branch."""
    if applied == wanted:
        return True
    newest_first = [commit.revision for commit in gitops.log(1000)]
    return applied in newest_first and wanted in newest_first[newest_first.index(applied) :]
