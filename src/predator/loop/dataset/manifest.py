"""``dataset_manifest.yaml`` (spec 6A.9): what a cycle's training data is made of."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ruamel.yaml import YAML

from predator.learning.query_filters import diversity
from predator.learning.query_methods import METHODS
from predator.loop.record import Record
from predator.loop.ring import timestamp
from predator.ports.datasets import DatasetVersion

Row = tuple[str, str, str, int, str]


def manifest(
    record: Record,
    version: DatasetVersion,
    rows: Sequence[Row],
    base_documents: int,
    wanted: Sequence[str],
    dropped: Mapping[str, int] | None = None,
    writer: Mapping[str, Any] | None = None,
) -> str:
    """The manifest as YAML.

    ``dropped`` counts what each filter dropped, ``None`` where nobody knows; ``writer`` is the
    query writer that was asked: its name and what it spent.
    """
    made = [row for row in rows if row[4] != "judgment"]
    lengths = [len(row[1]) for row in made]
    value: Mapping[str, Any] = {
        "dataset_id": record.cycle_id.replace("si_", "aug_"),
        "cycle_id": record.cycle_id,
        "created_at": timestamp(record.ring.clock.now()),
        "source": {
            "type": "auto_augmentation",
            "trigger": record.trigger["type"],
            "base_documents": base_documents,
        },
        "method": "query_generation",
        "methods": {**dict.fromkeys(METHODS, 0), **Counter(row[4] for row in made)},
        "writer": None if writer is None else dict(writer),
        "filters": None if dropped is None else {"dropped": dict(dropped)},
        "target_tokens": list(wanted),
        "statistics": {
            "total_examples": len(made),
            "judged_rows": len(rows) - len(made),
            "avg_length": round(float(np.mean(lengths)), 1) if lengths else 0.0,
            "diversity_score": round(diversity([row[1] for row in made]), 4),
        },
        "dvc": {"path": f"datasets/{record.cycle_id}/{version.path.name}", "hash": version.hash,
                "revision": version.revision},
        "mlflow": {"run_id": record.run_id,
                   "artifact_uri": f"runs:/{record.run_id}/{version.path.name}"},
    }  # fmt: skip
    buffer = io.StringIO()
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.dump(value, buffer)
    return buffer.getvalue()
