"""Locks that a killed DVC left behind.

DVC's own file locks are the kernel's and die with their owner. Its table of readers and writers is
a file: an entry outlives a killed owner, and DVC takes it for alive while the dead process has not
been reaped, and again once another process gets its number.
"""

from __future__ import annotations

import fcntl
import json
from importlib import import_module
from pathlib import Path
from typing import Any


def sweep(folder: Path) -> None:
    """Drop the dead entries of ``folder/rwlock``; a table cut short by a kill is dropped whole.

    An entry is dead where its process is gone or a zombie, or began after the table was last
    written.
    """
    table = folder / "rwlock"
    if not table.exists():
        return
    with (folder / "rwlock.lock").open("a") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        try:
            living = _living(json.loads(table.read_text("utf-8")), table.stat().st_mtime)
        except (ValueError, AttributeError, TypeError, KeyError):
            living = {}
        part = table.with_name("rwlock.part")
        part.write_text(json.dumps(living), "utf-8")
        part.replace(table)


def _living(held: dict[str, Any], written: float) -> dict[str, Any]:
    writers = {p: info for p, info in held.get("write", {}).items() if _lives(info, written)}
    readers = {
        path: [info for info in infos if _lives(info, written)]
        for path, infos in held.get("read", {}).items()
    }
    readers = {path: infos for path, infos in readers.items() if infos}
    return {key: kept for key, kept in (("write", writers), ("read", readers)) if kept}


def _lives(info: Any, written: float) -> bool:
    psutil: Any = import_module("psutil")
    try:
        process = psutil.Process(int(info["pid"]))
        return bool(process.create_time() <= written and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
