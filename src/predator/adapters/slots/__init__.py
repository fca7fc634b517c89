"""Back ends of the slots port: the database, and memory."""
