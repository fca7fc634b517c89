"""The way back through Argo CD's own history, for when a commit alone does not do it.

Auto-sync off, roll back, restore in git, auto-sync on: in another order Argo CD refuses, or puts
the bad release back. Each step leaves a mark in the application or in git, so that the same
command goes on where it was cut off.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from predator.adapters.argocd.api import ArgoApi
from predator.adapters.argocd.application import KEPT, Application, Deployed, read_application
from predator.adapters.argocd.argo_deployer import POLL_S, ArgoDeployer
from predator.adapters.argocd.errors import BusyError, UnreachableError
from predator.domain.errors import InputError, PredatorError
from predator.loop.release.desired_state import DesiredState
from predator.search.desired import LiveRelease

Faults = Callable[[str], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Entry:
    """What the history can bring back: its id, the commit, and the release that git names there.

    ``release`` is ``None`` where the commit is not in git any more.
    """

    id: int
    revision: str
    release: LiveRelease | None


@dataclass(frozen=True, slots=True)
class Undone:
    """How it ended: the entry that runs, and the commit by which git wants the same."""

    entry: Entry
    commit: str
    auto_sync: bool


@dataclass(frozen=True, slots=True)
class _Kept:
    """What an interrupted rollback left in the application: the policy, and where it went."""

    automated: Mapping[str, Any] | None
    revision: str


class BreakGlass:
    """One contour's application.

    ``faults(digest)`` names what of a release is missing or damaged: on such a one nothing is
    rolled back. ``patience_s`` is how long a roll-out may take.
    """

    def __init__(
        self,
        api: ArgoApi,
        desired: DesiredState,
        deployer: ArgoDeployer,
        faults: Faults,
        *,
        patience_s: float,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._api, self._desired, self._deployer = api, desired, deployer
        self._faults, self._patience_s = faults, patience_s
        self._monotonic, self._sleep = monotonic, sleep

    def history(self) -> Sequence[Entry]:
        """What can be brought back, newest first; the first one is what was deployed last."""
        return [self._entry(one) for one in reversed(self._look().history)]

    def roll_back(self, history_id: int | None, why: str, trailers: Mapping[str, str]) -> Undone:
        """Back to an entry of the history, by default the newest one with another release that
        nobody went back from (or the one that an interrupted rollback was on its way to).

        Git is restored as soon as Argo CD has been asked: where pods follow git themselves, that
        is what brings users back. One commit does it, and ends every experiment. ``InputError``
        for an id that is not there, or a release that is not whole. Where git cannot be written
        auto-sync stays off, and the error says so.
        """
        found = self._look()
        kept = _read_kept(found.kept)
        entry = self._chosen(found, history_id, kept)
        release = self._sound(entry)
        automatic = self._stop_auto_sync(found, kept, entry)
        commit, problem = "", None
        try:
            self._ask(entry)
            try:
                commit = self._restore(release, why, trailers)
            except PredatorError as error:
                problem = error
            self._see(entry)
        except PredatorError as error:
            raise PredatorError(
                f"{error.cause}; auto-sync of {self._api.app} stays off",
                cure="Give the same command again, or turn it on by hand",
            ) from error
        if problem is not None:
            raise PredatorError(
                f"the cluster is back at {release.version}, but git could not be restored "
                f"({problem.cause}), so auto-sync of {self._api.app} stays off",
                cure="Repair git, then give the same command again",
            ) from problem
        self._mark(None, automatic, automatic is not None)
        self._deployer.wait(commit, self._patience_s)
        return Undone(entry, commit, automatic is not None)

    def _restore(self, release: LiveRelease, why: str, trailers: Mapping[str, str]) -> str:
        return self._desired.set_release(
            release,
            None,
            f"Roll back to {release.version} by break-glass: {why}"[:200],
            {**trailers, "Rollback-To": release.version},
            unless_live=True,
        )

    def _look(self) -> Application:
        return read_application(self._api.application())

    def _entry(self, one: Deployed) -> Entry:
        try:
            return Entry(one.id, one.revision, self._desired.read(one.revision).release)
        except PredatorError:
            return Entry(one.id, one.revision, None)

    def _chosen(self, found: Application, history_id: int | None, kept: _Kept | None) -> Entry:
        entries = [self._entry(one) for one in reversed(found.history)]
        if history_id is not None:
            chosen = next((one for one in entries if one.id == history_id), None)
        elif kept is not None:
            chosen = next((one for one in entries if one.revision == kept.revision), None)
        else:
            undone = self._desired.taken_back()
            others = (one for one in entries[1:] if one.release != entries[0].release)
            chosen = next(
                (one for one in others if one.release and one.release.digest not in undone), None
            )
        if chosen is None:
            wanted = "no other release" if history_id is None else f"no entry {history_id}"
            known = ", ".join(str(entry.id) for entry in entries) or "none"
            raise InputError(
                f"Argo CD's history of {self._api.app} holds {wanted}", cure=f"It has {known}"
            )
        return chosen

    def _sound(self, entry: Entry) -> LiveRelease:
        if entry.release is None:
            raise InputError(
                f"git does not hold commit {entry.revision[:12]} of entry {entry.id}",
                cure="Choose another entry",
            )
        faults = self._faults(entry.release.digest)
        if faults:
            raise InputError(f"{entry.release.version} is not whole: {'; '.join(faults)}")
        return entry.release

    def _stop_auto_sync(
        self, found: Application, kept: _Kept | None, entry: Entry
    ) -> Mapping[str, Any] | None:
        """The policy to put back; kept in the application for whoever goes on after a crash."""
        automatic = found.auto_sync
        if automatic is None and kept is not None:
            automatic = kept.automated
        note = json.dumps({"automated": automatic, "revision": entry.revision})
        self._mark(note, None, found.auto_sync is not None)
        return automatic

    def _mark(self, note: str | None, automated: Mapping[str, Any] | None, change: bool) -> None:
        patch: dict[str, Any] = {"metadata": {"annotations": {KEPT: note}}}
        if change:
            patch["spec"] = {"syncPolicy": {"automated": automated}}
        self._api.patch(patch)

    def _ask(self, entry: Entry) -> None:
        """Ask for the rollback; an operation that is under way is ended first."""

        def asked() -> str:
            if self._look().running:
                self._api.terminate()
                return "the operation under way did not end"
            self._api.roll_back(entry.id)
            return ""

        self._until(asked)

    def _see(self, entry: Entry) -> None:
        """Wait until the entry runs."""

        def told() -> str:
            found = self._look()
            if found.failed and not found.running:
                raise PredatorError(f"Argo CD could not roll back: {found.told()}")
            runs = not found.running and found.health == "Healthy" and _runs(found, entry)
            return "" if runs else found.told() or f"it is {found.health}"

        self._until(told)

    def _until(self, told: Callable[[], str]) -> None:
        """Call until it tells nothing any more; ``PredatorError`` at the timeout."""
        deadline = self._monotonic() + self._patience_s
        while True:
            try:
                why = told()
            except (BusyError, UnreachableError) as error:
                why = str(error)
            if not why:
                return
            if self._monotonic() >= deadline:
                raise PredatorError(
                    f"the rollback was not done within {self._patience_s:g} s: {why}"
                )
            self._sleep(POLL_S)


def _runs(found: Application, entry: Entry) -> bool:
    return bool(found.history) and found.history[-1].revision == entry.revision


def _read_kept(text: str | None) -> _Kept | None:
    if text is None:
        return None
    try:
        value = json.loads(text)
        automated, revision = value["automated"], str(value["revision"])
        return _Kept(None if automated is None else dict(automated), revision)
    except (ValueError, TypeError, KeyError):
        raise InputError(
            f"the application's annotation {KEPT} is none of ours",
            cure="Remove it, and set the application's auto-sync as it should be",
        ) from None
