"""The register of cycles, and what is counted: cycles, money, open experiments."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "cycles",
        sa.Column("cycle_id", sa.Text, primary_key=True),
        sa.Column("day", sa.Date, nullable=False),
        sa.Column("day_number", sa.Integer, nullable=False),
        sa.Column("request_key", sa.Text, nullable=False, unique=True),
        sa.Column("contour", sa.Text, nullable=False),
        sa.Column("trigger", sa.Text, nullable=False),
        sa.Column("requested_at", sa.Double, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False, server_default=sa.text("''")),
        sa.Column("cancelled_at", sa.Double),
        sa.Column("cancelled_by", sa.Text, nullable=False, server_default=sa.text("''")),
        sa.Column("cancel_reason", sa.Text, nullable=False, server_default=sa.text("''")),
        sa.UniqueConstraint("day", "day_number", name="cycles_day_number"),
    )
    op.create_table(
        "cycle_moments",
        sa.Column("cycle_id", sa.Text, sa.ForeignKey("cycles.cycle_id"), primary_key=True),
        sa.Column("moment", sa.Text, primary_key=True),
        sa.Column("at", sa.Double, nullable=False),
    )
    op.create_table(
        "counted_cycles",
        sa.Column("contour", sa.Text, primary_key=True),
        sa.Column("cycle_id", sa.Text, primary_key=True),
        sa.Column("day", sa.Date, nullable=False),
        sa.Column("clock_day", sa.Date, nullable=False),
    )
    op.create_table(
        "reservations",
        sa.Column("contour", sa.Text, primary_key=True),
        sa.Column("cycle_id", sa.Text, primary_key=True),
        sa.Column("month", sa.Date, nullable=False),
        sa.Column("amount_micros", sa.BigInteger, nullable=False),
        sa.CheckConstraint("amount_micros >= 0", name="reservations_amount"),
    )
    op.create_table(
        "charges",
        sa.Column("contour", sa.Text, primary_key=True),
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("cycle_id", sa.Text, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("month", sa.Date, nullable=False),
        sa.Column("clock_month", sa.Date, nullable=False),
        sa.Column("amount_micros", sa.BigInteger, nullable=False),
        sa.CheckConstraint("amount_micros >= 0", name="charges_amount"),
    )
    op.create_table(
        "experiment_slots",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("cycle_id", sa.Text, nullable=False),
        sa.Column("held", sa.Boolean, nullable=False),
        sa.UniqueConstraint("target", "cycle_id", name="experiment_slots_place"),
        sqlite_autoincrement=True,
    )
