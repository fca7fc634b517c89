"""Rollback: flip traffic first, then restore in git by one forward commit, then see it applied."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from predator.domain.errors import PolicyDenied, PredatorError
from predator.loop.record import Record
from predator.loop.release.bundle import verify_bundle
from predator.loop.ring import Ring
from predator.ports.runtime import Json
from predator.search.desired import LiveRelease

TRAFFIC_BACK_S, IN_GIT_S = 5.0, 60.0
"""How soon after the decision nobody gets the bad release any more, and git says so too."""
PAUSES_S = tuple(min(600.0, 2.0**n) for n in range(150))
"""Between one attempt to take a release back and the next: about a day in all."""


@dataclass(frozen=True, slots=True)
class Restored:
    """How a rollback went: seconds from the decision until nobody got the bad release any more,
    until git was restored, and how many commits restore it (must be one). ``restored_s``: ``None``
    where nobody searched meanwhile.
    """

    restored_s: float | None
    git_s: float
    reverts: int
    revision: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def roll_back(
    record: Record, bad_revision: str, good: LiveRelease, why: str, step: str = "rollback"
) -> Restored:
    """Go back to ``good``, which ``bad_revision`` replaced; idempotent by cycle and step.

    Raises ``PolicyDenied`` where ``good`` is not whole (then the contour holds and people are
    told), and ``PredatorError`` where the traffic cannot be flipped and git cannot restore it.
    """
    ring = record.ring
    ring.progress.station("rollback", why)
    started = float(record.step(f"{step}:decided", ring.clock.now))

    def restore() -> str:
        return _restore(ring, bad_revision, good, why, {"Cycle": record.cycle_id, "Step": step})

    revision = _allowed(record, step, good, why, restore)
    found = record.step(
        f"{step}:applied",
        lambda: _applied(record, step, bad_revision, good, str(revision), started).to_json(),
    )
    return Restored(**found)


def roll_back_to(record: Record, target: LiveRelease, why: str) -> Restored:
    """Go back to any release that was ever stable, by one forward commit; idempotent by cycle.

    Many who go back to the same release at once make that one commit.
    """
    ring = record.ring
    ring.progress.station("rollback", f"to {target.version}: {why}")
    started = float(record.step("rollback:decided", ring.clock.now))
    bad = record.step("rollback:live", lambda: ring.desired.read().release.digest)

    def restore() -> str:
        _flip(ring, target)
        return ring.desired.set_release(
            target,
            None,
            f"Roll back to {target.version}: {why}"[:200],
            {"Cycle": record.cycle_id, "Step": "rollback", "Rollback-To": target.version},
            unless_live=True,
        )

    revision = _allowed(record, "rollback", target, why, restore)

    def applied() -> Json:
        _wait(ring, str(revision), target)
        return _measured(ring, str(bad), target, started, str(revision), 1).to_json()

    return Restored(**record.step("rollback:applied", applied))


def withdraw(record: Record) -> None:
    """After an error: take back from the users whatever the cycle gave them.

    Looks at git, not at how far the cycle believes to have come: a release that its watch has not
    kept is rolled back, an experiment is ended. Where that fails (git or the journal cannot be
    written), people are told and it is tried again, for about a day. What cannot be taken back
    hides no earlier error.
    """
    told = False
    for pause_s in PAUSES_S:
        try:
            _take_back(record)
            return
        except Exception as error:
            record.ring.progress.note(
                f"the users may still be on what the cycle gave them: {error}"
            )
            told = told or _told(record, error)
            if isinstance(error, PolicyDenied):
                return
        record.runtime.wait("withdraw", pause_s)


def _told(record: Record, error: Exception) -> bool:
    try:
        title = f"{record.cycle_id} could not be taken back from its users"
        record.alarm("withdraw", title, str(error))
    except Exception as worse:
        record.ring.progress.note(f"nobody could be told: {worse}")
        return False
    return True


def _take_back(record: Record) -> None:
    ring, cycle = record.ring, record.cycle_id

    def given() -> Json:
        wanted = ring.desired.read()
        watched = wanted.holdback is not None and wanted.holdback.id == f"watch-{cycle}"
        # Others may have ended the hold-back; a release that nobody kept is still taken back.
        live = wanted.release.cycle == cycle
        kept = live and _is_kept(ring, wanted.release)
        revision = ring.desired.release_commit(cycle) if live and not kept else None
        return {
            "watched": watched,
            "kept": kept,
            "revision": revision,
            "before": asdict(ring.desired.before(revision)) if revision else None,
            "experiment": any(wanted.running(name) for name in experiments_of(cycle)),
        }

    found = record.step("withdraw", given)
    if found["revision"] is not None:
        before = LiveRelease(**found["before"])
        roll_back(record, found["revision"], before, "the cycle did not come to its end")
    elif found["watched"] and found["kept"]:
        record.act(
            "withdraw:end_watch",
            "end_watch",
            lambda: _end_watch(ring, cycle, "withdraw", f"Keep what watch-{cycle} kept"),
            lambda made: {"gitops_revision": made},
        )
    elif found["watched"]:
        record.act(
            "withdraw:end_watch",
            "end_experiment",
            lambda: _end_watch(ring, cycle, "rollback", f"End watch-{cycle}"),
            lambda made: {"gitops_revision": made},
        )
    elif found["experiment"]:
        end_experiment(record)


def _is_kept(ring: Ring, live: LiveRelease) -> bool:
    """Whether the watch of the cycle that made ``live`` live has kept it.

    A version that came from another contour was stable before: there the watch's end says so, or
    that of whoever kept it.
    """
    own = any(
        one.version == live.version and one.cycle_id == live.cycle and one.stable_at is not None
        for one in ring.releases.list()
    )
    return own or any(
        said.get("Step") == "end-watch" and live.cycle in (said.get("Cycle"), said.get("Keeps"))
        for said in (commit.trailers for commit in ring.desired.gitops.log(1000))
    )


def experiments_of(cycle_id: str) -> tuple[str, str]:
    """The ids of what a cycle may have on users: its experiment, and the screen before it."""
    return f"exp-{cycle_id}", f"screen-{cycle_id}"


def end_experiment(record: Record) -> None:
    """All users back to the live release. The kill switch stops what goes forward, not this."""
    name = f"exp-{record.cycle_id}"

    def end() -> str:
        return record.ring.desired.end_experiments(
            experiments_of(record.cycle_id),
            f"End {name}",
            {"Cycle": record.cycle_id, "Step": "end-experiment"},
        )

    def written(revision: str) -> dict[str, Any]:
        return {"gitops_revision": revision}

    try:
        record.act("end_experiment", "end_experiment", end, written)
    except PolicyDenied:
        record.act(
            "end_experiment:rollback", "rollback", end, written,
            {"rollback_target_healthy": True}, kind="end_experiment",
        )  # fmt: skip


def _allowed(record: Record, step: str, target: LiveRelease, why: str, restore: Any) -> Json:
    """Ask for leave to roll back onto a target that was looked at first; hold and page if bad."""

    def health() -> Json:
        return verify_bundle(record.ring.objects, target.digest)

    missing = record.step(f"{step}:health", health)
    try:
        return record.act(
            step,
            "rollback",
            restore,
            lambda revision: {"gitops_revision": revision, "reason": why},
            {"rollback_target_healthy": not missing},
            kind="rollback",
        )
    except PolicyDenied:
        reason = f"it is not whole: {'; '.join(missing)}" if missing else "policy denied it"
        title = f"No rollback to {target.version}: the contour holds"
        record.notify(f"{step}:held", "critical", title, reason)
        raise


def _restore(
    ring: Ring, bad_revision: str, good: LiveRelease, why: str, trailers: dict[str, str]
) -> str:
    bad = ring.desired.read(bad_revision).release.digest
    live = ring.desired.read().release
    if live.digest not in (bad, good.digest):
        raise PredatorError(
            f"{live.version} went live after the release to undo",
            cure="judge that one by its own watch",
        )
    _flip(ring, good)
    return ring.desired.restore(bad_revision, f"Roll back to {good.version}: {why}"[:200], trailers)


def _flip(ring: Ring, target: LiveRelease) -> None:
    try:
        ring.deployer.flip(target.digest)
    except PredatorError as error:
        ring.progress.note(f"traffic could not be flipped ahead of git: {error}")


def _applied(
    record: Record,
    step: str,
    bad_revision: str,
    good: LiveRelease,
    revision: str,
    started: float,
) -> Restored:
    ring = record.ring
    _wait(ring, revision, good)
    holdback = ring.desired.read().holdback
    if holdback is not None and holdback.release == good.digest:
        _end_watch(ring, record.cycle_id, step, f"End the watch of what {good.version} replaced")
    bad = ring.desired.read(bad_revision).release.digest
    reverts = len(ring.desired.reverts(bad_revision))
    return _measured(ring, bad, good, started, revision, reverts)


def _wait(ring: Ring, revision: str, target: LiveRelease) -> None:
    applied = ring.deployer.wait(revision, 30)
    if applied.release != target.digest:
        raise PredatorError(
            f"{applied.release[:12]} serves after the rollback, not {target.version}"
        )


def _measured(
    ring: Ring, bad: str, good: LiveRelease, started: float, revision: str, reverts: int
) -> Restored:
    """When users last got the bad release, by what was served; when git was restored."""
    in_git = ring.clock.now()
    ring.clock.sleep(1.0)
    until = ring.clock.now()
    last = ring.served_last(bad, started, until) if bad != good.digest else None
    seen = last is not None or ring.served_last(good.digest, started, until) is not None
    return Restored(
        round(max(0.0, (last or started) - started), 3) if seen else None,
        round(in_git - started, 3),
        reverts,
        revision,
    )


def _end_watch(ring: Ring, cycle: str, step: str, subject: str) -> str:
    return ring.desired.end_watch(subject, {"Cycle": cycle, "Step": f"{step}-end-watch"})
