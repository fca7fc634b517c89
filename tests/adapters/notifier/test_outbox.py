"""The outbox keeps the contract, and what it holds survives its process."""

from __future__ import annotations

import pytest

from predator.adapters.database.engine import Database, open_database
from predator.adapters.notifier.outbox import Outbox
from predator.domain.errors import PredatorError
from tests.contracts.notifier import NOTICE, NotifierContract, Receiver, notice


class TestOutbox(NotifierContract):
    @pytest.fixture
    def notifier(self, database: Database, receiver: Receiver) -> Outbox:
        return Outbox(database, receiver, now=lambda: receiver.now)


def test_another_process_sends_what_the_first_could_not(database: Database) -> None:
    receiver = Receiver()
    receiver.fails = lambda _notice: ConnectionError("down at https://hooks.slack.com/x/canary")
    Outbox(database, receiver).notify(NOTICE)
    receiver.fails = lambda _notice: None
    with open_database(database.url) as later:
        outbox = Outbox(later, receiver)
        assert outbox.failure(NOTICE.key) == "ConnectionError"
        outbox.deliver()
        assert outbox.failure(NOTICE.key) == ""
        assert receiver.taken == list(outbox.sent()) == [NOTICE]


def test_a_sender_that_died_on_the_way_is_followed_after_its_lease(database: Database) -> None:
    receiver = Receiver()
    outbox = Outbox(database, receiver, now=lambda: receiver.now)
    receiver.fails = lambda _notice: pytest.fail("killed", pytrace=False)
    with pytest.raises(pytest.fail.Exception):
        outbox.notify(NOTICE)
    receiver.fails = lambda _notice: None
    receiver.now += 59
    outbox.deliver()
    assert receiver.taken == []
    receiver.now += 1
    outbox.deliver()
    assert receiver.taken == [NOTICE]


def test_why_it_failed_is_kept_without_secrets(database: Database) -> None:
    receiver = Receiver()
    receiver.fails = lambda _notice: PredatorError("no: token=canary99")
    outbox = Outbox(database, receiver)
    outbox.notify(NOTICE)
    assert outbox.failure(NOTICE.key) == "no: token=[redacted]"
    assert outbox.failure("unknown") == ""


def test_a_notice_that_cannot_even_be_kept_is_an_error(own_database: Database) -> None:
    with own_database.writing("test") as connection:
        connection.exec_driver_sql("DROP TABLE notices")
    with pytest.raises(PredatorError, match="notices"):
        Outbox(own_database, Receiver()).notify(notice("a"))
