"""The errors that an operation can answer with, as the API's description tells them."""

from __future__ import annotations

from typing import Any

from predator.edge.api.problems import TITLES, Problem

Responses = dict[int | str, dict[str, Any]]


def errors(*statuses: int) -> Responses:
    """Problem responses: those of every guarded operation, and ``statuses``."""
    every = {401, 403, 413, 422, 429, 503, *statuses}
    return {status: {"model": Problem, "description": TITLES[status]} for status in sorted(every)}
