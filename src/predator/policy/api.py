"""Who may do what through the admin API: one table, asked by every route and every command."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from predator.domain.governance import EVERYWHERE, Role
from predator.policy.decision import CONTOURS

_EVERYONE = frozenset(Role)
_PEOPLE = _EVERYONE - {Role.AGENT}
_OPERATORS = frozenset({Role.OPERATOR, Role.ADMIN})
_APPROVERS = frozenset({Role.APPROVER, Role.ADMIN})
_ADMINS = frozenset({Role.ADMIN})

TABLE: Mapping[str, frozenset[Role]] = {
    # cycles, artifacts, audit, releases, experiments, flags, approvals, overrides, explain
    "read": _EVERYONE,
    "read_metrics": _PEOPLE,
    # agents propose; they do nothing else
    "request_cycle": _OPERATORS | {Role.AGENT},
    "cancel_cycle": _OPERATORS,
    "start": _OPERATORS,
    # whoever sees that something is wrong and answers for something may stop
    "stop": _OPERATORS | _APPROVERS,
    "rollback": _OPERATORS,
    "keep": _OPERATORS,
    # to ask and to answer are two people's work: an operator does not approve
    "approve": _APPROVERS,
    "confirm_override": _APPROVERS,
    "revoke_override": _OPERATORS | _APPROVERS,
    "override_gate": _ADMINS,
    "override_policy": _ADMINS,
    "set_flag": _ADMINS,
    "manage_tokens": _ADMINS,
}
"""Each operation of the admin API, and the roles that may do it."""

GLOBAL = frozenset({"manage_tokens"})
"""Operations that a token limited to some contours never has: it could make a wider one."""


def may(
    token_role: Role, token_contours: Collection[str], operation: str, contour: str = EVERYWHERE
) -> bool:
    """Whether a usable token may do ``operation`` on ``contour``.

    ``token_contours`` empty: every contour. ``contour`` ``all``: on all of them at once, which a
    token limited to some may not. Unknown operations, roles and contours are refused.
    """
    if token_role not in TABLE.get(operation, frozenset()):
        return False
    if contour not in (*CONTOURS, EVERYWHERE):
        return False
    return not token_contours or (contour in token_contours and operation not in GLOBAL)
