"""Limits in the database."""

from __future__ import annotations

from datetime import date

from sqlalchemy import (
    ColumnElement,
    Connection,
    case,
    delete,
    func,
    insert,
    select,
    union_all,
    update,
)

from predator.adapters.database.engine import Database
from predator.adapters.database.tables import charges, counted_cycles, reservations
from predator.adapters.database.values import text, utc_day
from predator.adapters.limits.rules import budget_micros, cost_micros, later, usd, utc_month
from predator.domain.governance import Spend

_SCOPE = "limits"


class SqlLimits:
    """Counted in the transaction that decides; an open reservation counts in every month."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin_cycle(self, contour: str, cycle_id: str, at: float, most: int) -> bool:
        clock_day = utc_day(at)
        text(contour, "contour")
        text(cycle_id, "cycle id")
        table = counted_cycles
        with self._database.writing(_SCOPE) as connection:
            known = (table.c.contour == contour) & (table.c.cycle_id == cycle_id)
            if connection.execute(select(table.c.day).where(known)).first() is not None:
                return True
            day = _day(connection, contour, clock_day)
            if _count(connection, contour, day, clock_day) >= most:
                return False
            row = {"contour": contour, "cycle_id": cycle_id, "day": day, "clock_day": clock_day}
            connection.execute(insert(table).values(row))
            return True

    def cycles_on(self, contour: str, at: float) -> int:
        clock_day = utc_day(at)
        with self._database.snapshot() as connection:
            return _count(connection, contour, _day(connection, contour, clock_day), clock_day)

    def reserve(
        self, contour: str, cycle_id: str, at: float, amount_usd: float, budget_usd: float
    ) -> bool:
        clock_month = utc_month(at)
        amount, budget = cost_micros(amount_usd), budget_micros(budget_usd)
        text(contour, "contour")
        text(cycle_id, "cycle id")
        table = reservations
        own = (table.c.contour == contour) & (table.c.cycle_id == cycle_id)
        with self._database.writing(_SCOPE) as connection:
            before = connection.scalar(select(table.c.amount_micros).where(own))
            if before == amount:
                return True
            month = _month(connection, contour, clock_month)
            charged = _charged(connection, contour, month, clock_month)
            others = _open(connection, contour) - (before or 0)
            if charged + others + amount > budget:
                return False
            values = {"month": month, "amount_micros": amount}
            if before is None:
                names = {"contour": contour, "cycle_id": cycle_id}
                connection.execute(insert(table).values(names | values))
            else:
                connection.execute(update(table).where(own).values(values))
            return True

    def charge(self, contour: str, key: str, cycle_id: str, at: float, amount_usd: float) -> bool:
        clock_month = utc_month(at)
        amount = cost_micros(amount_usd)
        text(contour, "contour")
        text(key, "key")
        text(cycle_id, "cycle id")
        with self._database.writing(_SCOPE) as connection:
            known = (charges.c.contour == contour) & (charges.c.key == key)
            if connection.execute(select(charges.c.key).where(known)).first() is not None:
                return False
            connection.execute(
                insert(charges).values(
                    contour=contour,
                    key=key,
                    cycle_id=cycle_id,
                    at=at,
                    month=_month(connection, contour, clock_month),
                    clock_month=clock_month,
                    amount_micros=amount,
                )
            )
            return True

    def settle(self, cycle_id: str) -> None:
        with self._database.writing(_SCOPE) as connection:
            connection.execute(delete(reservations).where(reservations.c.cycle_id == cycle_id))

    def spent(self, contour: str, at: float) -> Spend:
        clock_month = utc_month(at)
        with self._database.snapshot() as connection:
            month = _month(connection, contour, clock_month)
            charged = _charged(connection, contour, month, clock_month)
            return Spend(usd(charged), usd(_open(connection, contour)))


def _day(connection: Connection, contour: str, clock_day: date) -> date:
    table = counted_cycles
    last = select(func.max(table.c.day)).where(table.c.contour == contour)
    return later(clock_day, connection.scalar(last))


def _count(connection: Connection, contour: str, day: date, clock_day: date) -> int:
    table = counted_cycles
    counts = select(_sum(table.c.day == day, 1), _sum(table.c.clock_day == clock_day, 1)).where(
        table.c.contour == contour
    )
    return max(map(int, connection.execute(counts).one()))


def _month(connection: Connection, contour: str, clock_month: date) -> date:
    months = union_all(
        select(reservations.c.month).where(reservations.c.contour == contour),
        select(charges.c.month).where(charges.c.contour == contour),
    ).subquery()
    return later(clock_month, connection.scalar(select(func.max(months.c.month))))


def _charged(connection: Connection, contour: str, month: date, clock_month: date) -> int:
    amount = charges.c.amount_micros
    sums = select(
        _sum(charges.c.month == month, amount), _sum(charges.c.clock_month == clock_month, amount)
    ).where(charges.c.contour == contour)
    return max(map(int, connection.execute(sums).one()))


def _open(connection: Connection, contour: str) -> int:
    total = func.coalesce(func.sum(reservations.c.amount_micros), 0)
    return int(connection.scalar(select(total).where(reservations.c.contour == contour)) or 0)


def _sum(where: ColumnElement[bool], amount: ColumnElement[int] | int) -> ColumnElement[int]:
    return func.coalesce(func.sum(case((where, amount), else_=0)), 0)
