"""A log line is one JSON object, says which cycle it is about, and holds no secret."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from predator.journal.logs import LOGGER, MOST_TEXT, bound, clean, configure, failure, log

SECRET = "c4n4ry-9f8e7d6c5b"


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    handler = configure(stream, secrets=[SECRET, ""])
    yield stream
    logging.getLogger(LOGGER).removeHandler(handler)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_says_when_what_and_about_which_cycle(stream: io.StringIO) -> None:
    with bound(si_cycle_id="si_2025_12_07_001"), bound(request_id="r1"):
        log("trained", rows=5)
    log("idle", level="warning")
    first, second = lines(stream)
    assert first["at"].endswith("Z")
    assert {**first, "at": ""} == {
        "at": "",
        "level": "info",
        "event": "trained",
        "logger": LOGGER,
        "si_cycle_id": "si_2025_12_07_001",
        "request_id": "r1",
        "rows": 5,
    }
    assert (second["level"], "si_cycle_id" in second) == ("warning", False)


def test_a_field_cannot_pretend_to_be_the_lines_own(stream: io.StringIO) -> None:
    log("real", **{"at": "forged", "logger": "forged"})
    (line,) = lines(stream)
    assert "forged" not in str(line)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.text(), st.dictionaries(st.text(min_size=1), st.text(), max_size=3))
def test_any_text_stays_on_one_line(
    stream: io.StringIO, event: str, fields: dict[str, str]
) -> None:
    stream.truncate(0)
    stream.seek(0)
    logging.getLogger(LOGGER).info("%s", event, extra={"fields": fields})
    (text,) = stream.getvalue().splitlines()
    assert text.isascii()
    assert text.isprintable()
    assert set(json.loads(text)) >= {"at", "level", "event"}


def test_known_secrets_are_masked_wherever_they_stand(stream: io.StringIO) -> None:
    log(f"event {SECRET}", text=f"x{SECRET}y", inner={SECRET: [SECRET]}, token="abc")
    assert SECRET not in stream.getvalue()
    assert lines(stream)[0]["token"] == "[redacted]"


def test_a_token_of_this_house_is_masked_anywhere() -> None:
    secret = "prd_" + "Ab-_9" * 8
    assert secret not in str(clean({"reason": f"it was {secret}.", secret: [secret, (secret,)]}))
    assert clean("prd_x") == "prd_x"


def test_an_exception_is_its_type_its_message_and_its_place(stream: io.StringIO) -> None:
    def fail(password: str) -> None:
        raise ValueError("no good")

    try:
        fail(SECRET)
    except ValueError as error:
        told = failure(error)
        logging.getLogger(LOGGER).exception("failed")
    assert told["error"] == "ValueError: no good"
    assert told["where"].startswith("test_logs.py:")
    assert lines(stream)[0]["error"] == "ValueError: no good"
    assert SECRET not in stream.getvalue()


def test_a_long_text_is_cut_and_an_odd_value_is_written_as_text(stream: io.StringIO) -> None:
    log("long", text=["x" * (MOST_TEXT + 5)], value={1, 2})
    (line,) = lines(stream)
    assert line["text"] == ["x" * MOST_TEXT + "…"]
    assert line["value"] == [1, 2]
