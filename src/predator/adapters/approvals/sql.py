"""Approvals in the database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, insert, select, update

from predator.adapters.approvals.rules import checked, decided
from predator.adapters.database.engine import Database
from predator.adapters.database.tables import approvals
from predator.domain.governance import Approval

_NEWEST_FIRST = (approvals.c.requested_at.desc(), approvals.c.number.desc())
_SCOPE = "approvals"


class SqlApprovals:
    """One row a request; an answer is written once."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def request(self, approval: Approval) -> Approval:
        checked(approval)
        with self._database.writing(_SCOPE) as connection:
            found = _find(connection, approval.id)
            if found is None:
                connection.execute(insert(approvals).values(asdict(approval)))
            return found or approval

    def get(self, approval_id: str) -> Approval | None:
        with self._database.reading() as connection:
            return _find(connection, approval_id)

    def list(self, contour: str | None = None, *, pending: bool = False) -> Sequence[Approval]:
        query = select(approvals).order_by(*_NEWEST_FIRST)
        if contour is not None:
            query = query.where(approvals.c.contour == contour)
        if pending:
            query = query.where(approvals.c.state == "pending")
        with self._database.reading() as connection:
            return [_approval(row) for row in connection.execute(query)]

    def decide(
        self, approval_id: str, *, approved: bool, actor: str, reason: str, at: float
    ) -> Approval:
        with self._database.writing(_SCOPE) as connection:
            found = _find(connection, approval_id)
            answered = decided(found, approval_id, approved, actor, reason, at)
            if answered != found:
                row = approvals.c.id == approval_id
                connection.execute(update(approvals).where(row).values(asdict(answered)))
            return answered


def _find(connection: Connection, approval_id: str) -> Approval | None:
    row = connection.execute(select(approvals).where(approvals.c.id == approval_id)).first()
    return None if row is None else _approval(row)


def _approval(row: Any) -> Approval:
    fields = dict(row._mapping)
    del fields["number"]
    return Approval(**fields)
