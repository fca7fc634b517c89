"""One turn of the ring on a small world: what goes live, what does not, and what is left."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ruamel.yaml import YAML

from predator.domain.canonical import digest_of
from predator.domain.errors import ConflictError, PolicyDenied, PredatorError
from predator.domain.governance import Override
from predator.domain.readings import Value
from predator.domain.verdicts import Verdict
from predator.loop.anchor import Anchors
from predator.loop.cycle import Outcome
from predator.loop.observe import judged_ndcg
from predator.loop.replay import replay
from predator.loop.replica import keep_release
from predator.loop.stations import Situation
from predator.loop.verify import verify_cycle
from predator.search.desired import LiveRelease
from predator.search.serving.agent import load_release
from tests.loop.small_ring import CYCLE, START, World, by_luck, no_clicks_on, short

V1 = "v1.0"


def run(world: World, cycle: str = CYCLE) -> Outcome:
    return world.turn(world.live_through(), cycle)


def audit(world: World, cycle: str = CYCLE) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The summary that closes the journal of a cycle, and all records; the chain is sound."""
    path = world.folder / "artifacts" / cycle / "audit.jsonl"
    assert replay(path.parent).ok
    found = verify_cycle(path.parent, [Anchors(world.gitops)])
    assert found.ok, found.fault
    records = [json.loads(line) for line in path.read_text().splitlines()]
    return records[-1].get("summary", {}), records


def check_untouched(world: World) -> None:
    """Users get the first release, and nothing but that."""
    wanted = world.desired.read()
    assert wanted.release.version == V1
    assert (wanted.experiment, wanted.holdback) == (None, None)
    world.agent.step()
    assert world.agent.routing is not None
    assert world.agent.routing.live_digest == wanted.release.digest


