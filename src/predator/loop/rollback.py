"""Rollback: flip traffic first, then restore in git by one forward commit, then see it applied."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from predator.domain.errors import PredatorError
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
        if ring.desired.read().holdback is not None:
            ring.desired.end_watch(
                f"End the watch of what {good.version} replaced",
                {"Cycle": self._record.cycle_id, "Step": f"{self._step}-end-watch"},
            )
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
