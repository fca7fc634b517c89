"""Back ends of the trainer port: processes with limits, and memory."""
