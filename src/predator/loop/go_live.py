"""The second half of a turn, on live traffic: experiment → promote → watch → (roll back)."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from predator.domain.errors import PolicyDenied, PredatorError
from predator.domain.verdicts import Decision, Verdict, WatchDecision
from predator.loop import deciders
from predator.loop.experiment.screening import run_screen, screened_out, turned_away
from predator.loop.experiment.shadow_replay import run_shadow
from predator.loop.gold import versions as gold
from predator.loop.live import end_watch, run_experiment, run_watch, still_live
from predator.loop.record import Record
from predator.loop.release.contour_promotion import stands
from predator.loop.release.deploy import deploy
from predator.loop.release.desired_state import DesiredState
from predator.loop.rollback import roll_back
from predator.loop.stations import Stations
from predator.policy.decision import Context, PolicyDecision
from predator.ports.releases import KeptRelease
from predator.ports.runtime import Json
from predator.search.desired import LiveRelease

EDGE = "edge-oracle"
"""The contour on which a release has to pass before production."""


@dataclass(frozen=True, slots=True)
class Lived:
    """What came of a candidate on live traffic; ``release`` is the one that serves at the end.

    ``baseline``: what its watch measured and planned before the deploy (``before``, ``plan``).
    """

    release: LiveRelease
    result: dict[str, Any] | None = None
    experiment: dict[str, Any] | None = None
    promoted: bool = False
    looks: list[dict[str, Any]] = field(default_factory=list)
    rolled_back: bool = False
    baseline: dict[str, Any] | None = None


def go_live(
    record: Record,
    stations: Stations,
    before: LiveRelease,
    trained: Json,
    evaluated: Json,
    reference: str,
) -> Lived:
    """(Shadow → screen →) experiment → promote → watch → (roll back), each only after a PASS of the
    one before; shadow and screen only turn away."""
    ring, candidate = record.ring, trained["release"]
    screened = run_shadow(record, stations, before, candidate)
    if not turned_away(screened):
        screened = run_screen(record, stations, candidate, evaluated)
    if turned_away(screened):
        experiment = screened_out(record, candidate, str(screened["reason"]))
    else:
        experiment = run_experiment(record, stations, before, candidate, evaluated)
    result = experiment["result"]
    if result["verdict"] != Verdict.PASS:
        return Lived(before, result, experiment)
    ring.progress.station("promote", "a commit to the GitOps repository")
    evidence = {
        "evaluation": evaluated["verdict"],
        "experiment": experiment["verdict"],
        "edge_experiment": record.step("edge", lambda: _edge_verdict(record, candidate)),
    }
    context = record.permit(
        "permit",
        "promote",
        evidence,
        subject=f"promote {candidate[:12]} over {before.version}: {result['reason']}",
        release=candidate,
    )
    baseline = record.step(
        "watch_baseline", lambda: stations.watch_baseline(record, asdict(before))
    )
    ring.progress.note(f"the watch: {baseline['plan']['told']}")
    after, revision = _promote(
        record, before, candidate, evaluated, experiment, context, baseline["plan"]["share"]
    )
    record.act(
        "keep_version",
        "keep_gold",
        lambda: _keep(record, after, revision, trained, evaluated),
        lambda kept: {"version": kept["version"], "digest": kept["digest"]},
        evidence,
    )
    ring.progress.note(f"{after.version} is live (commit {revision[:8]})")
    looks, decision = run_watch(record, stations, before, baseline)
    if decision == WatchDecision.ROLL_BACK:
        roll_back(record, revision, before, looks[-1]["reason"])
        record.notify(
            "rolled_back", "critical", f"{after.version} was rolled back", looks[-1]["reason"]
        )
        return Lived(before, result, experiment, looks=looks, rolled_back=True, baseline=baseline)
    if decision == WatchDecision.KEEP:
        record.act(
            "keep_gold",
            "keep_gold",
            lambda: _settle(record, stations, after.version, reference),
            lambda kept: {"version": kept["version"], "gold": kept["gold_at"] is not None},
            evidence,
        )
        end_watch(record, after)
    else:
        record.notify(
            "held",
            "warning",
            f"{after.version} could not be judged",
            f"{looks[-1]['reason']}: the hold-back stays until somebody keeps the release "
            f"(`predator cycle keep {record.cycle_id}`) or rolls it back",
        )
    return Lived(after, result, experiment, True, looks, baseline=baseline)


def _edge_verdict(record: Record, candidate: str) -> str:
    """Whether the edge promoted this very release after an experiment, and did not take it back."""
    there = DesiredState(record.ring.desired.gitops, EDGE).changes()
    passed = stands(there, EDGE, candidate)
    return str(Verdict.PASS if passed else Verdict.INCONCLUSIVE)


def _promote(
    record: Record,
    before: LiveRelease,
    candidate: str,
    evaluated: Json,
    experiment: Json,
    context: Context,
    share: float,
) -> tuple[LiveRelease, str]:
    ring = record.ring
    version = record.step(
        "version", lambda: gold.next_version(before.version, ring.releases.list())
    )
    after = LiveRelease(str(version), candidate, record.cycle_id)

    def evidence() -> dict[str, str]:
        was, now = context["edge_experiment"], _edge_verdict(record, candidate)
        if was == Verdict.PASS and now != Verdict.PASS:  # a person may have taken days to approve
            raise PolicyDenied(f"{EDGE} went back from {candidate[:12]} meanwhile")
        asked = [r for r in record.journal.read() if r.get("type") == "policy"][-1]
        answer = PolicyDecision(Decision(asked["decision"]), asked["rule"], "")
        return deciders.to_promotion(
            record.decide(
                "promotion",
                "promotion",
                deciders.promotion_inputs(candidate, evaluated, experiment, answer),
            )
        )

    subject = f"Promote {after.version} ({record.cycle_id})"
    return after, deploy(record, before, after, share, context, subject, evidence)


def _keep(
    record: Record, after: LiveRelease, revision: str, trained: Json, evaluated: Json
) -> Json:
    """The version for good: it names this bundle, whose bytes are all kept."""
    ring = record.ring
    entry = KeptRelease(
        after.version,
        after.digest,
        revision,
        record.cycle_id,
        ring.clock.now(),
        evaluated["gain"]["candidate_mean"],
        evaluated.get("gold_set", ""),
        trained.get("dataset", ""),
    )
    return asdict(gold.keep_version(ring.releases, ring.objects, ring.desired, entry))


def _settle(record: Record, stations: Stations, version: str, reference: str) -> Json:
    """Kept by its watch: stable, champion, and Gold where it is the best one known."""
    ring = record.ring
    still_live(record)
    kept = gold.settle(ring.releases, version, ring.clock.now(), passed_gate=True)
    ring.tracking.alias(reference, "champion")
    gold.tag_model(ring.tracking, reference, ring.releases, version)
    try:
        stations.settled(kept)
    except PredatorError as error:  # a name that is missing is no reason to take a release back
        ring.progress.note(f"its training data has no name of its own: {error}")
    return asdict(kept)
