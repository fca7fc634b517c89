"""A person's word against or beside the policy's: approvals, overrides, gates, flags."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from predator.domain.errors import ConflictError, InputError, PolicyDenied, PredatorError
from predator.domain.governance import EVERYWHERE, Approval, Flag, Override
from predator.loop.operator.desk import Acts, NotFoundError, same_person, text
from predator.policy.flags import check_flag
from predator.policy.gates import Gate, validate_override_body, with_overrides
from predator.policy.overrides import check_override, needs_second

MOST_METADATA = 4096


@dataclass(frozen=True, slots=True)
class Answered:
    """An approval as it stands, and whether its cycle has been told.

    The answer holds either way; where ``delivered`` is false, answer the same again to tell it.
    """

    approval: Approval
    delivered: bool


class ApprovalVerbs(Acts):
    """Requests that wait for a person."""

    def approvals(self, contour: str | None = None, *, pending: bool = False) -> Sequence[Approval]:
        """Requests, newest first."""
        if contour is not None:
            self._known(contour)
        return self.desk.approvals.list(contour, pending=pending)

    def approval(self, approval_id: str) -> Approval:
        """One request; ``NotFoundError`` where there is none."""
        found = self.desk.approvals.get(approval_id)
        if found is None:
            raise NotFoundError(f"there is no approval {approval_id!r:.80}")
        return found

    def approve(self, approval_id: str, *, actor: str, reason: str) -> Answered:
        """Say yes. ``ConflictError`` once it is answered otherwise or expired; ``PolicyDenied``
        for whoever asked for the cycle: nobody approves what they requested."""
        return self._answer(approval_id, True, actor, reason)

    def reject(self, approval_id: str, *, actor: str, reason: str) -> Answered:
        """Say no; whoever asked for the cycle may."""
        return self._answer(approval_id, False, actor, reason)

    def _answer(self, approval_id: str, approved: bool, actor: str, reason: str) -> Answered:
        text(reason, "reason")
        asked = self.approval(approval_id)
        entry = self.desk.cycles.get(asked.cycle_id)
        requester = entry.trigger.get("actor") if entry is not None else None
        verb = "approve" if approved else "reject"

        def answer() -> Answered:
            if approved and isinstance(requester, str) and same_person(actor, requester):
                raise PolicyDenied(
                    f"{actor} asked for {asked.cycle_id} and cannot approve it",
                    cure="Somebody else has to",
                )
            decided = self.desk.approvals.decide(
                approval_id,
                approved=approved,
                actor=actor,
                reason=reason,
                at=self.desk.clock.now(),
            )
            message = {"approved": approved, "actor": actor, "reason": reason}
            topic = f"approval:{approval_id}"
            try:
                self.desk.flows.send(decided.cycle_id, topic, message, key=approval_id)
            except PredatorError:
                return Answered(decided, delivered=False)
            return Answered(decided, delivered=True)

        given = {"approval_id": approval_id, "contour": asked.contour, "reason": reason}
        return self._act(verb, actor, given, answer)


class OverrideVerbs(Acts):
    """Exceptions with a name, a reason and an end."""

    def gates(self, contour: str) -> Sequence[Gate]:
        """The gates of a contour as they count now, overrides applied."""
        self._known(contour)
        granted = self.desk.overrides.list(contour)
        found = with_overrides(self.desk.gates(contour), granted, contour, self.desk.clock.now())
        return list(found.values())

    def override_gate(
        self,
        contour: str,
        gate: str,
        threshold: float,
        *,
        reason: str,
        expires_at: float,
        actor: str,
        key: str = "",
    ) -> Override:
        """Set the floor of a gate until ``expires_at`` (unix s)."""
        self._known(contour)
        known = self.desk.gates(contour)
        if gate not in known:
            raise NotFoundError(
                f"there is no gate {gate!r:.60} on {contour}", cure=f"Known: {', '.join(known)}"
            )
        now = self.desk.clock.now()
        for field, wrong in validate_override_body(gate, threshold, reason, expires_at, now):
            raise InputError(f"{field} {wrong}")
        return self._grant("gate", contour, gate, threshold, reason, expires_at, actor, key)

    def override_policy(
        self,
        contour: str,
        action: str,
        *,
        reason: str,
        expires_at: float,
        actor: str,
        key: str = "",
    ) -> Override:
        """Let an action pass although policy says DENY or NEEDS_APPROVAL, until ``expires_at``."""
        self._known(contour)
        return self._grant("policy", contour, action, None, reason, expires_at, actor, key)

    def override(self, override_id: str) -> Override:
        """One override; ``NotFoundError`` where there is none."""
        for override in self.desk.overrides.list():
            if override.id == override_id:
                return override
        raise NotFoundError(f"there is no override {override_id!r:.60}")

    def overrides(self, contour: str | None = None) -> Sequence[Override]:
        """All that were ever granted, newest first."""
        if contour is not None:
            self._known(contour)
        return self.desk.overrides.list(contour)

    def confirm_override(self, override_id: str, *, actor: str) -> Override:
        """The second person's word. ``ConflictError`` for the first person, and after its end."""
        known = self.override(override_id)
        if not known.needs_second:
            raise ConflictError(f"override {override_id} needs no second person")
        return self._act(
            "confirm_override",
            actor,
            {"override_id": override_id, "contour": known.contour},
            lambda: self.desk.overrides.confirm(override_id, actor=actor, at=self.desk.clock.now()),
        )

    def revoke_override(self, override_id: str, *, actor: str) -> Override:
        """End an override now."""
        known = self.override(override_id)
        return self._act(
            "revoke_override",
            actor,
            {"override_id": override_id, "contour": known.contour},
            lambda: self.desk.overrides.revoke(override_id, actor=actor, at=self.desk.clock.now()),
        )

    def _grant(
        self,
        kind: Literal["gate", "policy"],
        contour: str,
        target: str,
        threshold: float | None,
        reason: str,
        expires_at: float,
        actor: str,
        key: str,
    ) -> Override:
        now = self.desk.clock.now()
        granted = Override(
            id=self._id("ov-", actor, key),
            contour=contour,
            kind=kind,
            target=target,
            threshold=threshold,
            actor=actor,
            reason=text(reason, "reason"),
            created_at=now,
            expires_at=expires_at,
            needs_second=needs_second(contour, self.desk.production),
        )
        check_override(granted, now)
        given = {
            "override_id": granted.id,
            "contour": contour,
            "target": target,
            "threshold": threshold,
            "reason": reason,
            "expires_at": expires_at,
        }
        return self._act(f"override_{kind}", actor, given, lambda: self.desk.overrides.add(granted))


