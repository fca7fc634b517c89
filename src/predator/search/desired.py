"""What git says should be live, as Helm values in two files.

``values.yaml`` holds the release, ``experiments.yaml`` the experiments and the hold-back, so
that a commit that restores a release never conflicts with one that ends an experiment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from predator.domain.errors import InputError
from predator.search.desired_yaml import block, dump, load, mapping, plain


@dataclass(frozen=True, slots=True)
class LiveRelease:
    """The release block: a version for people, the digest that counts, the cycle that made it."""

    version: str
    digest: str
    cycle: str


AB, INTERLEAVE = "ab", "interleave"
"""What an experiment shows a user: one of two releases, or both in one list."""


@dataclass(frozen=True, slots=True)
class RunningExperiment:
    """``share`` of its users get ``candidate``, the rest the live release.

    Its users are those of ``layer`` from ``users_from`` up to ``users_to``, in [0, 1]: slices of
    one layer never overlap. Of an experiment of the kind ``interleave``, ``share`` of the users
    get lists drafted from both releases, and the rest are none of its users.
    """

    id: str
    layer: str
    candidate: str
    share: float
    kind: str = AB
    users_from: float = 0.0
    users_to: float = 1.0

    def __post_init__(self) -> None:
        """Raises ``ValueError`` for another kind, and for a slice without users."""
        if self.kind not in (AB, INTERLEAVE):
            raise ValueError(f"an experiment is {AB} or {INTERLEAVE}, not {self.kind[:40]!r}")
        if self.width <= 0:
            raise ValueError(f"experiment {self.id[:40]!r} has no users")

    @property
    def width(self) -> float:
        """The share of the layer's users that this experiment has."""
        return self.users_to - self.users_from

    def overlaps(self, other: RunningExperiment) -> bool:
        """Whether both claim a user of one layer."""
        return (
            self.layer == other.layer
            and self.users_from < other.users_to
            and other.users_from < self.users_to
        )


@dataclass(frozen=True, slots=True)
class Holdback:
    """``share`` of the users stay on ``release`` while a fresh one is watched."""

    id: str
    release: str
    share: float


@dataclass(frozen=True, slots=True)
class Desired:
    """The whole desired state of one contour; ``experiments`` in the order of their start."""

    release: LiveRelease
    experiments: tuple[RunningExperiment, ...] = ()
    holdback: Holdback | None = None

    @property
    def experiment(self) -> RunningExperiment | None:
        """The experiment that runs longest, if any does."""
        return self.experiments[0] if self.experiments else None

    def running(self, name: str) -> RunningExperiment | None:
        """The experiment of this id, if it is on users."""
        return next((one for one in self.experiments if one.id == name), None)


_TRIALS = frozenset({"experiment", "experiments", "holdback"})


def values_path(contour: str) -> str:
    return f"environments/{contour}/values.yaml"


def experiments_path(contour: str) -> str:
    return f"environments/{contour}/experiments.yaml"


@lru_cache(maxsize=64)
def parse(values: str, experiments: str | None) -> Desired:
    """Read both files; ``InputError`` where they are not what this version writes.

    ``values.yaml`` may hold other Helm values beside the release; ``experiments.yaml`` may not,
    so that a misspelt experiment is not taken for none. Of an older version, ``experiment`` names
    the only one.
    """
    try:
        release = mapping(load(values).get("search")).get("release")
        outer = load(experiments or "")
        search = mapping(outer.get("search"))
        unknown = (outer.keys() - {"search"}) | (search.keys() - _TRIALS)
        if unknown:
            raise ValueError(f"unknown key {sorted(map(str, unknown))[0]!r} among the experiments")
        if release is None:
            raise ValueError("there is no search.release")
        held = search.get("holdback")
        return Desired(
            block(LiveRelease, release),
            _experiments(search),
            None if held is None else block(Holdback, held),
        )
    except (TypeError, ValueError) as error:
        raise InputError(f"the GitOps values cannot be read: {error}") from error


def render_values(release: LiveRelease, previous: str | None) -> str:
    """``values.yaml`` with the release block set; comments and other values in ``previous`` stay.

    ``InputError`` where ``previous`` is not a file of values.
    """
    try:
        document = load(
            previous or "# The release that serves. Commits change it; nothing else.\n{}"
        )
        if not mapping(document.get("search")):
            document["search"] = {}
    except (TypeError, ValueError) as error:
        raise InputError(f"the GitOps values cannot be changed: {error}") from error
    document["search"]["release"] = plain(release)
    return dump(document)


def render_experiments(experiments: Sequence[RunningExperiment], holdback: Holdback | None) -> str:
    """``experiments.yaml`` whole."""
    return dump(
        {
            "search": {
                "experiments": [plain(one) for one in experiments],
                "holdback": plain(holdback) if holdback else None,
            }
        }
    )


def _experiments(search: Mapping[str, Any]) -> tuple[RunningExperiment, ...]:
    """Those of the file; ``ValueError`` where two have one id, or claim the same users."""
    several, only = search.get("experiments"), search.get("experiment")
    if several is not None and not isinstance(several, list):
        raise TypeError(f"expected a list of experiments, found {type(several).__name__}")
    found: list[RunningExperiment] = []
    for given in [*([] if only is None else [only]), *(several or [])]:
        one = block(RunningExperiment, given)
        for other in found:
            if other.id == one.id or other.overlaps(one):
                raise ValueError(f"{other.id[:40]!r} and {one.id[:40]!r} claim the same users")
        found.append(one)
    return tuple(found)
