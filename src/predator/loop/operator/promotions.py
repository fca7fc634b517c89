"""What people do with releases between contours: look whether one may go on, and ask for it."""

from __future__ import annotations

from dataclasses import replace

from predator.domain.errors import ConflictError, PredatorError
from predator.journal.logs import clean
from predator.loop import deciders, queues
from predator.loop.operator.desk import Acts, NotFoundError, person, text
from predator.loop.release.contour_promotion import Promotable
from predator.loop.release.promotion_flow import looked_at
from predator.ports.runtime import FlowStatus

PREFIX = "promotion-"


class PromotionVerbs(Acts):
    """Releases from contour to contour."""

    def promotable(self, version: str, source: str, target: str) -> Promotable:
        """Whether ``version`` may go from ``source`` to ``target``, and why not.

        ``InputError`` where that is not one step of the way; ``NotFoundError`` for a contour that
        nobody knows. Policy, and the person whom it may ask, come later.
        """
        self._known(source)
        self._known(target)
        text(version, "version", most=100)
        if self.desk.releases is None:
            raise PredatorError("nobody keeps a register of releases here")
        given = looked_at(self.desk.gitops, self.desk.releases, version, source, target)
        found = deciders.DECIDERS["promotion_between"](given)
        return deciders.to_promotion_between(found)

    def promote_release(
        self, version: str, source: str, target: str, *, actor: str, reason: str, key: str = ""
    ) -> str:
        """Ask for ``version`` on ``target``; returns the id of its flow.

        It is queued: policy is asked by the flow itself, and the evidence is judged again there.
        The same ``key`` of the same actor is one flow; of several flows about one release, the
        later ones find it live.
        ``ConflictError`` where the evidence does not let it come.
        """
        text(reason, "reason")
        flow_id = self._id(f"{PREFIX}{target}-", actor, key)

        def ask() -> str:
            found = self.promotable(version, source, target)
            if not found.allowed:
                raise ConflictError(f"{version} cannot come from {source}: {found.reason}")
            arguments = {
                "environment": target,
                "source": source,
                "version": version,
                "actor": person(actor),
                "reason": reason,
            }
            self.desk.flows.enqueue("promotion", flow_id, arguments, queue=queues.cycles(target))
            return flow_id

        given = {
            "version": version, "from": source, "environment": target, "reason": reason,
            "flow_id": flow_id,
        }  # fmt: skip
        return self._act("promote_release", actor, given, ask)

    def promotion_status(self, flow_id: str) -> FlowStatus:
        """Where a promotion is; ``NotFoundError`` where there is none of this id."""
        found = self.desk.flows.status(flow_id) if flow_id.startswith(PREFIX) else None
        if found is None:
            raise NotFoundError(f"there is no promotion {flow_id!r:.60}")
        return replace(found, error=clean(found.error))
