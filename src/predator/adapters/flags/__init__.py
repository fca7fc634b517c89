"""Back ends of the flags port: the database, and memory."""
