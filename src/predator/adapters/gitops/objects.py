"""Git objects read with their hash checked, and written so that they outlive a power cut."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import mkstemp
from threading import Lock
from typing import TYPE_CHECKING

from predator.domain.errors import InputError, IntegrityError
from predator.locks import sync_folder

if TYPE_CHECKING:
    from dulwich.objects import Commit, ShaFile, Tag, Tree

_FILE_MODE = 0o100644
_FOLDER_MODE = 0o040000


class GitObjects:
    """The object folder of one repository. Reads are safe from any thread."""

    def __init__(self, folder: Path) -> None:
        from dulwich.object_store import DiskObjectStore

        self._folder = folder
        self._store = DiskObjectStore(str(folder))
        self._lock = Lock()

    def close(self) -> None:
        self._store.close()

    def commit(self, revision: str) -> Commit:
        """The commit, or ``InputError`` where the repository holds none of that name."""
        from dulwich.objects import Commit

        found = self._load(revision.encode())
        if not isinstance(found, Commit):
            raise InputError(f"revision {revision} is not in the GitOps repository")
        return found

    def tag(self, name: str) -> Tag:
        """The annotated tag object ``name``; ``IntegrityError`` where that is none."""
        from dulwich.objects import Tag

        found = self._load(name.encode())
        if not isinstance(found, Tag):
            raise IntegrityError(f"git object {name} is not an annotated tag")
        return found

    def text(self, commit: Commit, parts: tuple[str, ...]) -> str | None:
        """The file at ``parts`` as text; ``None`` where there is no regular file."""
        found = self._tree(commit.tree)
        for depth, part in enumerate(parts, start=1):
            name = part.encode()
            if name not in found:
                return None
            mode, digest = found[name]
            if depth == len(parts):
                return self._blob_text(digest, parts) if stat.S_ISREG(mode) else None
            if not stat.S_ISDIR(mode):
                return None
            found = self._tree(digest)
        return None

    def ancestry(self, revision: str, known: set[str]) -> Iterator[tuple[str, Commit]]:
        """Every commit reachable from ``revision`` without passing through a ``known`` one."""
        waiting, met = [revision], set(known)
        while waiting:
            name = waiting.pop()
            if name in met:
                continue
            met.add(name)
            commit = self.commit(name)
            yield name, commit
            waiting.extend(parent.decode() for parent in commit.parents)

    def updated_tree(
        self, base: bytes | None, changes: Mapping[tuple[str, ...], bytes], path: str = ""
    ) -> list[ShaFile]:
        """New blobs and trees that apply ``changes`` to the tree ``base``; the root comes last."""
        from dulwich.objects import Blob, Tree

        tree = Tree() if base is None else self._tree(base)
        present = {entry.path: (entry.mode, entry.sha) for entry in tree.items()}
        made: list[ShaFile] = []
        for name, below in _by_first_part(changes).items():
            full, key = f"{path}{name}", name.encode()
            mode, digest = present.get(key, (0, None))
            if () in below:
                if stat.S_ISDIR(mode):
                    raise InputError(f"{full} is a folder in the GitOps repository")
                made.append(Blob.from_string(below[()]))
                tree.add(key, _FILE_MODE, made[-1].id)
                continue
            if digest is not None and not stat.S_ISDIR(mode):
                raise InputError(f"{full} is a file in the GitOps repository")
            made.extend(self.updated_tree(digest, below, f"{full}/"))
            tree.add(key, _FOLDER_MODE, made[-1].id)
        made.append(tree)
        return made

    def add(self, objects: list[ShaFile]) -> None:
        """Write what is not there yet, parts before wholes, and make it durable."""
        folders = {self._folder}
        for item in objects:
            target = self._folder / item.id[:2].decode() / item.id[2:].decode()
            if self._is_sound(item.id):
                continue
            target.parent.mkdir(exist_ok=True)
            _write_durably(item.as_legacy_object(), target)
            folders.add(target.parent)
        for folder in folders:
            sync_folder(folder)

    def _is_sound(self, digest: bytes) -> bool:
        try:
            return self._load(digest) is not None
        except IntegrityError:
            return False

    def _tree(self, digest: bytes) -> Tree:
        from dulwich.objects import Tree

        found = self._load(digest)
        if not isinstance(found, Tree):
            raise IntegrityError(f"git tree {digest.decode()} is missing or damaged")
        return found

    def _blob_text(self, digest: bytes, parts: tuple[str, ...]) -> str:
        from dulwich.objects import Blob

        found = self._load(digest)
        if not isinstance(found, Blob):
            raise IntegrityError(f"git blob {digest.decode()} is missing or damaged")
        try:
            return found.data.decode()
        except UnicodeDecodeError as error:
            raise InputError(f"{'/'.join(parts)} in the GitOps repository is not UTF-8") from error

    def _load(self, digest: bytes) -> ShaFile | None:
        from dulwich.objects import ObjectID, ShaFile

        try:
            with self._lock:
                kind, data = self._store.get_raw(ObjectID(digest))
            found = ShaFile.from_raw_string(kind, data)
            if found.id == digest:
                return found
        except KeyError:
            return None
        except OSError:
            raise
        except Exception as error:  # a parser meets damage in as many ways as it has lines
            raise IntegrityError(f"git object {digest.decode()} is damaged: {error}") from error
        raise IntegrityError(f"git object {digest.decode()} does not match its hash")


def _write_durably(data: bytes, target: Path) -> None:
    # git's own name for a file in the making: `git gc` clears what a killed writer leaves.
    fd, name = mkstemp(prefix="tmp_obj_", dir=target.parent)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(fd, 0o444)
            os.fsync(fd)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _by_first_part(
    changes: Mapping[tuple[str, ...], bytes],
) -> dict[str, dict[tuple[str, ...], bytes]]:
    groups: dict[str, dict[tuple[str, ...], bytes]] = {}
    for parts, data in changes.items():
        groups.setdefault(parts[0], {})[parts[1:]] = data
    return groups
