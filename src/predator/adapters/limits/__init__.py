"""Back ends of the limits port: the database, and memory."""