class TestPass:
    @pytest.fixture
    def world(self, tmp_path: Path) -> World:
        """With a real training, unlike the variants below."""
        return World(tmp_path, short(tmp_path))

    def test_a_better_release_goes_all_the_way(self, world: World) -> None:
        outcome = run(world)
        assert outcome.verdict is Verdict.PASS
        assert outcome.promoted and not outcome.rolled_back
        assert world.commits == ["start-experiment", "promote", "end-watch"]
        wanted = world.desired.read()
        assert wanted.release == outcome.release_after
        assert wanted.release.version == "v2.0" and wanted.release.cycle == CYCLE
        assert (wanted.experiment, wanted.holdback) == (None, None)
        assert outcome.release_before == LiveRelease(V1, outcome.release_before.digest, "bootstrap")
        stations = ["diagnose", "augment", "train", "evaluate", "experiment", "promote", "watch"]
        assert [said for said in world.said if said in stations] == stations

        self.check_artifacts(world, outcome)
        self.check_audit(world, outcome)
        self.check_tracking(world, outcome)
        self.check_evidence(world, outcome)

    def check_artifacts(self, world: World, outcome: Outcome) -> None:
        folder = world.folder / "artifacts" / CYCLE
        assert Path(outcome.artifacts) == folder
        run_folder = f"mlflow_run_run-{CYCLE}"
        inner = {"steps", "decisions"}
        left = {p.relative_to(folder) for p in folder.rglob("*") if p.is_file()}
        assert {str(path) for path in left if path.parts[0] not in inner} == {
            "ab_test_results.json",
            "audit.jsonl",
            "augmented_dataset.csv",
            "cost.json",
            "dataset_manifest.yaml",
            "diagnostic_report.json",
            "dvc.lock",
            "evaluation.json",
            "helm_values_patch.yaml",
            f"{run_folder}/metrics/metrics.json",
            f"{run_folder}/model/portfolio.json",
            f"{run_folder}/model/release.json",
            f"{run_folder}/model/reranker.json",
            "model_registry_ref",
            "watch.json",
        }
        outer = [path for path in left if path.parts[0] not in inner]
        read = {p.name: json.loads((folder / p).read_text()) for p in outer if p.suffix == ".json"}
        decided = {path.name.split("-", 1)[1] for path in left if path.parts[0] == "decisions"}
        assert {"diagnose.json", "evaluate.json", "plan_experiment.json", "watch_look.json",
                "judge_experiment.json", "watch_baseline.json"} < decided  # fmt: skip
        assert read["evaluation.json"]["verdict"] == "PASS"
        assert read["evaluation.json"]["gain"]["lower_bound"] > 0
        assert read["ab_test_results.json"]["result"]["looks"][-1]["evidence"] >= 20
        assert read["ab_test_results.json"]["passed_gate"] is True
        assert read["diagnostic_report.json"]["root_cause_analysis"]["type"] == outcome.cause
        assert [look["decision"] for look in read["watch.json"]["looks"]] == ["HOLD"] * 3 + ["KEEP"]
        assert digest_of(read["release.json"]) == outcome.release_after.digest
        assert read["cost.json"]["total_cost_usd"] >= 0
        manifest = YAML(typ="safe").load(folder / "dataset_manifest.yaml")
        assert manifest["cycle_id"] == CYCLE
        patch = YAML(typ="safe").load(folder / "helm_values_patch.yaml")
        assert patch["search"]["release"]["digest"] == outcome.release_after.digest
        assert (folder / "model_registry_ref").read_text() == "models:/predator-release/1\n"

    def check_audit(self, world: World, outcome: Outcome) -> None:
        summary, records = audit(world)
        assert (summary["outcome"], summary["rollback_available"]) == ("success", True)
        assert [action["type"] for action in summary["actions"]] == [
            "open", "diagnostic", "augment_data", "train_model", "evaluate", "register_model",
            "start_experiment", "ab_test", "permit_promote", "deploy", "keep_version",
            "keep_gold", "end_watch",
        ]  # fmt: skip
        assert {action["status"] for action in summary["actions"]} == {"completed"}
        asked = [one for one in records if one["type"] == "policy"]
        assert {one["decision"] for one in asked} == {"ALLOW"}
        done = [one["key"].removesuffix(":action") for one in records if one["type"] == "action"]
        assert {one["action"] for one in asked} == set(done)
        assert len([one for one in records if one["type"] == "look"]) == 4

    def check_tracking(self, world: World, outcome: Outcome) -> None:
        tracked = world.tracking.runs[f"run-{CYCLE}"]
        assert tracked.tags["si_cycle_id"] == CYCLE
        assert (tracked.summary.status, tracked.summary.outcome) == ("FINISHED", "success")
        assert len(tracked.actions) == 13
        assert tracked.metrics["ndcg_delta_rel"] > 0.03
        assert world.tracking.aliases == {
            ("predator-release", "champion"): "1",
            ("predator-release", "gold"): "1",
        }
        [kept] = world.releases.list()
        assert (kept.version, kept.digest) == ("v2.0", outcome.release_after.digest)
        assert kept.stable_at is not None and kept.gold_at is not None
        folder = world.folder / "artifacts" / CYCLE
        for name in ("audit.jsonl", "evaluation.json", "ab_test_results.json", "watch.json"):
            assert tracked.artifacts[name] == (folder / name).read_bytes()

    def check_evidence(self, world: World, outcome: Outcome) -> None:
        """The promoting commit names, by hash, the evidence that lies in the artifacts."""
        folder = world.folder / "artifacts" / CYCLE
        [commit] = [c for c in world.gitops.log() if c.trailers.get("Step") == "promote"]
        assert commit.trailers["Release"] == outcome.release_after.digest
        for trailer, name in (("Evaluation", "evaluation"), ("Experiment", "ab_test_results")):
            written = json.loads((folder / f"{name}.json").read_text())
            assert commit.trailers[trailer] == digest_of(written)
        hashes = [json.loads(x)["hash"] for x in (folder / "audit.jsonl").read_text().splitlines()]
        assert commit.trailers["Audit"] in hashes


