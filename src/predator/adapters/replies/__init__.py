"""Back ends of the replies port: the database, and memory."""
