"""A tracking store in memory, for tests and dry runs; it behaves as the MLflow one."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from predator.adapters.tracking import names, sources


@dataclass(slots=True)
class MemoryRun:
    """Everything recorded under one run."""

    summary: names.RunSummary
    params: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    actions: dict[int, dict[str, Any]] = field(default_factory=dict)
    artifacts: dict[str, bytes] = field(default_factory=dict)
    datasets: dict[str, tuple[str, str, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MemoryModel:
    """A registered model version; ``files`` maps relative paths to bytes."""

    run_id: str
    digest: str
    files: Mapping[str, bytes]
    tags: Mapping[str, str]


class MemoryTracking:
    """``Tracking`` that forgets at exit. ``runs``, ``models`` and ``aliases`` may be read."""

    def __init__(self) -> None:
        self.runs: dict[str, MemoryRun] = {}
        self.models: dict[str, MemoryModel] = {}
        self.aliases: dict[tuple[str, str], str] = {}

    def start(self, cycle_id: str, params: Mapping[str, str]) -> str:
        run_id = f"run-{names.checked_cycle_id(cycle_id)}"
        if run_id not in self.runs:
            opened = names.RunSummary(cycle_id, run_id, "RUNNING", "", time.time())
            self.runs[run_id] = MemoryRun(opened, tags={"si_cycle_id": cycle_id})
        run = self.runs[run_id]
        cleaned = {names.clean_key(k): names.clean_value(str(v)) for k, v in params.items()}
        run.params = cleaned | run.params
        return run_id

    def action(self, run_id: str, sequence: int, action: Mapping[str, Any]) -> None:
        tag, status = names.action_tag(sequence, action)
        record = {**action, "sequence": sequence}
        names.json_line(record)
        run = self._run(run_id)
        for stale in [t for t in run.tags if t.startswith(f"action.{sequence:03d}.")]:
            del run.tags[stale]
        run.tags[tag] = status
        run.actions[sequence] = record
        lines = (names.json_line(record) for _, record in sorted(run.actions.items()))
        run.artifacts["actions.jsonl"] = "".join(f"{line}\n" for line in lines).encode()

    def metrics(self, run_id: str, values: Mapping[str, float]) -> None:
        finite = names.finite(values)
        self._run(run_id).metrics.update(finite)

    def artifact(self, run_id: str, path: Path, folder: str = "") -> None:
        folder = names.clean_folder(folder)
        content = sources.regular_file(path).read_bytes()
        self._run(run_id).artifacts[f"{folder}/{path.name}".lstrip("/")] = content

    def dataset(self, run_id: str, name: str, digest: str, source: str, rows: int) -> None:
        run, name = self._run(run_id), names.clean_name(name, 200)
        digest = names.clean_value(digest, 200)
        run.datasets[name] = (digest, names.clean_value(source), rows)
        run.tags[f"dataset.{name}"] = digest

    def register(self, run_id: str, name: str, source: Path, tags: Mapping[str, str]) -> str:
        run, name, digest = self._run(run_id), names.clean_name(name), sources.source_digest(source)
        versions = [r for r in self.models if names.parse_reference(r)[0] == name]
        for reference in versions:
            known = self.models[reference]
            if (known.run_id, known.digest) == (run_id, digest):
                return reference
        files = [source] if source.is_file() else [p for p in source.rglob("*") if p.is_file()]
        base = source.parent if source.is_file() else source
        cleaned = {names.clean_key(k): names.clean_value(v) for k, v in tags.items()}
        reference = f"models:/{name}/{len(versions) + 1}"
        self.models[reference] = MemoryModel(
            run_id,
            digest,
            {str(p.relative_to(base)): p.read_bytes() for p in files},
            cleaned | {"source_sha256": digest, "si_cycle_id": run.summary.cycle_id},
        )
        return reference

    def alias(self, reference: str, alias: str) -> None:
        name, version = names.parse_reference(reference)
        if reference not in self.models:
            raise names.unknown(reference)
        self.aliases[name, names.check_alias(alias)] = version

    def tag(self, reference: str, key: str, value: str) -> None:
        names.parse_reference(reference)
        key, value = names.model_tag(key, value)
        model = self.models.get(reference)
        if model is None:
            raise names.unknown(reference)
        self.models[reference] = replace(model, tags={**model.tags, key: value})

    def finish(self, run_id: str, outcome: str) -> None:
        run, outcome = self._run(run_id), names.clean_value(outcome)
        run.tags["outcome"] = outcome
        run.summary = names.RunSummary(
            run.summary.cycle_id,
            run_id,
            "FINISHED" if outcome == "success" else "FAILED",
            outcome,
            run.summary.started_at,
        )

    def cycles(self, limit: int = 100) -> Sequence[names.RunSummary]:
        """The newest ``limit`` cycles, newest first."""
        return [run.summary for run in reversed(self.runs.values())][:limit]

    def _run(self, run_id: str) -> MemoryRun:
        found = self.runs.get(run_id)
        if found is None:
            raise names.unknown(run_id)
        return found
