"""The work of the stations, as the flow sees it: JSON in, JSON out, so that it can be recorded.

``RealStations`` learn from the platform's own traffic and documents; ``SimulatedStations`` (the
contour dev-mac) go through the same motions without training anything.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Protocol

from predator.domain.readings import Value
from predator.loop.experiment.screen import ScreenPlan
from predator.loop.monitor import Signal
from predator.loop.record import Record
from predator.ports.releases import KeptRelease
from predator.ports.runtime import Json
from predator.search.desired import LiveRelease


@dataclass(frozen=True, slots=True)
class Situation:
    """What the monitor hands over: the signal if one fired, and the spans of time it compared.

    ``baseline_since``/``baseline_until`` frame the healthy traffic, ``since``/``until`` the window
    that is diagnosed (unix seconds).
    """

    signal: Signal | None
    baseline: Value
    baseline_since: float
    baseline_until: float
    since: float
    until: float

    @classmethod
    def unobserved(cls, at: float) -> Situation:
        """For a flow that neither diagnoses nor trains: no signal, and nothing compared."""
        return cls(None, Value(0.0, 0, 0.0, 0.0, at), at, at, at, at)

    @property
    def trigger(self) -> dict[str, Any]:
        if self.signal is None:
            return {"type": "scheduled", "value": None, "baseline": self.baseline.value}
        return {
            "type": self.signal.trigger,
            "value": round(self.signal.value, 4),
            "baseline": round(self.signal.baseline, 4),
        }

    @classmethod
    def of_a_drill(cls, at: float) -> Situation:
        """Nothing fired, and nothing is diagnosed."""
        return cls(None, Value(0.0, 0, 0.0, 0.0, at), at, at, at, at)

    def to_json(self) -> Json:
        return asdict(self)

    @classmethod
    def from_json(cls, value: Json) -> Situation:
        """The inverse of :meth:`to_json`."""
        signal = value["signal"]
        return cls(
            Signal(**signal) if signal is not None else None,
            Value(**value["baseline"]),
            value["baseline_since"],
            value["baseline_until"],
            value["since"],
            value["until"],
        )


class Stations(Protocol):
    """Each is run inside a durable step that policy has allowed: idempotent by cycle and step."""

    simulated: bool

    def open(self, record: Record) -> Json:
        """What is live and which documents there are: ``before`` (the release block) and
        ``corpus`` (what later steps read the same documents back by)."""
        ...

    def diagnose(self, record: Record, opened: Json) -> Json:
        """``cause``, ``evidence``, ``affected_categories``, ``low_coverage_terms``."""
        ...

    def build_dataset(self, record: Record, opened: Json, diagnosis: Json) -> Json:
        """``path``, ``hash``, ``revision`` and ``lock_file`` of the dataset."""
        ...

    def train(self, record: Record, opened: Json, dataset: Json) -> Json:
        """``release`` (the candidate's digest), ``best``, ``portfolio`` and the model's folder."""
        ...

    def evaluate(self, record: Record, opened: Json, trained: Json, number: int) -> Json:
        """The offline evaluation against what is live now, as ``evaluation.json`` has it, with
        ``before``: the release block it was judged against."""
        ...

    def plan_experiment(self, record: Record, evaluated: Json) -> Json:
        """The plan, or ``{"unplanned": result}`` where there is nothing to plan by."""
        ...

    def seen(self, record: Record, experiment: str, since: float) -> int:
        """How many searches the experiment has had."""
        ...

    def look_experiment(
        self, record: Record, experiment: str, since: float, plan: Json, releases: Json,
        occasion: Json,
    ) -> Json:  # fmt: skip
        """One look at a running experiment: its result so far, or where it has ``ended``.

        ``releases``: digest by arm; ``occasion``: ``number``, ``elapsed_s``, ``last``, ``looks``.
        """
        ...

    def watch_baseline(self, record: Record, old: Json) -> Json:
        """What the old release served lately (``before``) and what a watch will do (``plan``);
        ``PredatorError`` where that is nothing."""
        ...

    def look(
        self, record: Record, experiment: str, since: float, number: int, baseline: Json
    ) -> Json:
        """One look at a fresh release."""
        ...

    def bad_release(self, record: Record, live: Json) -> str:
        """The digest of a release that a watch has to catch, made of the live one."""
        ...

    def settled(self, kept: KeptRelease) -> None:
        """A release of this cycle was kept: name what it was made of, too."""
        ...

    def shadow(self, record: Record, before: LiveRelease, candidate: str) -> Json:
        """What recorded queries say of a candidate: :class:`.experiment.shadow.Shadowed`."""
        ...

    def screen(self, record: Record, experiment: str, since: float, plan: ScreenPlan) -> Json:
        """What users of drafted lists preferred: :class:`.experiment.screen.Screened`."""
        ...
