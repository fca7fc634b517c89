"""What people do with cycles: ask for one, cancel it, look at it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from predator.domain.errors import ConflictError, InputError, PredatorError
from predator.domain.governance import CycleEntry
from predator.domain.ids import is_cycle_id
from predator.journal.audit import verify_journal
from predator.journal.chain import GENESIS, VerifyResult
from predator.journal.logs import clean
from predator.loop import cycle_files, queues
from predator.loop.operator.desk import Acts, NotFoundError, person, text
from predator.ports.runtime import FlowStatus

UNFINISHED = "unfinished"


@dataclass(frozen=True, slots=True)
class CycleDetail:
    """A cycle in the register, where its flow is, what it left, and whether its audit is sound.

    ``flow`` is ``None`` where there is none, or where ``flow_error`` says why nobody knows.
    """

    entry: CycleEntry
    flow: FlowStatus | None
    flow_error: str
    artifacts: Sequence[str]
    audit: VerifyResult


@dataclass(frozen=True, slots=True)
class AuditTrail:
    """The records of one cycle and whether they are what was written."""

    cycle_id: str
    verified: VerifyResult
    records: Sequence[Mapping[str, Any]]


class CycleVerbs(Acts):
    """Cycles, artifacts and audit."""

    def request_cycle(self, contour: str, *, actor: str, reason: str, key: str = "") -> str:
        """Ask for a cycle; returns its id. The same ``key`` of the same actor is one cycle.

        It is queued: policy and limits are asked by the cycle itself, before each effect.
        """
        self._known(contour)
        trigger = {
            "type": "manual",
            "actor": person(actor),
            "reason": text(reason, "reason"),
        }
        request = self._id("manual-", actor, key)

        def ask() -> str:
            cycle_id = self.desk.cycles.open(request, contour, trigger, self.desk.clock.now())
            arguments = {"cycle_id": cycle_id, "contour": contour, "trigger": trigger}
            self.desk.flows.enqueue("cycle", cycle_id, arguments, queue=queues.cycles(contour))
            return cycle_id

        given = {"contour": contour, "reason": reason, "key": request}
        return self._act("request_cycle", actor, given, ask)

    def cancel_cycle(self, cycle_id: str, *, actor: str, reason: str) -> bool:
        """Ask a cycle to stop; ``False`` where it was asked already.

        ``ConflictError`` where it has ended. What it gave to users it takes back itself.
        """
        text(reason, "reason")
        entry = self.cycle_entry(cycle_id)
        if entry.outcome:
            raise ConflictError(f"{cycle_id} has ended: {entry.outcome}")
        return self._act(
            "cancel_cycle",
            actor,
            {"cycle_id": cycle_id, "contour": entry.contour, "reason": reason},
            lambda: self.desk.cycles.cancel(
                cycle_id, actor=actor, reason=reason, at=self.desk.clock.now()
            ),
        )

    def cycles(
        self, contour: str | None = None, *, limit: int = 100, before: str | None = None
    ) -> Sequence[CycleEntry]:
        """Cycles in the register, newest first, those after ``before`` in that order."""
        if contour is not None:
            self._known(contour)
        if before is not None and not is_cycle_id(before):
            raise InputError(f"{before!r:.60} is not a cycle id")
        return self.desk.cycles.list(contour, limit=limit, before=before)

    def cycle_entry(self, cycle_id: str) -> CycleEntry:
        """A cycle's entry, or what its journal says where it was run without a register."""
        folder = cycle_files.folder_of(self.desk.artifacts, cycle_id)
        entry = self.desk.cycles.get(cycle_id)
        if entry is not None:
            return entry
        if not folder.is_dir() or folder.is_symlink():
            raise NotFoundError(f"there is no cycle {cycle_id}")
        return self._entry_of(cycle_id)

    def cycle(self, cycle_id: str) -> CycleDetail:
        """Everything known of a cycle; ``NotFoundError`` where there is none."""
        entry = self.cycle_entry(cycle_id)
        flow, error = self._flow(cycle_id)
        return CycleDetail(
            entry=entry,
            flow=flow,
            flow_error=error,
            artifacts=self.artifacts(cycle_id),
            audit=self._verified(cycle_id),
        )

    def artifacts(self, cycle_id: str) -> Sequence[str]:
        """Names of the files that the cycle left."""
        return cycle_files.file_names(self.desk.artifacts, cycle_id)

    def artifact(self, cycle_id: str, name: str) -> bytes:
        """One file that the cycle left; see :func:`cycle_files.read_file`."""
        return cycle_files.read_file(self.desk.artifacts, cycle_id, name)

    def audit(self, cycle_id: str) -> AuditTrail:
        """The audit records of a cycle, with the check of their chain."""
        self.cycle_entry(cycle_id)
        verified = self._verified(cycle_id)
        records = list(cycle_files.audit_records(self.desk.artifacts, cycle_id))
        return AuditTrail(cycle_id, verified, records[: verified.records])

    def audit_verify(self) -> Mapping[str, VerifyResult]:
        """The check of every journal: each cycle's by its id, and ``operators``."""
        found = {
            cycle_id: self._verified(cycle_id)
            for cycle_id in cycle_files.cycle_ids(self.desk.artifacts)
        }
        return {"operators": verify_journal(self.desk.journal), **found}

    def _flow(self, flow_id: str) -> tuple[FlowStatus | None, str]:
        try:
            found = self.desk.flows.status(flow_id)
        except PredatorError as error:
            return None, clean(str(error))
        return None if found is None else replace(found, error=clean(found.error)), ""

    def _verified(self, cycle_id: str) -> VerifyResult:
        path = cycle_files.folder_of(self.desk.artifacts, cycle_id) / "audit.jsonl"
        try:
            return verify_journal(path, self.desk.anchor(cycle_id))
        except OSError as error:  # a link or a folder in its place
            reason = f"the journal cannot be read: {error.strerror}"
            return VerifyResult(False, 0, 1, reason, GENESIS)

    def _entry_of(self, cycle_id: str) -> CycleEntry:
        artifacts = self.desk.artifacts
        records = list(cycle_files.audit_records(artifacts, cycle_id))
        last = records[-1] if records else {}
        summary = last.get("summary")
        summary = summary if isinstance(summary, dict) else {}
        trigger = summary.get("trigger")
        outcome = summary.get("outcome")
        begun = records[0].get("at") if records else 0.0
        return CycleEntry(
            cycle_id=cycle_id,
            contour=cycle_files.contour_in_audit(artifacts, cycle_id),
            trigger=trigger if isinstance(trigger, dict) else {},
            requested_at=float(begun) if isinstance(begun, int | float) else 0.0,
            outcome=outcome if isinstance(outcome, str) else UNFINISHED,
        )
