"""Where a collection comes from: a BEIR folder, or the docstrings of the installed packages."""
