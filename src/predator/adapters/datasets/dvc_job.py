"""One piece of DVC work in a process of its own: ``python -m predator.adapters.datasets.dvc_job``.

DVC holds locks, catches signals and keeps global state; here it has a process to itself. The
process dies, with every stage it runs, as soon as its caller is gone: it holds the reading end of
a pipe that only the caller can close.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

STAGE_FAILED = 3
DVC_FAILED = 4
REMOTE = "storage"


def build(request: Mapping[str, Any]) -> None:
    """Track the inputs, run the stage, push both.

    ``fresh`` says that the repository holds no commit of DVC's files yet.
    """
    from dvc.exceptions import ReproductionError
    from dvc.stage.exceptions import StageCmdFailedError

    repo = _open(request["remote"], request["fresh"])
    repo.add([request["inputs"]])
    try:
        repo.reproduce([request["stage"]], force=True, single_item=True)
    except ReproductionError as error:
        if isinstance(error.__cause__, StageCmdFailedError):
            sys.exit(STAGE_FAILED)
        raise
    targets = [request["stage"], f"{request['inputs']}.dvc"]
    repo.push(targets)
    _check_pushed(repo, targets)


def fetch(request: Mapping[str, Any]) -> None:
    """Write the object named ``md5`` to ``target``, from the cache or else from the remote."""
    from dvc.repo import Repo

    root = str(Path.cwd())
    with Repo(root, remote=REMOTE, remote_config={"url": request["remote"]}) as repo:
        cache, remote = repo.cache.local, repo.cloud.get_remote_odb(REMOTE)
        place = cache if cache.exists(request["md5"]) else remote
        place.fs.get_file(place.oid_to_path(request["md5"]), request["target"])


def register(request: Mapping[str, Any]) -> None:
    """Tag ``revision`` as ``name@version`` in GTO's way."""
    from gto.api import register

    register(
        str(Path.cwd()),
        request["name"],
        request["revision"],
        version=request["version"],
        author="Predator",
        author_email="predator@localhost",
    )


JOBS: Mapping[str, Callable[[Mapping[str, Any]], None]] = {
    "build": build,
    "fetch": fetch,
    "register": register,
}


def main() -> None:
    """``argv``: the job's name, its request as JSON, the pipe's file descriptor."""
    name, request, lifeline = sys.argv[1:4]
    threading.Thread(target=_die_with_caller, args=(int(lifeline),), daemon=True).start()
    try:
        JOBS[name](json.loads(request))
    except Exception as error:  # whatever DVC raises becomes the caller's one line
        sys.stderr.write(f"\n{_root_cause(error)}\n")
        sys.exit(DVC_FAILED)


def _open(remote: str, fresh: bool) -> Any:
    from dvc.repo import Repo

    from predator.adapters.datasets.stale_locks import sweep

    root = Path.cwd()
    # What DVC remembers of a push that was killed makes the next one skip files without a word.
    shutil.rmtree(root / ".dvc" / "tmp" / "site", ignore_errors=True)
    logging.getLogger("dvc").setLevel(logging.ERROR)
    if fresh or not (root / ".dvc" / "config").exists():
        # Nothing was ever committed here: what lies in .dvc is the start of a killed first build.
        # Without no_scm DVC would take the lock of git's index, which a kill leaves behind.
        Repo.init(str(root), no_scm=True, force=True).close()
    sweep(root / ".dvc" / "tmp")
    _configure(root / ".dvc" / "config", remote)
    return Repo(str(root))


def _check_pushed(repo: Any, targets: Sequence[str]) -> None:
    """Raise where the remote does not hold every byte: a push skips what it believes is there."""
    remote = repo.cloud.get_remote_odb(REMOTE)
    for out in (
        o for target in targets for stage in repo.stage.collect(target) for o in stage.outs
    ):
        names = [out.hash_info.value]
        if out.hash_info.isdir:
            names += [entry.value for _, _, entry in out.get_obj()]
        for name in names:
            path = remote.oid_to_path(name)
            with remote.fs.open(path, "rb") as file:
                found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False))
            if found.hexdigest() != name.removesuffix(".dir"):
                raise ValueError(f"the remote holds other bytes in {path}; delete that file")


def _configure(path: Path, remote: str) -> None:
    """Name the remote and switch off what calls home; DVC itself cannot write a non-ASCII path."""
    config: Any = import_module("configobj").ConfigObj(str(path), encoding="utf-8")
    wanted = {
        "core": {"remote": REMOTE, "analytics": "false", "check_update": "false"},
        f'remote "{REMOTE}"': {"url": remote},
    }
    config.get("core", {}).pop("no_scm", None)
    for section, values in wanted.items():
        config.setdefault(section, {}).update(values)
    part = path.with_name("config.part")
    with part.open("wb") as file:
        config.write(file)
    part.replace(path)


def _die_with_caller(lifeline: int) -> None:
    os.read(lifeline, 1)
    os.killpg(0, signal.SIGKILL)


def _root_cause(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return " ".join(str(error).split()) or type(error).__name__


if __name__ == "__main__":
    main()
