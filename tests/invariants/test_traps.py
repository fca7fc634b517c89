"""Ten mistakes that read well in a specification, each with the test that would find it here."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import Counter, Histogram
from scipy.stats import binom

from predator.adapters.flags.memory import MemoryFlags
from predator.domain.errors import InputError, PredatorError
from predator.domain.governance import Flag
from predator.domain.verdicts import Decision, Verdict, WatchDecision
from predator.edge.api import schemas
from predator.journal.audit import AuditJournal
from predator.loop import deciders
from predator.loop.evaluate import Gates, Measured, evaluate
from predator.loop.record import LOOP
from predator.loop.watch.look import look
from predator.policy.gates import check, load_gates
from predator.search.serving.instruments import Instruments
from predator.statistics.assignment import bucket
from tests.constructs import forbidden_in
from tests.invariants.light_ring import LightWorld
from tests.loop.impressions import by_share, impression, traffic
from tests.loop.operator_world import World
from tests.loop.watched import arm, baseline, planned

ROOT = Path(__file__).parents[2]
GATES = Gates(0.03, -0.02, 0.15, 100.0, 0.5, 0.05, 0.8)
FINE = Measured(10.0, 10.0, 0.01)


def test_trap_1_a_metric_that_is_nan_or_absent_never_passes_a_watch() -> None:
    """``if current < baseline: rollback`` is False for NaN."""
    found = baseline(traffic(np.random.default_rng(1), 600))
    assert look(6, planned(found), found, arm([]), arm([])).decision is WatchDecision.HOLD
    with pytest.raises(InputError, match="not measured"):
        deciders.arm_inputs([impression("u", latency_ms=float("nan"))], {}, ())


def test_trap_2_the_baseline_is_taken_before_the_deploy_and_a_holdback_stays_beside_it(
    world: LightWorld,
) -> None:
    """A baseline from after the sync compares the candidate with itself."""
    cycle, held = world.ask(), []
    world.at = lambda at: (
        held.append(world.desired.read().holdback) if at.endswith("/deploy:applied") else None
    )
    world.run()
    records = AuditJournal(world.folder_of(cycle) / "audit.jsonl").read()
    order = [str(one.get("key") or one.get("name") or one.get("action")) for one in records]
    assert order.index("watch_baseline") < order.index("watch_plan") < order.index("deploy")
    assert held[0] is not None and held[0].release == world.founding.digest
    assert held[0].id == f"watch-{cycle}" and held[0].share > 0


def test_trap_3_twelve_looks_at_an_equal_release_do_not_roll_it_back() -> None:
    """A raw ``<`` at each of 12 looks rolls back 85–92% of equal releases."""
    rng, raw, ours, runs = np.random.default_rng(3), 0, 0, 25
    to_arm = by_share("w", 0.2, "holdback", "live")
    for _ in range(runs):
        found = baseline(traffic(rng, 400, users=300))
        plan = planned(found, 60, looks=12, extend_max=1)
        seen = traffic(rng, 12 * 60, to_arm, users=300)
        below = back = False
        for number in range(1, 13):
            so_far = seen[: 60 * number]
            live = arm([i for i in so_far if i.variant == "live"])
            below |= float(np.mean(live.click_mrr)) < found.metrics["click_mrr"].mean
            looked = look(number, plan, found, live,
                          arm([i for i in so_far if i.variant == "holdback"]))  # fmt: skip
            back |= looked.decision is WatchDecision.ROLL_BACK
        raw, ours = raw + below, ours + back
    assert raw >= 0.5 * runs
    assert ours <= 0.2 * runs, "5%, as far as so few releases can show"


def test_trap_4_going_back_is_one_forward_commit_that_names_what_it_restores(
    world: LightWorld,
) -> None:
    """No ``rollback --revision previous``, which does not exist, and no history that is undone."""
    world.ask("bad live")
    world.run()
    log = world.gitops.log()
    (restoring,) = [one for one in log if one.trailers.get("Step") == "rollback"]
    undone = restoring.trailers["Reverts"]
    revisions = [one.revision for one in log]
    assert revisions.index(restoring.revision) < revisions.index(undone), "the bad one stays"
    assert world.desired.read(undone).release.version == "v2.0"
    assert world.desired.read().release == world.founding


def test_trap_5_a_user_keeps_the_arm_and_a_gain_of_luck_is_no_gain() -> None:
    """``random.random()`` per query is not sticky; an equal model "gains" 3% one time in ten."""
    draws = {bucket(b"secret", "exp", "u1") for _ in range(100)}
    assert len(draws) == 1
    rng = np.random.default_rng(5)
    verdicts = []
    for _ in range(60):
        before = np.clip(rng.normal(0.6, 0.2, 100), 0, 1)
        after = np.clip(before + rng.normal(0.0, 0.2, 100), 0, 1)
        found = evaluate(after, before, ["one"] * 100, FINE, GATES)
        verdicts.append((after.mean() / before.mean() > 1.03, found.verdict is Verdict.PASS))
    assert sum(by_point for by_point, _ in verdicts) >= 4
    assert sum(passed for _, passed in verdicts) <= binom.ppf(0.999, 60, 0.05)


def test_trap_6_a_delta_is_relative_and_a_cycle_that_changes_nothing_is_a_success(
    world: LightWorld,
) -> None:
    """``min_delta: +0.03`` reads as three points of NDCG, and is 3% of the baseline."""
    gate = load_gates({"ndcg_at_10": {"min_delta": 0.03}})["ndcg_at_10"]
    assert check(gate, 0.5, 0.516).held is True
    assert check(gate, 0.5, 0.514).held is False
    cycle = world.ask("equal")
    world.run()
    assert world.outcome(cycle) == "success"
    assert world.serving == world.founding.digest


def sources() -> Iterator[Path]:
    return (ROOT / "src").rglob("*.py")


def test_trap_7_no_text_is_run_no_pickle_is_read_and_no_cycle_overwrites_another(
    world: LightWorld,
) -> None:
    """``os.system(f"…")``, ``.pth``, a data set that is named after the day."""
    mistakes = (
        'os.system(f"dvc push {name}")\nimport pickle\ntorch.load("model.pth")\nrun(c, shell=True)'
    )
    found = [what for _, what in forbidden_in(ast.parse(mistakes))]
    assert set(found) == {"os.system", "pickle", "torch.load", "run"}, "sources: test_project"
    one, other = world.ask("equal"), world.ask("equal")
    world.run()
    for cycle in (one, other):
        text = (world.folder_of(cycle) / "dataset_manifest.yaml").read_text()
        assert cycle in text and cycle.replace("si_", "aug_") in text


def test_trap_8_a_gate_is_overridden_with_reason_and_end_and_by_two_in_production(
    tmp_path: Path,
) -> None:
    """A query string and a bare token are neither."""
    needed = {
        name for name, field in schemas.GateException.model_fields.items() if field.is_required()
    }
    assert {"reason", "expires_at"} <= needed
    operator = World(tmp_path).operator
    with pytest.raises(InputError, match="reason"):
        operator.override_gate(
            "local", "ndcg_at_10", 0.5, reason=" ", expires_at=operator.desk.clock.now() + 60,
            actor="ann",
        )  # fmt: skip
    granted = operator.override_gate(
        "compute-nvidia", "ndcg_at_10", 0.5, reason="x",
        expires_at=operator.desk.clock.now() + 60, actor="ann",
    )  # fmt: skip
    assert granted.needs_second and not granted.active(operator.desk.clock.now())
    with pytest.raises(PredatorError):
        operator.confirm_override(granted.id, actor="Ann ")


def test_trap_9_the_kill_switch_is_read_before_each_effect_and_unreadable_is_engaged(
    world: LightWorld,
) -> None:
    """In Helm values it would take minutes, and a git that is healthy."""
    asks: list[int] = []

    class Counting(MemoryFlags):
        def rows(self) -> Sequence[Flag]:
            asks.append(1)
            return super().rows()

    governance = replace(world.ring.governance, flags=Counting())
    for _ in range(3):
        governance.ask(LOOP, "train", {"simulated": False})
    assert len(asks) >= 3, "it is not remembered"

    class Broken(MemoryFlags):
        def rows(self) -> Sequence[Flag]:
            raise PredatorError("the table cannot be read")

    broken = replace(world.ring.governance, flags=Broken())
    assert broken.ask(LOOP, "train", {"simulated": False}).answer.decision is Decision.DENY
    back = broken.ask(LOOP, "rollback", {"rollback_target_healthy": True}).answer
    assert back.decision is Decision.ALLOW


def test_trap_10_metrics_are_what_their_names_say() -> None:
    """A quantile of a gauge, an "average" that is a p95, an error count called a rate, an NPS."""
    parts = vars(Instruments()).values()
    timers = [one for one in parts if isinstance(one, Histogram)]
    assert {one._name for one in timers} >= {"predator_search_seconds", "predator_rating"}
    assert all(one._name.startswith("predator_") for one in parts if isinstance(one, Counter))
    texts = [
        *(ROOT / "deploy").rglob("*.y*ml"), *(ROOT / "docs").rglob("*.md"), *sources(),
    ]  # fmt: skip
    for path in texts:
        text = path.read_text("utf-8")
        for quantile in re.findall(r"histogram_quantile\((.+)", text):
            assert "rate(" in quantile and "_bucket" in quantile, f"{path.name}: {quantile}"
        assert not re.search(r"\bnps\b", text, re.IGNORECASE), path.name


def test_each_trap_has_a_test_of_its_name() -> None:
    numbers = sorted(int(name.split("_")[2]) for name in globals() if name.startswith("test_trap_"))
    assert numbers == list(range(1, 11))
