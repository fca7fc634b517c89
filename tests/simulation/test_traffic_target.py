"""The load generator points at this machine and nowhere else, unless a person says so."""

from __future__ import annotations

import pytest

from predator.domain.errors import InputError
from predator.simulation.target import Target, resolve_target


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("http://127.0.0.1:8080", Target("127.0.0.1", 8080)),
        ("http://127.0.0.1:8080/", Target("127.0.0.1", 8080)),
        ("http://127.9.9.9", Target("127.9.9.9", 80)),
        ("http://[::1]:9000", Target("::1", 9000)),
        ("http://LOCALHOST:8080", Target("127.0.0.1", 8080)),
    ],
)
def test_this_machine_is_fine(url: str, target: Target) -> None:
    assert resolve_target(url) == target


@pytest.mark.parametrize(
    "url",
    ["http://192.0.2.1:80", "http://0.0.0.0:80", "http://[2001:db8::1]", "http://169.254.169.254"],
)
def test_another_machine_needs_a_person_to_say_so(url: str) -> None:
    with pytest.raises(InputError, match="--allow-remote"):
        resolve_target(url)
    assert resolve_target(url, allow_remote=True).port == 80


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:8080",
        "https://127.0.0.1",
        "file:///etc/passwd",
        "http://",
        "http://127.0.0.1@192.0.2.1/",
        "http://127.0.0.1:99999",
        "http://127.0.0.1:8080/search",
        "http://127.0.0.1:8080/?a=b",
        "http://[::1",
        "",
    ],
)
def test_what_is_not_an_address_is_refused(url: str) -> None:
    with pytest.raises(InputError):
        resolve_target(url)
