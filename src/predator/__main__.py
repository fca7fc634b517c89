"""``python -m predator``."""

from predator.edge.cli.main import main

main()
