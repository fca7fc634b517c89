"""The only place that knows concrete classes: builds platform, ring and worker from settings."""
