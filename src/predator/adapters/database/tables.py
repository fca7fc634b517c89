"""The whole schema on one page; the migrations make it, and a test compares the two.

Times are unix seconds, days and months are UTC (a month by its first day), money is whole
micro-dollars. ``number`` columns count arrivals and are never used again.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    Double,
    ForeignKey,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData()


def _number() -> Column[Any]:
    return Column("number", Integer, primary_key=True, autoincrement=True)


feature_flags = Table(
    "feature_flags",
    metadata,
    Column("flag_name", Text, primary_key=True),
    Column("enabled", Boolean, nullable=False),
    Column("environment", Text, primary_key=True),
    Column("metadata", JSON, nullable=False, server_default=text("'{}'")),
)
"""As the spec has it (6A.12): its INSERT runs as it is."""

feature_flag_changes = Table(
    "feature_flag_changes",
    metadata,
    _number(),
    Column("at", Double, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("flag_name", Text, nullable=False),
    Column("environment", Text, nullable=False),
    Column("enabled", Boolean),
    Column("metadata", Text),
    sqlite_autoincrement=True,
)
"""Who changed a flag and why; append-only by trigger. ``enabled`` is null where it was removed."""

approvals = Table(
    "approvals",
    metadata,
    _number(),
    Column("id", Text, nullable=False, unique=True),
    Column("contour", Text, nullable=False),
    Column("cycle_id", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("release", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("requested_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
    Column("state", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("decided_at", Double),
    CheckConstraint("state IN ('pending', 'approved', 'rejected')", name="approvals_state"),
    sqlite_autoincrement=True,
)

overrides = Table(
    "overrides",
    metadata,
    _number(),
    Column("id", Text, nullable=False, unique=True),
    Column("contour", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("threshold", Double),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
    Column("needs_second", Boolean, nullable=False),
    Column("second", Text, nullable=False),
    Column("confirmed_at", Double),
    Column("revoked_at", Double),
    Column("revoked_by", Text, nullable=False),
    CheckConstraint("kind IN ('gate', 'policy')", name="overrides_kind"),
    sqlite_autoincrement=True,
)

tokens = Table(
    "tokens",
    metadata,
    _number(),
    Column("id", Text, nullable=False, unique=True),
    Column("digest", Text, nullable=False, unique=True),
    Column("actor", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("contours", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
    Column("revoked_at", Double),
    sqlite_autoincrement=True,
)
"""``digest`` is the SHA-256 of a token's text, which is kept nowhere."""

replies = Table(
    "replies",
    metadata,
    Column("key", Text, primary_key=True),
    Column("request_digest", Text, nullable=False),
    Column("claimed_at", Double, nullable=False),
    Column("status", Integer),
    Column("body", Text),
)
"""``status`` is null while the first caller is at work."""

cycles = Table(
    "cycles",
    metadata,
    Column("cycle_id", Text, primary_key=True),
    Column("day", Date, nullable=False),
    Column("day_number", Integer, nullable=False),
    Column("request_key", Text, nullable=False, unique=True),
    Column("contour", Text, nullable=False),
    Column("trigger", Text, nullable=False),
    Column("requested_at", Double, nullable=False),
    Column("outcome", Text, nullable=False, server_default=text("''")),
    Column("cancelled_at", Double),
    Column("cancelled_by", Text, nullable=False, server_default=text("''")),
    Column("cancel_reason", Text, nullable=False, server_default=text("''")),
    UniqueConstraint("day", "day_number", name="cycles_day_number"),
)

cycle_moments = Table(
    "cycle_moments",
    metadata,
    Column("cycle_id", Text, ForeignKey("cycles.cycle_id"), primary_key=True),
    Column("moment", Text, primary_key=True),
    Column("at", Double, nullable=False),
)

counted_cycles = Table(
    "counted_cycles",
    metadata,
    Column("contour", Text, primary_key=True),
    Column("cycle_id", Text, primary_key=True),
    Column("day", Date, nullable=False),
    Column("clock_day", Date, nullable=False),
)
"""``day`` never goes back; ``clock_day`` is what the clock said."""

reservations = Table(
    "reservations",
    metadata,
    Column("contour", Text, primary_key=True),
    Column("cycle_id", Text, primary_key=True),
    Column("month", Date, nullable=False),
    Column("amount_micros", BigInteger, nullable=False),
    CheckConstraint("amount_micros >= 0", name="reservations_amount"),
)

charges = Table(
    "charges",
    metadata,
    Column("contour", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("cycle_id", Text, nullable=False),
    Column("at", Double, nullable=False),
    Column("month", Date, nullable=False),
    Column("clock_month", Date, nullable=False),
    Column("amount_micros", BigInteger, nullable=False),
    CheckConstraint("amount_micros >= 0", name="charges_amount"),
)

experiment_slots = Table(
    "experiment_slots",
    metadata,
    _number(),
    Column("target", Text, nullable=False),
    Column("cycle_id", Text, nullable=False),
    Column("held", Boolean, nullable=False),
    UniqueConstraint("target", "cycle_id", name="experiment_slots_place"),
    sqlite_autoincrement=True,
)

notices = Table(
    "notices",
    metadata,
    _number(),
    Column("key", Text, nullable=False, unique=True),
    Column("severity", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("contour", Text, nullable=False),
    Column("cycle_id", Text, nullable=False),
    Column("link", Text, nullable=False),
    Column("kept_at", Double, nullable=False),
    Column("delivered_at", Double),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("leased_until", Double),
    Column("not_before", Double),
    Column("failure", Text, nullable=False, server_default=text("''")),
    sqlite_autoincrement=True,
)
"""The outbox: ``delivered_at`` is null until the receiver took the notice."""

gold_readings = Table(
    "gold_readings",
    metadata,
    _number(),
    Column("gold_set", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("reading", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    Column("alpha", Double, nullable=False),
    Column("level", Double, nullable=False),
    Column("discovered", Text, nullable=False),
    Column("spent", Double, nullable=False),
    Column("remaining", Double, nullable=False),
    Column("reserved_at", Double, nullable=False),
    Column("discovery", Boolean),
    Column("settled_at", Double),
    UniqueConstraint("gold_set", "key", name="gold_readings_key"),
    UniqueConstraint("gold_set", "reading", name="gold_readings_reading"),
    sqlite_autoincrement=True,
)
"""Readings of Gold sets; ``discovery`` is null until the reading is settled."""