class TestNotPromoted:
    def test_an_offline_fail_commits_nothing_and_closes_the_record(
        self, world_with: Callable[..., World]
    ) -> None:
        world = world_with(ndcg_delta_rel_min=50, power=0.51)
        outcome = run(world)
        assert outcome.verdict in (Verdict.FAIL, Verdict.INCONCLUSIVE)
        self.check_nothing_committed(world, outcome)

    def test_an_offline_inconclusive_commits_nothing_and_says_what_would_settle_it(
        self, world_with: Callable[..., World]
    ) -> None:
        world = world_with()
        situation = world.live_through()
        live = world.desired.read().release.digest
        luck = np.random.default_rng(1)
        for query in world.labels().gold:  # as if each had been judged by a throw of the dice
            ranked = world.engine_of(live).rank(query.text, 10).rows
            chosen = world.index.documents[int(luck.choice(ranked))].id
            world.judgments[query.id] = {chosen: 1}
        outcome = world.turn(situation)
        assert outcome.verdict is Verdict.INCONCLUSIVE
        assert "would settle it" in outcome.reason
        self.check_nothing_committed(world, outcome)

    def test_a_broken_guardrail_outweighs_relevance(self, world_with: Callable[..., World]) -> None:
        world = world_with(cost_per_1k_usd_max=0)
        outcome = run(world)
        assert outcome.verdict is Verdict.FAIL and "guardrail broken" in outcome.reason
        self.check_nothing_committed(world, outcome)

    def check_nothing_committed(self, world: World, outcome: Outcome) -> None:
        assert world.commits == []
        assert not outcome.promoted and outcome.experiment is None
        assert outcome.release_after == outcome.release_before
        check_untouched(world)
        assert audit(world)[0]["outcome"] == "success"
        assert world.tracking.aliases == {}
        assert not (world.folder / "artifacts" / CYCLE / "ab_test_results.json").exists()

    def test_an_experiment_without_a_gain_is_ended_by_a_commit(self, world: World) -> None:
        world.clicks = by_luck
        outcome = run(world)
        assert outcome.verdict is Verdict.INCONCLUSIVE and not outcome.promoted
        assert world.commits == ["start-experiment", "end-experiment"]
        check_untouched(world)
        summary, _ = audit(world)
        assert summary["outcome"] == "success"
        assert [a["type"] for a in summary["actions"]][-2:] == ["ab_test", "end_experiment"]

    def test_an_experiment_with_a_loss_is_ended_by_a_commit(self, world: World) -> None:
        world.clicks = no_clicks_on("candidate")
        outcome = run(world)
        assert outcome.verdict is Verdict.FAIL and "a loss is shown" in outcome.reason
        assert world.commits == ["start-experiment", "end-experiment"]
        check_untouched(world)

    def test_without_clicks_there_is_no_experiment_and_no_promotion(self, world: World) -> None:
        world.clicks = no_clicks_on("", "baseline", "candidate", "live", "holdback")
        outcome = run(world)
        assert outcome.verdict is Verdict.ERROR
        assert "no clicks" in outcome.reason
        assert outcome.experiment is not None and outcome.experiment["plan"] is None
        assert world.commits == []
        check_untouched(world)
        assert audit(world)[0]["outcome"] == "error"


class TestRolledBack:
    def test_a_release_that_turns_bad_is_restored_by_one_commit(self, world: World) -> None:
        world.clicks = None

        def turn_bad(event: str) -> None:
            if event == "station watch":
                world.clicks = no_clicks_on("live")

        world.at = turn_bad
        outcome = run(world)
        assert outcome.rolled_back and not outcome.promoted
        assert outcome.verdict is Verdict.FAIL and outcome.reason.startswith("rolled back: ")
        assert world.commits == ["start-experiment", "promote", "rollback", "rollback-end-watch"]
        check_untouched(world)
        bad = world.desired.release_commit(CYCLE)
        assert bad is not None
        assert len(world.desired.reverts(bad)) == 1
        assert audit(world)[0]["outcome"] == "rolled_back"
        assert world.tracking.aliases == {}, "a release that was rolled back is no champion"
        assert [one.stable_at for one in world.releases.list()] == [None]
        after = [one for one in world.served if one.at > world.time - 1]
        assert {one.release for one in after} == {outcome.release_before.digest}

    def test_too_little_traffic_holds_and_keeps_the_holdback(
        self, world_with: Callable[..., World]
    ) -> None:
        """No data is not good news: the old release stays at hand for whoever looks at it."""
        world = world_with(watch_look_s=0.5, watch_looks=2)
        outcome = run(world)
        assert outcome.promoted
        assert {look["decision"] for look in outcome.watch} == {"HOLD"}
        assert len(outcome.watch) == 4, "as many looks again, for more to judge by"
        assert world.commits == ["start-experiment", "promote"]
        assert world.desired.read().holdback is not None


