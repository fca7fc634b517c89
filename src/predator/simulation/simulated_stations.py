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
from predator.loop import deciders
from predator.loop.evaluate import Gates, Measured
from predator.loop.experiment import screen_station
from predator.loop.experiment import station as experiment_station
from predator.loop.experiment.screen import ScreenPlan
from predator.loop.experiment.shadow import Replayed
from predator.loop.record import Record
from predator.loop.replica import keep_release
from predator.loop.ring import timestamp
from predator.loop.watch import station as watch_station
from predator.ports.feedback import DraftedHit, Impression
from predator.ports.releases import KeptRelease
from predator.ports.runtime import Json
from predator.search.desired import LiveRelease
from predator.search.serving.agent import load_release
from predator.statistics.interleaving import INTERLEAVED

LONGEST_TIMES = 4.0
"""An experiment brings no more than so many times the searches of its shortest duration."""


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
        history = self._served(record, "plan", 400, {"": 0.0}, evaluated["before"]["digest"])
        gain = evaluated["gain"]
        rate = self._effects.searches / record.options.experiment_min_s
        return experiment_station.planned(
            record, history, gain["delta_rel"], gain["lower_bound"], rate
        )

    def seen(self, record: Record, experiment: str, since: float) -> int:
        return self._effects.searches

    def look_experiment(
        self, record: Record, experiment: str, since: float, plan: Json, releases: Json,
        occasion: Json,
    ) -> Json:  # fmt: skip
        """Users come evenly: ``searches`` of them in the shortest duration, four times as many at
        most."""
        share = plan["share"]
        times = min(LONGEST_TIMES, occasion["elapsed_s"] / record.options.experiment_min_s)
        arms = {"baseline": (0.0, 1 - share), "candidate": (self._effects.online, share)}
        served: list[Impression] = []
        for arm, (effect, part) in arms.items():
            count = round(self._effects.searches * times * part)
            served += self._served(record, arm, count, {arm: effect}, releases[arm])
        return experiment_station.looked(record, plan, served, occasion, releases)

    def watch_baseline(self, record: Record, old: Json) -> Json:
        history = self._served(record, "baseline", 400, {"": 0.0}, old["digest"])
        served = deciders.arm_inputs(history, {}, ())
        return watch_station.planned(
            record, old, served, self._effects.searches / record.options.watch_looks
        )

    def look(
        self, record: Record, experiment: str, since: float, number: int, baseline: Json
    ) -> Json:
        count = self._effects.searches * number // record.options.watch_looks
        effect = -0.9 if record.trigger["type"] == "drill" else self._effects.live
        live = self._served(record, "live", count, {"live": effect}, "")
        kept = max(40, round(count * baseline["plan"]["share"]))
        held = self._served(record, "held", kept, {"holdback": 0.0}, "")
        return watch_station.looked(
            record, number, baseline,
            deciders.arm_inputs(live, {}, ()), deciders.arm_inputs(held, {}, ()),
        )  # fmt: skip

    def bad_release(self, record: Record, live: Json) -> str:
        release = load_release(record.ring.objects.get(live["digest"]))
        bad = replace(release, retrieval=replace(release.retrieval, fusion="dense", depth=1))
        return keep_release(record.ring.objects, bad)

    def settled(self, kept: KeptRelease) -> None:
        """Nothing was learnt from, so there is nothing to name."""

    def shadow(self, record: Record, before: LiveRelease, candidate: str) -> Json:
        """Nothing was trained, so both releases answer alike."""
        count = min(record.options.shadow_queries, 100)
        well, hits, took, same = [False] * count, [10] * count, [10.0] * count, [1.0] * count
        seen = Replayed(well, well, hits, hits, took, took, same, same)
        return screen_station.shadowed(record, seen)

    def screen(self, record: Record, experiment: str, since: float, plan: ScreenPlan) -> Json:
        """Users click one of two hits that the rankers order the other way round, first either."""
        effect = {INTERLEAVED: self._effects.online}
        draft = (DraftedHit("candidate", 2, 1), DraftedHit("live", 1, 2))
        drafted = [
            replace(
                one,
                draft=draft[:: 1 if n % 2 else -1],
                clicks=(1,) if bool(one.clicks) == bool(n % 2) else (2,),
            )
            for n, one in enumerate(self._served(record, "screen", plan.searches, effect, ""))
        ]
        return screen_station.screened(record, plan, drafted)

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
        # Row by row, so that who came first is the same however many come.
        luck = self._rng(record, what).random((count, 2))
        clicked, rated = luck[:, 0] < min(0.95, max(0.0, 0.5 * (1 + effect))), luck[:, 1] < 0.2
        at = record.ring.clock.now()
        return [
            Impression(
                f"{what}-{n}", "simulated", f"{what}-user-{n // 2}", release, "simulated", variant,
                ("d1", "d2"), (1,) if clicked[n] else (),
                round(self._effects.csat) if rated[n] else None, 10.0, at - count + n,
            )
            for n in range(count)
        ]  # fmt: skip

    def _rng(self, record: Record, what: str) -> np.random.Generator:
        mark = canonical_json([self._seed, record.cycle_id, what])
        return np.random.default_rng(int(sha256_hex(mark)[:15], 16))
