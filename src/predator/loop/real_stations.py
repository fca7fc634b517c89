"""The stations that learn: from the platform's documents, its traffic and people's judgments."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from predator.contours.meaning import GATE_PROFILES
from predator.domain.errors import IntegrityError, PredatorError
from predator.domain.release import Release
from predator.domain.verdicts import Verdict, WatchDecision
from predator.learning.leakage import gold_marks
from predator.learning.measures import Scores, score
from predator.loop import (
    augment,
    dataset_stage,
    deciders,
    diagnose,
    gold_ledger,
    gold_report,
    snapshot,
    watch,
    written_queries,
)
from predator.loop.bad_release import LESSONS, bad_release
from predator.loop.bundle import keep_exported
from predator.loop.evaluate import Gates, Measured
from predator.loop.experiment import unplanned
from predator.loop.gather import gather
from predator.loop.gold import NamedRevisions, tag_dataset
from predator.loop.labels import Labels
from predator.loop.manifest import manifest
from predator.loop.observe import judgments_for
from predator.loop.profile import profile
from predator.loop.record import CycleCancelled, Record
from predator.loop.replica import Replica, keep_release
from predator.loop.ring import Sources, timestamp
from predator.loop.stations import Situation
from predator.loop.train import Budget
from predator.loop.train_job import (
    TUNED_ON,
    job_inputs,
    job_spec,
    read_left_out,
    read_portfolio,
    read_tuned_on,
)
from predator.policy.gates import Gate, to_evaluation_gates, with_overrides
from predator.ports.datasets import DatasetVersion
from predator.ports.releases import KeptRelease
from predator.ports.runtime import Json
from predator.search.serving.agent import load_release
from predator.search.serving.ingest import embedding_text

SETTLE_S = 1.5
"""Clicks come after searches: the newest searches are left out of every judgment."""
HISTORY_S, BASELINE_S = 30.0, 60.0
"""How far back an experiment is planned from, and a watch compared with."""


class RealStations:
    """Stations of one cycle; what they hold in memory can be had again from the record."""

    simulated = False

    def __init__(
        self, sources: Sources, labels: Labels, situation: Situation, gates: Mapping[str, Gate]
    ) -> None:
        self._sources, self._labels, self._situation = sources, labels, situation
        self._gates = gates
        self._replicas: dict[tuple[str, str], tuple[Replica, dict[str, float]]] = {}

    def open(self, record: Record) -> Json:
        ring, corpus = record.ring, self._sources.corpus
        documents, arrivals = corpus.documents(), corpus.arrivals()
        return {
            "before": asdict(ring.desired.read().release),
            "corpus": snapshot.keep(ring.objects, documents, arrivals),
            "documents": len(documents),
            "gold": len(self._labels.gold),
        }

    def diagnose(self, record: Record, opened: Json) -> Json:
        replica, arrivals = self._replica(record, opened)
        ring = record.ring
        evidence = gather(
            self._sources.feedback,
            self._situation,
            self._labels,
            replica.index.documents,
            arrivals,
            replica.engine(opened["before"]["digest"]),
            record.options.seed,
        )
        found = deciders.to_diagnose(
            record.decide("diagnose", "diagnose", deciders.diagnose_inputs(evidence))
        )
        record.write(
            "diagnostic_report.json",
            diagnose.report(
                found,
                evidence,
                record.cycle_id,
                timestamp(ring.clock.now()),
                record.options.generated_queries,
            ),
        )
        return {
            "cause": found.cause,
            "evidence": found.causes[0].evidence,
            "affected_categories": list(found.affected_categories),
            "low_coverage_terms": list(found.low_coverage_terms),
        }

    def build_dataset(self, record: Record, opened: Json, diagnosis: Json) -> Json:
        """Choose sources, run the DVC stage, and leave its lock, copy and manifest."""
        ring, labels, sources = record.ring, self._labels, self._sources
        documents, arrivals = snapshot.load(ring.objects, opened["corpus"])
        since = self._situation.baseline_until
        fresh = [d for d in documents if arrivals.get(d.id, 0.0) >= since] or documents
        wanted = diagnosis["low_coverage_terms"]
        chosen = augment.sources(
            fresh, wanted, record.options.generated_queries, diagnosis["affected_categories"]
        )
        count = record.options.generated_queries
        written, told = written_queries.ask(
            sources.writer,
            chosen,
            count,
            lambda done, of: ring.progress.work("documents read by the query writer", done, of),
        )
        if told is not None and "failure" in told:
            ring.progress.note(f"{told['failure']}: queries are made without it")
        inputs = dataset_stage.inputs(
            chosen,
            [
                (query.id, query.text, document, grade)
                for query in labels.training
                for document, grade in labels.judgments[query.id].items()
            ],
            gold_marks(query.text for query in labels.gold),
            count,
            record.options.seed,
            # Traffic is kept with a dataset only where nothing else says how long queries are.
            like=() if labels.training else self._asked_lately(record),
            written=written,
        )
        # The recorded stage tells nobody how far it is, nor what it dropped.
        expected = dataset_stage.build_from(
            inputs, lambda done, of: ring.progress.work("queries generated", done, of)
        )
        version = sources.datasets.build(record.cycle_id, inputs)
        data = sources.datasets.fetch(version)
        rows = dataset_stage.read_rows(data)
        dropped = expected.dropped if expected.data == data else None
        record.write("augmented_dataset.csv", data)
        record.write("dvc.lock", version.lock_file.read_bytes())
        record.write(
            "dataset_manifest.yaml",
            manifest(record, version, rows, len(chosen), wanted, dropped, told),
        )
        ring.tracking.dataset(
            record.run_id, "augmented_dataset", version.hash, str(version.path), len(rows)
        )
        ring.tracking.metrics(record.run_id, written_queries.counts(rows, dropped))
        return {**asdict(version), "path": str(version.path), "lock_file": str(version.lock_file)}

    def train(self, record: Record, opened: Json, dataset: Json) -> Json:
        """Train the portfolio in a process of its own, and keep the best as a release."""
        ring, sources = record.ring, self._sources
        version = DatasetVersion(
            Path(dataset["path"]), dataset["hash"], dataset["revision"], Path(dataset["lock_file"])
        )
        known = _tuned_on(record, opened["before"], sources.encoder.digest)
        rows = [
            row
            for row in dataset_stage.read_rows(sources.datasets.fetch(version))
            if row[0] not in known
        ]
        documents, _ = snapshot.load(ring.objects, opened["corpus"])
        texts = list(dict.fromkeys(row[1] for row in rows))
        gold_report.check_apart(texts, self._labels)
        job = f"{record.cycle_id}:train"
        live = load_release(ring.objects.get(opened["before"]["digest"]))
        encoder, encode_all = sources.encoder_for(live)
        inputs = job_inputs(
            rows,
            documents,
            encode_all([embedding_text(document) for document in documents]),
            texts,
            np.asarray([encoder.encode_query(text) for text in texts], np.float32).reshape(
                len(texts), encoder.dim
            ),
            sources.tunable() if sources.tunable is not None else None,
        )
        with ring.governance.fence.passing():
            # Encoding may have taken minutes since policy was asked.
            if (why := record.stopped("train")) is not None:
                raise CycleCancelled(f"the training was not started: {why}")
            spec = job_spec(
                seed=record.options.seed,
                dim=encoder.dim,
                base=live.retrieval,
                budget=Budget(
                    record.options.training_budget_s,
                    record.options.training_budget_usd,
                    record.options.cpu_hour_usd,
                ),
                max_tokens=sources.max_tokens if sources.tunable is not None else 0,
            )
            sources.trainer.start(job, "portfolio", inputs, spec)
        status = self._wait(record, job)
        files = sources.trainer.collect(job)
        portfolio, left_out = read_portfolio(files), read_left_out(files)
        best = portfolio[0]
        candidate = replace(
            live,
            encoder=live.encoder
            if best.encoder is None
            else keep_exported(ring.objects, *best.encoder, sources.max_tokens),
            retrieval=best.retrieval,
            reranker=ring.objects.put(best.reranker) if best.reranker is not None else None,
        )
        keep_release(ring.objects, candidate)
        shown = [
            {
                "name": one.name,
                "ndcg_at_10_out_of_fold": one.ndcg_out_of_fold,
                "reason": _place(one.ndcg_out_of_fold, best.ndcg_out_of_fold, one is best),
            }
            for one in portfolio
        ]
        folder = f"mlflow_run_{record.run_id}/model"
        record.write(f"{folder}/release.json", candidate.to_json())
        if candidate.encoder != sources.encoder.digest:
            fresh = read_tuned_on(files) if best.encoder is not None else []
            record.write(f"{folder}/{TUNED_ON}", sorted({*known, *fresh}))
        if candidate.reranker is not None:
            record.write(f"{folder}/reranker.json", ring.objects.get(candidate.reranker))
        record.write(
            f"{folder}/portfolio.json",
            [
                *({**s, **one.details} for s, one in zip(shown, portfolio, strict=True)),
                *({"name": name, "reason": reason} for name, reason in left_out.items()),
            ],
        )
        return {
            "release": candidate.digest,
            "best": best.name,
            "portfolio": shown,
            "folder": folder,
            "job": job,
            "dataset": version.revision,
            "attempts": status.attempts,
            "usage": dict(status.usage),
        }

    def evaluate(self, record: Record, opened: Json, trained: Json, number: int) -> Json:
        """The paired scores on the Gold queries, the guardrails, and the verdict."""
        ring, labels, options = record.ring, self._labels, record.options
        before = ring.desired.read().release
        replica, _ = self._replica(record, opened)
        live = load_release(ring.objects.get(before.digest))
        candidate = load_release(ring.objects.get(trained["release"]))
        gold_report.check_seal(ring.objects, labels)
        reading = gold_ledger.reserve(record, labels, number)
        rankings = {
            name: self._rankings(record, replica, name, release)
            for name, release in (("baseline", live), ("candidate", candidate))
        }
        scores = {name: self._scores(ranked) for name, ranked in rankings.items()}
        measured = profile(replica.engine(live), replica.engine(candidate), labels.gold)
        gates = self._gates_now(record)
        cost_max = to_evaluation_gates(gates).cost_per_1k_usd_max
        inputs = deciders.evaluate_inputs(
            scores["candidate"].ndcg,
            scores["baseline"].ndcg,
            self._query_categories(replica),
            Measured(
                measured.baseline_p95_ms if measured else None,
                measured.candidate_p95_ms if measured else None,
                measured.candidate_cpu_s * 1000 / 3600 * options.cpu_hour_usd if measured else None,
            ),
            Gates(
                options.ndcg_delta_rel_min,
                options.category_delta_rel_min,
                options.latency_delta_rel_max,
                options.latency_floor_ms,
                options.cost_per_1k_usd_max if cost_max is None else cost_max,
                reading.alpha,
                options.power,
                GATE_PROFILES[options.gate_profile],
            ),
            reading,
        )
        found = record.decide(f"evaluate-{number}", "evaluate", inputs)
        evaluated = {
            "cycle_id": record.cycle_id,
            "release": candidate.digest,
            **found,
            "before": asdict(before),
            "gold_set": gold_report.content(labels),
            "gold": gold_report.report(
                labels, ring.objects, replica.document_ids, rankings, ring.clock.now()
            ),
            "recall_at_20": {name: one.mean("R@20") for name, one in scores.items()},
            "precision_at_10": {name: one.mean("P@10") for name, one in scores.items()},
        }
        levels = {
            "ndcg_at_10": (scores["baseline"].mean(), scores["candidate"].mean()),
            "latency_p95": (
                measured.baseline_p95_ms if measured else None,
                measured.candidate_p95_ms if measured else None,
            ),
        }
        self._check_levels(record, evaluated, gates, levels, number)
        evaluated["ledger"] = gold_ledger.settle(record, reading, number, evaluated["verdict"])
        record.write("evaluation.json", evaluated)
        _keep_metrics(record, scores["candidate"], evaluated)
        return evaluated

    def plan_experiment(self, record: Record, evaluated: Json) -> Json:
        ring, options = record.ring, record.options
        now = ring.clock.now()
        live = evaluated["before"]["digest"]
        history = [
            impression
            for impression in self._sources.feedback.impressions(now - HISTORY_S, now - SETTLE_S)
            if impression.release == live
        ]
        lasted = now - SETTLE_S - history[0].at if history else 0.0
        rate = len(history) / max(1.0, lasted)
        inputs = deciders.plan_experiment_inputs(
            history,
            evaluated["gain"]["delta_rel"],
            # Not the ledger's bound: how long users are asked for must not depend on its age.
            evaluated["gain"]["ci_low"],
            share=record.ring.governance.experiment_share(options.experiment_share),
            alpha=options.alpha,
            power=options.power,
            searches_at_most=int(rate * options.experiment_max_s),
            searches_at_least=int(rate * options.experiment_min_s),
        )
        planned = record.decide("plan_experiment", "plan_experiment", inputs)
        if "error" in planned:
            return {"unplanned": {**unplanned(planned["error"]).to_json(), "searches": 0}}
        return planned

    def seen(self, record: Record, experiment: str, since: float) -> int:
        until = record.ring.clock.now() - SETTLE_S
        return len(self._sources.feedback.impressions(since - 1, until, experiment))

    def judge_experiment(
        self, record: Record, experiment: str, since: float, plan: Json, releases: Json
    ) -> Json:
        options, until = record.options, record.ring.clock.now() - SETTLE_S
        seen = self._sources.feedback.impressions(since - 1, until, experiment)
        judged = list(seen)[: plan["searches"]]
        csat_min = to_evaluation_gates(self._gates_now(record)).csat_min
        inputs = deciders.judge_experiment_inputs(
            deciders.to_plan_experiment(plan),
            judged,
            options.csat_min if csat_min is None else csat_min,
            options.power,
            releases,
        )
        return {
            **record.decide("judge_experiment", "judge_experiment", inputs),
            "searches": len(judged),
        }

    def watch_baseline(self, record: Record, old: Json) -> Json:
        """What the old release served in the newest minute: taken *before* it is replaced."""
        now = record.ring.clock.now()
        served = self._sources.feedback.impressions(now - BASELINE_S, now - SETTLE_S)
        found = record.decide(
            "watch_baseline",
            "watch_baseline",
            deciders.watch_baseline_inputs([i for i in served if i.release == old["digest"]]),
        )
        if "error" in found:
            raise PredatorError(
                f"a release that replaced {old['version']} could not be watched: {found['error']}"
            )
        return found

    def look(
        self, record: Record, experiment: str, since: float, number: int, baseline: Json
    ) -> Json:
        ring, options = record.ring, record.options
        now = ring.clock.now()
        seen = self._sources.feedback.impressions(since, now - SETTLE_S, experiment)
        live = [i for i in seen if i.variant == "live"]
        held = [i for i in seen if i.variant == "holdback"]
        inputs = deciders.watch_look_inputs(
            min(number, options.watch_looks),
            options.watch_looks,
            deciders.to_watch_baseline(baseline),
            live,
            held,
            gross_drop_rel=options.gross_drop_rel,
            alpha=options.alpha,
        )
        found = record.decide(f"look-{number}", "watch_look", inputs)
        too_few = found["decision"] == WatchDecision.HOLD and (
            len(live) < watch.LEAST_LIVE or len(held) < watch.LEAST_HELD
        )
        record.journal.append_once(f"look:{number}", {"type": "look", "look": found})
        return {**found, "number": number, "at": now, "too_few": too_few}

    def bad_release(self, record: Record, live: Json) -> str:
        ring = record.ring
        documents, arrivals = self._sources.corpus.documents(), self._sources.corpus.arrivals()
        corpus = snapshot.keep(ring.objects, documents, arrivals)
        replica, _ = self._replica(record, {"corpus": corpus, "before": live})
        queries = [*self._labels.live, *self._labels.training][:LESSONS]
        release = load_release(ring.objects.get(live["digest"]))
        return bad_release(replica, release, queries, record.options.seed).digest

    def settled(self, kept: KeptRelease) -> None:
        if isinstance(self._sources.datasets, NamedRevisions):
            tag_dataset(self._sources.datasets, kept, self._sources.dataset_name)

    def _replica(self, record: Record, opened: Json) -> tuple[Replica, dict[str, float]]:
        """The documents of the cycle, with the vectors of the release that was live."""
        objects, sources = record.ring.objects, self._sources
        live = load_release(objects.get(opened["before"]["digest"]))
        key = (opened["corpus"], live.encoder)
        if key not in self._replicas:
            documents, arrivals = snapshot.load(objects, opened["corpus"])
            encoder, encode_all = sources.encoder_for(live)
            replica = Replica.of(documents, encoder, encode_all, objects, sources.encoder_of)
            self._replicas = {key: (replica, arrivals)}
        return self._replicas[key]

    def _wait(self, record: Record, job: str) -> Any:
        """Follow a training to its end; a stop by a person or by policy ends it."""
        ring, trainer = record.ring, self._sources.trainer
        while (status := trainer.poll(job)).state == "running":
            if (why := record.stopped("train")) is not None:
                trainer.cancel(job)
                raise CycleCancelled(f"the training was stopped: {why}")
            ring.progress.work(status.what or "training", status.done, max(status.total, 1))
            ring.clock.sleep(min(0.5, record.options.poll_s))
        if status.state != "completed":
            raise PredatorError(f"the training {status.state}: {status.error}")
        return status

    def _asked_lately(self, record: Record) -> list[str]:
        now = record.ring.clock.now()
        seen = self._sources.feedback.impressions(now - HISTORY_S, now - SETTLE_S)
        return list(dict.fromkeys(impression.query for impression in seen))

    def _rankings(
        self, record: Record, replica: Replica, name: str, release: Release
    ) -> dict[str, list[str]]:
        progress = record.ring.progress
        return replica.rankings(
            replica.engine(release),
            self._labels.gold,
            progress=lambda done, total: progress.work(f"Gold queries, {name}", done, total),
        )

    def _scores(self, rankings: Mapping[str, Sequence[str]]) -> Scores:
        gold = [query.id for query in self._labels.gold]
        return score(judgments_for(gold, self._labels.judgments), rankings)

    def _query_categories(self, replica: Replica) -> list[str]:
        """The category of each Gold query's best judged document."""
        found = []
        for query in self._labels.gold:
            grades = self._labels.judgments[query.id]
            best = max(grades, key=lambda d: (grades[d], d))
            row = replica.index.row_of(best)
            found.append(replica.index.documents[row].category if row is not None else "unknown")
        return found

    def _gates_now(self, record: Record) -> Mapping[str, Gate]:
        """The contour's quality gates, with the levels that people have set by override."""
        governance, contour = record.ring.governance, record.options.contour
        granted = governance.overrides.list(contour)
        return with_overrides(self._gates, granted, contour, record.ring.clock.now())

    def _check_levels(
        self,
        record: Record,
        evaluated: dict[str, Any],
        gates: Mapping[str, Gate],
        levels: Mapping[str, tuple[float | None, float | None]],
        number: int,
    ) -> None:
        """Floors and ceilings beside the relative gates: one that does not hold ends a PASS."""
        found: dict[str, Any] = {}
        for name, (baseline, candidate) in levels.items():
            gate = gates.get(name)
            if gate is None or gate.limit is None:
                continue
            inputs = deciders.gate_inputs(replace(gate, delta_rel=None), baseline, candidate)
            result = record.decide(f"gate-{name}-{number}", "gate", inputs)
            found[name] = {**result, "limit": gate.limit, "override": gate.override_id}
        evaluated["gates"] = found
        broken = [one for one in found.values() if one["held"] is not True]
        if broken and evaluated["verdict"] == Verdict.PASS:
            missing = any(one["held"] is None for one in broken)
            evaluated["verdict"] = str(Verdict.ERROR if missing else Verdict.FAIL)
            evaluated["reason"] = "; ".join(one["reason"] for one in broken)


