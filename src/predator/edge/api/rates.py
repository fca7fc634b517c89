"""Token buckets: how often somebody may do something."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock


class Buckets:
    """One bucket a name: ``burst`` at once, then ``per_s``. At most ``most`` names are known.

    The name not seen for the longest is forgotten first; ``now`` is seconds that never go back.
    """

    def __init__(
        self, per_s: float, burst: int, now: Callable[[], float], *, most: int = 10_000
    ) -> None:
        self._per_s, self._burst, self._now, self._most = per_s, burst, now, most
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = Lock()

    def take(self, name: str) -> float:
        """Take one: 0 where there was one, else the seconds until there is one again."""
        with self._lock:
            now = self._now()
            level, since = self._levels.pop(name, (float(self._burst), now))
            level = min(float(self._burst), level + max(0.0, now - since) * self._per_s)
            wait = 0.0 if level >= 1 else (1 - level) / self._per_s
            self._levels[name] = (level - 1 if level >= 1 else level, now)
            while len(self._levels) > self._most:
                self._levels.popitem(last=False)
            return wait
