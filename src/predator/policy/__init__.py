"""The decision point that every effect asks first, and the rules it follows."""
