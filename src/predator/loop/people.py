"""The flow that a person starts: back to a version that proved itself."""

from __future__ import annotations

from collections.abc import Callable

from predator.domain.errors import InputError
from predator.loop.ending import fail
from predator.loop.gold import versions as gold
from predator.loop.record import Record
from predator.loop.rollback import roll_back_to
from predator.policy.decision import Principal
from predator.ports.releases import KeptRelease, version_number
from predator.ports.runtime import Json, Runtime
from predator.search.desired import LiveRelease

Register = Callable[[Runtime, str, Json, Principal], Record]
"""(runtime, key, trigger, principal) → a record whose cycle is in the register."""


def roll_back_flow(register: Register) -> Callable[[Runtime, Json], Json]:
    """``{environment, to_version, live, actor, reason}``, on the record of a cycle of its own.

    Without ``to_version``: from ``live``, the version that the person saw, to the newest stable
    one before it. Where somebody else has gone back from it meanwhile, that is where it stays.
    """

    def flow(runtime: Runtime, asked: Json) -> Json:
        trigger = {"type": "operator_rollback", "to_version": asked.get("to_version")}
        record = register(runtime, "rollback", trigger, Principal("operator", str(asked["actor"])))
        try:
            record.begin()
            found = record.step("target", lambda: _target(record, asked))
            target = LiveRelease(**found)
            why = f"{asked['reason']} (by {asked['actor']})"
            restored = roll_back_to(record, target, why)
            record.notify("rollback", "warning", f"Rolled back to {target.version}", why)
            record.close("success", rollback_available=True, approver=str(asked["actor"]))
        except Exception as error:
            fail(record, error, approver=str(asked["actor"]))
            raise
        return {"cycle_id": record.cycle_id, "version": target.version, **restored.to_json()}

    return flow


def _target(record: Record, asked: Json) -> Json:
    ring, version = record.ring, asked.get("to_version")
    live = ring.desired.read().release
    if version is None and asked.get("live") not in (None, live.version):
        version = live.version
    if version is None:
        had = {change.release.digest for change in ring.desired.changes()}
        had -= ring.desired.taken_back()  # stable elsewhere, or before somebody went back from it
        kept = (one for one in ring.releases.list() if one.digest in had)
        version = next((one.version for one in kept if _before(one, live)), None)
    if version is None:
        raise InputError("there is no other stable version to go back to")
    found = gold.target(ring.releases, ring.objects, ring.desired, version)
    return {"version": found.version, "digest": found.digest, "cycle": found.cycle}


def _before(kept: KeptRelease, live: LiveRelease) -> bool:
    """Whether ``kept`` can be what people mean by "back" from ``live``."""
    if kept.stable_at is None or kept.digest == live.digest:
        return False
    try:
        return version_number(kept.version) < version_number(live.version)
    except InputError:  # a drill is live, and that has no version
        return True
