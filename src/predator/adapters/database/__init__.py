"""The one database of governance: SQLite by default, PostgreSQL by a URL."""
