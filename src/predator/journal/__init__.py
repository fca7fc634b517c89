"""The record of what was done: append-only, hash-chained, free of secrets."""
