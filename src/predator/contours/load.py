"""Reads a contour's file of values: the packaged one, or one of the user's own."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path

from pydantic import ValidationError

from predator.contours.mock import signals_of
from predator.contours.model import NAMES, Contour, ContourFile
from predator.contours.problems import input_error
from predator.contours.yaml_text import MOST_BYTES, read_mapping
from predator.domain.errors import InputError


@cache
def packaged(name: str) -> Contour:
    """The contour ``name`` as the project ships it; ``InputError`` for an unknown name."""
    if name not in NAMES:
        raise InputError(f"unknown contour {name[:60]!r}", cure=f"known are {', '.join(NAMES)}")
    source = f"values-{name}.yaml"
    return parse(files("predator.contours").joinpath(source).read_bytes(), name, source)


def load_file(path: Path, name: str) -> Contour:
    """The contour ``name`` as ``path`` describes it. ``InputError`` says what is wrong."""
    try:
        if not path.is_file():  # a pipe or a device would block, or never end
            raise InputError(f"the contour file {path} is not a file, or not there")
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a usable path"
        raise InputError(f"the contour file {str(path)[:200]!r} cannot be read: {reason}") from None
    return parse(content, name, path.name)


def parse(content: bytes, name: str, source: str) -> Contour:
    """The contour in ``content``; ``InputError`` names the key by its full path."""
    try:
        found = ContourFile.model_validate(read_mapping(content, source))
    except ValidationError as error:
        # Not chained: the error under this one holds the values, and a value may be a secret.
        raise input_error(error.errors()[0], ContourFile, source) from None
    signals_of(found.self_improvement.mock_metrics)
    return Contour(
        name,
        source,
        found.self_improvement,
        found.quality_gates,
        found.settings,
    )
