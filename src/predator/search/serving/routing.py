"""Which release answers whom: an immutable table, swapped whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from predator.search.desired import Desired
from predator.search.engine import Engine
from predator.statistics.assignment import bucket


@dataclass(frozen=True, slots=True)
class Route:
    """The engine for one request, and the names under which the answer is recorded."""

    engine: Engine
    experiment: str = ""
    variant: str = ""


@dataclass(frozen=True, slots=True)
class Routing:
    """The applied state: what git wants at ``revision``, with every engine it needs loaded.

    ``pinned`` is a release digest that an operator's flip has put ahead of git; while it is
    set, nothing but that release answers.
    """

    desired: Desired
    revision: str
    engines: Mapping[str, Engine]
    pinned: str | None = None

    @property
    def live_digest(self) -> str:
        return self.pinned or self.desired.release.digest

    @property
    def live(self) -> Engine:
        return self.engines[self.live_digest]

    def route(self, secret: bytes, unit: str) -> Route:
        """The same unit (user, or session where there is none) always gets the same answer."""
        if self.pinned is not None:
            return Route(self.live)
        holdback, experiment = self.desired.holdback, self.desired.experiment
        if holdback is not None:
            held = bucket(secret, holdback.id, unit) < holdback.share
            engine = self.engines[holdback.release] if held else self.live
            return Route(engine, holdback.id, "holdback" if held else "live")
        if experiment is not None:
            treated = bucket(secret, experiment.id, unit) < experiment.share
            engine = self.engines[experiment.candidate] if treated else self.live
            return Route(engine, experiment.id, "candidate" if treated else "baseline")
        return Route(self.live)
