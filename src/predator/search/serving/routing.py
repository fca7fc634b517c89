"""Which release answers whom: an immutable table, swapped whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from predator.search.desired import INTERLEAVE, Desired, RunningExperiment
from predator.search.engine import Engine
from predator.statistics.assignment import bucket, in_slice
from predator.statistics.interleaving import INTERLEAVED


@dataclass(frozen=True, slots=True)
class Route:
    """The engine for one request, and the names under which the answer is recorded.

    Where there is a ``rival``, the answer is drafted from the lists of both.
    """

    engine: Engine
    experiment: str = ""
    variant: str = ""
    rival: Engine | None = None


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

    def route(self, secret: bytes, unit: str, *, sticky: bool = True) -> Route:
        """The same unit always gets the same answer: a user, or a session where there is none.

        A candidate is a whole release, so one search is part of one experiment: of those that
        claim the unit, the one that started first. Who is not ``sticky`` (a search of nobody, its
        own unit) is part of none: the live release answers.
        """
        if self.pinned is not None:
            return Route(self.live)
        holdback = self.desired.holdback
        if holdback is not None:
            held = bucket(secret, holdback.id, unit) < holdback.share
            engine = self.engines[holdback.release] if held else self.live
            return Route(engine, holdback.id, "holdback" if held else "live")
        for experiment in self.desired.experiments if sticky else ():
            slice_ = (experiment.users_from, experiment.users_to)
            if in_slice(secret, experiment.layer, unit, slice_):
                found = self._arm(secret, experiment, unit)
                if found is not None:
                    return found
        return Route(self.live)

    def _arm(self, secret: bytes, experiment: RunningExperiment, unit: str) -> Route | None:
        treated = bucket(secret, experiment.id, unit) < experiment.share
        candidate = self.engines[experiment.candidate]
        if experiment.kind == INTERLEAVE:
            return Route(self.live, experiment.id, INTERLEAVED, candidate) if treated else None
        engine = candidate if treated else self.live
        return Route(engine, experiment.id, "candidate" if treated else "baseline")
