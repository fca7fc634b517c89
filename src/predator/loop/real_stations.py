"""The stations that learn: from the platform's documents, its traffic and people's judgments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from predator.domain.release import Release
from predator.domain.verdicts import Verdict
from predator.learning.leakage import gold_marks
from predator.learning.measures import Scores, score
from predator.loop import augment, deciders, diagnose
from predator.loop.bad_release import LESSONS, bad_release
from predator.loop.dataset import snapshot, written_queries
from predator.loop.dataset import stage as dataset_stage
from predator.loop.dataset.manifest import manifest
from predator.loop.evaluate import Measured
from predator.loop.experiment import screen_station, shadow_replay
from predator.loop.experiment import station as experiment_station
from predator.loop.experiment.screen import ScreenPlan
from predator.loop.gather import gather
from predator.loop.gold import ledger as gold_ledger
from predator.loop.gold import report as gold_report
from predator.loop.gold.versions import NamedRevisions, tag_dataset
from predator.loop.labels import Labels
from predator.loop.observe import judgments_for, ndcg_by_impression
from predator.loop.profile import profile
from predator.loop.record import Record
from predator.loop.replica import Replica
from predator.loop.ring import Sources, timestamp
from predator.loop.stations import Situation
from predator.loop.training import station as train_station
from predator.loop.watch import station as watch_station
from predator.policy.gates import Gate, to_evaluation_gates, with_overrides
from predator.ports.feedback import Impression
from predator.ports.releases import KeptRelease
from predator.ports.runtime import Json
from predator.search.desired import LiveRelease
from predator.search.serving.agent import load_release

SETTLE_S = 1.5
"""Clicks come after searches: the newest searches are left out of every judgment."""
HISTORY_S, BASELINE_S = 30.0, 60.0
"""How far back an experiment is planned from, and a watch compared with, at least."""
HISTORY_MAX_S, HISTORY_SEARCHES = 7 * 86_400.0, 20_000
"""How far back an experiment is planned from at most: as long as itself, within these."""


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
        replica, _ = self._replica(record, opened)
        documents, _ = snapshot.load(record.ring.objects, opened["corpus"])
        cost_max = to_evaluation_gates(self._gates_now(record)).cost_per_1k_usd_max
        gates = train_station.gates_for(record, cost_max, record.options.alpha)
        return train_station.train(
            record, self._sources, self._labels, replica, documents, opened, dataset, gates
        )

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
            train_station.gates_for(record, cost_max, reading.alpha),
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
        now = record.ring.clock.now()
        live = evaluated["before"]["digest"]
        history = [one for one in self._history(record, now) if one.release == live]
        lasted = now - SETTLE_S - history[0].at if history else 0.0
        gain = evaluated["gain"]
        return experiment_station.planned(
            record,
            history[-HISTORY_SEARCHES:],
            gain["delta_rel"],
            # Not the ledger's bound: how long users are asked for must not depend on its age.
            gain["ci_low"],
            len(history) / max(1.0, lasted),
        )

    def seen(self, record: Record, experiment: str, since: float) -> int:
        until = record.ring.clock.now() - SETTLE_S
        return len(self._sources.feedback.impressions(since - 1, until, experiment))

    def look_experiment(
        self, record: Record, experiment: str, since: float, plan: Json, releases: Json,
        occasion: Json,
    ) -> Json:  # fmt: skip
        until = record.ring.clock.now() - SETTLE_S
        seen = self._sources.feedback.impressions(since - 1, until, experiment)
        past = None
        if plan["cuped"]["used"]:
            past = experiment_station.past_of(self._history(record, since))
        return experiment_station.looked(
            record,
            plan,
            seen,
            occasion,
            releases,
            before=past,
            csat_min=to_evaluation_gates(self._gates_now(record)).csat_min,
            failures=self._sources.feedback.failures(since - 1, until, experiment),
        )

    def _history(self, record: Record, until: float) -> Sequence[Impression]:
        """The traffic before ``until`` that an experiment is planned and corrected by."""
        span = min(HISTORY_MAX_S, max(HISTORY_S, record.options.experiment_min_s))
        return self._sources.feedback.impressions(until - span, until - SETTLE_S)

    def watch_baseline(self, record: Record, old: Json) -> Json:
        """What the old release served lately, taken *before* it is replaced, and the plan."""
        feedback, look_s = self._sources.feedback, record.options.watch_look_s
        now, span = record.ring.clock.now(), max(BASELINE_S, look_s)
        since, until = now - span, now - SETTLE_S
        seen = feedback.impressions(since, until)
        lasted = until - seen[0].at if seen else 0.0
        mine = [i for i in seen if i.release == old["digest"]]
        failed = [f for f in feedback.failures(since, until) if f.release == old["digest"]]
        return watch_station.planned(
            record,
            old,
            deciders.arm_inputs(mine, ndcg_by_impression(mine, self._labels), failed),
            len(seen) / max(1.0, lasted) * look_s,
            to_evaluation_gates(self._gates_now(record)).cost_per_1k_usd_max,
        )

    def look(
        self, record: Record, experiment: str, since: float, number: int, baseline: Json
    ) -> Json:
        feedback, until = self._sources.feedback, record.ring.clock.now() - SETTLE_S
        seen = feedback.impressions(since, until, experiment)
        failed = feedback.failures(since, until, experiment)
        live, held = (
            deciders.arm_inputs(
                mine := [i for i in seen if i.variant == variant],
                ndcg_by_impression(mine, self._labels),
                [f for f in failed if f.variant == variant],
                since=since,
                look_s=record.options.watch_look_s,
            )
            for variant in ("live", "holdback")
        )
        return watch_station.looked(record, number, baseline, live, held)

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

    def shadow(self, record: Record, before: LiveRelease, candidate: str) -> Json:
        ring, corpus = record.ring, self._sources.corpus
        kept = snapshot.keep(ring.objects, corpus.documents(), corpus.arrivals())
        replica, _ = self._replica(record, {"corpus": kept, "before": asdict(before)})
        texts = shadow_replay.recorded_queries(
            self._sources.feedback, ring.clock.now(), record.options.shadow_queries
        )
        seen = shadow_replay.replay(
            replica.engine(before.digest),
            replica.engine(candidate),
            texts,
            lambda done, of: ring.progress.work("queries replayed", done, of),
        )
        return screen_station.shadowed(record, seen)

    def screen(self, record: Record, experiment: str, since: float, plan: ScreenPlan) -> Json:
        until = record.ring.clock.now() - SETTLE_S
        seen = self._sources.feedback.impressions(since - 1, until, experiment)
        return screen_station.screened(record, plan, seen)

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
