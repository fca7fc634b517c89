"""Locks that a killed DVC left behind.

DVC's own file locks are the kernel's and die with their owner. Its table of readers and writers is
a file: an entry outlives a killed owner, and blocks again once another process gets its number.
"""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any


def sweep(folder: Path) -> None:
    """Drop the dead entries of ``folder/rwlock``; a table cut short by a kill is dropped whole.

    An entry is dead where its process is gone, or began after the table was last written.
    """
    table = folder / "rwlock"
    if not table.exists():
        return
    try:
        held = json.loads(table.read_text("utf-8"))
        written = table.stat().st_mtime
        writers = {p: i for p, i in held.get("write", {}).items() if _lives(i, written)}
        readers = {
            path: [info for info in infos if _lives(info, written)]
            for path, infos in held.get("read", {}).items()
        }
    except (ValueError, AttributeError, TypeError, KeyError):
        table.unlink(missing_ok=True)
        return
    if not writers and not any(readers.values()):
        table.unlink(missing_ok=True)


def _lives(info: Any, written: float) -> bool:
    psutil: Any = import_module("psutil")
    try:
        return bool(psutil.Process(int(info["pid"])).create_time() <= written)
    except psutil.Error:
        return False
