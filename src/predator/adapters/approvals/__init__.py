"""Back ends of the approvals port: the database, and memory."""
