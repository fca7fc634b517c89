"""The head of a closed journal, kept in the GitOps repository as well.

A chain cannot show that records were cut off its end. The anchor can, and so can the ``Audit:``
trailers of a cycle's commits, each of which names the head at its time.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from predator.domain.errors import ConflictError, IntegrityError, PredatorError
from predator.domain.ids import is_cycle_id
from predator.journal.audit import AuditJournal
from predator.ports.gitops import Commit, GitOps

STEP = "anchor"
ATTEMPTS = 20
"""As in ``desired_state``: each time that somebody else moved first, one of us got through."""

_ALL = 10_000_000


def anchor_path(contour: str, cycle_id: str) -> str:
    return f"environments/{contour}/audit/{cycle_id}.json"


def anchor(gitops: GitOps, contour: str, cycle_id: str, journal: AuditJournal) -> str:
    """Commit the head of a closed journal; the revision.

    Once a cycle: the same again returns the first revision. Raises ``ConflictError`` where the
    journal is still open or others kept moving the repository, ``IntegrityError`` where the
    cycle is anchored already with another head.
    """
    records = journal.read()
    if journal.summary is None:
        raise ConflictError(f"the journal of {cycle_id} is still open: its summary comes first")
    content = _content(contour, cycle_id, records)
    trailers = {
        "Cycle": cycle_id,
        "Step": STEP,
        "Contour": contour,
        "Audit": str(content["head"]),
    }
    path = anchor_path(contour, cycle_id)
    text = json.dumps(content, indent=2) + "\n"
    subject = f"Anchor the audit of {cycle_id}: {content['outcome']}"
    for _ in range(ATTEMPTS):
        try:
            revision = gitops.commit({path: text}, subject, trailers, parent=gitops.head())
        except ConflictError:
            continue
        if gitops.read(path, revision) != text:
            raise IntegrityError(f"{cycle_id} is anchored in git with another head")
        return revision
    raise ConflictError(f"{subject}: others kept moving the GitOps repository")


Standing = Literal["anchored", "open", "silent"]
"""What a repository says of a journal: that it ends where the anchor says; nothing against it so
far; or nothing at all."""


class Anchors:
    """What one GitOps repository knows of the journals of cycles. Reads its history once."""

    def __init__(self, gitops: GitOps) -> None:
        self._gitops = gitops
        self._commits: dict[str, list[Commit]] = {}
        for commit in gitops.log(_ALL):
            if "Audit" in commit.trailers and "Cycle" in commit.trailers:
                self._commits.setdefault(commit.trailers["Cycle"], []).append(commit)

    @property
    def anchored(self) -> Mapping[str, str]:
        """The cycles with an anchor here, and the head that each is anchored at."""
        return {
            cycle_id: commit.trailers["Audit"]
            for cycle_id in self._commits
            if is_cycle_id(cycle_id) and (commit := self._anchor(cycle_id)) is not None
        }

    def knows(self, cycle_id: str) -> bool:
        """Whether any commit here names a record of the cycle."""
        return cycle_id in self._commits

    def check(self, cycle_id: str, records: Sequence[Mapping[str, Any]]) -> Standing:
        """Compare a journal's sound records with every commit of the cycle.

        Raises ``IntegrityError`` naming the first thing that contradicts them.
        """
        hashes = {record["hash"] for record in records}
        commits = self._commits.get(cycle_id, ())
        if sum(commit.trailers.get("Step") == STEP for commit in commits) > 1:
            raise IntegrityError("the journal was anchored more than once")
        for commit in reversed(commits):
            if commit.trailers["Audit"] not in hashes:
                raise IntegrityError(
                    f"commit {commit.revision[:12]} ({commit.trailers.get('Step', 'no step')}) "
                    "names a record that the journal does not hold"
                )
        found = self._anchor(cycle_id)
        if found is None:
            return "open" if commits else "silent"
        contour = found.trailers.get("Contour", "")
        content = _content(contour, cycle_id, records)
        path = anchor_path(contour, cycle_id)
        for revision in (found.revision, None):
            try:
                same = json.loads(self._gitops.read(path, revision) or "null") == content
            except (ValueError, PredatorError):
                same = False
            if not same:
                where = f"as committed in {found.revision[:12]}" if revision else "as it is now"
                raise IntegrityError(f"the journal does not end at its anchor, {where}")
        return "anchored"

    def _anchor(self, cycle_id: str) -> Commit | None:
        commits = self._commits.get(cycle_id, ())
        return next((one for one in commits if one.trailers.get("Step") == STEP), None)


def check_anchor(gitops: GitOps, cycle_id: str, records: Sequence[Mapping[str, Any]]) -> Standing:
    """:meth:`Anchors.check` for a single cycle."""
    return Anchors(gitops).check(cycle_id, records)


def anchored_head(gitops: GitOps, cycle_id: str) -> str | None:
    """The head that the cycle's journal is anchored at, if it is."""
    return Anchors(gitops).anchored.get(cycle_id)


def _content(
    contour: str, cycle_id: str, records: Sequence[Mapping[str, Any]]
) -> dict[str, str | int]:
    last: Mapping[str, Any] = records[-1] if records else {}
    summary = last.get("summary")
    outcome = str(summary.get("outcome", "")) if isinstance(summary, Mapping) else ""
    return {
        "cycle_id": cycle_id,
        "contour": contour,
        "head": str(last.get("hash", "")),
        "records": len(records),
        "outcome": outcome,
    }
