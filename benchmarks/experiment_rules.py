"""When somebody who looks at a running experiment would promote: our rule, and what others do.

Each rule takes what is known after every look and says at which looks it would promote. They all
have the same users as units, and none looks before an arm has enough of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.experiment_worlds import BASE
from predator.loop.experiment.look import LEAST_USERS
from predator.statistics.cluster_moments import Difference, Moments, difference
from predator.statistics.confidence_sequence import half_width
from predator.statistics.evidence import information_needed, log_evidence

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Looks:
    """All looks of many experiments, each field of shape (rounds, looks): the difference, and the
    users of both arms. ``gain``: the registered one, relative."""

    found: Difference
    users: NDArray[np.float64]
    gain: float

    @property
    def z(self) -> NDArray[np.float64]:
        return np.asarray(self.found.delta / np.sqrt(self.found.variance))


Rule = Callable[[Looks], Flags]
"""At which looks it would promote."""

ALPHA = 0.05
GROWTHBOOK_TUNING = 5000.0
"""GrowthBook's default for the number of users at which its interval is tightest."""


def ours(at: Looks) -> Flags:
    """E of a gain of the registered size reaches 1/α."""
    weight = log_evidence(at.found.delta, at.found.variance, at.gain * BASE)
    return np.asarray(weight >= -np.log(ALPHA))


def two_sided(at: Looks) -> Flags:
    """The confidence sequence that is shown lies above 0 (mSPRT with a normal mixture is this)."""
    planned = at.gain**2 / information_needed(0.8)
    return np.asarray(at.found.delta_rel > half_width(at.found.variance_rel, planned, ALPHA))


def growthbook(at: Looks) -> Flags:
    """GrowthBook's sequential test, by its published formula (its package wants an older numpy).

    The asymptotic confidence sequence of Waudby-Smith et al. (2021), equation 9, with ρ by
    equation 161 at its default tuning parameter, over users and around the relative uplift.
    """
    two = -2.0 * np.log(ALPHA)
    rho = np.sqrt((two + np.log(two + 1.0)) / GROWTHBOOK_TUNING)
    informed = at.users * rho**2 + 1.0
    spread = np.asarray(at.found.variance_rel) * at.users
    scale = 2 * informed * np.log(np.sqrt(informed) / ALPHA) / (at.users * rho) ** 2
    return np.asarray(at.found.delta_rel > np.sqrt(spread * scale))


def peeking(at: Looks) -> Flags:
    """z > 1.96 at any look, as if it were the only one."""
    return at.z > 1.96


def fixed_horizon(at: Looks) -> Flags:
    """z > 1.645 at the last look alone."""
    last = np.zeros(at.z.shape, bool)
    last[:, -1] = at.z[:, -1] > 1.645
    return last


RULES: Mapping[str, Rule] = {
    "Predator (E >= 20)": ours,
    "two-sided CS / mSPRT": two_sided,
    "GrowthBook sequential": growthbook,
    "fixed horizon, z > 1.645": fixed_horizon,
    "naive peeking, z > 1.96": peeking,
}


def looked(a: Moments, b: Moments, gain: float, *, cuped: bool = False) -> Looks:
    """Looks at many experiments at once."""
    return Looks(difference(a, b, cuped=cuped), a.users + b.users, gain)


def promotes(rule: Rule, at: Looks, a: Moments, b: Moments) -> Flags:
    """At which looks ``rule`` would promote, once both arms have enough users."""
    enough = (a.users >= LEAST_USERS) & (b.users >= LEAST_USERS)
    with np.errstate(divide="ignore", invalid="ignore"):
        flags: Flags = rule(at) & enough
    return flags
