"""What the loop asks before it acts: flags, limits, overrides and people, in one place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from predator.domain.errors import PredatorError
from predator.domain.governance import Approval, Flag, Notice, Override
from predator.domain.verdicts import Decision
from predator.policy.decision import Context, PolicyDecision, Principal, decide
from predator.policy.flags import flag_context, max_budget_usd, resolve, split_ratio
from predator.policy.overrides import apply_override
from predator.ports.approvals import Approvals
from predator.ports.clock import Clock
from predator.ports.cycles import Cycles
from predator.ports.fence import Fence
from predator.ports.flags import Flags
from predator.ports.ledger import GoldLedger
from predator.ports.limits import Limits
from predator.ports.notifier import Notifier
from predator.ports.overrides import Overrides
from predator.ports.slots import Slots

DEGRADATION = (":rolled_back", ":held", ":withdraw")
"""Ends of the keys of notices about a loss of quality (``monitoring.alertOnDegrade``)."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The contour's own numbers and the flags it starts with (``contours``)."""

    contour: str
    defaults: Mapping[str, bool]
    max_cycles_per_day: int
    budget_usd: float
    cycle_cost_usd: float
    max_experiments: int
    approval_expires_s: float


@dataclass(frozen=True, slots=True)
class Asked:
    """Policy's answer, the whole context it was given, when, and the override that lifted it."""

    answer: PolicyDecision
    context: Context
    at: float
    override: Override | None = None


@dataclass(frozen=True, slots=True)
class Governance:
    """Everything that may say no to the loop on one contour."""

    rules: Rules
    flags: Flags
    approvals: Approvals
    overrides: Overrides
    limits: Limits
    slots: Slots
    cycles: Cycles
    notifier: Notifier
    fence: Fence
    ledger: GoldLedger
    clock: Clock

    def ask(self, principal: Principal, action: str, context: Context) -> Asked:
        """Policy's answer now, overrides applied, and what it was based on.

        Flags are read anew each time; where they cannot be, the kill switch counts as engaged.
        """
        full: Context = {**self._flags(), **context}
        answer, at = decide(principal, action, self.rules.contour, full), self.clock.now()
        if answer.decision is Decision.ALLOW:
            return Asked(answer, full, at)
        try:
            granted = self.overrides.list(self.rules.contour)
        except PredatorError:
            return Asked(answer, full, at)
        lifted = apply_override(answer, granted, action, self.rules.contour, at)
        used = next((one for one in granted if lifted.rule == f"override:{one.id}"), None)
        return Asked(lifted, full, at, used)

    def budget_usd(self) -> float:
        """The month's budget: the contour's, or less where a flag says so; 0 where unreadable."""
        try:
            flagged = max_budget_usd(resolve(self.flags.rows(), self.rules.contour))
        except (PredatorError, ValueError):
            return 0.0
        return self.rules.budget_usd if flagged is None else min(flagged, self.rules.budget_usd)

    def experiment_share(self, default: float) -> float:
        """The candidate's share of users: a flag's, or ``default``; unreadable flags change
        nothing, for policy stops an experiment then."""
        try:
            flagged = split_ratio(resolve(self.flags.rows(), self.rules.contour))
        except (PredatorError, ValueError):
            return default
        return default if flagged is None else flagged

    def request(self, approval: Approval, link: str = "") -> Approval:
        """Ask a person, and tell people that one is asked."""
        kept = self.approvals.request(approval)
        self.notifier.notify(
            Notice(
                f"approval:{approval.id}",
                "warning",
                f"Approval needed: {approval.action} on {approval.contour}",
                approval.subject,
                approval.contour,
                approval.cycle_id,
                link,
            )
        )
        return kept

    def _flags(self) -> Context:
        rows: list[Flag] | None
        try:
            rows = list(self.flags.rows())
        except PredatorError:
            rows = None
        return flag_context(rows, self.rules.contour, self.rules.defaults)
