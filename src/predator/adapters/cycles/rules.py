"""What the register accepts; pure, shared by every back end."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from predator.domain.errors import InputError
from predator.domain.ids import cycle_id, is_cycle_id

MOMENTS = frozenset(
    {
        "started",
        "first_action",
        "offline_verdict",
        "experiment_started",
        "experiment_ended",
        "ended",
    }
)


def place(name: str) -> tuple[date, int]:
    """Day and number of a cycle id, which order cycles; ``InputError`` where it is none."""
    if not is_cycle_id(name):
        raise InputError(f"{name!r} is not a cycle id")
    year, month, day, number = map(int, name.split("_")[1:])
    return date(year, month, day), number


def first_free(day: date, last: int, taken: Callable[[str], bool]) -> tuple[str, int]:
    """The first id of ``day`` after number ``last`` that is not ``taken``, and its number."""
    number = last + 1
    while taken(cycle_id(day, number)):
        number += 1
    return cycle_id(day, number), number


def known_moment(moment: str) -> str:
    if moment not in MOMENTS:
        raise InputError(f"there is no moment {moment!r}", cure=f"Use {', '.join(sorted(MOMENTS))}")
    return moment


def unknown(name: str) -> InputError:
    return InputError(f"there is no cycle {name}")


def nothing_taken(_cycle_id: str) -> bool:
    """No id is used outside the register."""
    return False
