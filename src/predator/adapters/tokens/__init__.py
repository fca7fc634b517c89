"""Back ends of the tokens port: the database, and memory."""
