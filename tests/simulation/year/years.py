"""Simulated years for tests."""

from __future__ import annotations

import math

from predator.bootstrap.governed import rules_of
from predator.config import load_settings
from predator.simulation.year.deciders import Deciders
from predator.simulation.year.year import Year

NEVER = math.inf


def year(days: int, seed: int = 1, deciders: Deciders | None = None, **more: object) -> Year:
    """A year that nothing has happened in yet."""
    settings = load_settings({"contour": "edge-oracle", **more})
    return Year(settings, rules_of(settings), days, seed, deciders)


def lived(days: int, seed: int = 1, **more: object) -> Year:
    """A year that has passed."""
    made = year(days, seed, None, **more)
    made.advance(days)
    return made
