"""Search over HTTP: one process that answers, records and follows git."""
