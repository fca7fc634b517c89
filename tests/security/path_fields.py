"""Every string field of the stores that could reach a path, and a process that attacks them all.

``python -m tests.security.path_fields HOME`` gives each field each form, with every file that the
process opens, makes, moves or removes on record, and prints what it found as JSON.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from predator.adapters.datasets.dvc_git import DvcDatasets
from predator.adapters.datasets.memory import MemoryDatasets
from predator.adapters.gitops.bare_git import BareGit
from predator.adapters.object_store.folder import FolderObjectStore
from predator.adapters.releases.gto_git import GtoGitReleases
from predator.adapters.tracking.memory import MemoryTracking
from predator.contours.load import packaged
from predator.domain.canonical import canonical_json, sha256_hex
from predator.domain.errors import PredatorError
from predator.domain.release import Release, RetrievalParameters
from predator.loop.gold.versions import target
from predator.loop.release.bundle import restore_encoder, verify_bundle
from predator.loop.release.desired_state import DesiredState
from predator.ports.datasets import DatasetVersion
from predator.search.desired import LiveRelease
from tests.contracts.releases import AT, entry
from tests.security.forms import traversals

Field = Callable[[str], object]
SONG = "what the canary sings"
FILE_EVENTS = {"open": 1, "os.mkdir": 1, "os.rename": 2, "os.remove": 1, "os.rmdir": 1}
FILE_EVENTS |= {"os.link": 2, "os.symlink": 2, "os.listdir": 1, "os.scandir": 1, "os.chmod": 1}
FILE_EVENTS |= {"os.truncate": 1, "shutil.rmtree": 1, "shutil.copyfile": 2}


class Objects(FolderObjectStore):
    """What is put stays in memory, for speed; what else is asked for is looked for on disk."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._put: dict[str, bytes] = {}

    def put(self, data: bytes) -> str:
        digest = sha256_hex(data)
        self._put[digest] = data
        return digest

    def get(self, digest: str) -> bytes:
        return self._put[digest] if digest in self._put else super().get(digest)


def fields(home: Path) -> Mapping[str, Field]:
    """What takes a string from outside, by name."""
    gitops = BareGit(home / "gitops.git")
    objects = Objects(home / "objects")
    desired = DesiredState(gitops, "local")
    releases = GtoGitReleases(home / "gitops.git")
    tracking = MemoryTracking()
    dvc = DvcDatasets(home / "lineage", home / "lineage-remote", ["true"])
    memory = MemoryDatasets(home / "memory", lambda inputs: b"x")

    live = LiveRelease("v1.0", "a" * 64, "si_2025_12_07_001")
    revision = desired.set_release(live, None, "s", {})
    kept = releases.keep(entry("v1.0", revision))
    run = tracking.start("si_2025_12_07_001", {})
    model = home / "model"
    model.write_bytes(b"model")
    reference = tracking.register(run, "ranker", model, {})
    parts = Release("e" * 64, "s", "r" * 64, RetrievalParameters())

    def commit(text: str) -> str:
        return gitops.commit({text: "x"}, "s", {}, parent=gitops.head())

    def bundle(**changes: str) -> list[str]:
        release = replace(parts, **changes)  # type: ignore[arg-type]
        try:
            data = canonical_json(release.to_json())
        except UnicodeEncodeError:  # JSON in a file holds no lone surrogate
            return []
        return verify_bundle(objects, objects.put(data))

    def keep(**changes: str) -> object:
        return releases.keep(replace(entry("v3.0", revision), **changes))  # type: ignore[arg-type]

    def dataset_at(path: Path, revision: str) -> bytes:
        return dvc.fetch(DatasetVersion(path, "a" * 64, revision, path))

    def contour(text: str) -> str:
        return DesiredState(gitops, text).set_release(live, None, "s", {})

    def encoder(model: str) -> object:
        identity = {"model": model, "tokenizer": model, "max_tokens": 32, "exporter": 1}
        try:
            digest = objects.put(canonical_json(identity))
        except UnicodeEncodeError:
            return None
        return restore_encoder(objects, digest, home / "restored")

    built = home / "lineage" / "datasets"
    return {
        "gitops path written": commit,
        "gitops path read": gitops.read,
        "gitops revision": lambda text: gitops.read("environments/local/values.yaml", text),
        "gitops contour written": contour,
        "gitops contour read": lambda text: DesiredState(gitops, text).read(),
        "packaged contour": packaged,
        "object read": objects.get,
        "object path": objects.path,
        "release version kept": lambda text: keep(version=text),
        "release cycle": lambda text: keep(cycle_id=text),
        "release digest": lambda text: keep(digest=text),
        "release revision": lambda text: keep(revision=text),
        "release dataset": lambda text: keep(dataset=text),
        "release version read": releases.get,
        "release version marked": lambda text: releases.mark(text, "stable", AT),
        "release stage": lambda text: releases.mark(kept.version, text, AT),  # type: ignore[arg-type]
        "release artifact": lambda text: GtoGitReleases(home / "gitops.git", artifact=text).list(),
        "rollback version": lambda text: target(releases, objects, desired, text),
        "bundle digest": lambda text: verify_bundle(objects, text),
        "bundle rules": lambda text: bundle(rules=text),
        "bundle encoder": lambda text: bundle(encoder=text),
        "bundle reranker": lambda text: bundle(reranker=text),
        "encoder digest": lambda text: restore_encoder(objects, text, home / "restored"),
        "encoder model": encoder,
        "mlflow cycle": lambda text: tracking.start(text, {}),
        "mlflow artifact folder": lambda text: tracking.artifact(run, model, text),
        "mlflow model name": lambda text: tracking.register(run, text, model, {}),
        "mlflow dataset": lambda text: tracking.dataset(run, text, "d", "s", 1),
        "mlflow reference": lambda text: tracking.tag(text, "gold", "v1.0"),
        "mlflow tag": lambda text: tracking.tag(reference, text, "v1.0"),
        "mlflow alias": lambda text: tracking.alias(reference, text),
        "dataset cycle": lambda text: dvc.build(text, {"a": b""}),
        "dataset input": lambda text: dvc.build("si_2025_12_07_001", {"a": b"", text + "/": b""}),
        "dataset cycle in memory": lambda text: memory.build(text, {"a": b""}),
        "dataset input in memory": lambda text: memory.build("si_2025_12_07_001", {text: b""}),
        "dataset path": lambda text: dataset_at(built / text / "augmented_dataset.csv", "a" * 40),
        "dataset revision": lambda text: dataset_at(
            built / "si_2025_12_07_001" / "augmented_dataset.csv", text
        ),
    }


