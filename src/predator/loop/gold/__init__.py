"""Gold: the sealed sets that gates judge by, and the versions that never move."""
