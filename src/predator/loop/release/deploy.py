"""Making a release live: one commit on its evidence, and the wait until it serves."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from predator.domain.errors import PredatorError
from predator.loop.record import Record
from predator.policy.decision import Context
from predator.ports.deployer import Look
from predator.ports.runtime import Json
from predator.search.desired import Holdback, LiveRelease, values_path


def deploy(
    record: Record,
    before: LiveRelease,
    after: LiveRelease,
    share: float,
    context: Context,
    subject: str,
    evidence: Callable[[], Mapping[str, str]],
    look: Look = lambda _found: None,
) -> str:
    """Put ``after`` in the place of ``before``, with ``share`` of the users held back on that; the
    revision.

    ``evidence`` is asked right before the commit and gives its trailers, or raises where it does
    not hold any more. ``look`` as in :meth:`~predator.ports.deployer.Deployer.wait`.
    ``PredatorError`` where something else serves after it.
    """
    ring = record.ring
    holdback = Holdback(f"watch-{record.cycle_id}", before.digest, share)

    def commit() -> str:
        if (made := ring.desired.release_commit(record.cycle_id)) is not None:
            return made  # before a crash: ``before`` is not live any more, and need not be
        trailers = evidence()
        return ring.desired.set_release(
            after,
            holdback,
            subject,
            {
                "Cycle": record.cycle_id,
                "Step": "promote",
                "Audit": record.journal.head,
                "Contour": record.options.contour,
                **trailers,
            },
            replaces=before,
        )

    def applied() -> Json:
        found = ring.deployer.wait(revision, 30, look)
        if found.release != after.digest:
            raise PredatorError(f"{found.release[:12]} serves after the promotion")
        record.write("helm_values_patch.yaml", values_patch(record.options.contour, before, after))
        return found.revision

    revision = str(
        record.act(
            "deploy",
            "promote",
            commit,
            lambda made: {
                "gitops_revision": made,
                "version": after.version,
                "rollback_plan": f"a forward commit that restores {before.version}",
            },
            context,
            subject=f"promote {after.version}",
            release=after.digest,
        )
    )
    record.step("deploy:applied", applied)
    return revision


def values_patch(contour: str, before: LiveRelease, after: LiveRelease) -> str:
    return (
        f"# {values_path(contour)}: the release block, from {before.version} to {after.version}\n"
        "search:\n"
        "  release:\n"
        f"    version: {after.version}\n"
        f"    digest: {after.digest}\n"
        f"    cycle: {after.cycle}\n"
    )