class FlagVerbs(Acts):
    """Rows of ``feature_flags``."""

    def flags(self, contour: str | None = None) -> Sequence[Flag]:
        """Rows, by name and environment; with ``contour``, that one's and those of ``all``."""
        rows = self.desk.flags.rows()
        if contour is None:
            return rows
        self._known(contour, everywhere=True)
        return [row for row in rows if row.environment in {contour, EVERYWHERE}]

    def flag(self, name: str, environment: str) -> Flag:
        """One row; ``NotFoundError`` where there is none."""
        self._known(environment, everywhere=True)
        for row in self.desk.flags.rows():
            if (row.name, row.environment) == (name, environment):
                return row
        raise NotFoundError(f"flag {name!r:.60} has no row for {environment}")

    def set_flag(
        self,
        name: str,
        environment: str,
        enabled: bool,
        metadata: Mapping[str, Any] | None = None,
        *,
        actor: str,
        reason: str,
    ) -> Flag:
        """Set a row; ``metadata`` is a JSON object of at most 4 KiB."""
        flag = Flag(
            name, enabled, self._known(environment, everywhere=True), _metadata(metadata or {})
        )
        try:
            check_flag(flag)
        except ValueError as error:
            raise InputError(str(error)) from None
        text(reason, "reason")
        given = {"name": name, "environment": environment, "enabled": enabled, "reason": reason}
        self._act(
            "set_flag",
            actor,
            {**given, "metadata": flag.metadata},
            lambda: self.desk.flags.put(flag, actor=actor, reason=reason, at=self.desk.clock.now()),
        )
        return flag

    def remove_flag(self, name: str, environment: str, *, actor: str, reason: str) -> bool:
        """Take a row away; whether there was one."""
        self._known(environment, everywhere=True)
        text(reason, "reason")
        return self._act(
            "remove_flag",
            actor,
            {"name": name, "environment": environment, "reason": reason},
            lambda: self.desk.flags.remove(
                name, environment, actor=actor, reason=reason, at=self.desk.clock.now()
            ),
        )


def _metadata(value: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        written = json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError("metadata must be a JSON object of finite numbers and text") from error
    if len(written) > MOST_METADATA or b"\\u0000" in written:
        raise InputError(f"metadata must be JSON of at most {MOST_METADATA} bytes without NUL")
    return value
