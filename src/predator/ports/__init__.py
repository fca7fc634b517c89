"""One small Protocol a file: the seams through which the ring touches the world."""
