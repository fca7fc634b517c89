"""Databases for the adapters' tests."""

from __future__ import annotations

from tests.databases import (
    database,
    own_database,
    postgres_head_url,
    postgres_template,
    sqlite_template,
    sqlite_url,
)
from tests.postgres import database_url, postgres_server, postgres_url

__all__ = [
    "database",
    "database_url",
    "own_database",
    "postgres_head_url",
    "postgres_server",
    "postgres_template",
    "postgres_url",
    "sqlite_template",
    "sqlite_url",
]
