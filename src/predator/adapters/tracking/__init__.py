"""Where experiments and models are recorded: MLflow on SQLite, or memory for tests."""
