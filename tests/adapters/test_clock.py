"""The system clock tells the machine's time and waits."""

from __future__ import annotations

import time

from predator.adapters.clock import SystemClock
from predator.ports.clock import Clock


def test_tells_unix_time_and_waits() -> None:
    clock: Clock = SystemClock()
    before = clock.now()
    assert abs(before - time.time()) < 5
    clock.sleep(0.01)
    assert clock.now() - before >= 0.009


def test_a_wait_that_is_over_returns_at_once() -> None:
    SystemClock().sleep(-5)
