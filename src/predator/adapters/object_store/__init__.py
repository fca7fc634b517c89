"""Back ends of the object store port: a folder, and memory."""
