"""The ledger of readings of Gold sets."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "gold_readings",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("gold_set", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("reading", sa.Integer, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("alpha", sa.Double, nullable=False),
        sa.Column("level", sa.Double, nullable=False),
        sa.Column("discovered", sa.Text, nullable=False),
        sa.Column("spent", sa.Double, nullable=False),
        sa.Column("remaining", sa.Double, nullable=False),
        sa.Column("reserved_at", sa.Double, nullable=False),
        sa.Column("discovery", sa.Boolean),
        sa.Column("settled_at", sa.Double),
        sa.UniqueConstraint("gold_set", "key", name="gold_readings_key"),
        sa.UniqueConstraint("gold_set", "reading", name="gold_readings_reading"),
        sqlite_autoincrement=True,
    )
