"""I3: a worker frozen past its lease, whose cycle another one ends; thawed, it does nothing more.

It freezes in the middle of a step, between two effects of it, where only what the effects
themselves refuse can stop it: it asked whether the flow was its own before it froze.
"""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.crash import checks
from tests.crash.contour import Contour
from tests.crash.nursery import Nursery, Orders

LEASE_S, ANSWER_S = 0.5, 30.0
HELD_UP_S = 12.0
CHANCE = random.Random()  # noqa: S311 - where to freeze is no secret

BEFORE_A_CLAIM = "slot:dev-mac/ranking:0/slots.claim<1"
UNRECORDED = "effect:deploy"
DELICATE = [
    "step:limits",
    "train_model/journal.append_made<1",
    "diagnostic/tracking.artifact<1",
    BEFORE_A_CLAIM,
    "start_experiment/git.commit<1",
    UNRECORDED,
    "keep_gold/releases.mark<1",
    "step:close",
]
"""Before claims, between an effect and its record, before effects of all kinds."""


def is_harmless(nursery: Nursery, contour: Contour, moment: str) -> bool:
    """Freeze a worker there, let another end the cycle, thaw it: nothing changes any more.

    False where the cycle did not come there, or could not be taken over: who is frozen within a
    transaction of SQLite holds up all others, and who holds the lock of a file is only waited for
    so long, then the cycle ends with an error. Thawed, it is at a sound end all the same.
    """
    Path(contour.folder, "frozen").unlink(missing_ok=True)
    live = contour.desired().read().release
    cycle_id = contour.ask()
    common: dict[str, Any] = {"flow_id": cycle_id, "lease_s": LEASE_S, "poll_s": 0.1}
    place = str(contour.folder), contour.url
    zombie = nursery.start(
        Orders(*place, "zombie", fine=True, freeze_at=moment, linger_s=1.0, **common)
    )
    if not is_stopped(nursery, zombie):
        return False
    heir = nursery.start(Orders(*place, "heir", **common))
    code = nursery.wait(heir, HELD_UP_S)
    if code is None or checks.status(contour, cycle_id).state != "done":
        os.kill(zombie, signal.SIGCONT)
        if code is None:
            code = nursery.wait(heir, ANSWER_S)
        assert (code, nursery.wait(zombie, ANSWER_S)) == (0, 0)
        checks.check_ended(contour, cycle_id, live)
        return False
    before = checks.left(contour)
    os.kill(zombie, signal.SIGCONT)
    assert nursery.wait(zombie, ANSWER_S) == 0
    after = checks.left(contour)
    assert after.commits == before.commits
    assert after.tags == before.tags
    assert after.rows == before.rows
    assert after.tracked == before.tracked
    assert after.told == before.told
    assert changed(before.files, after.files) == {}
    checks.check_cycle(contour, cycle_id, checks.PROMOTED, "success")
    return True


def check_harmless(nursery: Nursery, contour: Contour, moment: str) -> None:
    assert any(is_harmless(nursery, contour, moment) for _ in range(5))


def changed(before: dict[str, str], after: dict[str, str]) -> dict[str, tuple[str, str]]:
    names = before.keys() | after.keys()
    both = {name: (before.get(name, ""), after.get(name, "")) for name in names}
    return {name: pair for name, pair in both.items() if pair[0] != pair[1]}


def is_stopped(nursery: Nursery, pid: int) -> bool:
    """Wait until it is frozen; False where it came to its end instead."""
    deadline = time.monotonic() + ANSWER_S
    while (state := Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]) not in "TZ":
        assert time.monotonic() < deadline
        time.sleep(0.01)
    if state == "Z":
        assert nursery.wait(pid) == 0
    return state == "T"


@pytest.mark.parametrize("moment", [BEFORE_A_CLAIM, UNRECORDED])
def test_a_zombie_does_nothing(nursery: Nursery, contour: Contour, moment: str) -> None:
    check_harmless(nursery, contour, moment)


def test_nor_does_one_on_postgresql(nursery: Nursery, postgres_contour: Contour) -> None:
    check_harmless(nursery, postgres_contour, UNRECORDED)


@pytest.mark.nightly
@pytest.mark.parametrize("moment", DELICATE)
def test_nor_does_one_from_before_an_effect(
    nursery: Nursery, contour: Contour, moment: str
) -> None:
    check_harmless(nursery, contour, moment)


def hundred_zombies(nursery: Nursery, contour: Contour) -> None:
    """Frozen at any moment of a cycle."""
    cycle_id = contour.ask()
    moments = Path(contour.folder, "moments")
    place = str(contour.folder), contour.url
    nursery.live(Orders(*place, flow_id=cycle_id, fine=True, tell_moments=True))
    chosen = CHANCE.choices(moments.read_text().split("\n")[:-1], k=100)
    harmless = [is_harmless(nursery, contour, moment) for moment in chosen]
    assert sum(harmless) >= 70


@pytest.mark.nightly
def test_a_hundred_zombies(nursery: Nursery, contour: Contour) -> None:
    hundred_zombies(nursery, contour)


@pytest.mark.nightly
def test_a_hundred_on_postgresql(nursery: Nursery, postgres_contour: Contour) -> None:
    hundred_zombies(nursery, postgres_contour)
