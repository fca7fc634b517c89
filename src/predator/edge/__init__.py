"""Where people and programs meet Predator."""
