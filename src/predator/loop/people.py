"""The flow that a person starts: back to a version that proved itself."""

from __future__ import annotations

from collections.abc import Callable

from predator.domain.errors import InputError
from predator.loop import gold
from predator.loop.ending import fail
from predator.loop.record import Record
from predator.loop.rollback import roll_back_to
from predator.policy.decision import Principal
from predator.ports.runtime import Json, Runtime
from predator.search.desired import LiveRelease

Register = Callable[[Runtime, str, Json, Principal], Record]
"""(runtime, key, trigger, principal) → a record whose cycle is in the register."""


def roll_back_flow(register: Register) -> Callable[[Runtime, Json], Json]:
    """``{environment, to_version, actor, reason}``: without a version, to the newest stable one
    that is not live. On the record of a cycle of its own."""

    def flow(runtime: Runtime, asked: Json) -> Json:
        trigger = {"type": "operator_rollback", "to_version": asked.get("to_version")}
        record = register(runtime, "rollback", trigger, Principal("operator", str(asked["actor"])))
        try:
            record.begin()
            found = record.step("target", lambda: _target(record, asked.get("to_version")))
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


def _target(record: Record, version: str | None) -> Json:
    ring = record.ring
    live = ring.desired.read().release
    if version is None:
        stable = [r for r in ring.releases.list() if r.stable_at is not None]
        version = next((r.version for r in stable if r.digest != live.digest), None)
    if version is None:
        raise InputError("there is no other stable version to go back to")
    found = gold.target(ring.releases, ring.objects, ring.desired, version)
    return {"version": found.version, "digest": found.digest, "cycle": found.cycle}
