"""The embedded platform as the loop sees it: its records in SQLite, its control over HTTP."""