class TestDenied:
    def test_the_kill_switch_stops_the_first_step(self, world: World) -> None:
        situation = world.live_through()
        world.engage()
        with pytest.raises(PolicyDenied, match="kill-switch"):
            world.turn(situation)
        assert world.commits == []
        check_untouched(world)
        summary, _ = audit(world)
        assert summary["outcome"] == "denied"
        assert [(a["type"], a["status"]) for a in summary["actions"]] == [("open", "denied")]

    @pytest.mark.parametrize(
        "event", ["station train", "station experiment", "work searches in the experiment"]
    )
    def test_the_kill_switch_stops_whatever_comes_next(self, world: World, event: str) -> None:
        """Pulled in the middle of an experiment, it still lets the users out of it."""

        def pull(seen: str) -> None:
            if seen == event:
                world.engage()

        world.at = pull
        with pytest.raises(PredatorError, match="kill-switch"):
            run(world)
        assert "promote" not in world.commits
        check_untouched(world)

    def test_the_kill_switch_during_a_watch_takes_the_release_back(self, world: World) -> None:
        def pull(seen: str) -> None:
            if seen == "station watch":
                world.engage()

        world.at = pull
        with pytest.raises(PredatorError, match="kill-switch"):
            run(world)
        assert "rollback" in world.commits
        check_untouched(world)

    @pytest.mark.parametrize("limit", ["cycles", "money"])
    def test_a_limit_that_is_reached_stops_the_cycle_before_it_begins(
        self, world: World, limit: str
    ) -> None:
        for number in range(100 if limit == "cycles" else 0):
            world.limits.begin_cycle("local", f"si_2025_12_07_{number + 100}", world.time, 1000)
        if limit == "money":
            world.limits.charge("local", "k", "si_2025_12_07_100", world.time, 499.5)
        with pytest.raises(PolicyDenied, match="cycles-limit" if limit == "cycles" else "budget"):
            run(world)
        assert audit(world)[0]["outcome"] == "denied"
        check_untouched(world)

    def test_a_cancelled_cycle_stops_and_gives_the_users_back(self, world: World) -> None:
        def cancel(seen: str) -> None:
            if seen == "work searches in the experiment":
                world.cycles.cancel(CYCLE, actor="ann", reason="wrong data", at=world.time)

        world.at = cancel
        with pytest.raises(PredatorError, match="cancelled by ann: wrong data"):
            run(world)
        assert world.commits == ["start-experiment", "end-experiment"]
        assert audit(world)[0]["outcome"] == "cancelled"
        check_untouched(world)


def override(gate: str, threshold: float) -> Override:
    return Override(
        "ov-1", "local", "gate", gate, threshold, "ann", "why", START, START + 86_400
    )  # fmt: skip


class TestFloors:
    """Levels beside the relative gates, and the overrides that set them."""

    def test_an_override_sets_the_floor_and_stands_in_the_evaluation(self, world: World) -> None:
        world.gates = {"ndcg_at_10": {"min": 0.999}}
        world.overrides.add(override("ndcg_at_10", 0.1))
        outcome = run(world)
        assert outcome.promoted
        gate = outcome.evaluation["gates"]["ndcg_at_10"]
        assert (gate["held"], gate["limit"], gate["override"]) == (True, 0.1, "ov-1")

    def test_a_ceiling_in_ms_holds_whatever_the_baseline_needs(self, world: World) -> None:
        world.gates = {"latency_p95": {"max": 0.0001}}
        outcome = run(world)
        assert outcome.verdict is Verdict.FAIL and "latency_p95" in outcome.reason

    def test_a_price_that_somebody_allows_is_allowed(
        self, world_with: Callable[..., World]
    ) -> None:
        world = world_with(cost_per_1k_usd_max=0)
        world.gates = {"cost_per_1k": {"max": 0.0}}
        world.overrides.add(override("cost_per_1k", 1000.0))
        assert run(world).promoted

    def test_a_floor_for_ratings_is_what_the_experiment_is_judged_by(self, world: World) -> None:
        world.gates = {"user_satisfaction": {"min": 5.0}}
        world.overrides.add(override("user_satisfaction", 1.0))
        assert run(world).promoted


