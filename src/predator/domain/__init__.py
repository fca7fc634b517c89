"""Frozen values and enums: the nouns of the ring. Imports nothing of ours outside this package."""
