"""Back ends of the register of cycles: the database, and memory."""
