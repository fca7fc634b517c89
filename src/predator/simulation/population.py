"""The users: a fixed number of people with ids that survive a restart of the generator."""

from __future__ import annotations

import numpy as np

from predator.simulation.messages import User

_SEARCHES_PER_SESSION = 3.0


class Population:
    """``size`` users whose ids depend on ``seed`` and their number alone."""

    def __init__(self, size: int, seed: int) -> None:
        if size < 1:
            raise ValueError(f"{size} users cannot search")
        self._seed = seed
        self._sessions = np.zeros(size, dtype=np.int64)

    def next(self, rng: np.random.Generator) -> User:
        """Who searches next: anyone, equally likely; now and then in a new session."""
        number = int(rng.integers(self._sessions.size))
        if rng.random() < 1.0 / _SEARCHES_PER_SESSION:
            self._sessions[number] += 1
        identity = f"user-{self._seed}-{number}"
        return User(identity, f"browser-{identity}", f"{identity}-s{self._sessions[number]}")
