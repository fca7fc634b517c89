"""MLflow on an SQLite file: no server, no network, nothing in the working folder."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from predator.adapters.tracking import names, schema, sources
from predator.domain.errors import PredatorError

EXPERIMENT = "predator"
_DATASET_DIGEST_LIMIT = 36
_BATCH = 100


class MlflowTracking:
    """``Tracking`` whose runs lie in ``database`` and whose files lie under ``artifacts``.

    MLflow is imported at the first call (1.5 s); the first call ever also makes the database.
    Params of a run are written once: a later ``start`` adds the missing ones and changes none.
    ``register`` is idempotent by run, name and bytes.
    """

    def __init__(self, database: Path, artifacts: Path) -> None:
        self.database = database.expanduser().absolute()
        self._artifacts = artifacts.expanduser().absolute()
        self._last_ms = 0
        self._opened: Any = None
        schema.database_uri(self.database)

    def start(self, cycle_id: str, params: Mapping[str, str]) -> str:
        names.checked_cycle_id(cycle_id)
        with self._session(alone=True) as client:
            found = self._search(client, f"tags.si_cycle_id = '{cycle_id}'", 1)
            run = (
                found[0]
                if found
                else client.create_run(
                    self._experiment_id(client), run_name=cycle_id, tags={"si_cycle_id": cycle_id}
                )
            )
            self._add_params(client, run, params)
            return str(run.info.run_id)

    def action(self, run_id: str, sequence: int, action: Mapping[str, Any]) -> None:
        tag, status = names.action_tag(sequence, action)
        line = names.json_line({**action, "sequence": sequence})
        with self._session(run_id, alone=True) as client:
            run = client.get_run(run_id)
            prefix = f"action.{sequence:03d}."
            for stale in [t for t in run.data.tags if t.startswith(prefix) and t != tag]:
                client.delete_tag(run_id, stale)
            client.set_tag(run_id, tag, status)
            trail = {record["sequence"]: text for record, text in self._trail(run)}
            text = "".join(f"{entry}\n" for _, entry in sorted((trail | {sequence: line}).items()))
            client.log_text(run_id, text, "actions.jsonl")

    def metrics(self, run_id: str, values: Mapping[str, float]) -> None:
        finite, at = names.finite(values), self._now_ms()
        with self._session(run_id) as client:
            from mlflow.entities import Metric

            client.get_run(run_id)
            batch = [Metric(key, value, at, 0) for key, value in finite.items()]
            for start in range(0, len(batch), _BATCH):
                client.log_batch(run_id, metrics=batch[start : start + _BATCH])

    def artifact(self, run_id: str, path: Path, folder: str = "") -> None:
        folder = names.clean_folder(folder)
        with self._session(run_id) as client:
            client.log_artifact(run_id, str(sources.regular_file(path)), folder or None)

    def dataset(self, run_id: str, name: str, digest: str, source: str, rows: int) -> None:
        name, digest = names.clean_name(name, 200), names.clean_value(digest, 200)
        with self._session(run_id) as client:
            from mlflow.entities import Dataset, DatasetInput, InputTag

            entry = Dataset(
                name=name,
                digest=digest[:_DATASET_DIGEST_LIMIT],
                source_type="local",
                source=json.dumps({"uri": names.clean_value(source)}),
                profile=json.dumps({"num_rows": rows, "digest": digest}),
            )
            context = InputTag(key="mlflow.data.context", value="training")
            client.log_inputs(run_id, datasets=[DatasetInput(entry, [context])])
            client.set_tag(run_id, f"dataset.{name}", digest)

    def register(self, run_id: str, name: str, source: Path, tags: Mapping[str, str]) -> str:
        name, digest = names.clean_name(name), sources.source_digest(source)
        with self._session(run_id, alone=True) as client:
            run = client.get_run(run_id)
            for version in client.search_model_versions(f"run_id = '{run.info.run_id}'"):
                if version.name == name and version.tags.get("source_sha256") == digest:
                    return f"models:/{name}/{version.version}"
            folder = f"models/{name}/{digest[:12]}"
            if source.is_dir():
                client.log_artifacts(run_id, str(source), folder)
            else:
                client.log_artifact(run_id, str(source), folder)
            if not client.search_registered_models(f"name = '{name}'"):
                client.create_registered_model(name)
            cleaned = {names.clean_key(k): names.clean_value(v) for k, v in tags.items()}
            version = client.create_model_version(
                name,
                f"{run.info.artifact_uri}/{folder}",
                run_id,
                tags=cleaned
                | {"source_sha256": digest, "si_cycle_id": run.data.tags["si_cycle_id"]},
                await_creation_for=0,
            )
            return f"models:/{name}/{version.version}"

    def alias(self, reference: str, alias: str) -> None:
        name, version = names.parse_reference(reference)
        with self._session(reference) as client:
            client.get_model_version(name, version)
            client.set_registered_model_alias(name, names.check_alias(alias), version)

    def tag(self, reference: str, key: str, value: str) -> None:
        name, version = names.parse_reference(reference)
        key, value = names.model_tag(key, value)
        with self._session(reference) as client:
            client.get_model_version(name, version)
            client.set_model_version_tag(name, version, key, value)

    def finish(self, run_id: str, outcome: str) -> None:
        with self._session(run_id) as client:
            client.set_tag(run_id, "outcome", names.clean_value(outcome))
            client.set_terminated(run_id, "FINISHED" if outcome == "success" else "FAILED")

    def cycles(self, limit: int = 100) -> Sequence[names.RunSummary]:
        """The newest ``limit`` cycles (at most 50,000), newest first."""
        with self._session() as client:
            runs = self._search(client, "tags.si_cycle_id != ''", limit)
        return [
            names.RunSummary(
                cycle_id=run.data.tags["si_cycle_id"],
                run_id=run.info.run_id,
                status=run.info.status,
                outcome=run.data.tags.get("outcome", ""),
                started_at=run.info.start_time / 1000,
            )
            for run in runs
        ]

    def _experiment_id(self, client: Any) -> str:
        """The experiment whose files lie under ``artifacts``; another one after a move."""
        location = self._artifacts.as_uri()
        name = EXPERIMENT
        found = client.get_experiment_by_name(name)
        if found is not None and found.artifact_location != location:
            name = names.clean_name(f"{EXPERIMENT} {self._artifacts}")
            found = client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        return str(client.create_experiment(name, artifact_location=location))

    def _search(self, client: Any, query: str, limit: int) -> list[Any]:
        experiments = [e.experiment_id for e in client.search_experiments()]
        return list(
            client.search_runs(
                experiments, query, max_results=limit, order_by=["attributes.start_time DESC"]
            )
        )

    def _add_params(self, client: Any, run: Any, params: Mapping[str, str]) -> None:
        from mlflow.entities import Param

        wanted = {names.clean_key(k): names.clean_value(str(v)) for k, v in params.items()}
        batch = [Param(k, v) for k, v in wanted.items() if k not in run.data.params]
        for start in range(0, len(batch), _BATCH):
            client.log_batch(run.info.run_id, params=batch[start : start + _BATCH])

    def _trail(self, run: Any) -> Iterator[tuple[dict[str, Any], str]]:
        path = Path(unquote(urlsplit(run.info.artifact_uri).path)) / "actions.jsonl"
        if path.exists():
            for line in filter(None, path.read_text("utf-8").split("\n")):
                yield json.loads(line), line

    def _now_ms(self) -> int:
        # MLflow takes the greatest of two values with one timestamp for the newest.
        self._last_ms = max(self._last_ms + 1, time.time_ns() // 1_000_000)
        return self._last_ms

    @contextmanager
    def _session(self, subject: str = "", *, alone: bool = False) -> Iterator[Any]:
        """MLflow's client, held ``alone`` among processes if asked; its errors in one line."""
        schema.prepare_environment()
        from mlflow.exceptions import MlflowException

        try:
            self.database.parent.mkdir(parents=True, exist_ok=True)
            with ExitStack() as stack:
                if alone or self._opened is None:
                    stack.enter_context(schema.exclusive(self.database))
                if self._opened is None:
                    self._opened = self._open()
                yield self._opened
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise names.unknown(subject) from error
            cause = str(error).strip().splitlines()[0][:300]
            raise PredatorError(f"the tracking store {self.database} failed: {cause}") from error
        except OSError as error:
            raise PredatorError(f"the tracking store cannot be written: {error}") from error

    def _open(self) -> Any:
        schema.check_database(self.database)
        with schema.deprecations_ignored():
            from mlflow.tracking import MlflowClient
            from sqlalchemy.orm import configure_mappers

            schema.create_schema(self.database, self._artifacts.as_uri())
            uri = schema.database_uri(self.database)
            client = MlflowClient(tracking_uri=uri, registry_uri=uri)
            client.search_registered_models(max_results=1)
            configure_mappers()
        return client
