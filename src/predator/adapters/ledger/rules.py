"""What one more reading costs and whether it may be settled; pure, shared by every back end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from predator.adapters.database.values import moment, named
from predator.domain.errors import ConflictError, InputError
from predator.ports.ledger import GoldReading
from predator.statistics.ledger import Kind, level


def names(gold_set: str, key: str) -> None:
    """Check both names; ``InputError`` where one is missing or is no text."""
    named(gold_set, "Gold set")
    named(key, "key of the reading")


def entered(
    before: Sequence[GoldReading], gold_set: str, key: str, at: float, kind: str, alpha: float
) -> GoldReading:
    """The next reading of a set whose readings so far are ``before``, in order."""
    other = next((one.kind for one in before if one.kind != kind), None)
    if other is not None:
        raise ConflictError(
            f"the Gold set {gold_set[:60]} has a {other} ledger, which {kind} cannot go on with"
        )
    history = [one.discovery is True for one in before]
    found = level(Kind(kind), alpha, history)
    return GoldReading(
        gold_set=gold_set,
        key=key,
        index=found.index,
        kind=kind,
        alpha=alpha,
        level=found.value,
        discovered=tuple(number for number, passed in enumerate(history, 1) if passed),
        spent=sum(one.level for one in before) + found.value,
        left=found.left,
        reserved_at=moment(at),
    )


def settled(
    reading: GoldReading | None, gold_set: str, key: str, *, discovery: bool
) -> GoldReading:
    """The reading with its outcome, which may be given once."""
    if reading is None:
        raise InputError(
            f"no reading {key[:60]!r} of the Gold set {gold_set[:60]} was reserved",
            cure="Reserve a reading before Gold is read",
        )
    if reading.discovery not in (None, discovery):
        raise ConflictError(f"reading {key[:60]!r} was settled otherwise before")
    return replace(reading, discovery=discovery)
