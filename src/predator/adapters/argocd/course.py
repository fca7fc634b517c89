"""How a roll-out goes on from what Argo CD shows: wait, ask for a sync, done, or failed."""

from __future__ import annotations

from enum import StrEnum

from predator.adapters.argocd.application import Application


class Course(StrEnum):
    """What to do next."""

    WAIT = "wait"
    SYNC = "sync"
    DONE = "done"
    DEGRADED = "degraded"
    FAILED = "failed"


def course(found: Application, revision: str, *, covered: bool, asked: bool) -> Course:
    """The next move towards ``revision``, which ``found.compared`` holds (``covered``) or not yet.

    DONE is Argo CD's own three words at once: the last operation Succeeded, Synced at our commit
    (or a later one), Healthy. ``asked``: a sync to ``found.compared`` was asked for already. A
    failed operation is tried once more by us, since auto-sync never repeats one at the same
    commit; FAILED is ours alone, for what is shown just after we asked may be from before.
    DEGRADED may pass (an autoscaler is, until its first reading): how long to bear it is for the
    caller to say.
    """
    operation = found.operation
    if not covered or found.running:
        return Course.WAIT
    if operation is not None and operation.failed:
        if not asked:
            return Course.SYNC
        return Course.FAILED if operation.mark == revision else Course.WAIT
    if found.sync == "OutOfSync":
        return Course.SYNC if found.auto_sync is None and not asked else Course.WAIT
    if found.sync != "Synced":
        return Course.WAIT
    if operation is None or operation.phase != "Succeeded":
        return Course.WAIT if asked else Course.SYNC
    if found.health == "Healthy":
        return Course.DONE
    return Course.DEGRADED if found.health == "Degraded" else Course.WAIT
