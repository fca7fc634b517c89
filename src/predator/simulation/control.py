"""Commands to a running load generator: one JSON object a line."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

HIGHEST_RATE = 10_000.0


@dataclass(frozen=True, slots=True)
class SetMix:
    """``{"cmd": "mix", "weights": {group: weight}}``: what is asked from now on."""

    weights: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class SetRate:
    """``{"cmd": "rate", "value": 50}``: searches a second from now on; 0 pauses."""

    value: float


@dataclass(frozen=True, slots=True)
class Stop:
    """``{"cmd": "stop"}``: no new searches; those under way are finished."""


Command = SetMix | SetRate | Stop


def parse_command(line: bytes) -> Command:
    """The command on ``line``; ``ValueError`` says what is wrong with it."""
    try:
        value = json.loads(line)
    except ValueError as error:
        raise ValueError(f"a command is a line of JSON: {error}") from error
    match value:
        case {"cmd": "mix", "weights": dict() as weights}:
            return SetMix(mix_weights(weights))
        case {"cmd": "rate", "value": rate}:
            return SetRate(rate_value(rate))
        case {"cmd": "stop"}:
            return Stop()
        case _:
            raise ValueError("unknown command; known: mix with weights, rate with value, stop")


def mix_weights(value: object) -> dict[str, float]:
    """Weights by query group; ``ValueError`` for anything else."""
    if not isinstance(value, dict):
        raise ValueError("weights are an object of group and number")
    return {str(name): _number("weight", weight) for name, weight in value.items()}


def rate_value(value: object) -> float:
    """A legal rate, searches a second; ``ValueError`` otherwise."""
    rate = _number("rate", value)
    if not 0.0 <= rate <= HIGHEST_RATE:
        raise ValueError(f"rate {rate:g} lies outside 0 to {HIGHEST_RATE:g}")
    return rate


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{name} {value!r} is not a finite number")
    return float(value)