def _tuned_on(record: Record, live: Json, founding: str) -> frozenset[str]:
    """The queries that the live encoder has learnt from, as the cycle that made it live tells.

    Nothing else is learnt from them: their cosines are too good to be true. ``IntegrityError``
    where the encoder is a tuned one and its cycle's artifacts are gone.
    """
    if load_release(record.ring.objects.get(live["digest"])).encoder == founding:
        return frozenset()
    folder = record.folder.parent / str(live["cycle"])
    for path in folder.glob(f"mlflow_run_*/model/{TUNED_ON}"):
        return frozenset(json.loads(path.read_bytes()))
    raise IntegrityError(
        f"nothing says which queries the live encoder was tuned on: {folder} lacks {TUNED_ON}",
        cure="Restore the artifacts of that cycle",
    )


def _place(ndcg: float, best: float, submitted: bool) -> str:
    if submitted:
        return "submitted: the best out of fold"
    return f"{best - ndcg:.4f} below the best out of fold"


def _keep_metrics(record: Record, scores: Scores, evaluated: Json) -> None:
    values = {
        "ndcg_at_10": scores.mean(),
        "recall_at_20": scores.mean("R@20"),
        "precision_at_10": scores.mean("P@10"),
        "mrr_at_10": scores.mean("RR@10"),
    }
    unjudged = evaluated["gold"]["unjudged_at_10"]["candidate"]["value"]
    if unjudged is not None:
        values["unjudged_at_10"] = unjudged
    for guardrail in evaluated["guardrails"]:
        if guardrail["value"] is not None:
            values[guardrail["name"]] = guardrail["value"]
    if evaluated["gain"] is not None:
        values["ndcg_delta_rel"] = evaluated["gain"]["delta_rel"]
    record.ring.tracking.metrics(record.run_id, values)
    record.write(f"mlflow_run_{record.run_id}/metrics/metrics.json", values)
