"""Places for open experiments in the database: a queue a target."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, insert, select, update

from predator.adapters.database.engine import Database
from predator.adapters.database.tables import experiment_slots
from predator.adapters.database.values import text

_PLACES = experiment_slots
_SCOPE = "slots"


class SqlSlots:
    """Arrival is the row's number, which is never used again."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def claim(self, target: str, cycle_id: str, most: int) -> bool:
        text(target, "target")
        text(cycle_id, "cycle id")
        here = _PLACES.c.target == target
        with self._database.writing(_SCOPE) as connection:
            query = select(_PLACES.c.cycle_id, _PLACES.c.held).where(here)
            rows = connection.execute(query.order_by(_PLACES.c.number)).all()
            places: dict[str, bool] = {row.cycle_id: row.held for row in rows}
            if places.get(cycle_id):
                return True
            queue = [name for name, held in places.items() if not held]
            if cycle_id not in places:
                queue.append(cycle_id)
            held = queue.index(cycle_id) < most - sum(places.values())
            if cycle_id not in places:
                row = {"target": target, "cycle_id": cycle_id, "held": held}
                connection.execute(insert(_PLACES).values(row))
            elif held:
                own = here & (_PLACES.c.cycle_id == cycle_id)
                connection.execute(update(_PLACES).where(own).values(held=True))
            return held

    def release(self, target: str, cycle_id: str) -> None:
        own = (_PLACES.c.target == target) & (_PLACES.c.cycle_id == cycle_id)
        with self._database.writing(_SCOPE) as connection:
            connection.execute(delete(_PLACES).where(own))

    def holders(self, target: str) -> Sequence[str]:
        query = (
            select(_PLACES.c.cycle_id)
            .where(_PLACES.c.target == target)
            .order_by(_PLACES.c.held.desc(), _PLACES.c.number)
        )
        with self._database.reading() as connection:
            return list(connection.scalars(query))
