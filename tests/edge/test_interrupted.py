"""A ctrl-C ends a command as one, whatever the code that it came into makes of it."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from predator.domain.errors import PredatorError
from predator.edge.cli import main


@pytest.fixture(autouse=True)
def as_a_fresh_process() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def turned_into(error: Exception) -> Callable[..., int]:
    """A command line that a ctrl-C comes into, which an extension makes ``error`` of."""

    def command(**_: object) -> int:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise error from None
        raise AssertionError("the signal did not arrive")

    return command


@pytest.mark.parametrize(
    "error", [ImportError("initialization failed"), PredatorError("no encoder"), OSError(5, "x")]
)
def test_a_ctrl_c_that_became_another_error_is_still_one(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(main, "app", turned_into(error))
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert ended.value.code == 130
    assert capsys.readouterr().err.startswith("interrupted; ")


def test_an_error_after_a_ctrl_c_that_was_dealt_with_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def command(**_: object) -> int:
        with suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        raise PredatorError("no space left")

    monkeypatch.setattr(main, "app", command)
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert ended.value.code == PredatorError.exit_code
    assert "no space left" in capsys.readouterr().err


def test_without_a_ctrl_c_an_error_stays_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def command(**_: object) -> int:
        raise ImportError("initialization failed")

    monkeypatch.setattr(main, "app", command)
    with pytest.raises(ImportError, match="initialization failed"):
        main.main()
