"""The record of experiments and models: one run per cycle, tagged with its id."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol


class Tracking(Protocol):
    """What a cycle did, measured and made, in the field's usual place."""

    def start(self, cycle_id: str, params: Mapping[str, str]) -> str:
        """Open the run tagged ``si_cycle_id``; the same id returns the same run. Returns run id."""
        ...

    def action(self, run_id: str, sequence: int, action: Mapping[str, Any]) -> None:
        """Record one action of the audit trail (spec 6A.12), by its sequence number."""
        ...

    def metrics(self, run_id: str, values: Mapping[str, float]) -> None:
        """Record finite numbers; a NaN or an infinity raises ``ValueError``."""
        ...

    def artifact(self, run_id: str, path: Path, folder: str = "") -> None:
        """Keep a copy of the file with the run."""
        ...

    def dataset(self, run_id: str, name: str, digest: str, source: str, rows: int) -> None:
        """Record which data the run learnt from."""
        ...

    def register(self, run_id: str, name: str, source: Path, tags: Mapping[str, str]) -> str:
        """Register a model version made by the run; returns its reference ``models:/name/N``."""
        ...

    def alias(self, reference: str, alias: str) -> None:
        """Point ``alias`` (``champion``, ``gold`` …) at a registered version."""
        ...

    def tag(self, reference: str, key: str, value: str) -> None:
        """Tag a registered version; the last value stands. What ``register`` wrote stays."""
        ...

    def finish(self, run_id: str, outcome: str) -> None:
        """Close the run: FINISHED for ``success``, else FAILED; the outcome is kept as a tag."""
        ...
