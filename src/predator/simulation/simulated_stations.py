"""Stations that go through the motions: made-up measurements, real deciders, nothing trained.

The contour dev-mac turns the ring with these (spec 6A.10), and so do the tests of the flow itself:
what is real here is everything between the stations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from predator.contours.meaning import GATE_PROFILES
from predator.domain.canonical import canonical_json, sha256_hex
from predator.domain.errors import PredatorError
from predator.domain.verdicts import WatchDecision
from predator.loop import deciders, watch
from predator.loop.evaluate import Gates, Measured
from predator.loop.experiment import unplanned
from predator.loop.record import Record
from predator.loop.replica import keep_release
from predator.loop.ring import timestamp
from predator.ports.feedback import Impression
from predator.ports.releases import KeptRelease
from predator.ports.runtime import Json
from predator.search.serving.agent import load_release


@dataclass(frozen=True, slots=True)
class Effects:
    """What is true of a simulated candidate, relative to the release before it.

    ``offline`` and ``online`` are relative gains; ``live`` is the one that users get once the
    candidate serves everybody (a release may turn bad). ``queries`` Gold queries, ``searches`` a
    second of traffic.
    """

    offline: float = 0.08
    online: float = 0.25
    live: float = 0.25
    queries: int = 400
    searches: int = 1200
    csat: float = 4.4


class SimulatedStations:
    """Stations of one simulated cycle; the same cycle and seed give the same measurements."""

    simulated = True

    def __init__(self, effects: Effects | None = None, seed: int = 0) -> None:
        self._effects, self._seed = effects or Effects(), seed

    def open(self, record: Record) -> Json:
        before = asdict(record.ring.desired.read().release)
        return {"before": before, "corpus": "", "documents": 0, "gold": self._effects.queries}

    def diagnose(self, record: Record, opened: Json) -> Json:
        record.write(
            "diagnostic_report.json",
            {
                "cycle_id": record.cycle_id,
                "timestamp": timestamp(record.ring.clock.now()),
                "trigger": record.trigger["type"],
                "current_value": record.trigger.get("value"),
                "baseline": record.trigger.get("baseline"),
                "simulated": True,
                "root_cause_analysis": {"type": "simulated", "affected_categories": []},
                "causes": [],
            },
        )
        return {
            "cause": "simulated",
            "evidence": "mock signals: nothing was measured",
            "affected_categories": [],
            "low_coverage_terms": [],
        }

    def build_dataset(self, record: Record, opened: Json, diagnosis: Json) -> Json:
        data = b"query_id,query,document_id,grade,source\n"
        record.write("augmented_dataset.csv", data)
        record.write(
            "dataset_manifest.yaml",
            f"dataset_id: {record.cycle_id.replace('si_', 'aug_')}\n"
            f"cycle_id: {record.cycle_id}\nmethod: simulated\n"
            "statistics:\n  total_examples: 0\n",
        )
        return {"path": "", "hash": sha256_hex(data), "revision": "", "lock_file": ""}

    def train(self, record: Record, opened: Json, dataset: Json) -> Json:
        """No training: a candidate that differs from the live release by one parameter."""
        ring = record.ring
        live = load_release(ring.objects.get(opened["before"]["digest"]))
        weight = round(0.05 + 0.9 * float(self._rng(record, "train").random()), 6)
        candidate = replace(
            live, retrieval=replace(live.retrieval, fusion="weighted", dense_weight=weight)
        )
        keep_release(ring.objects, candidate)
        folder = f"mlflow_run_{record.run_id}/model"
        record.write(f"{folder}/release.json", candidate.to_json())
        return {
            "release": candidate.digest,
            "best": "simulated",
            "portfolio": [{"name": "simulated", "ndcg_at_10_out_of_fold": None}],
            "folder": folder,
        }

    def evaluate(self, record: Record, opened: Json, trained: Json, number: int) -> Json:
        ring, options, truth = record.ring, record.options, self._effects
        rng = self._rng(record, f"evaluate-{number}")
        before = ring.desired.read().release
        baseline = np.clip(rng.normal(0.6, 0.25, truth.queries), 0.05, 1.0)
        candidate = np.clip(
            baseline + rng.normal(truth.offline * 0.6, 0.12, truth.queries), 0.0, 1.0
        )
        gates = Gates(
            options.ndcg_delta_rel_min, options.category_delta_rel_min,
            options.latency_delta_rel_max, options.latency_floor_ms,
            options.cost_per_1k_usd_max, options.alpha, options.power,
            GATE_PROFILES[options.gate_profile],
        )  # fmt: skip
        inputs = deciders.evaluate_inputs(
            candidate, baseline, ["simulated"] * truth.queries, Measured(10.0, 10.0, 0.01), gates
        )
        evaluated = {
            "cycle_id": record.cycle_id,
            "release": trained["release"],
            **record.decide(f"evaluate-{number}", "evaluate", inputs),
            "before": asdict(before),
            "simulated": True,
        }
        record.write("evaluation.json", evaluated)
        return evaluated

    def plan_experiment(self, record: Record, evaluated: Json) -> Json:
        options = record.options
        history = self._served(record, "plan", 400, {"": 0.0}, evaluated["before"]["digest"])
        inputs = deciders.plan_experiment_inputs(
            history,
            evaluated["gain"]["delta_rel"],
            evaluated["gain"]["lower_bound"],
            share=record.ring.governance.experiment_share(options.experiment_share),
            alpha=options.alpha,
            power=options.power,
            searches_at_most=self._effects.searches,
            searches_at_least=self._effects.searches,
        )
        planned = record.decide("plan_experiment", "plan_experiment", inputs)
        if "error" in planned:
            return {"unplanned": {**unplanned(planned["error"]).to_json(), "searches": 0}}
        return planned

    def seen(self, record: Record, experiment: str, since: float) -> int:
        return self._effects.searches

    def judge_experiment(
        self, record: Record, experiment: str, since: float, plan: Json, releases: Json
    ) -> Json:
        options, share = record.options, plan["share"]
        arms = {"baseline": (0.0, 1 - share), "candidate": (self._effects.online, share)}
        served: list[Impression] = []
        for arm, (effect, part) in arms.items():
            count = round(plan["searches"] * part)
            served += self._served(record, arm, count, {arm: effect}, releases[arm])
        inputs = deciders.judge_experiment_inputs(
            deciders.to_plan_experiment(plan), served, options.csat_min, options.power, releases
        )
        return {
            **record.decide("judge_experiment", "judge_experiment", inputs),
            "searches": len(served),
        }

    def watch_baseline(self, record: Record, old: Json) -> Json:
        history = self._served(record, "baseline", 400, {"": 0.0}, old["digest"])
        found = record.decide(
            "watch_baseline", "watch_baseline", deciders.watch_baseline_inputs(history)
        )
        if "error" in found:
            raise PredatorError(f"nothing to watch by: {found['error']}")
        return found

    def look(
        self, record: Record, experiment: str, since: float, number: int, baseline: Json
    ) -> Json:
        options = record.options
        count = self._effects.searches * min(number, options.watch_looks) // options.watch_looks
        effect = -0.9 if record.trigger["type"] == "drill" else self._effects.live
        live = self._served(record, "live", count, {"live": effect}, "")
        held = self._served(record, "held", max(40, count // 5), {"holdback": 0.0}, "")
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
        too_few = found["decision"] == WatchDecision.HOLD and len(live) < watch.LEAST_LIVE
        return {**found, "number": number, "at": record.ring.clock.now(), "too_few": too_few}

    def bad_release(self, record: Record, live: Json) -> str:
        release = load_release(record.ring.objects.get(live["digest"]))
        bad = replace(release, retrieval=replace(release.retrieval, fusion="dense", depth=1))
        return keep_release(record.ring.objects, bad)

    def settled(self, kept: KeptRelease) -> None:
        """Nothing was learnt from, so there is nothing to name."""

    def _served(
        self,
        record: Record,
        what: str,
        count: int,
        effects: dict[str, float],
        release: str,
    ) -> Sequence[Impression]:
        """Searches by users who search twice; an effect raises the odds of a first click."""
        [(variant, effect)] = effects.items()
        rng = self._rng(record, what)
        clicked = rng.random(count) < min(0.95, max(0.0, 0.5 * (1 + effect)))
        rated = rng.random(count) < 0.2
        at = record.ring.clock.now()
        return [
            Impression(
                f"{what}-{n}", "simulated", f"{what}-user-{n // 2}", release, "simulated", variant,
                ("d1", "d2"), (1,) if clicked[n] else (),
                round(self._effects.csat) if rated[n] else None, 10.0, at,
            )
            for n in range(count)
        ]  # fmt: skip

    def _rng(self, record: Record, what: str) -> np.random.Generator:
        mark = canonical_json([self._seed, record.cycle_id, what])
        return np.random.default_rng(int(sha256_hex(mark)[:15], 16))
