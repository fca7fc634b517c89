"""What people look at: the state of a contour, its releases and its experiments."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from predator.domain.errors import PredatorError
from predator.domain.governance import EVERYWHERE, KILL_SWITCH, CycleEntry, Flag, Spend
from predator.journal.logs import clean
from predator.loop import cycle_files
from predator.loop.experiment.view import ExperimentView, read_experiment
from predator.loop.operator.desk import Acts
from predator.policy.flags import flag_context
from predator.ports.gitops import Commit
from predator.search.desired import (
    Desired,
    LiveRelease,
    RunningExperiment,
    experiments_path,
    parse,
    values_path,
)

T = TypeVar("T")

LAYERS = ("ranking",)
"""Where experiments may run."""

RECENT = 200
"""Cycles looked at for those that run."""

HISTORY = 1000
"""Commits looked at for releases."""


@dataclass(frozen=True, slots=True)
class State:
    """A contour at a glance. Where a part cannot be read, ``unknown`` says why, by its name.

    ``stopped`` is what the loop would be told; ``kill_switch`` the rows behind it.
    ``experiments`` maps a layer to the cycles that hold or wait for a place in it.
    """

    contour: str
    stopped: bool
    kill_switch: Mapping[str, bool]
    flags: Mapping[str, bool | int | str]
    live: LiveRelease | None
    running: Sequence[CycleEntry]
    approvals_pending: Sequence[str]
    experiments: Mapping[str, Sequence[str]]
    cycles_today: int | None
    max_cycles_per_day: int
    spend: Spend | None
    budget_usd: float
    unknown: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ReleaseEntry:
    """A release that went live on a contour by a commit (``at`` unix s), the ``number``-th."""

    number: int
    version: str
    digest: str
    cycle_id: str
    revision: str
    subject: str
    at: float
    reverts: str
    live: bool
    stable: bool
    gold: bool


@dataclass(frozen=True, slots=True)
class Experiments:
    """The experiments that git wants now, and what past ones found (newest first)."""

    running: Sequence[RunningExperiment]
    past: Sequence[Mapping[str, Any]]


class Views(Acts):
    """Reading, nothing else."""

    def state(self, contour: str) -> State:
        """How a contour stands; whatever store is down, the rest is shown."""
        rules = self.desk.contours[self._known(contour)]
        now = self.desk.clock.now()
        unknown: dict[str, str] = {}

        def read(name: str, reader: Callable[[], T]) -> T | None:
            try:
                return reader()
            except PredatorError as error:
                unknown[name] = clean(str(error))
                return None

        rows: Sequence[Flag] | None = read("flags", self.desk.flags.rows)
        context = flag_context(rows, contour, rules.defaults)
        recent = read("cycles", lambda: self.desk.cycles.list(contour, limit=RECENT)) or ()
        pending = read("approvals", lambda: self.desk.approvals.list(contour, pending=True)) or ()
        places = read(
            "experiments",
            lambda: {layer: self.desk.slots.holders(f"{contour}/{layer}") for layer in LAYERS},
        )
        desired: Desired | None = read("live", lambda: self._desired(contour))
        return State(
            contour=contour,
            stopped=context.get(KILL_SWITCH) is not False,
            kill_switch=kill_switch_rows(rows or (), contour),
            flags=context,
            live=desired.release if desired is not None else None,
            running=[entry for entry in recent if not entry.outcome],
            approvals_pending=[approval.id for approval in pending if approval.expires_at > now],
            experiments=places or {},
            cycles_today=read("limits", lambda: self.desk.limits.cycles_on(contour, now)),
            max_cycles_per_day=rules.max_cycles_per_day,
            spend=read("limits", lambda: self.desk.limits.spent(contour, now)),
            budget_usd=rules.budget_usd,
            unknown=unknown,
        )

    def releases(self, contour: str) -> Sequence[ReleaseEntry]:
        """Every release that was live, newest first, by the commits of git."""
        self._known(contour)
        path = values_path(contour)
        kept = {} if self.desk.releases is None else {
            entry.version: entry for entry in self.desk.releases.list()
        }  # fmt: skip
        found: list[ReleaseEntry] = []
        before: LiveRelease | None = None
        for commit in reversed(self.desk.gitops.log(HISTORY)):
            values = self.desk.gitops.read(path, commit.revision)
            release = None if values is None else parse(values, None).release
            if release is not None and release != before:
                entry = kept.get(release.version)
                stable = entry is not None and entry.stable_at is not None
                gold = entry is not None and entry.gold_at is not None
                found.append(_entry(len(found) + 1, release, commit, stable=stable, gold=gold))
            before = release
        return [replace(entry, live=entry is found[-1]) for entry in reversed(found)]

    def experiments(self, contour: str) -> Experiments:
        """What runs, by git, and what ended, by what the cycles left."""
        desired = self._desired(contour) if self._has_release(self._known(contour)) else None
        artifacts = self.desk.artifacts
        past = []
        for cycle_id in cycle_files.cycle_ids(artifacts):
            result = cycle_files.json_file(artifacts, cycle_id, "ab_test_results.json")
            if result and self._contour_of(cycle_id) == contour:
                past.append({**result, "cycle_id": cycle_id})
        return Experiments(desired.experiments if desired is not None else (), past)

    def experiment(self, cycle_id: str) -> ExperimentView:
        """The experiment of one cycle; ``NotFoundError`` where it had none."""
        return read_experiment(self.desk.artifacts, cycle_id)

    def _contour_of(self, cycle_id: str) -> str:
        entry = self.desk.cycles.get(cycle_id)
        if entry is not None:
            return entry.contour
        return cycle_files.contour_in_audit(self.desk.artifacts, cycle_id)

    def _has_release(self, contour: str) -> bool:
        return self.desk.gitops.read(values_path(contour)) is not None

    def _desired(self, contour: str) -> Desired | None:
        values = self.desk.gitops.read(values_path(contour))
        if values is None:
            return None
        return parse(values, self.desk.gitops.read(experiments_path(contour)))


def kill_switch_rows(rows: Sequence[Flag], contour: str) -> Mapping[str, bool]:
    """The rows of the kill switch that matter on ``contour``, by environment."""
    return {
        row.environment: row.enabled
        for row in rows
        if row.name == KILL_SWITCH and row.environment in {contour, EVERYWHERE}
    }


def _entry(
    number: int, release: LiveRelease, commit: Commit, *, stable: bool, gold: bool
) -> ReleaseEntry:
    return ReleaseEntry(
        number=number,
        version=release.version,
        digest=release.digest,
        cycle_id=release.cycle,
        revision=commit.revision,
        subject=commit.subject,
        at=commit.at,
        reverts=commit.trailers.get("Reverts", ""),
        live=False,
        stable=stable,
        gold=gold,
    )
