"""The register of cycles in the database."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, func, insert, select, tuple_, update

from predator.adapters.cycles.rules import first_free, known_moment, nothing_taken, place, unknown
from predator.adapters.database import values
from predator.adapters.database.engine import Database
from predator.adapters.database.tables import cycle_moments, cycles
from predator.domain.governance import CycleEntry

_SCOPE = "cycles"


class SqlCycles:
    """One row a cycle, ids across contours. ``taken`` says which ids are in use elsewhere."""

    def __init__(self, database: Database, taken: Callable[[str], bool] = nothing_taken) -> None:
        self._database = database
        self._taken = taken

    def open(self, request_key: str, contour: str, trigger: dict[str, Any], at: float) -> str:
        values.named(request_key, "request key")
        values.text(contour, "contour")
        kept = values.to_json(trigger)
        values.object_from_json(kept)
        day = values.utc_day(at)
        with self._database.writing(_SCOPE) as connection:
            same = select(cycles.c.cycle_id).where(cycles.c.request_key == request_key)
            known = connection.scalar(same)
            if known is not None:
                return str(known)
            numbers = select(func.max(cycles.c.day_number)).where(cycles.c.day == day)
            name, number = first_free(day, connection.scalar(numbers) or 0, self._taken)
            connection.execute(
                insert(cycles).values(
                    cycle_id=name,
                    day=day,
                    day_number=number,
                    request_key=request_key,
                    contour=contour,
                    trigger=kept,
                    requested_at=at,
                )
            )
            return name

    def get(self, cycle_id: str) -> CycleEntry | None:
        with self._database.snapshot() as connection:
            row = _row(connection, cycle_id)
            return None if row is None else _entry(row, _moments(connection, [cycle_id]))

    def mark(self, cycle_id: str, moment: str, at: float) -> None:
        known_moment(moment)
        values.moment(at)
        with self._database.writing(_SCOPE) as connection:
            if _row(connection, cycle_id) is None:
                raise unknown(cycle_id)
            _mark(connection, cycle_id, moment, at)

    def finish(self, cycle_id: str, outcome: str, at: float) -> None:
        values.named(outcome, "outcome")
        values.moment(at)
        with self._database.writing(_SCOPE) as connection:
            row = _row(connection, cycle_id)
            if row is None:
                raise unknown(cycle_id)
            if not row.outcome:
                _set(connection, cycle_id, outcome=outcome)
                _mark(connection, cycle_id, "ended", at)

    def cancel(self, cycle_id: str, *, actor: str, reason: str, at: float) -> bool:
        values.named(actor, "actor")
        values.named(reason, "reason")
        values.moment(at)
        with self._database.writing(_SCOPE) as connection:
            row = _row(connection, cycle_id)
            if row is None:
                raise unknown(cycle_id)
            if row.outcome or row.cancelled_by:
                return False
            _set(connection, cycle_id, cancelled_at=at, cancelled_by=actor, cancel_reason=reason)
            return True

    def list(
        self, contour: str | None = None, *, limit: int = 100, before: str | None = None
    ) -> Sequence[CycleEntry]:
        order = (cycles.c.day, cycles.c.day_number)
        query = select(cycles).order_by(*(column.desc() for column in order))
        if contour is not None:
            query = query.where(cycles.c.contour == contour)
        if before is not None:
            query = query.where(tuple_(*order) < place(before))
        with self._database.snapshot() as connection:
            rows = connection.execute(query.limit(max(0, limit))).all()
            moments = _moments(connection, [row.cycle_id for row in rows])
        return [_entry(row, moments) for row in rows]


def _row(connection: Connection, cycle_id: str) -> Any:
    return connection.execute(select(cycles).where(cycles.c.cycle_id == cycle_id)).first()


def _set(connection: Connection, cycle_id: str, **fields: object) -> None:
    connection.execute(update(cycles).where(cycles.c.cycle_id == cycle_id).values(fields))


def _mark(connection: Connection, cycle_id: str, moment: str, at: float) -> None:
    table = cycle_moments
    own = (table.c.cycle_id == cycle_id) & (table.c.moment == moment)
    if connection.execute(select(table.c.at).where(own)).first() is None:
        connection.execute(insert(table).values(cycle_id=cycle_id, moment=moment, at=at))


def _moments(connection: Connection, ids: list[str]) -> Mapping[str, Mapping[str, float]]:
    found: dict[str, dict[str, float]] = {name: {} for name in ids}
    query = select(cycle_moments).where(cycle_moments.c.cycle_id.in_(ids))
    for row in connection.execute(query):
        found[row.cycle_id][row.moment] = row.at
    return found


def _entry(row: Any, moments: Mapping[str, Mapping[str, float]]) -> CycleEntry:
    return CycleEntry(
        cycle_id=row.cycle_id,
        contour=row.contour,
        trigger=values.object_from_json(row.trigger),
        requested_at=row.requested_at,
        moments=moments[row.cycle_id],
        outcome=row.outcome,
        cancelled_by=row.cancelled_by,
        cancel_reason=row.cancel_reason,
    )
