"""What becomes of an override; pure, shared by every back end."""

from __future__ import annotations

from dataclasses import replace

from predator.adapters.database.values import moment, named, same_person, texts
from predator.domain.errors import ConflictError, InputError
from predator.domain.governance import Override


def checked(override: Override) -> Override:
    """An override as it may be granted; ``ValueError`` where it was confirmed beforehand."""
    texts(override, "contour", "target")
    for field in ("id", "actor", "reason"):
        named(getattr(override, field), field)
    moment(override.created_at)
    moment(override.expires_at)
    if override.kind not in ("gate", "policy"):
        raise ValueError(f"there is no override of a {override.kind}")
    if (override.kind == "gate") != (override.threshold is not None):
        raise ValueError("an override of a gate has a threshold, one of the policy has none")
    if override.threshold is not None:
        moment(override.threshold)
    after = (override.second, override.confirmed_at, override.revoked_at, override.revoked_by)
    if after != ("", None, None, ""):
        raise ValueError(f"override {override.id} is not new")
    return override


def confirmed(found: Override | None, override_id: str, actor: str, at: float) -> Override:
    """The override with the second person's word; the errors are those of the port.

    A revoked one is a ``ConflictError`` too.
    """
    named(actor, "actor")
    moment(at)
    if found is None:
        raise InputError(f"there is no override {override_id}")
    if same_person(actor, found.actor):
        raise ConflictError(
            f"override {found.id} was granted by {found.actor}", cure="Another person confirms it"
        )
    if found.confirmed_at is not None:
        if actor == found.second:
            return found
        raise ConflictError(f"override {found.id} was confirmed by {found.second} before")
    if found.revoked_at is not None:
        raise ConflictError(f"override {found.id} was revoked by {found.revoked_by}")
    if at >= found.expires_at:
        raise ConflictError(f"override {found.id} has expired", cure="Grant a new one")
    return replace(found, second=actor, confirmed_at=at)


def revoked(found: Override | None, override_id: str, actor: str, at: float) -> Override:
    """The override at its end; one that was revoked before as it is."""
    named(actor, "actor")
    moment(at)
    if found is None:
        raise InputError(f"there is no override {override_id}")
    return (
        found if found.revoked_at is not None else replace(found, revoked_at=at, revoked_by=actor)
    )
