"""The flow by which a person keeps a release whose watch could not judge it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

from predator.domain.errors import InputError
from predator.loop import cycle_files
from predator.loop.ending import fail
from predator.loop.gold import versions as gold
from predator.loop.people import Register
from predator.loop.record import Record
from predator.policy.decision import Principal
from predator.ports.runtime import Json, Runtime

REFERENCE = "model_registry_ref"
"""The file of a cycle that names its model in the registry."""


def keep_flow(register: Register) -> Callable[[Runtime, Json], Json]:
    """``{environment, cycle_id, actor, reason}``: the release of ``cycle_id``, which is live with
    a hold-back beside it, becomes stable, and its hold-back ends; on the record of a cycle of its
    own. It does not become Gold: no watch has shown what it is worth.

    ``InputError`` where another release is live, or no hold-back of that cycle is open.
    """

    def flow(runtime: Runtime, asked: Json) -> Json:
        trigger = {"type": "operator_keep", "cycle_id": asked["cycle_id"]}
        record = register(runtime, "keep", trigger, Principal("operator", str(asked["actor"])))
        why = f"{asked['reason']} (by {asked['actor']})"
        try:
            record.begin()
            version = str(record.step("target", lambda: _waiting(record, asked["cycle_id"])))
            record.act(
                "keep_gold",
                "keep_gold",
                lambda: _settle(record, asked["cycle_id"], version),
                lambda kept: {"version": kept["version"], "reason": why},
            )
            revision = record.act(
                "end_watch",
                "end_watch",
                lambda: _end_holdback(record, asked["cycle_id"], version),
                lambda made: {"gitops_revision": made, "reason": why},
            )
            record.notify("kept", "info", f"{version} was kept", why)
            record.close("success", rollback_available=True, approver=str(asked["actor"]))
        except Exception as error:
            fail(record, error, approver=str(asked["actor"]))
            raise
        return {"cycle_id": record.cycle_id, "version": version, "revision": str(revision)}

    return flow


def _waiting(record: Record, cycle_id: str) -> str:
    """The version of ``cycle_id`` that waits for somebody to keep it."""
    _check_live(record, cycle_id)
    wanted = record.ring.desired.read()
    if wanted.holdback is None or wanted.holdback.id != f"watch-{cycle_id}":
        raise InputError(f"no hold-back of {cycle_id} is open: there is nothing to keep")
    return wanted.release.version


def _check_live(record: Record, cycle_id: str) -> None:
    live = record.ring.desired.read().release
    if live.cycle != cycle_id:
        raise InputError(
            f"{live.version} of {live.cycle} is live, not a release of {cycle_id}",
            cure="See predator releases",
        )


def _settle(record: Record, cycle_id: str, version: str) -> Json:
    ring = record.ring
    _check_live(record, cycle_id)
    kept = gold.settle(ring.releases, version, ring.clock.now(), passed_gate=False)
    if REFERENCE not in cycle_files.file_names(ring.artifacts, cycle_id):
        return asdict(kept)  # it came from another contour: its model was registered there
    model = cycle_files.read_file(ring.artifacts, cycle_id, REFERENCE).decode().strip()
    ring.tracking.alias(model, "champion")
    gold.tag_model(ring.tracking, model, ring.releases, version)
    return asdict(kept)


def _end_holdback(record: Record, cycle_id: str, version: str) -> str:
    _check_live(record, cycle_id)  # not the hold-back: done again after a crash, it is gone
    return record.ring.desired.end_watch(
        f"Keep {version}: end the hold-back of {cycle_id}",
        {"Cycle": record.cycle_id, "Step": "end-watch", "Keeps": cycle_id},
    )