class TestApproval:
    @pytest.fixture
    def world(self, world: World) -> World:
        world.engage("manual_approval_required")
        return world

    def answer(self, world: World, *, approved: bool, after_s: float = 30) -> None:
        """A person who looks at what is asked, some time later."""

        def decide() -> None:
            [request] = world.approvals.list(pending=True)
            assert (request.action, request.rule) == ("promote", "approval-required")
            assert request.release in request.subject or request.release[:12] in request.subject
            world.approvals.decide(
                request.id, approved=approved, actor="ann", reason="looked", at=world.time
            )

        def asked(seen: str) -> None:
            if seen == "station promote":
                world.clock.plan(world.time + after_s, decide)

        world.at = asked

    def test_an_approved_promotion_goes_on_and_names_who_approved(self, world: World) -> None:
        self.answer(world, approved=True)
        outcome = run(world)
        assert outcome.promoted
        summary, records = audit(world)
        assert summary["approver"] == "ann"
        [approved] = [one for one in records if one["type"] == "approved"]
        assert (approved["actor"], approved["reason"]) == ("ann", "looked")
        assert "NEEDS_APPROVAL" in [one.get("decision") for one in records]
        assert any(n.title.startswith("Approval needed") for n in world.notifier.sent())

    def test_a_rejected_promotion_ends_its_experiment(self, world: World) -> None:
        self.answer(world, approved=False)
        with pytest.raises(PolicyDenied, match="rejected by ann: looked"):
            run(world)
        assert world.commits == ["start-experiment", "end-experiment"]
        assert audit(world)[0]["outcome"] == "denied"
        check_untouched(world)

    def test_a_request_that_nobody_answers_expires(self, world: World) -> None:
        with pytest.raises(PolicyDenied, match="nobody answered in time"):
            run(world)
        assert world.commits == ["start-experiment", "end-experiment"]
        check_untouched(world)

    def test_the_kill_switch_ends_the_waiting_and_the_experiment(self, world: World) -> None:
        def asked(seen: str) -> None:
            if seen == "station promote":
                world.clock.plan(world.time + 5, world.engage)

        world.at = asked
        with pytest.raises(PolicyDenied, match="kill-switch"):
            run(world)
        assert world.commits == ["start-experiment", "end-experiment"]
        check_untouched(world)

    def test_an_override_lets_it_through_with_its_name_on_the_record(self, world: World) -> None:
        world.overrides.add(
            Override(
                "ov-1",
                "local",
                "policy",
                "promote",
                None,
                "ann",
                "release night",
                START,
                START + 86_400,
            )
        )
        outcome = run(world)
        assert outcome.promoted
        _, records = audit(world)
        assert "override:ov-1" in {one.get("rule") for one in records}


class TestInLine:
    def test_a_cycle_waits_for_its_turn_and_is_judged_against_what_is_live_then(
        self, world: World
    ) -> None:
        """Another cycle's experiment is open; when it ends, another release is live."""
        situation = world.live_through()
        world.slots.claim("local/ranking", "si_2025_12_07_099", 1)
        old = world.desired.read().release
        first = load_release(world.objects.get(old.digest))
        other = replace(first, retrieval=replace(first.retrieval, depth=90))
        keep_release(world.objects, other)

        def ends() -> None:
            newer = LiveRelease("v2.0", other.digest, "si_2025_12_07_099")
            world.desired.set_release(newer, None, "Promote v2.0", {})
            world.slots.release("local/ranking", "si_2025_12_07_099")
            world.sleep(61)

        waiting = []

        def at(seen: str) -> None:
            if "standing in line" in seen:
                waiting.append(world.time)
                world.clock.plan(world.time + 3, ends)

        world.at = at
        outcome = world.turn(situation)
        assert len(waiting) == 1
        assert outcome.release_before.version == "v2.0"
        evaluations = [a for a in audit(world)[0]["actions"] if a["type"] == "evaluate"]
        assert len(evaluations) == 2
        assert world.slots.holders("local/ranking") == []


POINTS = [
    ("station diagnose", 1),
    ("station augment", 1),
    ("work trained", 1),
    ("work Gold queries, candidate", 3),
    ("station experiment", 1),
    ("work searches in the experiment", 1),
    ("sleep", 4),
    ("station promote", 1),
    ("note v2.0 is live", 1),
    ("station watch", 1),
    ("note look 1", 1),
    ("note look 3", 1),
]
"""Where it breaks: what happens, and the how-manieth time of it (the second sleep is the
experiment's first: the world's own history sleeps twice)."""


class BrokenError(Exception):
    pass


def breaking(world: World, point: tuple[str, int], error: BaseException) -> None:
    name, times = point
    seen = 0

    def at(event: str) -> None:
        nonlocal seen
        if event.startswith(name):
            seen += 1
            if seen == times:
                raise error

    world.at = at


