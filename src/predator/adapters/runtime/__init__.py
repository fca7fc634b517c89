"""Durable execution: DBOS on SQLite or PostgreSQL, and a virtual clock for simulations."""
