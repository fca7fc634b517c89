"""The outbox of notices."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "notices",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("key", sa.Text, nullable=False, unique=True),
        sa.Column("severity", sa.Text, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("contour", sa.Text, nullable=False),
        sa.Column("cycle_id", sa.Text, nullable=False),
        sa.Column("link", sa.Text, nullable=False),
        sa.Column("kept_at", sa.Double, nullable=False),
        sa.Column("delivered_at", sa.Double),
        sa.Column("attempts", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("leased_until", sa.Double),
        sa.Column("not_before", sa.Double),
        sa.Column("failure", sa.Text, nullable=False, server_default=sa.text("''")),
        sqlite_autoincrement=True,
    )
