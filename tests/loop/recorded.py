"""A whole cycle on the record, as ``Record`` leaves it, up to the anchor."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from predator.domain.readings import NoData, Reading, Value
from predator.journal.audit import AuditJournal
from predator.journal.files import outputs, write_whole
from predator.journal.summary import CycleSummary
from predator.loop import deciders
from predator.loop.anchor import anchor
from predator.loop.contract import CONTRACT
from predator.loop.deciders import write_decision
from predator.loop.diagnose import Evidence, JudgedSearch
from predator.loop.evaluate import Gates, Measured
from predator.loop.experiment.evidence import Limits
from predator.loop.experiment.screen import ScreenPlan
from predator.loop.experiment.shadow import ShadowLimits
from predator.loop.training.submit import Offered
from predator.policy.decision import Principal, decide
from predator.policy.gates import Gate
from predator.ports.gitops import GitOps
from predator.statistics.divergence import Shift
from tests.loop.impressions import by_share, traffic
from tests.loop.screens import drafted, replayed
from tests.loop.watched import limits

GATES = Gates(0.03, -0.02, 0.15, 50, 0.5, 0.05, 0.8)
CYCLE, OTHER = "si_2025_12_07_001", "si_2025_12_07_002"
CONTOUR = "local"
LOOP = Principal("loop", "system")
SWITCHES: Mapping[str, bool | int | str] = {
    "kill_switch": False,
    "self_improvement_enabled": True,
    "manual_approval_required": False,
    "auto_promote": True,
    "ab_testing": True,
    "trigger": "ndcg_drop",
    "cycles_within_limit": True,
    "budget_within_limit": True,
    "experiments_within_limit": True,
    "rollback_target_healthy": True,
}


class Recorded:
    """Records a cycle step by step; ``seed`` makes one cycle unlike another."""

    def __init__(
        self, artifacts: Path, gitops: GitOps, cycle_id: str = CYCLE, seed: int = 0
    ) -> None:
        self.cycle_id, self.gitops = cycle_id, gitops
        self.folder = artifacts / cycle_id
        self.rng = np.random.default_rng(seed)
        self.time = 1_765_070_000.0
        self.journal = AuditJournal(self.folder / "audit.jsonl", now=self._now)
        self.actions: list[dict[str, Any]] = []

    def _now(self) -> float:
        self.time += 1.5
        return self.time

    def ask(self, action: str, context: Mapping[str, bool | int | str] = SWITCHES) -> Any:
        answer = decide(LOOP, action, CONTOUR, context)
        self.journal.append(
            {
                "type": "policy",
                "action": action,
                "effect": action,
                "role": LOOP.role,
                "principal": LOOP.name,
                "contour": CONTOUR,
                "context": dict(context),
                "decision": str(answer.decision),
                "rule": answer.rule,
                "policy_digest": deciders.keep_policies(self.folder),
            }
        )
        return answer

    def act(self, name: str, *files: str) -> None:
        self.ask(name)
        for file in files:
            write_whole(self.folder / file, f"{file} of {self.cycle_id}\n".encode())
        action = {
            "sequence": len(self.actions) + 1,
            "type": name,
            "status": "completed",
            "outputs": outputs(self.folder, files),
        }
        self.actions.append(action)
        self.journal.append_once(f"{name}:action", {"type": "action", "action": action})

    def decide(self, key: str, decider: str, inputs: Any) -> Any:
        return write_decision(self.folder, self.journal, key, decider, inputs)

    def open(self) -> None:
        """Everything but the end: each decider decides once or more, one release is promoted."""
        self.journal.append_once("begin", {"type": "start", "cycle_id": self.cycle_id})
        baseline = Value(0.6, 200, 0.55, 0.65, self.time)
        dropped = Value(0.4, 150, 0.36, 0.44, self.time)
        readings: list[Reading] = [NoData("3 judged searches"), dropped, dropped]
        inputs = deciders.monitor_inputs(CONTRACT[0], baseline, readings, 2)
        assert self.decide("monitor", "monitor", inputs)["signal"] is not None
        self.decide("diagnose", "diagnose", deciders.diagnose_inputs(self._evidence()))
        self.act("diagnose", "diagnostic_report.json")
        self.act("build_dataset", "augmented_dataset.csv", "dvc.lock")
        self.act("train", "mlflow_run_1/model/release.json")
        before = np.clip(self.rng.normal(0.5, 0.2, 300), 0, 1)
        after = np.clip(before + self.rng.normal(0.06, 0.05, 300), 0, 1)
        evaluation = self.decide(
            "evaluate-1",
            "evaluate",
            deciders.evaluate_inputs(
                after,
                before,
                ["optics", "knots"] * 150,
                Measured(40.0, 41.0, 0.1),
                GATES,
            ),
        )
        assert evaluation["verdict"] == "PASS"
        floor = Gate("ndcg_at_10", "min", 0.03, 0.5)
        gain = evaluation["gain"]
        self.decide(
            "gate-ndcg",
            "gate",
            deciders.gate_inputs(floor, gain["baseline_mean"], gain["candidate_mean"]),
        )
        self.act("evaluate", "evaluation.json")
        self._submission()
        experiment = self._experiment()
        release = "c" * 64
        chain = self.decide(
            "promotion",
            "promotion",
            deciders.promotion_inputs(
                release,
                {**evaluation, "release": release},
                {"release": release, **experiment},
                self.ask("promote", {**SWITCHES, "evaluation": "PASS", "experiment": "PASS"}),
            ),
        )
        self.commit("promote", deciders.to_promotion(chain))
        self.act("rollback", "watch.json")

    def _submission(self) -> None:
        """A candidate that would be too slow, and one that is not."""
        asked = deciders.reading_room_inputs(5.0, GATES)
        assert self.decide("reading_room", "reading_room", asked) == {"room_ms": 45.0}
        offered = [Offered("cross_encoder", Measured(5.0, 213.0, 0.01)), Offered("fusion", None)]
        inputs = deciders.submit_inputs(offered, GATES)
        assert self.decide("submit", "submit", inputs)["name"] == "fusion"

    def _experiment(self) -> Any:
        fine = deciders.shadow_inputs(replayed(), ShadowLimits(0.15, 50.0, 0.05))
        self.decide("shadow", "shadow", fine)
        liked = drafted(self.rng, 400, prefers=0.8)
        screen = deciders.screen_inputs(ScreenPlan(0.2, 300, 0.05), liked)
        assert self.decide("screen", "screen", screen)["verdict"] == "GO"
        history = traffic(self.rng, 600, users=200)
        planned = self.decide(
            "plan_experiment",
            "plan_experiment",
            deciders.plan_experiment_inputs(
                history, 0.5, 0.3, share=0.5, alpha=0.05, power=0.8,
                rate_per_s=90.0, min_s=3.0, max_s=10.0,
            ),
        )  # fmt: skip
        seen = traffic(
            self.rng,
            900,
            by_share("e", 0.5, "candidate", "baseline"),
            lift={"candidate": 1.6},
        )
        trial, guarded = deciders.to_plan_experiment(planned), Limits(4.0, 0.15, 50.0, 0.5)
        early = deciders.judge_experiment_inputs(
            trial, seen[:200], guarded, deciders.Occasion(1, 2.0, last=False)
        )
        so_far = self.decide(
            "experiment_look-1", "look_experiment", deciders.look_experiment_inputs(early)
        )
        assert not so_far["ended"]
        occasion = deciders.to_occasion(
            {"number": 2, "elapsed_s": 10.0, "last": False, "looks": so_far["looks"]}
        )
        found = self.decide(
            "judge_experiment",
            "judge_experiment",
            deciders.judge_experiment_inputs(trial, seen, guarded, occasion),
        )
        assert found["verdict"] == "PASS"
        served = deciders.arm_inputs(history, {}, ())
        measured = self.decide(
            "watch_baseline", "watch_baseline", deciders.watch_baseline_inputs(served)
        )
        before = deciders.to_watch_baseline(measured)
        plan = self.decide(
            "watch_plan", "watch_plan", deciders.watch_plan_inputs(before, 200, limits(looks=2))
        )
        for number in (1, 2):
            live = traffic(self.rng, 200 * number, prefix="l")
            held = traffic(self.rng, 50 * number, prefix="h")
            inputs = deciders.watch_look_inputs(
                number, deciders.to_watch_plan(plan), before,
                deciders.arm_inputs(live, {}, ()), deciders.arm_inputs(held, {}, ()),
            )  # fmt: skip
            self.decide(f"look-{number}", "watch_look", inputs)
        asked = deciders.policy_inputs(LOOP, "train", CONTOUR, SWITCHES)
        self.decide("may-train", "policy", asked)
        return found

    def _evidence(self) -> Evidence:
        losses = self.rng.random(40).tolist()
        return Evidence(
            None,
            0.2,
            [JudgedSearch("new", loss, "ranking", True, ("тензор",)) for loss in losses],
            Shift(0.3, 0.1, True),
            Shift(0.1, 0.2, False),
            ["тензор"],
            0.9,
            {"old": 100},
            {"old": 100, "new": 40},
            {},
            0.0,
            12.0,
            {},
        )

    def commit(self, step: str, more: Mapping[str, str] | None = None) -> str:
        return self.gitops.commit(
            {f"environments/{CONTOUR}/values.yaml": f"# {self.cycle_id} {step}\n"},
            f"{step} of {self.cycle_id}",
            {
                "Cycle": self.cycle_id,
                "Step": step,
                "Audit": self.journal.head,
                **(more or {}),
            },
            parent=self.gitops.head(),
        )

    def close(self) -> None:
        self.journal.write_summary(
            CycleSummary(
                self.cycle_id, "2025-12-07T01:23:45Z", CONTOUR, {"type": "ndcg_drop"},
                self.actions, "system", 0.01, "success", True,
            )
        )  # fmt: skip

    def anchor(self) -> str:
        return anchor(self.gitops, CONTOUR, self.cycle_id, self.journal)


def recorded(artifacts: Path, gitops: GitOps, cycle_id: str = CYCLE, seed: int = 0) -> Recorded:
    """A finished cycle: closed, and anchored in ``gitops``."""
    made = Recorded(artifacts, gitops, cycle_id, seed)
    made.open()
    made.close()
    made.anchor()
    return made


def lines_of(folder: Path) -> list[bytes]:
    return (folder / "audit.jsonl").read_bytes().splitlines(keepends=True)
