"""Back ends of the notifier port: an outbox in the database, and memory; a way to Slack."""
