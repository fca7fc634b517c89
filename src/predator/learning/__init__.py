"""Trainables, one a file, and the measures they are judged by."""