class Watch:
    """An audit hook: what the process does to files outside ``inside``, while it is on."""

    def __init__(self, inside: Sequence[str]) -> None:
        self._inside = inside
        self.on = False
        self.doing = ""
        self.escapes: list[str] = []

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        if not self.on:
            return
        if event in ("subprocess.Popen", "os.system", "os.posix_spawn", "socket.connect"):
            self.escapes.append(f"{self.doing}: {event}")
        for given in arguments[: FILE_EVENTS.get(event, 0)]:
            if isinstance(given, str | bytes) and self._leaves(os.fsdecode(given)):
                self.escapes.append(f"{self.doing}: {event} {os.fsdecode(given)!r:.99}")

    def _leaves(self, path: str) -> bool:
        if "/" not in path:  # a name below a folder that is open already
            return path in ("", ".", "..")
        within = any(path == root or path.startswith(f"{root}/") for root in self._inside)
        return not within or ".." in path.split("/")


def attack(watch: Watch, targets: Mapping[str, Field]) -> tuple[dict[str, int], list[str]]:
    """Every form into every field: how often each refused, and every error that is not ours."""
    refused: Counter[str] = Counter()
    surprises: list[str] = []
    for name, field in targets.items():
        for form in traversals():
            watch.doing = f"{name} {form!r:.60}"
            watch.on = True
            result: object = None
            try:
                result = field(form)
            except PredatorError:
                refused[name] += 1
            except Exception as error:
                surprises.append(f"{watch.doing}: {type(error).__name__}: {error}"[:300])
            finally:
                watch.on = False
            if isinstance(result, str | bytes) and SONG in str(result):
                watch.escapes.append(f"{watch.doing} gave what the canary holds")
    return refused, surprises


def main(home: Path) -> None:
    targets = fields(home)
    source = str(Path(__file__).parents[2] / "src")
    watch = Watch([str(home), sys.prefix, sys.base_prefix, source])
    sys.addaudithook(watch)
    # A field that does climb has to be caught, or the watch is blind.
    attack(watch, {"control": lambda text: (home / text).open("rb").close()})
    caught = len(watch.escapes)
    watch.escapes.clear()
    refused, surprises = attack(watch, targets)
    answer = {
        "caught": caught,
        "fields": sorted(targets),
        "refused": refused,
        "escapes": watch.escapes[:20],
        "surprises": surprises[:20],
    }
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
