"""What people do with a release that is live: go back from it, or keep it."""

from __future__ import annotations

from dataclasses import replace

from predator.domain.errors import ConflictError, InputError, PredatorError
from predator.journal.logs import clean
from predator.loop import queues
from predator.loop.operator.cycles import CycleVerbs
from predator.loop.operator.desk import NotFoundError, person, text
from predator.loop.release.desired_state import DesiredState
from predator.ports.runtime import FlowStatus


class ReleaseVerbs(CycleVerbs):
    """Rollback, and the keeping of what a watch could not judge."""

    def rollback(
        self,
        environment: str,
        to_version: str | None = None,
        *,
        actor: str,
        reason: str,
        key: str = "",
    ) -> str:
        """Ask for a rollback of ``environment``; returns the id of its flow.

        ``to_version`` ``None``: to the newest stable version before the one that is live now, once,
        however many ask for it. Allowed while the kill switch is engaged. ``NotFoundError`` for a
        version that was never kept, ``InputError`` for one that never proved stable, or was
        never live here; where that cannot be read, the rollback itself finds out.
        """
        self._known(environment)
        if to_version is not None:
            self._check_target(environment, text(to_version, "to_version", most=100))
        text(reason, "reason")
        flow_id = self._id(f"rollback-{environment}-", actor, key)
        arguments = {
            "environment": environment,
            "to_version": to_version,
            "live": self._live(environment),
            "actor": person(actor),
            "reason": reason,
        }
        self._act(
            "rollback",
            actor,
            {**arguments, "flow_id": flow_id},
            lambda: self.desk.flows.enqueue(
                "rollback", flow_id, arguments, queue=queues.urgent(environment)
            ),
        )
        return flow_id

    def keep(self, cycle_id: str, *, actor: str, reason: str, key: str = "") -> str:
        """Ask to keep the release of a cycle whose watch could not judge it; its flow's id.

        ``ConflictError`` where the cycle has not ended: its watch may still decide.
        """
        text(reason, "reason")
        entry = self.cycle_entry(cycle_id)
        if not entry.outcome:
            raise ConflictError(
                f"{cycle_id} has not ended: its watch may still decide",
                cure="Wait for it, or cancel it: then its release is taken back",
            )
        flow_id = self._id(f"keep-{entry.contour}-", actor, key)
        arguments = {
            "environment": entry.contour,
            "cycle_id": cycle_id,
            "actor": person(actor),
            "reason": reason,
        }
        self._act(
            "keep",
            actor,
            {**arguments, "flow_id": flow_id},
            lambda: self.desk.flows.enqueue(
                "keep", flow_id, arguments, queue=queues.urgent(entry.contour)
            ),
        )
        return flow_id

    def keep_status(self, flow_id: str) -> FlowStatus:
        """Where a keeping is; ``NotFoundError`` where there is none of this id."""
        self.keep_contour(flow_id)
        found = self.desk.flows.status(flow_id)
        if found is None:
            raise NotFoundError(f"no release is being kept under {flow_id!r:.60}")
        return replace(found, error=clean(found.error))

    def keep_contour(self, flow_id: str) -> str:
        """The contour on which a release is kept, by the id of the keeping."""
        found = self._contour_in(flow_id, "keep")
        if found is None:
            raise NotFoundError(f"no release is being kept under {flow_id!r:.60}")
        return found

    def rollback_status(self, flow_id: str) -> FlowStatus:
        """Where a rollback is; ``NotFoundError`` where there is none of this id."""
        self.rollback_contour(flow_id)
        found = self.desk.flows.status(flow_id)
        if found is None:
            raise NotFoundError(f"there is no rollback {flow_id!r:.60}")
        return replace(found, error=clean(found.error))

    def rollback_contour(self, flow_id: str) -> str:
        """The contour that a rollback is about, by its id."""
        found = self._contour_in(flow_id, "rollback")
        if found is None:
            raise NotFoundError(f"there is no rollback {flow_id!r:.60}")
        return found

    def _contour_in(self, flow_id: str, verb: str) -> str | None:
        return next((c for c in self.desk.contours if flow_id.startswith(f"{verb}-{c}-")), None)

    def _check_target(self, contour: str, version: str) -> None:
        if self.desk.releases is None:
            return
        try:
            kept = {one.version: one for one in self.desk.releases.list()}
        except PredatorError:
            return
        if version not in kept:
            raise NotFoundError(f"there is no release {version!r:.60}", cure="see the releases")
        if kept[version].stable_at is None:
            stable = [one.version for one in kept.values() if one.stable_at is not None]
            raise InputError(
                f"{version} never proved stable",
                cure=f"Stable are {', '.join(stable[:10]) or 'none'}",
            )
        try:
            here = DesiredState(self.desk.gitops, contour).was_live(kept[version].digest)
        except PredatorError:
            return
        if not here:
            raise InputError(
                f"{version} was never live on {contour}",
                cure="A release comes from the contour before: predator release promote",
            )

    def _live(self, contour: str) -> str | None:
        """The version that git wants now; ``None`` where that cannot be read."""
        try:
            return DesiredState(self.desk.gitops, contour).read().release.version
        except PredatorError:
            return None
