"""What a look at an experiment says, and what it leaves for the plot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from predator.domain.verdicts import Verdict
from predator.loop.experiment.guards import Measured
from predator.statistics.sample_ratio import RatioEvidence


@dataclass(frozen=True, slots=True)
class ArmDifference:
    """The candidate (b) against the baseline (a), in people.

    ``ci_low`` to ``ci_high``: the confidence sequence of ``delta_rel``. ``evidence``: E of a gain.
    ``variance_reduction``: the share that the users' past took off the variance.
    """

    mean_a: float
    mean_b: float
    delta_rel: float
    ci_low: float | None
    ci_high: float | None
    n_a: int
    n_b: int
    users_a: int
    users_b: int
    evidence: float
    variance_reduction: float


@dataclass(frozen=True, slots=True)
class Novelty:
    """The gain in the first half of the time and in the rest; it ``holds`` where the rest shows it
    too."""

    first_rel: float | None
    rest_rel: float | None
    holds: bool


@dataclass(frozen=True, slots=True)
class Excluded:
    """Identities that are no people: how many, their share of all, and why."""

    users: int
    share: float
    quarantined: bool
    reasons: dict[str, int]


@dataclass(frozen=True, slots=True)
class Point:
    """What one look saw, for the plot."""

    number: int
    elapsed_s: float
    n_a: int
    n_b: int
    users_a: int
    users_b: int
    delta_rel: float | None
    ci_low: float | None
    ci_high: float | None
    evidence: float


@dataclass(frozen=True, slots=True)
class Result:
    """What a look says. While it has not ``ended``, the verdict is INCONCLUSIVE so far."""

    verdict: Verdict
    reason: str
    ended: bool
    searches: int
    elapsed_s: float
    users: dict[str, int]
    difference: ArmDifference | None
    metrics: Sequence[Measured]
    sample_ratio: RatioEvidence | None
    excluded: Excluded
    novelty: Novelty | None
    looks: Sequence[Point]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def unplanned(reason: str) -> Result:
    """The result of an experiment that could not be planned, or whose searches say nothing."""
    return Result(
        Verdict.ERROR, reason, True, 0, 0.0, {}, None, (), None,
        Excluded(0, 0.0, False, {}), None, (),
    )  # fmt: skip
