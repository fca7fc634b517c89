"""Which candidate of a portfolio is submitted: the best that could be served. Pure.

A candidate that reads texts costs tens of milliseconds a search. Whether the gate would bear that
is measured beforehand, so that a cycle is not spent on one that cannot pass.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from predator.domain.errors import InputError
from predator.loop.evaluate import Gates, Measured, guardrails_of


@dataclass(frozen=True, slots=True)
class Offered:
    """A candidate by name; ``tried`` is what was measured of it, ``None`` where nothing had to
    be, because it costs about what every ranking costs."""

    name: str
    tried: Measured | None


@dataclass(frozen=True, slots=True)
class Submission:
    """The name of the candidate to submit, and why better ones are not, by name."""

    name: str
    refused: Mapping[str, str]


def fits(measured: Measured, gates: Gates) -> bool:
    """Whether latency and cost stay inside the gates; ``False`` where one was not measured."""
    return all(one.held is True for one in guardrails_of(measured, gates))


def reading_room(before_ms: float | None, gates: Gates) -> float | None:
    """How much longer than now (``before_ms`` at the 95th percentile) a search may take, in ms;
    ``None`` where that was not measured."""
    if before_ms is None:
        return None
    return max(before_ms * (1 + gates.latency_delta_rel_max), gates.latency_floor_ms) - before_ms


def submit(offered: Sequence[Offered], gates: Gates) -> Submission:
    """The first of ``offered`` (best first) that fits.

    ``InputError`` where none does: what reads no texts always fits, and a portfolio has one.
    """
    refused: dict[str, str] = {}
    for one in offered:
        if one.tried is None or fits(one.tried, gates):
            return Submission(one.name, refused)
        refused[one.name] = "; ".join(
            f"{guard.name} could not be measured"
            if guard.value is None
            else f"{guard.name} would be {guard.value:.3g}, the gate asks {guard.limit}"
            for guard in guardrails_of(one.tried, gates)
            if guard.held is not True
        )
    raise InputError("no candidate could be served within the gates")
