"""One revision a file, in one line: each names the one before it. A released one never changes."""
