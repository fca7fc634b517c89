"""An Operator over memory stores on a clock that stands still until it is moved."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from predator.adapters.approvals.memory import MemoryApprovals
from predator.adapters.cycles.memory import MemoryCycles
from predator.adapters.flags.memory import MemoryFlags
from predator.adapters.gitops.memory import MemoryGitOps
from predator.adapters.limits.memory import MemoryLimits
from predator.adapters.notifier.memory import MemoryNotifier
from predator.adapters.overrides.memory import MemoryOverrides
from predator.adapters.replies.memory import MemoryReplies
from predator.adapters.runtime.virtual import VirtualClock
from predator.adapters.runtime.virtual_flows import VirtualFlows
from predator.adapters.slots.memory import MemorySlots
from predator.adapters.tokens.memory import MemoryTokens
from predator.domain.governance import KILL_SWITCH, Approval, Flag, Role, Token
from predator.journal.audit import AuditJournal
from predator.journal.summary import CycleSummary
from predator.loop.governance import Rules
from predator.loop.operator.desk import Desk
from predator.loop.operator.service import Operator
from predator.loop.operator.tokens import digest_of_token
from predator.policy.gates import load_gates
from predator.search.desired import (
    LiveRelease,
    RunningExperiment,
    experiments_path,
    render_experiments,
    render_values,
    values_path,
)

CONTOURS = ("local", "dev-mac", "edge-oracle", "compute-nvidia")
DAY = 86_400.0
GATES = load_gates(
    {"ndcg_at_10": {"min_delta": 0.03, "min": 0.6}, "latency_p95": {"max_delta": 0.15}}
)
CYCLE = "si_2025_12_06_001"
"""A cycle that ran and left its files, on the contour ``local``."""

_numbers = itertools.count(1)


def rules(contour: str) -> Rules:
    return Rules(
        contour=contour,
        defaults={KILL_SWITCH: False, "self_improvement_enabled": True},
        max_cycles_per_day=6,
        budget_usd=500.0,
        cycle_cost_usd=1.0,
        max_experiments=1,
        approval_expires_s=DAY,
    )


@dataclass
class World:
    """Everything that a test may look at or change."""

    folder: Path
    clock: VirtualClock = field(default_factory=VirtualClock)
    stores: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._drawn = itertools.count()
        self.artifacts = self.folder / "artifacts"
        self.artifacts.mkdir(exist_ok=True)
        self.replies = self.stores.get("replies") or MemoryReplies()
        parts: dict[str, Any] = {
            "flags": MemoryFlags(),
            "approvals": MemoryApprovals(),
            "overrides": MemoryOverrides(),
            "limits": MemoryLimits(),
            "slots": MemorySlots(),
            "cycles": MemoryCycles(),
            "tokens": MemoryTokens(),
            "flows": VirtualFlows(clock=self.clock),
            "notifier": MemoryNotifier(now=self.clock.now),
            "gitops": MemoryGitOps(now=self.clock.now),
            **{name: store for name, store in self.stores.items() if name != "replies"},
        }
        self.desk = Desk(
            **parts,
            clock=self.clock,
            artifacts=self.artifacts,
            journal=self.folder / "operators.jsonl",
            contours={name: rules(name) for name in CONTOURS},
            gates=lambda _: GATES,
            later=lambda work: work(),
            secret=self._secret,
        )
        self.operator = Operator(self.desk)

    @property
    def now(self) -> float:
        return self.clock.now()

    def _secret(self, size: int) -> bytes:
        """Different each time and the same in each run."""
        return hashlib.shake_256(str(next(self._drawn)).encode()).digest(size)

    def journal(self) -> list[dict[str, Any]]:
        """The records of the operators' journal."""
        if not self.desk.journal.exists():
            return []
        return [json.loads(line) for line in self.desk.journal.read_text().splitlines()]

    def token(
        self,
        role: Role = Role.ADMIN,
        *contours: str,
        actor: str = "",
        lasts_s: float = 30 * DAY,
        revoked: bool = False,
    ) -> str:
        """The text of a token that the store knows."""
        number = next(_numbers)
        raw = f"token-{number}".encode().ljust(32, b"\0")
        secret = "prd_" + base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
        token = Token(
            id=f"tok-{number}",
            actor=actor or f"{role}-{number}",
            role=role,
            contours=frozenset(contours),
            created_at=self.now - DAY,
            expires_at=self.now + lasts_s,
        )
        self.desk.tokens.add(token, digest_of_token(secret))
        if revoked:
            self.desk.tokens.revoke(token.id, self.now)
        return secret

    def ask(self, contour: str = "local", *, by: str = "", **changes: Any) -> Approval:
        """A pending request for approval, of a cycle that ``by`` asked for."""
        trigger = {"type": "manual", "actor": by} if by else {"type": "ndcg_drop"}
        number = next(_numbers)
        cycle_id = self.desk.cycles.open(f"ask-{number}", contour, trigger, self.now)
        self.desk.flows.enqueue("cycle", cycle_id, {"cycle_id": cycle_id})
        values = {
            "id": f"{cycle_id}:promote",
            "contour": contour,
            "cycle_id": cycle_id,
            "action": "promote",
            "subject": "Promote v1.1",
            "release": "d" * 64,
            "rule": "approval-required",
            "requested_at": self.now,
            "expires_at": self.now + DAY,
            **changes,
        }
        return self.desk.approvals.request(Approval(**values))

    def publish(
        self, version: str, contour: str = "local", *, experiment: bool = False, **trailers: str
    ) -> str:
        """A commit that makes a release live."""
        number = next(_numbers)
        release = LiveRelease(version, f"{number:064x}", CYCLE)
        running = [RunningExperiment("exp-1", "ranking", "c" * 64, 0.2)] if experiment else []
        return self.desk.gitops.commit(
            {
                values_path(contour): render_values(release, None),
                experiments_path(contour): render_experiments(running, None),
            },
            f"Promote {version}",
            {"Cycle": CYCLE, "Step": f"promote-{number}", **trailers},
            parent=self.desk.gitops.head(),
        )

    def leave_cycle(self, cycle_id: str = CYCLE, contour: str = "local") -> Path:
        """A finished cycle's folder, with a sound journal and an experiment's result."""
        folder = self.artifacts / cycle_id
        (folder / "model").mkdir(parents=True)
        (folder / "model" / "release.json").write_text('{"encoder": "e"}')
        (folder / "ab_test_results.json").write_text('{"verdict": "PASS", "passed_gate": true}')
        journal = AuditJournal(folder / "audit.jsonl", now=self.clock.now)
        journal.append({"type": "start", "cycle_id": cycle_id, "trigger": {"type": "schedule"}})
        journal.write_summary(
            CycleSummary(
                cycle_id=cycle_id,
                timestamp="2025-12-06T01:23:45Z",
                environment=contour,
                trigger={"type": "schedule"},
                actions=[],
                approver="system",
                total_cost_usd=0.1,
                outcome="success",
                rollback_available=True,
            )
        )
        return folder

    def stop_row(self, contour: str) -> bool | None:
        """What the row of the kill switch says."""
        rows: list[Flag] = list(self.desk.flags.rows())
        found = [r.enabled for r in rows if (r.name, r.environment) == (KILL_SWITCH, contour)]
        return found[0] if found else None
