"""Flags, and who changed them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_SQLITE = """
CREATE TRIGGER feature_flag_changes_no_{lower} BEFORE {upper} ON feature_flag_changes
BEGIN SELECT RAISE(ABORT, 'feature_flag_changes is append-only'); END
"""
_FUNCTION = """
CREATE FUNCTION feature_flag_changes_refuse() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'feature_flag_changes is append-only'; END $$
"""
_POSTGRESQL = """
CREATE TRIGGER feature_flag_changes_no_{lower} BEFORE {upper} ON feature_flag_changes
FOR EACH STATEMENT EXECUTE FUNCTION feature_flag_changes_refuse()
"""


def upgrade() -> None:
    op.create_table(
        "feature_flags",
        sa.Column("flag_name", sa.Text, primary_key=True),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("environment", sa.Text, primary_key=True),
        sa.Column("metadata", sa.JSON, nullable=False, server_default=sa.text("'{}'")),
    )
    op.create_table(
        "feature_flag_changes",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("flag_name", sa.Text, nullable=False),
        sa.Column("environment", sa.Text, nullable=False),
        sa.Column("enabled", sa.Boolean),
        sa.Column("metadata", sa.Text),
        sqlite_autoincrement=True,
    )
    sqlite = op.get_bind().dialect.name == "sqlite"
    if not sqlite:
        op.execute(_FUNCTION)
    for what in ("UPDATE", "DELETE"):
        trigger = _SQLITE if sqlite else _POSTGRESQL
        op.execute(trigger.format(lower=what.lower(), upper=what))
    if not sqlite:
        op.execute(_POSTGRESQL.format(lower="truncate", upper="TRUNCATE"))
