"""Workers that share a database start the flow of each tick once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, text

from predator.adapters.runtime.database import open_engine
from predator.adapters.runtime.dbos_client import DbosFlows
from predator.adapters.runtime.scheduler import Scheduler
from predator.adapters.runtime.schedules import Schedule
from predator.domain.errors import InputError
from predator.ports.runtime import Json


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = open_engine(database_url)
    yield engine
    engine.dispose()


def arguments(tick: float) -> Json:
    return {"tick": tick}


def test_each_tick_starts_one_flow(engine: Engine) -> None:
    flows = DbosFlows.on(engine)
    schedule = Schedule("cycle", interval_s=1.0, arguments=arguments)
    schedulers = [Scheduler(engine, flows, poll_s=0.05) for _ in range(3)]
    for scheduler in schedulers:
        scheduler.apply({"often": schedule})
    assert list(flows.list()) == []
    time.sleep(2.3)
    for scheduler in schedulers:
        scheduler.stop()
    found = flows.list()
    assert len(found) in {2, 3}
    assert {(flow.name, flow.state) for flow in found} == {("cycle", "queued")}
    assert len({flow.id for flow in found}) == len(found)
    assert all(flow.id.startswith("often@20") for flow in found)


def test_of_many_missed_ticks_one_is_made_up_for_by_one_worker(engine: Engine) -> None:
    flows = DbosFlows.on(engine)
    schedules = {
        "weekly": Schedule("cycle", cron="0 2 * * 0"),
        "often": Schedule("cycle", interval_s=14_400.0, queue="cycles"),
    }
    schedulers = [Scheduler(engine, flows, poll_s=3600.0) for _ in range(4)]
    for scheduler in schedulers:
        scheduler.apply(schedules)
    table = "runtime_schedules" if engine.dialect.name == "sqlite" else "runtime.schedules"
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE {table} SET last_tick = last_tick - 7000000"))  # noqa: S608
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(Scheduler.tick, schedulers))
    assert sorted(flow.id.split("@")[0] for flow in flows.list()) == ["often", "weekly"]
    # The same schedules again change nothing; another rule counts from now on.
    schedulers[0].apply(schedules)
    schedulers[0].apply({"weekly": Schedule("cycle", cron="0 3 * * 0")})
    schedulers[0].tick()
    assert len(flows.list()) == 2
    for scheduler in schedulers:
        scheduler.stop()


def test_a_bad_name_is_refused(engine: Engine) -> None:
    scheduler = Scheduler(engine, DbosFlows.on(engine))
    with pytest.raises(InputError):
        scheduler.apply({"a\nb": Schedule("cycle", interval_s=60.0)})
