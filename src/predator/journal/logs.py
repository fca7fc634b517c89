"""Structured logs: one JSON object a line, with the cycle it is about, and without secrets."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from predator.journal.redact import MASK, redact

LOGGER = "predator"
MOST_TEXT = 2_000

_OWN_TOKEN = re.compile(r"prd_[A-Za-z0-9_-]{16,}")
_bound: ContextVar[Mapping[str, str] | None] = ContextVar("predator_log", default=None)
_RESERVED = frozenset({"at", "level", "event", "logger"})


@contextmanager
def bound(**fields: str) -> Iterator[None]:
    """Every line of this context carries ``fields``, such as ``si_cycle_id``."""
    token = _bound.set({**(_bound.get() or {}), **fields})
    try:
        yield
    finally:
        _bound.reset(token)


def log(event: str, *, level: str = "info", **fields: Any) -> None:
    """Write one line: what happened, in a word, and what is known of it."""
    number = logging.getLevelNamesMapping()[level.upper()]
    logging.getLogger(LOGGER).log(number, event, extra={"fields": fields})


def configure(
    stream: TextIO, *, level: str = "info", secrets: Iterable[str] = ()
) -> logging.Handler:
    """Send the logs to ``stream`` as JSON lines, each of ``secrets`` masked wherever it stands.

    Returns the handler, for whoever wants to take it away again.
    """
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines(secrets))
    logger = logging.getLogger(LOGGER)
    logger.addHandler(handler)
    logger.setLevel(level.upper())
    logger.propagate = False
    return handler


class JsonLines(logging.Formatter):
    """A record as one line of JSON: ``at`` (UTC), ``level``, ``event``, then its fields.

    Of an exception the type, the message and the place are kept, never the values around it.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        super().__init__()
        self._secrets = sorted((secret for secret in secrets if secret), key=len, reverse=True)

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC)
        given = getattr(record, "fields", {})
        line: dict[str, Any] = {
            "at": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            "logger": record.name,
            **(_bound.get() or {}),
            **{name: value for name, value in given.items() if name not in _RESERVED},
        }
        if record.exc_info and record.exc_info[1] is not None:
            line |= failure(record.exc_info[1])
        # ASCII alone: no terminal control and no line separator gets through.
        return json.dumps(_short(clean(line, self._secrets)), default=str)


def failure(error: BaseException) -> dict[str, str]:
    """An exception for the log: its type and message, and the newest line it came through."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = ""
    if trace is not None:
        place = f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
    return {"error": f"{type(error).__name__}: {error}", "where": place}


def clean(value: Any, secrets: Iterable[str] = ()) -> Any:
    """``value`` (JSON-like) without secrets: known ones, tokens of this house, and whatever
    looks like one (:func:`predator.journal.redact.redact`)."""
    return redact(_masked(value, tuple(secrets)))


def _masked(value: Any, secrets: tuple[str, ...]) -> Any:
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, MASK)
        return _OWN_TOKEN.sub(MASK, value)
    if isinstance(value, Mapping):
        return {_masked(key, secrets): _masked(item, secrets) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_masked(item, secrets) for item in value]
    return value


def _short(value: Any) -> Any:
    if isinstance(value, str) and len(value) > MOST_TEXT:
        return f"{value[:MOST_TEXT]}…"
    if isinstance(value, Mapping):
        return {key: _short(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_short(item) for item in value]
    return value
