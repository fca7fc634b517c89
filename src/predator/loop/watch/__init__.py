"""Station 8: what a watch can see, its baseline, and its looks at a fresh release."""
