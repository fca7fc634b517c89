from __future__ import annotations
from pathlib import Path
from typing import Any


class Faults:
    def __init__(self, folder: Path, fault: dict[str, Any] | None) -> None: ...
    def __enter__(self):
        return self

    def __exit__(self, *a):
        return None
