"""Datasets as DVC stages in a git repository of their own, with a folder for a remote."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shlex
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from predator.adapters.datasets.history import History
from predator.adapters.datasets.inputs import OUTPUT_NAME, checked_cycle_id, inputs_digest
from predator.adapters.datasets.job_runner import run_job
from predator.adapters.datasets.pipeline import locked_md5, pipeline
from predator.domain.errors import InputError, IntegrityError, PredatorError
from predator.domain.ids import is_cycle_id
from predator.ports.datasets import DatasetVersion

_SHARED = (".dvc/.gitignore", ".dvc/config")
_RECORDS = (".gitignore", "dvc.yaml", "dvc.lock", "inputs.dvc")


class DvcDatasets:
    """``Datasets`` that any clone can read: ``git clone ROOT && dvc pull`` restores the bytes.

    ``root`` becomes a git repository that belongs to this class. Each cycle is a folder in it with
    its own ``dvc.yaml`` and ``dvc.lock``; after a build that failed or was killed the folder goes
    back to the last commit. ``stage_command`` is run with two more arguments, the folder of
    inputs and the path of the CSV to write, both relative to ``root``, which is also its working
    folder; ``python`` is the running interpreter's.
    """

    def __init__(self, root: Path, remote: Path, stage_command: Sequence[str]) -> None:
        if not stage_command or any(not p.isprintable() or "${" in p for p in stage_command):
            raise InputError(
                "the dataset stage's command is empty or holds '${' or a control character"
            )
        self.root = root.expanduser().absolute()
        self._remote = remote.expanduser().absolute()
        self._command = list(stage_command)
        self._history = History(self.root)
        self._mark = self.root / ".git" / "predator-building"

    def build(self, cycle_id: str, inputs: Mapping[str, bytes]) -> DatasetVersion:
        notes = {"Cycle": checked_cycle_id(cycle_id), "Inputs": inputs_digest(inputs)}
        with self._alone() as lock:
            self._history.ensure()
            self._undo_a_killed_build()
            found = self._history.find(notes)
            if found is not None:
                return self._version(cycle_id, found[1]["Dataset"], found[0])
            with self._undone_unless_committed(cycle_id):
                self._prepare(cycle_id, inputs)
                self._run_stage(cycle_id, lock)
                self._put_back(".dvcignore")
                notes["Dataset"] = _sha256(self._path(cycle_id))
                paths = [*_SHARED, *(self._relative(cycle_id, name) for name in _RECORDS)]
                revision = self._history.commit(
                    [path for path in paths if (self.root / path).exists()],
                    f"Build the dataset of {cycle_id}",
                    notes,
                )
            return self._version(cycle_id, notes["Dataset"], revision)

    def fetch(self, version: DatasetVersion) -> bytes:
        cycle_id = version.path.parent.name
        if not is_cycle_id(cycle_id) or version.path != self._path(cycle_id):
            raise InputError(f"{str(version.path)!r} is not a dataset of {self.root}")
        if version.path.exists():
            present = version.path.read_bytes()
            digest = hashlib.sha256(present).hexdigest()
            if digest == version.hash:
                return present
            if self._history.find({"Cycle": cycle_id, "Dataset": digest}) is None:
                raise IntegrityError(
                    f"the dataset {version.path} was changed after it was made",
                    cure="Delete the file and it is restored from the remote",
                )
        return self._restore(cycle_id, version)

    def register_artifact(self, name: str, version: str, revision: str) -> str:
        """Name ``revision`` ``name@version`` (``v1.2.3``) by GTO, as an annotated git tag.

        Idempotent for the same revision; raises ``InputError`` where GTO does not take the name,
        the version or the revision, or where the tag names another one.
        """
        tag = f"{name}@{version}"
        with self._alone() as lock:
            self._history.ensure()
            known = self._history.tagged(tag)
            if known is None:
                request = {"name": name, "version": version, "revision": revision}
                try:
                    run_job(self.root, "register", request, lock)
                except PredatorError as error:
                    raise InputError(error.cause) from error
            elif known != revision:
                raise InputError(f"{tag} already names revision {known}")
        return tag

    def _restore(self, cycle_id: str, version: DatasetVersion) -> bytes:
        if not re.fullmatch(r"[0-9a-f]{40}", version.revision):
            raise InputError(f"{version.revision[:80]!r} is not a revision")
        lock_text = self._history.read(self._relative(cycle_id, "dvc.lock"), version.revision)
        if lock_text is None:
            raise InputError(f"revision {version.revision} holds no dataset of {cycle_id}")
        with self._alone() as lock, tempfile.TemporaryDirectory() as folder:
            target = Path(folder) / OUTPUT_NAME
            md5 = locked_md5(lock_text, self._relative(cycle_id, OUTPUT_NAME))
            request = {"md5": md5, "remote": str(self._remote), "target": str(target)}
            run_job(self.root, "fetch", request, lock)
            content = target.read_bytes()
            if hashlib.sha256(content).hexdigest() != version.hash:
                raise IntegrityError(
                    f"the dataset of {cycle_id} came back from the remote with other bytes",
                    cure=f"Look at {self._remote} and the cache in {self.root / '.dvc/cache'}",
                )
            if not version.path.exists():
                _write(version.path, content)
        return content

    def _prepare(self, cycle_id: str, inputs: Mapping[str, bytes]) -> None:
        folder, output = self._relative(cycle_id, "inputs"), self._relative(cycle_id, OUTPUT_NAME)
        shutil.rmtree(self.root / folder, ignore_errors=True)
        for name, content in inputs.items():
            _write(self.root / folder / name, content)
        command = shlex.join([*self._command, folder, output])
        _write(
            self.root / self._relative(cycle_id, "dvc.yaml"),
            pipeline(f"dataset-{cycle_id}", command, folder, output),
        )
        # DVC parses every pipeline it sees, a fortieth of a second each: let it see this one.
        committed = self._history.read(".dvcignore") or b""
        _write(
            self.root / ".dvcignore", committed + f"/datasets/*\n!/datasets/{cycle_id}\n".encode()
        )

    def _run_stage(self, cycle_id: str, lock: int) -> None:
        request = {
            "stage": f"{self._relative(cycle_id, 'dvc.yaml')}:dataset-{cycle_id}",
            "inputs": self._relative(cycle_id, "inputs"),
            "remote": str(self._remote),
            "fresh": self._history.read(".dvc/config") is None,
        }
        run_job(self.root, "build", request, lock)

    @contextmanager
    def _undone_unless_committed(self, cycle_id: str) -> Iterator[None]:
        """Undo the build inside where it fails; a mark lets the next one undo it after a kill."""
        _write(self._mark, cycle_id.encode())
        try:
            yield
        except BaseException:
            self._undo(cycle_id)
            self._mark.unlink()
            raise
        self._mark.unlink()

    def _undo_a_killed_build(self) -> None:
        if self._mark.exists():
            self._undo(self._mark.read_text("utf-8"))
            self._mark.unlink()

    def _undo(self, cycle_id: str) -> None:
        self._put_back(".dvcignore")
        if not is_cycle_id(cycle_id):
            return
        known = [self._put_back(self._relative(cycle_id, name)) for name in _RECORDS]
        if any(known):
            self._path(cycle_id).unlink(missing_ok=True)
            shutil.rmtree(self.root / self._relative(cycle_id, "inputs"), ignore_errors=True)
        else:
            shutil.rmtree(self._path(cycle_id).parent, ignore_errors=True)

    def _put_back(self, path: str) -> bool:
        """Let ``path`` be as it was committed; whether it ever was."""
        committed = self._history.read(path)
        if committed is None:
            (self.root / path).unlink(missing_ok=True)
        else:
            _write(self.root / path, committed)
        return committed is not None

    def _version(self, cycle_id: str, digest: str, revision: str) -> DatasetVersion:
        lock_file = self.root / self._relative(cycle_id, "dvc.lock")
        return DatasetVersion(self._path(cycle_id), digest, revision, lock_file)

    def _path(self, cycle_id: str) -> Path:
        return self.root / self._relative(cycle_id, OUTPUT_NAME)

    def _relative(self, cycle_id: str, name: str) -> str:
        return f"datasets/{cycle_id}/{name}"

    @contextmanager
    def _alone(self) -> Iterator[int]:
        """One builder at a time; the kernel frees the folder when the last holder is gone."""
        self.root.mkdir(parents=True, exist_ok=True)
        lock = os.open(self.root, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield lock
        finally:
            os.close(lock)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name[:80]}.part")
    with part.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
