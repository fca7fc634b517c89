"""The sealed versions of a Gold set: kept by hash, superseded, never edited.

A version is an object, so that its name is the hash of its bytes, and it names the version that
it supersedes: the newest one seals them all. A small file beside the objects says which one is
the newest.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from predator.domain.canonical import canonical_json
from predator.domain.errors import InputError, IntegrityError
from predator.domain.gold_set import GoldSet
from predator.locks import sync_folder
from predator.ports.object_store import ObjectStore

CURE = "Restore the objects from a copy, or seal the judgments anew with `predator run --fresh`"


@dataclass(frozen=True, slots=True)
class Sealed:
    """A version of a Gold set, and the digest that seals it."""

    digest: str
    gold: GoldSet


class GoldSets:
    """The versions of one Gold set; ``head`` is the file that names the newest."""

    def __init__(self, objects: ObjectStore, head: Path) -> None:
        self._objects, self._head = objects, head

    def supersede(self, gold: GoldSet, at: float) -> Sealed:
        """Seal ``gold`` as the newest version at the time ``at`` (unix s).

        What is sealed already, whichever version it is, stays what it is: a story that is told
        again after a crash makes no new version. An empty Gold set is an ``InputError``.
        """
        if not gold.rows:
            raise InputError("a Gold set without a question decides nothing")
        versions = self.versions()
        for known in versions:
            if known.gold.body == gold.body:
                return known
        newest = versions[0] if versions else None
        made = replace(
            gold,
            version=newest.gold.version + 1 if newest else 1,
            supersedes=newest.digest if newest else "",
            sealed_at=at,
        )
        digest = self._objects.put(canonical_json(made.to_json()))
        write_private(self._head, canonical_json({"newest": digest}))
        return Sealed(digest, made)

    def versions(self) -> Sequence[Sealed]:
        """Every version, newest first; ``IntegrityError`` where one of them is not sound."""
        found: list[Sealed] = []
        digest = self._newest()
        while digest:
            one = Sealed(digest, open_gold(self._objects, digest))
            if found and one.gold.version != found[-1].gold.version - 1:
                raise IntegrityError(f"Gold set {digest[:12]} is out of order", cure=CURE)
            found.append(one)
            digest = one.gold.supersedes
        if found and found[-1].gold.version != 1:
            raise IntegrityError("the first version of the Gold set is not there", cure=CURE)
        return found

    def _newest(self) -> str:
        try:
            value = json.loads(self._head.read_bytes())["newest"]
        except FileNotFoundError:
            return ""
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise IntegrityError(
                f"{self._head.name} does not say which Gold set is the newest", cure=CURE
            ) from error
        if not isinstance(value, str) or not value:
            raise IntegrityError(f"{self._head.name} names no Gold set", cure=CURE)
        return value


def open_gold(objects: ObjectStore, digest: str) -> GoldSet:
    """The version that ``digest`` seals; ``IntegrityError`` with cause and cure where it is not
    whole: missing, another than its hash promised, or no Gold set of people's judgments.
    """
    try:
        data = objects.get(digest)
    except IntegrityError as error:
        raise IntegrityError(
            f"the seal of the Gold set is broken, nothing is evaluated on it: {error.cause}",
            cure=CURE,
        ) from error
    try:
        gold = GoldSet.from_json(json.loads(data))
        if gold.version < 1 or gold.sealed_at is None or canonical_json(gold.to_json()) != data:
            raise ValueError("it was not sealed")
    except (InputError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise IntegrityError(
            f"object {digest[:12]} is no sealed Gold set ({error!s:.200})", cure=CURE
        ) from error
    return gold


def keep_documents(objects: ObjectStore, documents: Iterable[str]) -> str:
    """Keep the ids of the documents that the judges could see; the digest of the object."""
    return objects.put(canonical_json(sorted(set(documents))))


def known_documents(objects: ObjectStore, gold: GoldSet) -> frozenset[str]:
    """The ids that :func:`keep_documents` kept."""
    try:
        return frozenset(map(str, json.loads(objects.get(gold.documents))))
    except (ValueError, TypeError) as error:
        raise IntegrityError(f"object {gold.documents[:12]} lists no documents") from error


def write_private(path: Path, data: bytes) -> None:
    """Put ``data`` at ``path`` durably, whole or not at all, for its owner's eyes alone."""
    partial = path.with_name(path.name + ".partial")
    partial.unlink(missing_ok=True)
    fd = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    sync_folder(path.parent)
