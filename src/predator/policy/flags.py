"""Which row of ``feature_flags`` counts where, and what policy is told of it (spec 6A.12)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from predator.domain.governance import EVERYWHERE, KILL_SWITCH, Flag

FLAGS: Mapping[str, frozenset[str]] = {
    KILL_SWITCH: frozenset(),
    "self_improvement_enabled": frozenset({"auto_promote"}),
    "manual_approval_required": frozenset(),
    "auto_rollback": frozenset({"threshold"}),
    "ab_testing": frozenset({"split_ratio"}),
    "cost_optimization": frozenset({"max_budget_usd"}),
}
"""The closed set of flags, each with the fields its metadata may hold."""

CAREFUL: Mapping[str, bool] = {
    KILL_SWITCH: True,
    "self_improvement_enabled": False,
    "manual_approval_required": True,
    "auto_promote": False,
    "auto_rollback": True,
    "ab_testing": False,
    "cost_optimization": False,
}
"""What policy is told of a switch that nobody set or could read."""

SPLIT_RATIO_MOST = 0.5
"""An experiment on more than half of the users is a promotion."""

BUDGET_USD_MOST = 10_000_000.0


def resolve(rows: Sequence[Flag], environment: str) -> Mapping[str, Flag]:
    """The row of each flag that counts in ``environment`` (a contour).

    Its own row wins over the one of ``all``, as a whole: fields are not merged. Only the kill
    switch is engaged where any of the two says so. Rows are unique by name and environment.
    """
    found: dict[str, Flag] = {}
    for row in sorted(rows, key=lambda row: row.environment != EVERYWHERE):
        if row.environment not in (environment, EVERYWHERE):
            continue
        kept = found.get(row.name)
        if row.name == KILL_SWITCH and kept is not None and kept.enabled is not False:
            continue
        found[row.name] = row
    return found


def flag_context(
    rows: Sequence[Flag] | None, environment: str, defaults: Mapping[str, bool]
) -> Mapping[str, bool]:
    """The switches of ``environment`` as policy reads them; always all keys of ``CAREFUL``.

    ``rows`` is the whole table, None where it could not be read: then the kill switch counts as
    engaged, and the other switches are on their careful side. ``defaults`` are the contour
    file's; a row outweighs them, except that a kill switch engaged there stays engaged. What
    neither says, and what is no boolean, is on its careful side.
    """
    if rows is None:
        off = defaults.get("auto_rollback") is False
        return {**CAREFUL, "auto_rollback": not off}
    found = resolve(rows, environment)
    context = {
        name: _switch(found[name].enabled if name in found else defaults.get(name), careful)
        for name, careful in CAREFUL.items()
        if name != "auto_promote"
    }
    file_stop = _switch(defaults.get(KILL_SWITCH), careful=True)
    context[KILL_SWITCH] = file_stop or context[KILL_SWITCH]
    promote: Any = defaults.get("auto_promote")
    if "self_improvement_enabled" in found:
        metadata: Any = found["self_improvement_enabled"].metadata
        readable = isinstance(metadata, Mapping)
        promote = metadata.get("auto_promote", promote) if readable else None
    context["auto_promote"] = _switch(promote, careful=False)
    return context


def split_ratio(flags: Mapping[str, Flag]) -> float | None:
    """The candidate's share of users by ``ab_testing``, in (0, 0.5]; None where it is not set.

    ``flags`` as :func:`resolve` gives them. Raises ``ValueError`` naming flag and field.
    """
    found = _number(flags, "ab_testing", "split_ratio")
    if found is not None and not 0 < found <= SPLIT_RATIO_MOST:
        raise ValueError(f"ab_testing.split_ratio is {found:g}; above 0, at most 0.5")
    return found


def max_budget_usd(flags: Mapping[str, Flag]) -> float | None:
    """The month's budget by ``cost_optimization``, at least 0; None where it is not set.

    The budget holds whether or not the flag is enabled: the flag says if the loop may start a
    cycle to save money. Raises ``ValueError`` naming flag and field; who cannot read the budget
    has none to spend.
    """
    found = _number(flags, "cost_optimization", "max_budget_usd")
    if found is not None and not 0 <= found <= BUDGET_USD_MOST:
        raise ValueError(f"cost_optimization.max_budget_usd is {found:g}; 0 to {BUDGET_USD_MOST:g}")
    return found


def check_flag(flag: Flag) -> None:
    """Whether a row may be stored: a known flag, known fields, values within their bounds.

    Raises ``ValueError`` naming flag and field.
    """
    if flag.name not in FLAGS:
        raise ValueError(f"{flag.name[:60]!r} is not a flag; known: {', '.join(FLAGS)}")
    metadata: Any = flag.metadata
    if not isinstance(metadata, Mapping):
        raise ValueError(f"{flag.name}.metadata is not an object")
    for field in metadata:
        if field not in FLAGS[flag.name]:
            raise ValueError(f"{flag.name}.{str(field)[:60]} is not a field of this flag")
    if not isinstance(metadata.get("auto_promote", False), bool):
        raise ValueError(f"{flag.name}.auto_promote is not true or false")
    if not isinstance(metadata.get("threshold", ""), str):
        raise ValueError(f"{flag.name}.threshold is not a text")
    split_ratio({flag.name: flag})
    max_budget_usd({flag.name: flag})


def _switch(value: object, careful: bool) -> bool:
    return value if isinstance(value, bool) else careful


def _number(flags: Mapping[str, Flag], name: str, field: str) -> float | None:
    if name not in flags:
        return None
    metadata: Any = flags[name].metadata
    if not isinstance(metadata, Mapping):
        raise ValueError(f"{name}.metadata is not an object")
    if field not in metadata:
        return None
    value = metadata[field]
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{name}.{field} is not a number")
    return float(value)
