"""No secret reaches the journal, and nothing that is no secret is lost on the way."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from predator.journal.redact import MASK, redact

CANARY = "c4n4ry-9f8e7d6c5b"

SECRET_KEYS = [
    *["token", "api_token", "apiToken", "ACCESS_TOKEN", "access_tokens", "token_value"],
    *[
        "secret",
        "clientSecret",
        "password",
        "db-password",
        "passwd",
        "webhook",
        "slack_webhook_url",
    ],
    *["api_key", "apikey", "private-key", "authorization", "credentials"],
]
SECRET_TEXTS = [
    f"Authorization: Bearer {CANARY}",
    f"bearer  {CANARY}",
    f"GET https://host/x?token={CANARY}&y=1",
    f"api_token={CANARY} failed",
    f'password = "{CANARY}"',
    f"postgresql://user:{CANARY}@host/db",
    f"https://{CANARY}@host/x",
    f"posted to https://hooks.slack.com/services/T0/B0/{CANARY}",
    f"xoxb-{CANARY}",
    f"ghp_{CANARY}",
]
KEPT = {
    "uncovered_tokens": ["svd", "eigen"],
    "tokenizer": "word pieces",
    "passed_gate": True,
    "token_present": True,
    "secret": None,
    "mlflow_run": "a1b2c3d4",
    "query": "what does a bearer do",
    "url": "http://127.0.0.1:8080/search?q=token",
    "path": "docs/token.md",
    "mail": "user@email.com",
}


@pytest.mark.parametrize("key", SECRET_KEYS)
def test_a_value_under_a_secret_name_is_masked(key: str) -> None:
    for value in (CANARY, 123456, [CANARY], {"deep": {"er": CANARY}}):
        assert redact({"a": [{key: value}]}) == {"a": [{key: MASK}]}


@pytest.mark.parametrize("text", SECRET_TEXTS)
def test_a_secret_inside_a_text_is_masked(text: str) -> None:
    masked = redact({"error": ["before " + text + " after"]})["error"][0]
    assert CANARY not in masked
    assert MASK in masked
    assert masked.startswith("before ")
    assert masked.endswith("after")


def test_what_is_no_secret_stays() -> None:
    assert redact(KEPT) == KEPT


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda below: st.lists(below) | st.dictionaries(st.text(), below),
)


@given(json_values)
def test_redacting_twice_is_redacting_once(value: object) -> None:
    once = redact(value)
    assert redact(once) == once
    json.dumps(once, ensure_ascii=False).encode()


def test_text_that_is_no_unicode_does_not_stop_the_journal() -> None:
    assert redact({"query\ud800": "a\udfffb"}) == {"query?": "a?b"}
