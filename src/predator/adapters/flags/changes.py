"""What is kept about a change of a flag, and which changes are refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from predator.adapters.database.values import moment, named, object_from_json, to_json
from predator.domain.errors import InputError
from predator.domain.governance import Flag


@dataclass(frozen=True, slots=True)
class FlagChange:
    """Who changed a row, why and when. ``enabled`` and ``metadata`` are ``None`` if removed."""

    name: str
    environment: str
    enabled: bool | None
    metadata: Mapping[str, Any] | None
    actor: str
    reason: str
    at: float


def change_of(flag: Flag, actor: str, reason: str, at: float) -> FlagChange:
    """The change that sets ``flag``; ``InputError`` where something is missing or no JSON."""
    if not isinstance(flag.enabled, bool):
        raise InputError(f"flag {flag.name} is neither on nor off")
    metadata = object_from_json(to_json(dict(flag.metadata)))
    return _checked(
        FlagChange(flag.name, flag.environment, flag.enabled, metadata, actor, reason, at)
    )


def removal_of(name: str, environment: str, actor: str, reason: str, at: float) -> FlagChange:
    """The change that takes a row away."""
    return _checked(FlagChange(name, environment, None, None, actor, reason, at))


def _checked(change: FlagChange) -> FlagChange:
    named(change.name, "flag name")
    named(change.environment, "environment")
    named(change.actor, "actor")
    named(change.reason, "reason")
    moment(change.at)
    return change
