"""The second half of a turn, on live traffic: experiment → promote → watch → (roll back)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from predator.domain.errors import PredatorError
from predator.domain.release import Release
from predator.domain.verdicts import Verdict, WatchDecision
from predator.loop.experiment import Plan, Result
from predator.loop.live import end_watch, run_experiment, run_watch, watch_baseline
from predator.loop.promote import Promotion, next_version
from predator.loop.ring import Record
from predator.loop.rollback import Rollback
from predator.search.desired import Holdback, LiveRelease, values_path
from predator.statistics.paired import PairedGain


@dataclass(frozen=True, slots=True)
class Lived:
    """What came of a candidate on live traffic; ``release`` is the one that serves at the end."""

    release: LiveRelease
    result: Result | None = None
    experiment: dict[str, Any] | None = None
    promoted: bool = False
    looks: list[dict[str, Any]] = field(default_factory=list)
    rolled_back: bool = False


def go_live(
    record: Record,
    before: LiveRelease,
    candidate: Release,
    gain: PairedGain,
    evaluated: dict[str, Any],
    reference: str,
) -> Lived:
    """Experiment → promote → watch → (roll back), each only after a PASS of the one before."""
    ring = record.ring
    plan, result = run_experiment(record, candidate, gain.delta_rel, gain.lower_bound)
    experiment = _experiment(record, candidate, plan, result)
    if result.verdict is not Verdict.PASS:
        return Lived(before, result, experiment)
    baseline = watch_baseline(record, before)
    after, revision = _promote(record, before, candidate, evaluated, experiment)
    ring.progress.note(f"{after.version} is live (commit {revision[:8]})")
    looks, decision = run_watch(record, before, baseline)
    if decision is WatchDecision.ROLL_BACK:
        Rollback(record).run(revision, before, looks[-1]["reason"])
        return Lived(before, result, experiment, looks=looks, rolled_back=True)
    if decision is WatchDecision.KEEP:
        ring.tracking.alias(reference, "champion")
        end_watch(record, after)
    return Lived(after, result, experiment, True, looks)


def _experiment(
    record: Record, candidate: Release, plan: Plan | None, result: Result
) -> dict[str, Any]:
    written = {
        "cycle_id": record.cycle_id,
        "release": candidate.digest,
        "plan": plan.to_json() if plan is not None else None,
        "result": result.to_json(),
        "verdict": str(result.verdict),
        "passed_gate": result.verdict is Verdict.PASS,
    }
    record.write("ab_test_results.json", written)
    record.ring.progress.note(f"{result.verdict}: {result.reason}")
    return written


def _promote(
    record: Record,
    before: LiveRelease,
    candidate: Release,
    evaluated: dict[str, Any],
    experiment: dict[str, Any],
) -> tuple[LiveRelease, str]:
    ring = record.ring
    ring.progress.station("promote", "a commit to the GitOps repository")
    after = LiveRelease(next_version(before.version), candidate.digest, record.cycle_id)
    context = {"evaluation": evaluated["verdict"], "experiment": experiment["verdict"]}
    answer = record.ask("deploy", "promote", context)
    chain = (
        Promotion(candidate.digest)
        .evaluated(candidate.digest, Verdict(evaluated["verdict"]), evaluated)
        .experimented(candidate.digest, Verdict(experiment["verdict"]), experiment)
        .allowed(candidate.digest, answer.decision, answer.rule)
    )
    holdback = Holdback(f"watch-{record.cycle_id}", before.digest, ring.options.holdback_share)

    def commit() -> str:
        revision = ring.desired.set_release(
            after,
            holdback,
            f"Promote {after.version} ({record.cycle_id})",
            {
                "Cycle": record.cycle_id,
                "Step": "promote",
                "Audit": record.journal.head,
                **chain.trailers,
            },
            replaces=before,
        )
        applied = ring.deployer.wait(revision, 30)
        if applied.release != candidate.digest:
            raise PredatorError(f"{applied.release[:12]} serves after the promotion")
        return revision

    revision = record.act(
        "deploy",
        "promote",
        commit,
        lambda made: {
            "gitops_revision": made,
            "version": after.version,
            "rollback_plan": f"a forward commit that restores {before.version}",
        },
        context,
    )
    patch = {
        "file": values_path(ring.options.contour),
        "release": {"before": before, "after": after},
    }
    record.write("helm_values_patch.yaml", _patch(patch))
    return after, revision


def _patch(patch: dict[str, Any]) -> str:
    before, after = patch["release"]["before"], patch["release"]["after"]
    return (
        f"# {patch['file']}: the release block, from {before.version} to {after.version}\n"
        "search:\n"
        "  release:\n"
        f"    version: {after.version}\n"
        f"    digest: {after.digest}\n"
        f"    cycle: {after.cycle}\n"
    )
