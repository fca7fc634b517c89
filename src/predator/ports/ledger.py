"""How often each Gold set has been read, at which error level, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class GoldReading:
    """One reading of a Gold set, as it was reserved.

    ``key`` names the evaluation (cycle and attempt). ``index`` counts the set's readings from 1.
    ``alpha`` is the error level of the whole row, ``level`` that of this reading. ``discovered``
    are the indexes of earlier readings that were known to have passed: with them ``level`` can be
    derived again. ``spent`` sums the levels up to this one, ``left`` those still to come if
    nothing more is discovered. ``discovery`` is ``None`` until the reading is settled; until then
    it counts as spent and as no discovery.
    """

    gold_set: str
    key: str
    index: int
    kind: str
    alpha: float
    level: float
    discovered: tuple[int, ...]
    spent: float
    left: float
    reserved_at: float
    discovery: bool | None = None


class GoldLedger(Protocol):
    """A register that many processes write to at once; times are unix seconds."""

    def reserve(
        self, gold_set: str, key: str, at: float, *, kind: str, alpha: float
    ) -> GoldReading:
        """Enter a reading before Gold is read; it is spent from now on, whatever follows.

        The same ``key`` again is the same reading, whatever else is given. A set keeps the
        ``kind`` of its first reading: another one raises ``ConflictError``. ``ValueError`` for an
        unknown kind, an alpha outside (0, 1) and a time that is none.
        """
        ...

    def settle(self, gold_set: str, key: str, at: float, *, discovery: bool) -> GoldReading:
        """Enter whether the reading's candidate passed; once. The same again changes nothing.

        ``ConflictError`` where it was settled otherwise, ``InputError`` where nothing was
        reserved.
        """
        ...

    def readings(self, gold_set: str) -> Sequence[GoldReading]:
        """All readings of a set, in order of their index."""
        ...
