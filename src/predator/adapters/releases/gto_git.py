"""The register as annotated git tags in the GitOps repository, as GTO writes and reads them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import finalize

from predator.adapters.gitops.bare_git import AUTHOR
from predator.adapters.gitops.objects import GitObjects
from predator.adapters.releases import gto_tag, rules
from predator.adapters.releases.tags import TagRefs
from predator.domain.errors import InputError, IntegrityError
from predator.ports.releases import KeptRelease, Stage

if TYPE_CHECKING:
    from dulwich.objects import Tag

_ARTIFACT = re.compile(r"[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?\Z")


class GtoGitReleases:
    """Versions of ``artifact`` in the bare ``repository``; ``gto show`` lists them.

    A version is the tag ``artifact@v2.0.0``, a stage ``artifact#gold#N``. Both are annotated
    tags whose text holds the entry as JSON; they travel with every clone. Safe to share between
    threads and processes, and with a ``BareGit`` of the same repository. A tag under the
    artifact's name that Predator did not write is refused (``IntegrityError``), not overlooked.
    """

    def __init__(
        self,
        repository: Path,
        *,
        artifact: str = "predator-release",
        lock_timeout_s: float = 10.0,
        stale_lock_s: float = 2.0,
    ) -> None:
        repository = repository.absolute()
        if _ARTIFACT.match(artifact) is None:
            raise InputError(f"{artifact!r:.80} cannot name a release", cure="Use a-z, 0-9 and -")
        if not (repository / "objects").is_dir() or not (repository / "HEAD").is_file():
            raise InputError(f"{repository} is not a bare git repository")
        self._artifact = artifact
        self._tags = TagRefs(repository, lock_timeout_s=lock_timeout_s, stale_lock_s=stale_lock_s)
        self._objects = GitObjects(repository / "objects")
        self._parsed: dict[tuple[str, str], KeptRelease | gto_tag.Assignment] = {}
        self._finalizer = finalize(self, self._objects.close)

    def close(self) -> None:
        """Release the pack files held open; also done when the object is collected."""
        self._finalizer()

    def keep(self, release: KeptRelease) -> KeptRelease:
        release = rules.check(release)
        name = gto_tag.registration_name(self._artifact, release.version)
        with self._tags.exclusive():
            known = rules.standing(release, self._read().kept)
            if known is not None:
                return known
            self._objects.commit(release.revision)
            text = gto_tag.registration_text(release)
            self._create(name, release.revision, text, int(release.at))
            return release

    def mark(self, version: str, stage: Stage, at: float) -> KeptRelease:
        rules.check_stage(stage)
        at = rules.check_time(at)
        with self._tags.exclusive():
            read = self._read()
            entry = read.entry(version)
            if rules.stage_time(entry, stage) is not None:
                return entry
            if stage == "gold":
                rules.check_gold(entry, rules.newest(read.kept, "gold"))
            name = gto_tag.assignment_name(self._artifact, stage, read.assignments + 1)
            # GTO takes the latest assignment of a stage by its time, which has whole seconds.
            self._create(
                name,
                entry.revision,
                gto_tag.assignment_text(version, stage, at),
                max(int(at), read.last_assigned + 1),
            )
            return rules.with_stage(entry, stage, at)

    def get(self, version: str) -> KeptRelease:
        return self._read().entry(version)

    def list(self) -> Sequence[KeptRelease]:
        return rules.newest_first(self._read().kept)

    def newest(self, stage: Stage) -> KeptRelease | None:
        return rules.newest(self._read().kept, stage)

    def _read(self) -> _Read:
        # Stages before versions: whatever has a stage by then has a version already.
        assigned = self._tags.starting(f"{self._artifact}#")
        registered = self._tags.starting(f"{self._artifact}@")
        read = _Read({})
        for name, target in registered.items():
            found = self._parse(name, target)
            if isinstance(found, KeptRelease):
                read.kept[found.version] = found
        for name, target in assigned.items():
            found = self._parse(name, target)
            if isinstance(found, gto_tag.Assignment):
                read.assign(name, found)
        return read

    def _parse(self, name: str, target: str) -> KeptRelease | gto_tag.Assignment:
        """What the tag object says; git names it by its content, so once is enough."""
        key = (name, target)
        if key not in self._parsed:
            read = gto_tag.read_registration if "@" in name else gto_tag.read_assignment
            self._parsed[key] = read(name, self._objects.tag(target))
        return self._parsed[key]

    def _create(self, name: str, revision: str, text: bytes, at: int) -> None:
        tag = _tag_object(name, revision, text, at)
        self._objects.add([tag])
        self._tags.create(name, tag.id.decode())


@dataclass(slots=True)
class _Read:
    """The register as the tags tell it."""

    kept: dict[str, KeptRelease]
    assignments: int = 0
    last_assigned: int = 0

    def entry(self, version: str) -> KeptRelease:
        if not isinstance(version, str) or version not in self.kept:
            raise rules.unknown(version)
        return self.kept[version]

    def assign(self, name: str, found: gto_tag.Assignment) -> None:
        entry = self.kept.get(found.version)
        if entry is None or entry.revision != found.revision:
            raise IntegrityError(f"the git tag {name} marks a version that it does not point at")
        self.kept[found.version] = rules.with_stage(entry, found.stage, found.at)
        self.assignments = max(self.assignments, found.number)
        self.last_assigned = max(self.last_assigned, found.tag_time)


def _tag_object(name: str, revision: str, text: bytes, at: int) -> Tag:
    from dulwich.objects import Commit, ObjectID
    from dulwich.objects import Tag as GitTag

    tag = GitTag()
    tag.name = name.encode()
    tag.object = (Commit, ObjectID(revision.encode()))
    tag.tagger = AUTHOR
    tag.tag_time, tag.tag_timezone = at, 0
    tag.message = text
    return tag
