"""What Alembic runs: the migrations, in the transaction of the connection that was handed over."""

from __future__ import annotations

from alembic import context

from predator.adapters.database.schema import VERSION_TABLE
from predator.adapters.database.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
