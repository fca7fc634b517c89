"""A file of values says where a secret lies; the secret itself never shows."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from predator.contours.secret_reference import check_reference, resolve
from predator.domain.errors import InputError

URL = "https://hooks.slack.com/services/T000/B000/canary"


def test_a_secret_is_found_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLACK_WEBHOOK_URL", f" {URL}\n")
    assert resolve("env:SLACK_WEBHOOK_URL") == URL


def test_a_secret_is_found_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "slack").write_text(URL + "\n")
    assert resolve(f"file:{tmp_path}/slack") == URL


@pytest.mark.parametrize(
    "text",
    [URL, "", "env:", "env:A B", "env:1A", "env:A=B", "file:relative", "file:", "ENV:X", "env:X\n",
     "file:/a\nb", "vault:x", "env:PREDATOR_WEBHOOK", "env:predator_webhook", "xoxb-123456789012"],
)  # fmt: skip
def test_what_is_no_reference_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(ValueError) as error:
        check_reference(text)
    assert len(text) < 6 or text not in str(error.value)
    with pytest.raises(InputError) as wrong:
        resolve(text)
    assert len(text) < 6 or text not in str(wrong.value)


def test_a_secret_that_is_not_there_is_named_by_its_place(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("NO_SUCH_SECRET", raising=False)
    with pytest.raises(InputError, match="environment variable NO_SUCH_SECRET"):
        resolve("env:NO_SUCH_SECRET")
    with pytest.raises(InputError, match=r"the file .*/none"):
        resolve(f"file:{tmp_path}/none")
    with pytest.raises(InputError, match="the file"):
        resolve(f"file:{tmp_path}")


@pytest.mark.parametrize("content", [b"", b" \n", b"canary\nsecond", b"canary\x00", b"canary\xff",
                                     b"canary" * 2000])  # fmt: skip
def test_what_cannot_be_a_secret_is_refused_without_showing_it(
    content: bytes, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_bytes(content)
    with pytest.raises(InputError) as error:
        resolve(f"file:{tmp_path}/secret")
    assert "canary" not in str(error.value)
    assert error.value.__cause__ is None


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError):
        resolve(f"file:{tmp_path}/pipe")
