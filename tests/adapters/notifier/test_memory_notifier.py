"""The notifier in memory keeps the contract."""

from __future__ import annotations

import pytest

from predator.adapters.notifier.memory import MemoryNotifier
from tests.contracts.notifier import NOTICE, NotifierContract, Receiver


class TestMemoryNotifier(NotifierContract):
    @pytest.fixture
    def notifier(self, receiver: Receiver) -> MemoryNotifier:
        return MemoryNotifier(receiver, now=lambda: receiver.now)


def test_without_a_receiver_notices_are_kept_to_be_read() -> None:
    notifier = MemoryNotifier()
    assert notifier.notify(NOTICE)
    assert list(notifier.sent()) == [NOTICE]
