"""Back ends of the releases port: GTO's tags in a bare git repository, and memory."""