class TestBroken:
    @pytest.mark.parametrize("point", POINTS[::2], ids=lambda point: point[0])
    def test_wherever_it_breaks_users_are_back_and_the_record_is_closed(
        self, world: World, point: tuple[str, int]
    ) -> None:
        breaking(world, point, BrokenError("x"))
        with pytest.raises((BrokenError, PredatorError)):
            run(world)
        check_untouched(world)
        summary, _ = audit(world)
        assert summary["outcome"] == "error"
        tracked = world.tracking.runs[f"run-{CYCLE}"]
        assert (tracked.summary.status, tracked.summary.outcome) == ("FAILED", "error")
        assert [name for name in world.commits if world.commits.count(name) > 1] == []

    @pytest.mark.parametrize("point", POINTS[1::2], ids=lambda point: point[0])
    def test_wherever_it_is_stopped_it_goes_on_there(
        self, world: World, point: tuple[str, int]
    ) -> None:
        situation = world.live_through()
        breaking(world, point, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            world.turn(situation)
        world.at = lambda _: None
        outcome = world.turn(situation)
        assert outcome.promoted
        assert world.commits == ["start-experiment", "promote", "end-watch"]
        summary, records = audit(world)
        assert summary["outcome"] == "success"
        keys = [one["key"] for one in records if "key" in one]
        assert len(keys) == len(set(keys))
        assert sorted(a["sequence"] for a in summary["actions"]) == list(range(1, 14))

    def test_settings_that_change_meanwhile_count_from_the_next_cycle_on(
        self, world: World
    ) -> None:
        situation = world.live_through()
        breaking(world, ("note look 2", 1), KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            world.turn(situation)
        world.at = lambda _: None
        world.settings = short(world.folder, watch_looks=2, holdback_share=0.4)
        outcome = world.turn(situation)
        assert len(outcome.watch) == 4
        assert world.commits == ["start-experiment", "promote", "end-watch"]

    def test_a_release_that_cannot_be_applied_is_taken_back(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The commit is there, the platform refuses it: git must not keep wanting it."""
        load = world.agent._load

        def refuse(digest: str) -> Any:
            raise PredatorError(f"no room for {digest[:8]}")

        def break_it(event: str) -> None:
            if event == "station promote":
                world.agent._hot.clear()
                monkeypatch.setattr(world.agent, "_load", refuse)
            if event == "station rollback":
                monkeypatch.setattr(world.agent, "_load", load)

        world.at = break_it
        with pytest.raises(PredatorError, match="was not applied within 30 s: no room for"):
            run(world)
        assert world.commits[:3] == ["start-experiment", "promote", "rollback"]
        check_untouched(world)

    def test_a_promotion_that_others_keep_overtaking_ends_its_experiment(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        commit = world.gitops.commit

        def overtaken(changes: Any, subject: str, trailers: Any, *, parent: str | None) -> str:
            if trailers.get("Step") == "promote":
                raise ConflictError("head moved")
            return commit(changes, subject, trailers, parent=parent)

        monkeypatch.setattr(world.gitops, "commit", overtaken)
        with pytest.raises(PredatorError, match="others kept moving"):
            run(world)
        assert world.commits == ["start-experiment", "end-experiment"]
        check_untouched(world)

    def test_a_failing_dataset_stage_is_an_error_before_anything_is_trained(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object) -> Any:
            raise PredatorError("the dataset stage failed: no space left")

        monkeypatch.setattr("predator.adapters.datasets.memory.MemoryDatasets.build", fail)
        with pytest.raises(PredatorError, match="no space left"):
            run(world)
        summary, _ = audit(world)
        assert [a["status"] for a in summary["actions"]] == ["completed", "completed", "failed"]
        assert "no space left" in summary["actions"][-1]["error"]
        assert world.commits == []


def test_turns_follow_each_other(world: World) -> None:
    """The next cycle starts from what the last one promoted, and does not promote it again."""
    first = run(world)
    assert first.promoted
    since = world.time
    world.sleep(10)
    baseline = judged_ndcg(world.impressions(since, world.time), world.labels(), world.time)
    assert isinstance(baseline, Value)
    situation = Situation(None, baseline, since, world.time, since, world.time)
    second = world.turn(situation, "si_2025_12_07_002")
    assert second.release_before == first.release_after
    assert not second.promoted
    assert world.desired.read().release == first.release_after
    assert START < since < world.time
