"""What may enter a test: finite numbers, enough of them. The rest is an error, never a verdict."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def finite_sample(name: str, values: ArrayLike, *, at_least: int = 2) -> NDArray[np.float64]:
    """``values`` as a float vector. ``ValueError`` where it is none, too short or not finite.

    A NaN compares false with everything, so that it would pass every "is it worse?" gate.
    """
    try:
        vector = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: not a list of numbers ({error})") from error
    if vector.ndim != 1:
        raise ValueError(f"{name}: one value per observation expected, got shape {vector.shape}")
    if vector.size < at_least:
        raise ValueError(f"{name}: {vector.size} observations, at least {at_least} needed")
    if not np.isfinite(vector).all():
        position = int(np.flatnonzero(~np.isfinite(vector))[0])
        raise ValueError(f"{name}: observation {position} is {vector[position]}, not finite")
    return vector


def open_unit(name: str, value: float) -> float:
    """``value`` if it lies strictly between 0 and 1, else ``ValueError``."""
    if not 0.0 < value < 1.0:
        raise ValueError(f"{name} is {value}, it must lie strictly between 0 and 1")
    return value


def positive(name: str, value: float) -> float:
    """``value`` if it is finite and above 0, else ``ValueError``."""
    if not (np.isfinite(value) and value > 0.0):
        raise ValueError(f"{name} is {value}, it must be finite and above 0")
    return value
