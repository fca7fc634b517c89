"""The ledger in the database: a row a reading, numbered in the transaction that enters it."""

from __future__ import annotations

import json
from collections.abc import Sequence

from sqlalchemy import Connection, Row, insert, select, update

from predator.adapters.database.engine import Database
from predator.adapters.database.tables import gold_readings
from predator.adapters.database.values import moment
from predator.adapters.ledger.rules import entered, names, settled
from predator.ports.ledger import GoldReading

_TABLE = gold_readings
_SCOPE = "ledger"


class SqlLedger:
    """Rows are never removed, and only their outcome is ever changed: from none to one."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def reserve(
        self, gold_set: str, key: str, at: float, *, kind: str, alpha: float
    ) -> GoldReading:
        names(gold_set, key)
        with self._database.writing(_SCOPE) as connection:
            before = _of(connection, gold_set)
            known = next((one for one in before if one.key == key), None)
            if known is not None:
                return known
            reading = entered(before, gold_set, key, at, kind, alpha)
            connection.execute(
                insert(_TABLE).values(
                    gold_set=gold_set,
                    key=key,
                    reading=reading.index,
                    kind=reading.kind,
                    alpha=reading.alpha,
                    level=reading.level,
                    discovered=json.dumps(reading.discovered),
                    spent=reading.spent,
                    remaining=reading.left,
                    reserved_at=reading.reserved_at,
                )
            )
            return reading

    def settle(self, gold_set: str, key: str, at: float, *, discovery: bool) -> GoldReading:
        names(gold_set, key)
        moment(at)
        with self._database.writing(_SCOPE) as connection:
            known = next((one for one in _of(connection, gold_set) if one.key == key), None)
            reading = settled(known, gold_set, key, discovery=discovery)
            if known != reading:
                own = (_TABLE.c.gold_set == gold_set) & (_TABLE.c.key == key)
                changed = {"discovery": discovery, "settled_at": at}
                connection.execute(update(_TABLE).where(own).values(**changed))
            return reading

    def readings(self, gold_set: str) -> Sequence[GoldReading]:
        with self._database.reading() as connection:
            return _of(connection, gold_set)


def _of(connection: Connection, gold_set: str) -> list[GoldReading]:
    query = select(_TABLE).where(_TABLE.c.gold_set == gold_set).order_by(_TABLE.c.reading)
    return [_reading(row) for row in connection.execute(query)]


def _reading(row: Row[tuple[object, ...]]) -> GoldReading:
    return GoldReading(
        row.gold_set, row.key, row.reading, row.kind, row.alpha, row.level,
        tuple(json.loads(row.discovered)), row.spent, row.remaining, row.reserved_at,
        row.discovery,
    )  # fmt: skip
