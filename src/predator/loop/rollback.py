"""Rollback: flip traffic first, then restore in git by one forward commit, then see it applied."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from predator.domain.errors import PolicyDenied, PredatorError
from predator.loop.ring import Record
from predator.search.desired import LiveRelease

TRAFFIC_BACK_S = 5.0


@dataclass(frozen=True, slots=True)
class Restored:
    """How a rollback went: seconds from the decision until nobody got the bad release any more,
    until git was restored, and how many commits restore it (must be one).
    """

    restored_s: float
    git_s: float
    reverts: int
    revision: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class Rollback:
    """Goes back to the release that a revision replaced; idempotent by cycle and step."""

    def __init__(self, record: Record, step: str = "rollback") -> None:
        self._record, self._step = record, step

    def run(self, bad_revision: str, good: LiveRelease, why: str) -> Restored:
        """Flip to ``good``, restore its block in git, and wait until that is applied.

        Raises ``PredatorError`` where the traffic cannot be flipped and git cannot restore it
        either: then the contour holds and a person is needed.
        """
        record = self._record
        record.ring.progress.station("rollback", why)
        return record.act(
            "rollback",
            "rollback",
            lambda: self._restore(bad_revision, good, why),
            lambda done: {
                "gitops_revision": done.revision,
                "restored_s": done.restored_s,
                "reason": why,
            },
        )

    def _restore(self, bad_revision: str, good: LiveRelease, why: str) -> Restored:
        ring = self._record.ring
        bad = ring.desired.read(bad_revision).release.digest
        live = ring.desired.read().release
        if live.digest not in (bad, good.digest):
            raise PredatorError(
                f"{live.version} went live after the release to undo",
                cure="judge that one by its own watch",
            )
        decided = ring.clock.now()
        try:
            ring.deployer.flip(good.digest)
        except PredatorError as error:
            ring.progress.note(f"traffic could not be flipped ahead of git: {error}")
        flipped = ring.clock.now()
        revision = ring.desired.restore(
            bad_revision,
            f"Roll back to {good.version}: {why}"[:200],
            {"Cycle": self._record.cycle_id, "Step": self._step},
        )
        applied = ring.deployer.wait(revision, 30)
        if applied.release != good.digest:
            raise PredatorError(
                f"{applied.release[:12]} serves after the rollback, not {good.version}"
            )
        in_git = ring.clock.now()
        holdback = ring.desired.read().holdback
        if holdback is not None and holdback.release == good.digest:
            _end_watch(self._record, self._step, f"End the watch of what {good.version} replaced")
        ring.clock.sleep(1.0)
        later = ring.feedback.impressions(decided, ring.clock.now())
        bad_after = [i.at for i in later if i.release == bad]
        traffic_back = max([flipped, *bad_after])
        return Restored(
            round(traffic_back - decided, 3),
            round(in_git - decided, 3),
            len(ring.desired.reverts(bad_revision)),
            revision,
        )


def withdraw(record: Record) -> None:
    """After an error or an interrupt: take back from the users whatever the cycle gave them.

    Looks at git, not at how far the cycle believes to have come: a release that is still watched
    is rolled back, an experiment is ended. What cannot be taken back is said, and hides no
    earlier error.
    """
    ring = record.ring
    try:
        wanted = ring.desired.read()
        if wanted.holdback is not None and wanted.holdback.id == f"watch-{record.cycle_id}":
            revision = ring.desired.release_commit(record.cycle_id)
            if revision is not None and wanted.release.cycle == record.cycle_id:
                before = ring.desired.before(revision)
                Rollback(record).run(revision, before, "the cycle did not come to its end")
            else:
                _end_watch(record, "rollback", f"End watch-{record.cycle_id}")
        elif wanted.experiment is not None and wanted.experiment.id == f"exp-{record.cycle_id}":
            end_experiment(record)
    except Exception as error:
        ring.progress.note(f"the users may still be on what the cycle gave them: {error}")


def _end_watch(record: Record, step: str, subject: str) -> None:
    record.ring.desired.end_watch(subject, {"Cycle": record.cycle_id, "Step": f"{step}-end-watch"})


def end_experiment(record: Record) -> None:
    """All users back to the live release. The kill switch stops what goes forward, not this."""
    name = f"exp-{record.cycle_id}"

    def end() -> str:
        return record.ring.desired.set_experiment(
            None, f"End {name}", {"Cycle": record.cycle_id, "Step": "end-experiment"}
        )

    def written(revision: str) -> dict[str, Any]:
        return {"gitops_revision": revision}

    try:
        record.act("end_experiment", "end_experiment", end, written)
    except PolicyDenied:
        record.act("end_experiment", "rollback", end, written)
