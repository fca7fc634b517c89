"""Back ends of the overrides port: the database, and memory."""
