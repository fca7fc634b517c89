"""What every notifier must do; a back end's test builds it and inherits this."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Protocol

import pytest

from predator.adapters.notifier.delivery import RetryLater
from predator.domain.errors import InputError
from predator.domain.governance import Notice
from predator.ports.notifier import Notifier

NOTICE = Notice(
    key="si_2025_12_07_001:promoted",
    severity="info",
    title="Release v2.1 is live",
    text="NDCG@10 +4.1%, найкращий досі",
    contour="local",
    cycle_id="si_2025_12_07_001",
    link="http://127.0.0.1:8322/cycles/si_2025_12_07_001",
)


class Receiver:
    """Takes notices, unless it is told to fail."""

    def __init__(self) -> None:
        self.now = 1_765_000_000.0
        self.taken: list[Notice] = []
        self.tried: list[str] = []
        self.fails: Callable[[Notice], Exception | None] = lambda notice: None

    def __call__(self, notice: Notice) -> None:
        self.tried.append(notice.key)
        error = self.fails(notice)
        if error is not None:
            raise error
        self.taken.append(notice)


class Retrying(Notifier, Protocol):
    """What both back ends offer beside the port."""

    def deliver(self) -> None: ...


def notice(key: str) -> Notice:
    return replace(NOTICE, key=key)


class NotifierContract:
    @pytest.fixture
    def receiver(self) -> Receiver:
        return Receiver()

    def test_a_notice_goes_out_once(self, notifier: Retrying, receiver: Receiver) -> None:
        assert notifier.notify(NOTICE)
        assert not notifier.notify(NOTICE)
        assert not notifier.notify(replace(NOTICE, title="other words"))
        assert receiver.taken == list(notifier.sent()) == [NOTICE]

    def test_the_newest_stands_first(self, notifier: Retrying, receiver: Receiver) -> None:
        for key in "abc":
            notifier.notify(notice(key))
        assert list(notifier.sent()) == [notice(key) for key in "cba"]
        assert list(notifier.sent(1)) == [notice("c")]
        assert list(notifier.sent(0)) == []

    def test_what_a_receiver_missed_it_gets_with_the_next(
        self, notifier: Retrying, receiver: Receiver
    ) -> None:
        receiver.fails = lambda _notice: ConnectionError("down")
        assert notifier.notify(notice("a"))
        assert notifier.notify(notice("b"))
        assert receiver.taken == list(notifier.sent()) == []
        assert notifier.pending() == [notice("a"), notice("b")]
        receiver.fails = lambda _notice: None
        assert notifier.notify(notice("c"))
        assert sorted(taken.key for taken in receiver.taken) == ["a", "b", "c"]
        assert [sent.key for sent in notifier.sent()] == ["c", "b", "a"]
        assert notifier.pending() == []

    def test_a_known_key_brings_the_missed_ones_along(
        self, notifier: Retrying, receiver: Receiver
    ) -> None:
        receiver.fails = lambda _notice: OSError("down")
        notifier.notify(notice("a"))
        receiver.fails = lambda _notice: None
        assert not notifier.notify(notice("a"))
        assert receiver.taken == [notice("a")]
        notifier.deliver()
        assert receiver.taken == [notice("a")]

    def test_a_receiver_that_is_down_is_asked_once_a_call(
        self, notifier: Retrying, receiver: Receiver
    ) -> None:
        receiver.fails = lambda _notice: TimeoutError()
        for key in "abcdef":
            notifier.notify(notice(key))
        assert receiver.tried == list("abcdef")

    def test_a_notice_that_nobody_takes_blocks_no_other(
        self, notifier: Retrying, receiver: Receiver
    ) -> None:
        receiver.fails = lambda each: ValueError("poison") if each.key == "bad" else None
        notifier.notify(notice("bad"))
        for key in "abc":
            notifier.notify(notice(key))
        assert [taken.key for taken in receiver.taken] == ["a", "b", "c"]
        assert notifier.pending() == [notice("bad")]

    def test_patience_that_was_asked_for_is_kept(
        self, notifier: Retrying, receiver: Receiver
    ) -> None:
        receiver.fails = lambda _notice: RetryLater("wait", wait_s=30)
        notifier.notify(notice("a"))
        receiver.fails = lambda _notice: None
        receiver.now += 29
        notifier.notify(notice("b"))
        assert receiver.tried == ["a"]
        receiver.now += 1
        notifier.deliver()
        assert sorted(taken.key for taken in receiver.taken) == ["a", "b"]

    def test_patience_has_an_end_even_if_the_clock_goes_back(
        self, notifier: Retrying, receiver: Receiver
    ) -> None:
        receiver.fails = lambda _notice: RetryLater("wait", wait_s=1e9)
        notifier.notify(notice("a"))
        receiver.fails = lambda _notice: None
        receiver.now -= 25 * 3600
        notifier.deliver()
        assert receiver.taken == [notice("a")]

    def test_a_secret_is_neither_kept_nor_sent(
        self, notifier: Retrying, receiver: Receiver
    ) -> None:
        secret = "https://hooks.slack.com/services/T0/B0/canary"
        notifier.notify(
            replace(NOTICE, title=f"a {secret}", text="token=canary99", link=f"{secret}/x")
        )
        assert "canary" not in repr([receiver.taken, notifier.sent()])

    def test_what_cannot_be_kept_is_refused(self, notifier: Retrying, receiver: Receiver) -> None:
        for bad, match in (
            (notice(" "), "notice key is missing"),
            (notice("\0"), "NUL"),
            (replace(NOTICE, text="\ud800"), "Unicode"),
        ):
            with pytest.raises(InputError, match=match):
                notifier.notify(bad)
        assert receiver.tried == []

    def test_many_at_once_send_each_notice_once(
        self, notifier: Retrying, receiver: Receiver
    ) -> None:
        with ThreadPoolExecutor(16) as pool:
            new = list(pool.map(lambda n: notifier.notify(notice(f"k{n % 4}")), range(32)))
        notifier.deliver()
        assert sum(new) == 4
        assert sorted(receiver.tried) == ["k0", "k1", "k2", "k3"]
        assert len(notifier.sent()) == 4
