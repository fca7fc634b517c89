"""I2: a worker killed at any moment of a cycle; the next one ends it, and everything is there once.

The parts are the real ones (see ``contour``). ``kill -9`` comes from within, at a named moment, or
from outside at a random instant.
"""

from __future__ import annotations

import os
import random
import signal
import time

import pytest

from tests.crash import checks
from tests.crash.contour import Contour
from tests.crash.nursery import KILLED, Nursery, Orders

ANSWER_S = 30.0
"""How soon after its restart a cycle has to have ended."""

UNRECORDED = "effect journal"
"""An effect that is done without a record, and a record without what follows it."""

CHANCE = random.Random()  # noqa: S311 - when to kill is no secret


def struck_at_each_moment(
    nursery: Nursery,
    contour: Contour,
    flow_id: str,
    *,
    after: str = "",
    kinds: str = "",
    fine: bool = False,
) -> list[str]:
    """Kill a worker at each moment of the flow (of these kinds), once; the moments, in order."""
    orders = Orders(
        str(contour.folder), contour.url, flow_id=flow_id,
        strike_each=True, strike_after=after, strike_kinds=kinds, fine=fine,
    )  # fmt: skip
    while True:
        began = time.monotonic()
        code = nursery.live(orders, ANSWER_S)
        assert time.monotonic() - began <= ANSWER_S
        if code != KILLED:
            assert code == 0
            return (contour.folder / "struck").read_text().split()


def check_kept(contour: Contour, cycle_id: str, *, jobs: int | None = 1) -> None:
    found = checks.status(contour, cycle_id)
    assert found.state == "done", found.error
    checks.check_cycle(contour, cycle_id, checks.PROMOTED, "success")
    checks.check_kept(contour, cycle_id)
    checks.check_job(contour, cycle_id, ran=jobs)


def test_a_cycle_killed_at_every_boundary_is_as_if_nothing_had_been(
    nursery: Nursery, contour: Contour
) -> None:
    cycle_id = contour.ask()
    moments = struck_at_each_moment(nursery, contour, cycle_id)
    assert len(moments) >= 85, moments
    check_kept(contour, cycle_id)


def test_so_is_one_on_postgresql(nursery: Nursery, postgres_contour: Contour) -> None:
    cycle_id = postgres_contour.ask()
    after = "step:start_experiment"
    moments = struck_at_each_moment(
        nursery, postgres_contour, cycle_id, after=after, kinds=UNRECORDED
    )
    assert len(moments) >= 14, moments
    check_kept(postgres_contour, cycle_id)


@pytest.mark.nightly
def test_so_is_one_on_postgresql_at_every_boundary(
    nursery: Nursery, postgres_contour: Contour
) -> None:
    cycle_id = postgres_contour.ask()
    assert len(struck_at_each_moment(nursery, postgres_contour, cycle_id)) >= 85
    check_kept(postgres_contour, cycle_id)


def check_taken_back(contour: Contour, cycle_id: str) -> None:
    found = checks.status(contour, cycle_id)
    assert found.state == "done", found.error
    assert found.result["rolled_back"]
    checks.check_cycle(contour, cycle_id, checks.TAKEN_BACK, "rolled_back")
    checks.check_users_are_back(contour, "v1.0")
    told = [line["key"] for line in contour.told() if line["kind"] == "notice"]
    assert told == [f"{cycle_id}:rolled_back"]


def test_a_rollback_killed_at_every_boundary_restores_once(
    nursery: Nursery, contour: Contour
) -> None:
    cycle_id = contour.ask(bad=True)
    after = "step:rollback:decided"
    assert len(struck_at_each_moment(nursery, contour, cycle_id, after=after)) >= 14
    check_taken_back(contour, cycle_id)


def test_a_rollback_by_a_person_is_done_once_too(nursery: Nursery, contour: Contour) -> None:
    promoted = contour.ask()
    nursery.live(Orders(str(contour.folder), flow_id=promoted))
    asked = {"environment": "dev-mac", "to_version": "v1.0", "actor": "ann", "reason": "I said so"}
    flow_id = contour.ask("rollback", **asked)
    moments = struck_at_each_moment(nursery, contour, flow_id, kinds=f"{UNRECORDED} done")
    assert len(moments) >= 11, moments
    found = checks.status(contour, flow_id)
    assert found.state == "done", found.error
    cycle_id = found.result["cycle_id"]
    checks.check_cycle(contour, cycle_id, ["rollback", "anchor"], "success")
    checks.check_users_are_back(contour, "v1.0")


def killed_at_random(nursery: Nursery, contour: Contour, cycle_id: str, kills: int) -> int:
    """Kill its workers at random instants, until so many are killed or the cycle has ended."""
    orders = Orders(str(contour.folder), contour.url, flow_id=cycle_id)
    done = 0
    while done < kills:
        worker = nursery.start(orders)
        time.sleep(CHANCE.uniform(0.05, 0.6))
        os.kill(worker, signal.SIGKILL)
        if nursery.wait(worker) != KILLED:
            return done
        done += 1
    began = time.monotonic()
    assert nursery.live(orders, ANSWER_S) == 0
    assert time.monotonic() - began <= ANSWER_S
    return done


def cycles_killed_at_random(nursery: Nursery, contour: Contour, kills: int) -> None:
    done = 0
    while done < kills:
        cycle_id = contour.ask()
        done += killed_at_random(nursery, contour, cycle_id, min(7, kills - done))
        check_kept(contour, cycle_id, jobs=None)


def test_twenty_random_instants_leave_everything_once(nursery: Nursery, contour: Contour) -> None:
    cycles_killed_at_random(nursery, contour, 20)


@pytest.mark.nightly
def test_two_hundred_random_instants(nursery: Nursery, contour: Contour) -> None:
    cycles_killed_at_random(nursery, contour, 200)


@pytest.mark.nightly
def test_so_on_postgresql(nursery: Nursery, postgres_contour: Contour) -> None:
    cycles_killed_at_random(nursery, postgres_contour, 200)


@pytest.mark.nightly
def test_before_and_after_every_call_of_every_seam(nursery: Nursery, contour: Contour) -> None:
    cycle_id = contour.ask()
    assert len(struck_at_each_moment(nursery, contour, cycle_id, fine=True)) >= 280
    check_kept(contour, cycle_id, jobs=None)  # one ends with its starter, and is begun again


@pytest.mark.nightly
def test_before_and_after_every_call_of_a_rollback(nursery: Nursery, contour: Contour) -> None:
    cycle_id = contour.ask(bad=True)
    after = "step:rollback:decided"
    assert len(struck_at_each_moment(nursery, contour, cycle_id, after=after, fine=True)) >= 40
    check_taken_back(contour, cycle_id)
