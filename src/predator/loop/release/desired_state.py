"""Writes to the GitOps repository: each one commit, idempotent by cycle and step."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from itertools import pairwise

from predator.domain.errors import ConflictError, PredatorError
from predator.loop.release.contour_promotion import ReleaseChange
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

HISTORY = 10_000
"""Commits looked at for what was live."""

ATTEMPTS = 20
"""Each time that somebody else moved first, one of us got through: enough for a crowd of them."""


class DesiredState:
    """One contour's files in the GitOps repository."""

    def __init__(self, gitops: GitOps, contour: str) -> None:
        self.gitops, self.contour = gitops, contour
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
        """Make ``release`` live and end all experiments; the old release may be held back.

        ``unless_live``: where just that is wanted already, nothing is written and the head comes
        back, so that many who want the same make one commit.
        Raises ``ConflictError`` where ``replaces`` is given and another release went live since
        (the evidence for ``release`` was gathered against that one), or its hold-back is open: what
        nobody has kept yet is nothing to go back to.
        """

        def changes() -> Mapping[str, str]:
            if replaces is not None:
                wanted = self.read()
                _check_settled(wanted)
                if wanted.release != replaces:
                    raise _SupersededError(
                        f"{wanted.release.version} went live meanwhile, so {release.version} was "
                        f"judged against {replaces.version} for nothing"
                    )
            return {
                self._values: render_values(release, self.gitops.read(self._values)),
                self._experiments: render_experiments((), holdback),
            }

        def done() -> str | None:
            wanted = Desired(release, holdback=holdback)
            return self.gitops.head() if unless_live and self.read() == wanted else None

        return self._commit(changes, subject, trailers, done)

    def set_experiment(
        self, experiment: RunningExperiment | None, subject: str, trailers: Mapping[str, str]
    ) -> str:
        """Start the experiment beside those that run, or end all; the release is not touched.

        Raises ``ConflictError`` where another one has its users, or a hold-back is open: a release
        that its watch has not kept is nothing to compare with.
        """

        def changes() -> Mapping[str, str]:
            if experiment is None:
                return {self._experiments: render_experiments((), None)}
            wanted = self.read()
            _check_settled(wanted)
            others = tuple(one for one in wanted.experiments if one.id != experiment.id)
            for other in others:
                whole = other.layer != experiment.layer and other.width >= 1
                if whole or other.overlaps(experiment):
                    raise _SupersededError(
                        f"{other.id} is on these users: {experiment.id} must wait"
                    )
            return {self._experiments: render_experiments((*others, experiment), None)}

        return self._commit(changes, subject, trailers)

    def end_experiments(
        self, names: Collection[str], subject: str, trailers: Mapping[str, str]
    ) -> str:
        """End the experiments of these ids; others, the hold-back and the release stay."""

        def changes() -> Mapping[str, str]:
            wanted = self.read()
            left = tuple(one for one in wanted.experiments if one.id not in names)
            return {self._experiments: render_experiments(left, wanted.holdback)}

        return self._commit(changes, subject, trailers)

    def end_watch(self, subject: str, trailers: Mapping[str, str]) -> str:
        """End the hold-back; the release block is not touched, nor what runs where it is gone."""

        def changes() -> Mapping[str, str]:
            return {self._experiments: render_experiments(self.read().experiments, None)}

        return self._commit(changes, subject, trailers)

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
        """The commit by which a cycle made its release live on this contour, if it did."""
        return next(
            (
                commit.revision
                for commit in self.gitops.log(1000)
                if commit.trailers.get("Cycle") == cycle_id
                and "Release" in commit.trailers
                and commit.trailers.get("Contour", self.contour) == self.contour
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

    def taken_back(self) -> frozenset[str]:
        """Digests of the releases that a rollback took away, of a drill, a watch or a person, and
        that were not live again since."""
        found: set[str] = set()
        for before, after in pairwise(self.changes()):
            if after.trailers.keys() & {"Reverts", "Rollback-To"}:
                found.add(before.release.digest)
            found.discard(after.release.digest)
        return frozenset(found)

    def changes(self) -> list[ReleaseChange]:
        """The commits that made another release live on this contour, oldest first."""
        found: list[ReleaseChange] = []
        before, known = None, ""
        for commit in reversed(self.gitops.log(HISTORY)):
            values = self.gitops.read(self._values, commit.revision)
            if values is None or values == known:
                continue
            release, known = parse(values, None).release, values
            if release != before:
                found.append(ReleaseChange(commit.revision, release, commit.trailers))
            before = release
        return found

    def made_live(self, revision: str) -> LiveRelease:
        """The release that a commit made live, on the contour that it names (default: this)."""
        commits = (c for c in self.gitops.log(HISTORY) if c.revision == revision)
        commit = next(commits, None)
        contour = self.contour if commit is None else commit.trailers.get("Contour", self.contour)
        return DesiredState(self.gitops, contour).read(revision).release

    def was_live(self, digest: str) -> bool:
        """Whether this contour ever had the release."""
        return any(change.release.digest == digest for change in self.changes())

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


def _check_settled(wanted: Desired) -> None:
    if wanted.holdback is not None:
        raise _SupersededError(
            f"the hold-back {wanted.holdback.id} is open beside {wanted.release.version}",
            cure="Keep that release, or roll it back, first",
        )


class _SupersededError(ConflictError):
    """Not a race that another attempt could win."""
