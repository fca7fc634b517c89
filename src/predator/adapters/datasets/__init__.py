"""Where training data is built and kept: DVC in a git repository, or memory for tests."""
