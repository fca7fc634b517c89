"""``predator token``: who may call the admin API."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from predator.domain.errors import InputError
from predator.domain.governance import Role, Token
from predator.edge.cli.desk import at_desk, now, who
from predator.edge.cli.shown import plain, print_json, print_table, safe, say
from predator.edge.cli.times import moment, relative

_DAY_S = 86_400.0


def issue(
    holder: str,
    role: str,
    contours: Sequence[str],
    days: float,
    issuer: str | None,
    as_json: bool,
    pairs: Sequence[str],
) -> None:
    """Make a token. Its text alone goes to standard output, this once."""
    if role not in set(Role):
        known = ", ".join(Role)
        raise InputError(f"there is no role {role[:40]!r}", cure=f"known are {known}")
    with at_desk(pairs) as office:
        expires_at = now(office) + days * _DAY_S
        issued = office.operator.issue_token(
            holder, Role(role), contours, expires_at, actor=who(issuer)
        )
        token = issued.token
        if as_json:
            print_json({**plain(token), "token": issued.text})
            return
        sys.stdout.write(f"{issued.text}\n")
        sys.stderr.write(
            f"{token.id} for {safe(token.actor)}: {token.role} on {_reach(token)}, ends "
            f"{moment(token.expires_at, now(office))}; its text is not shown again\n"
        )


def list_tokens(as_json: bool, pairs: Sequence[str]) -> None:
    """Every token, without its text."""
    with at_desk(pairs) as office:
        found = office.operator.tokens()
        if as_json:
            print_json(found)
            return
        at = now(office)
        rows = [
            (token.id, token.actor, token.role, _reach(token), moment(token.created_at, at),
             _state(token, at))
            for token in found
        ]  # fmt: skip
        titles = ("token", "of", "role", "contours", "issued", "state")
        print_table(titles, rows, "no tokens; `predator token issue` makes one")


def revoke(token_id: str, actor: str | None, as_json: bool, pairs: Sequence[str]) -> None:
    """End a token now."""
    with at_desk(pairs) as office:
        revoked = office.operator.revoke_token(token_id, actor=who(actor))
        if as_json:
            print_json({"revoked": revoked})
            return
        say(f"{token_id} opens nothing {'from now on' if revoked else 'since it was revoked'}")


def _reach(token: Token) -> str:
    return ", ".join(sorted(token.contours)) or "every contour"


def _state(token: Token, at: float) -> str:
    if token.revoked_at is not None:
        return f"revoked {relative(token.revoked_at, at)}"
    return f"{'good, ends' if token.usable(at) else 'ended'} {relative(token.expires_at, at)}"
