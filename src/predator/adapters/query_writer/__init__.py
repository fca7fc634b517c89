"""Writers of training queries."""
