"""What people may do with the loop: one service that the admin API and the command line share."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from predator.domain.errors import InputError, PredatorError
from predator.domain.governance import EVERYWHERE, KILL_SWITCH, Flag, Notice
from predator.loop.operator.desk import DRAIN_S, URGENT_LOCK_S, person, text
from predator.loop.operator.governance import ApprovalVerbs, FlagVerbs, OverrideVerbs
from predator.loop.operator.promotions import PromotionVerbs
from predator.loop.operator.releases import ReleaseVerbs
from predator.loop.operator.tokens import TokenVerbs
from predator.loop.operator.views import Views, kill_switch_rows
from predator.policy.decision import ACTIONS, ROLES, PolicyDecision, Principal
from predator.policy.explain import Explanation, explain
from predator.policy.flags import flag_context
from predator.policy.overrides import apply_override

NO_REASON = "no reason given"


@dataclass(frozen=True, slots=True)
class Switched:
    """The kill switch as it stands after a stop or a start.

    ``stopped`` names the contours that are stopped now (a row for ``all`` outweighs a start of
    one). ``recorded`` is false where the stop holds but the operators' journal could not be
    written; people are told then. ``drained`` is false where an effect that was allowed just
    before the stop had not come to its end within half a second.
    """

    environment: str
    engaged: bool
    stopped: tuple[str, ...]
    recorded: bool = True
    drained: bool = True


class Operator(
    ReleaseVerbs, PromotionVerbs, ApprovalVerbs, OverrideVerbs, FlagVerbs, TokenVerbs, Views
):
    """Every verb says who acts. What has an effect is recorded in the operators' journal,
    before and after; the same key of the same actor is the same act.

    Whether the actor may do it is asked before, by whoever calls (``policy.api``).
    """

    def stop(self, contour: str = EVERYWHERE, *, actor: str, reason: str = "") -> Switched:
        """Engage the kill switch on ``contour`` or everywhere.

        Returns once the row is durable and was read back, and what was allowed before it is
        through. Needs nothing but the flags: neither
        the flow database nor the journal can hold it up.
        """
        self._known(contour, everywhere=True)
        reason = text(reason or NO_REASON, "reason")
        rows = self._switch(contour, True, person(actor), reason)
        drained = self.desk.drained(DRAIN_S)
        recorded = False
        with suppress(Exception):
            given = {"contour": contour, "reason": reason}
            self._record("stop", actor, given, "done", URGENT_LOCK_S)
            recorded = True
        note = "" if recorded else " The operators' journal could not be written."
        self._announce("stopped", contour, actor, f"{reason}.{note}")
        return Switched(contour, True, self._stopped(rows), recorded, drained)

    def start(self, contour: str, *, actor: str, reason: str) -> Switched:
        """Disengage the kill switch of ``contour`` (or the row for everywhere)."""
        self._known(contour, everywhere=True)
        text(reason, "reason")
        rows = self._act(
            "start",
            actor,
            {"contour": contour, "reason": reason},
            lambda: self._switch(contour, False, actor, reason),
        )
        self._announce("started", contour, actor, reason)
        return Switched(contour, False, self._stopped(rows))

    def policy_explain(self, action: str, contour: str, role: str = "loop") -> Explanation:
        """What policy says now to ``action`` by ``role`` on ``contour``, overrides applied.

        What only a cycle knows (verdicts, counts) counts as missing, which is its careful side.
        """
        self._known(contour)
        for name, known, kind in ((action, ACTIONS, "action"), (role, ROLES, "role")):
            if name not in known:
                raise InputError(
                    f"there is no {kind} {name!r:.60}", cure=f"Known: {', '.join(sorted(known))}"
                )
        context = flag_context(
            self.desk.flags.rows(), contour, self.desk.contours[contour].defaults
        )
        found = explain(Principal(role), action, contour, context)
        before = PolicyDecision(found.decision, found.rule, found.reason)
        granted = self.desk.overrides.list(contour)
        after = apply_override(before, granted, action, contour, self.desk.clock.now())
        if after is before:
            return found
        return replace(found, decision=after.decision, rule=after.rule, reason=after.reason)

    def _switch(self, contour: str, engaged: bool, actor: str, reason: str) -> Sequence[Flag]:
        flag = Flag(KILL_SWITCH, engaged, contour)
        self.desk.flags.put(flag, actor=actor, reason=reason, at=self.desk.clock.now())
        rows = self.desk.flags.rows()
        if kill_switch_rows(rows, contour).get(contour) is not engaged:
            raise PredatorError(
                "the kill switch does not read back as it was set",
                cure="Set it again; stop the workers if it does not hold",
            )
        return rows

    def _stopped(self, rows: Sequence[Flag]) -> tuple[str, ...]:
        return tuple(
            contour
            for contour, rules in sorted(self.desk.contours.items())
            if flag_context(rows, contour, rules.defaults).get(KILL_SWITCH) is not False
        )

    def _announce(self, what: str, contour: str, actor: str, reason: str) -> None:
        at = self.desk.clock.now()
        where = "everywhere" if contour == EVERYWHERE else f"on {contour}"
        self._tell(
            Notice(
                f"{what}:{contour}:{at:.3f}",
                "critical" if what == "stopped" else "warning",
                f"The loop was {what} {where}",
                f"By {actor}: {reason}",
                contour,
            )
        )
