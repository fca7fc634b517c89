"""Back ends of the Gold ledger: the database, and memory."""
