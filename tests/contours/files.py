"""Writes files of values for tests."""

from __future__ import annotations

from predator.contours.load import parse
from predator.contours.model import Contour

KEYS = "selfImprovement:\n"


def contour(text: str = "", name: str = "local") -> Contour:
    """A contour of lines below ``selfImprovement``."""
    lines = "".join(f"  {line}\n" for line in text.splitlines())
    return parse(f"{KEYS}{lines or '  {}'}\n".encode(), name, "mine.yaml")


def whole(text: str, name: str = "local") -> Contour:
    """A contour of a whole file."""
    return parse(text.encode(), name, "mine.yaml")
