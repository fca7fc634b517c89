"""I3: a worker frozen past its lease, whose cycle another one ends; thawed, it does nothing more.

It freezes in the middle of a step, between two effects of it, where only what the effects themselves
refuse can stop it: it asked whether the flow was its own before it froze.
"""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest

from tests.crash import checks
from tests.crash.contour import Contour
from tests.crash.nursery import Nursery, Orders

LEASE_S = 0.5
CHANCE = random.Random()  # noqa: S311 - when to freeze is no secret

EFFECTS = [
    "step:limits",
    "train_model/journal.append_made<1",
    "slot:dev-mac/ranking:0/slots.claim<1",
    "start_experiment/git.commit<1",
    "effect:deploy",
    "keep_gold/releases.mark<1",
    "step:close",
]
"""Before something is claimed, between an effect and its record, before effects of all kinds."""


def frozen_at(nursery: Nursery, contour: Contour, moment: str, *, bad: bool = False) -> None:
    """Freeze a worker there, let another end the cycle, thaw it: nothing changes any more."""
    Path(contour.folder, "frozen").unlink(missing_ok=True)
    cycle_id = contour.ask(bad=bad)
    zombie = nursery.start(
        Orders(
            str(contour.folder), contour.url, "zombie", cycle_id,
            fine=True, freeze_at=moment, lease_s=LEASE_S, linger_s=1.0,
        )  # fmt: skip
    )
    until_stopped(zombie)
    assert Path(contour.folder, "frozen").read_text() == moment
    heir = Orders(str(contour.folder), contour.url, "heir", cycle_id, lease_s=LEASE_S)
    assert nursery.live(heir, 30.0) == 0
    found = checks.status(contour, cycle_id)
    assert found.state == "done", found.error
    before = checks.left(contour)
    os.kill(zombie, signal.SIGCONT)
    assert nursery.wait(zombie, 30.0) == 0
    after = checks.left(contour)
    assert after.commits == before.commits
    assert after.tags == before.tags
    assert after.rows == before.rows
    assert after.tracked == before.tracked
    assert after.told == before.told
    assert changed(before.files, after.files) == {}
    steps = checks.TAKEN_BACK if bad else checks.PROMOTED
    checks.check_cycle(contour, cycle_id, steps, "rolled_back" if bad else "success")


def changed(before: dict[str, str], after: dict[str, str]) -> dict[str, tuple[str, str]]:
    names = before.keys() | after.keys()
    both = {name: (before.get(name, ""), after.get(name, "")) for name in names}
    return {name: pair for name, pair in both.items() if pair[0] != pair[1]}


def until_stopped(pid: int) -> None:
    deadline = time.monotonic() + 30.0
    while Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "T":
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("moment", EFFECTS)
def test_a_zombie_does_nothing(nursery: Nursery, contour: Contour, moment: str) -> None:
    frozen_at(nursery, contour, moment)
