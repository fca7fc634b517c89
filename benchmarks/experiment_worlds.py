"""Many experiments at once, as arrays: simulated searches to the sums that a look decides on."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri
from scipy.stats import beta

from predator.statistics.cluster_moments import Moments

Floats = NDArray[np.float64]

BASE, SD = 0.82, 0.25
_CELLS = 20_001


def normal_scores() -> Floats:
    """Quantiles of a normal metric with the base and spread of the contract."""
    found: Floats = BASE + SD * ndtri((np.arange(_CELLS) + 0.5) / _CELLS)
    return found


def skewed_scores(mean: float = BASE, sd: float = SD) -> Floats:
    """Quantiles of an NDCG-like metric in [0, 1]: a beta with this mean and spread, most of it at
    the ends."""
    weight = mean * (1.0 - mean) / sd**2 - 1.0
    spread = (np.arange(_CELLS) + 0.5) / _CELLS
    found: Floats = beta.ppf(spread, mean * weight, (1.0 - mean) * weight)
    return found


@dataclass(frozen=True, slots=True)
class World:
    """``users`` with ``searches`` each come over ``looks`` intervals; a share of them meets the
    candidate, whose scores are ``gain`` (relative to the base) higher, as all gains are: some then
    lie above 1. ``icc`` of the scores before they are
    mapped to ``scores``; ``rho``: correlation of a user's past with its scores."""

    scores: Floats
    users: int
    searches: int = 1
    looks: int = 168
    icc: float = 0.0
    share: float = 0.2
    gain: float = 0.0
    rho: float = 0.0


def simulated(world: World, rounds: int, rng: np.random.Generator) -> tuple[Moments, Moments]:
    """Sums of both arms after each look, each field of shape (rounds, looks)."""
    shape = (rounds, world.users, world.searches)
    z = rng.standard_normal(shape)
    if world.icc:
        own = rng.standard_normal((*shape[:2], 1))
        z = np.sqrt(world.icc) * own + np.sqrt(1.0 - world.icc) * z
    values = world.scores[np.minimum((ndtr(z) * _CELLS).astype(np.intp), _CELLS - 1)]
    past = np.zeros(shape[:2])
    if world.rho:
        mean = values.mean(axis=2)
        noise = np.sqrt(1.0 - world.rho**2) * mean.std() * rng.standard_normal(shape[:2])
        past = world.rho * (mean - mean.mean()) + noise
    at = np.sort(rng.integers(world.looks, size=shape), axis=2)
    arm = rng.random(shape[:2]) < world.share
    values = values + world.gain * BASE * arm[:, :, None]
    return summed(at, arm, values, past, world.looks)


def summed(
    at: NDArray[np.integer], arm: NDArray[np.bool_], values: Floats, past: Floats, looks: int
) -> tuple[Moments, Moments]:
    """``values`` (rounds, users, searches), each user's in the order of the looks ``at`` which they
    come; ``arm`` and ``past`` (rounds, users). What one more search adds to a user's squares is
    known from what the user has had before."""
    rounds = len(values)
    number = np.arange(values.shape[2], dtype=np.float64)
    before = np.cumsum(values, axis=2) - values
    x = np.broadcast_to(past[:, :, None], values.shape)
    more = number * values + before + values
    added = Moments(
        users=np.broadcast_to(number == 0, values.shape).astype(float),
        n=np.ones(values.shape),
        y=values,
        x=x,
        nn=np.broadcast_to(2 * number + 1, values.shape),
        yy=2 * before * values + values**2,
        xx=(2 * number + 1) * x**2,
        ny=more,
        nx=(2 * number + 1) * x,
        xy=x * more,
    )
    cell = ((np.arange(rounds)[:, None, None] * 2 + arm[:, :, None]) * looks + at).ravel()
    sums = {
        field.name: np.bincount(
            cell, weights=getattr(added, field.name).ravel(), minlength=rounds * 2 * looks
        )
        .reshape(rounds, 2, looks)
        .cumsum(axis=2)
        for field in fields(Moments)
    }
    a, b = (Moments(**{name: one[:, side] for name, one in sums.items()}) for side in (0, 1))
    return a, b
