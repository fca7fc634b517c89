"""Writes to the GitOps repository: each one commit, idempotent by cycle and step."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from predator.domain.errors import ConflictError, PredatorError
from predator.ports.gitops import Commit, GitOps
from predator.search.desired import (
    Desired,
    Holdback,
    LiveRelease,
    RunningExperiment,
    experiments_path,
    parse,
    render_experiments,
    render_values,
    values_path,
)

ATTEMPTS = 20
"""Each time that somebody else moved first, one of us got through: enough for a crowd of them."""


class DesiredState:
    """One contour's files in the GitOps repository."""

    def __init__(self, gitops: GitOps, contour: str) -> None:
        self.gitops = gitops
        self._values, self._experiments = values_path(contour), experiments_path(contour)

    def read(self, revision: str | None = None) -> Desired:
        """What git wants at ``revision`` (default: head)."""
        values = self.gitops.read(self._values, revision)
        if values is None:
            raise PredatorError("the GitOps repository holds no release for this contour")
        return parse(values, self.gitops.read(self._experiments, revision))

    def set_release(
        self,
        release: LiveRelease,
        holdback: Holdback | None,
        subject: str,
        trailers: Mapping[str, str],
        *,
        replaces: LiveRelease | None = None,
        unless_live: bool = False,
    ) -> str:
        """Make ``release`` live and end any experiment; the old release may be held back.

        ``unless_live``: where just that is wanted already, nothing is written and the head comes
        back, so that many who want the same make one commit.
        Raises ``ConflictError`` where ``replaces`` is given and another release went live since:
        the evidence for ``release`` was gathered against that one.
        """

        def changes() -> Mapping[str, str]:
            if replaces is not None and (live := self.read().release) != replaces:
                raise _SupersededError(
                    f"{live.version} went live meanwhile, so {release.version} was judged "
                    f"against {replaces.version} for nothing"
                )
            return {
                self._values: render_values(release, self.gitops.read(self._values)),
                self._experiments: render_experiments(None, holdback),
            }

        def done() -> str | None:
            wanted = Desired(release, holdback=holdback)
            return self.gitops.head() if unless_live and self.read() == wanted else None

        return self._commit(changes, subject, trailers, done)

    def set_experiment(
        self, experiment: RunningExperiment | None, subject: str, trailers: Mapping[str, str]
    ) -> str:
        """Start or end the experiment; the release block is not touched."""

        def changes() -> Mapping[str, str]:
            there = self.read().experiment
            if experiment is not None and there is not None and there.id != experiment.id:
                raise _SupersededError(f"{there.id} is on these users: {experiment.id} must wait")
            return {self._experiments: render_experiments(experiment, None)}

        return self._commit(changes, subject, trailers)

    def end_watch(self, subject: str, trailers: Mapping[str, str]) -> str:
        """End the hold-back; the release block is not touched."""
        return self.set_experiment(None, subject, trailers)

    def restore(self, bad_revision: str, subject: str, trailers: Mapping[str, str]) -> str:
        """One forward commit that puts back the release block from before ``bad_revision``.

        Commits in between stay; they touch other files. Carries ``Reverts: <bad_revision>``, and
        where a commit does so already, returns that one. Raises ``ConflictError`` where another
        release went live since: to restore would undo that one.
        """
        bad, before = self.read(bad_revision).release, self.before(bad_revision)

        def changes() -> Mapping[str, str]:
            live = self.read().release
            if live not in (bad, before):
                raise _SupersededError(
                    f"{live.version} went live after {bad.version}: restoring {before.version} "
                    "would undo it"
                )
            return {self._values: render_values(before, self.gitops.read(self._values))}

        return self._commit(
            changes,
            subject,
            {**trailers, "Reverts": bad_revision},
            done=lambda: next((c.revision for c in self.reverts(bad_revision)), None),
        )

    def before(self, revision: str) -> LiveRelease:
        """The release that was live before ``revision``."""
        return self.read(self._parent(revision)).release

    def release_commit(self, cycle_id: str) -> str | None:
        """The commit by which a cycle made its release live, if it did."""
        return next(
            (
                commit.revision
                for commit in self.gitops.log(1000)
                if commit.trailers.get("Cycle") == cycle_id and "Release" in commit.trailers
            ),
            None,
        )

    def reverts(self, bad_revision: str) -> list[Commit]:
        """The commits that restore what ``bad_revision`` replaced."""
        return [
            commit
            for commit in self.gitops.log(1000)
            if commit.trailers.get("Reverts") == bad_revision
        ]

    def history(self) -> list[str]:
        """Subjects of the commits, newest first."""
        return [f"{commit.revision[:8]} {commit.subject}" for commit in self.gitops.log(1000)]

    def _parent(self, revision: str) -> str:
        log = [commit.revision for commit in self.gitops.log(1000)]
        if revision not in log or log.index(revision) + 1 >= len(log):
            raise PredatorError(f"nothing stands before revision {revision[:12]}")
        return log[log.index(revision) + 1]

    def _commit(
        self,
        changes: Callable[[], Mapping[str, str]],
        subject: str,
        trailers: Mapping[str, str],
        done: Callable[[], str | None] = lambda: None,
    ) -> str:
        for _ in range(ATTEMPTS):
            parent = self.gitops.head()
            if (revision := done()) is not None:
                return revision
            try:
                return self.gitops.commit(changes(), subject, trailers, parent=parent)
            except _SupersededError:
                raise
            except ConflictError:
                continue
        raise ConflictError(f"{subject}: others kept moving the GitOps repository")


class _SupersededError(ConflictError):
    """Not a race that another attempt could win."""
