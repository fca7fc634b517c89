"""The flow that brings a release from one contour to the next: decided, allowed, live, watched.

Nothing is trained or tried here: the experiment on the contour before is the evidence. It is
judged when the release's turn comes, and again right before the commit, since a person may have
taken days to approve.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from typing import Any

from predator.domain.errors import InputError, PolicyDenied, PredatorError
from predator.domain.verdicts import Verdict, WatchDecision
from predator.loop import deciders
from predator.loop.ending import fail
from predator.loop.go_live import EDGE
from predator.loop.live import end_watch, run_watch, stand_in_line
from predator.loop.people import Register
from predator.loop.record import LOOP, CycleCancelled, Record
from predator.loop.release.bundle import verify_bundle
from predator.loop.release.contour_promotion import FROM, REHEARSED, Promotable, check_step
from predator.loop.release.deploy import deploy
from predator.loop.release.desired_state import DesiredState
from predator.loop.rollback import roll_back
from predator.loop.stations import Stations
from predator.policy.decision import Context
from predator.ports.deployer import Deployment
from predator.ports.gitops import GitOps
from predator.ports.releases import KeptRelease, Releases
from predator.ports.runtime import Json, Runtime
from predator.search.desired import LiveRelease

TRIGGER = "contour_promotion"

StationsOf = Callable[[Record], Stations]
"""The stations of a record, for its watch."""


def looked_at(
    gitops: GitOps, releases: Releases, version: str, source: str, target: str
) -> dict[str, Any]:
    """What decides on the promotion of ``version``, as it is now."""
    check_step(source, target)
    kept: KeptRelease | None
    try:
        kept = releases.get(version)
    except InputError:
        kept = None
    there, here = (DesiredState(gitops, contour).changes() for contour in (source, target))
    found: dict[str, Any] = deciders.promotion_between_inputs(
        version, source, target, kept, there, here
    )
    return found


def promotion_flow(register: Register, stations_of: StationsOf) -> Callable[[Runtime, Json], Json]:
    """``{environment, source, version, actor, reason}``, on the record of a cycle of its own.

    ``actor`` is empty where the loop found the release by itself; it then leaves alone what its
    contour has gone back from before. Policy says whether a person has to approve.
    """

    def flow(runtime: Runtime, asked: Json) -> Json:
        actor = str(asked["actor"])
        trigger = {
            "type": TRIGGER,
            "version": asked["version"],
            "from": asked["source"],
            **({"actor": actor, "reason": asked["reason"]} if actor else {}),
        }
        record = register(runtime, "promotion", trigger, LOOP)
        try:
            record.begin()
            found = _promote(record, stations_of, asked)
            outcome = "rolled_back" if found["rolled_back"] else "success"
            record.close(outcome, rollback_available=True)
        except Exception as error:
            fail(record, error)
            raise
        return {"cycle_id": record.cycle_id, **found}

    return flow


def _promote(record: Record, stations_of: StationsOf, asked: Json) -> Json:
    ring, version = record.ring, str(asked["version"])
    stand_in_line(record, "end_watch")
    decided = record.step("promotable", lambda: _decided(record, "promotable", asked))
    judged = _allowed(record, decided, asked)
    if judged.done:
        ring.progress.note(judged.reason)
        return {"version": version, "live": True, "rolled_back": False, "revision": ""}
    before = LiveRelease(**record.step("before", lambda: asdict(ring.desired.read().release)))
    after = LiveRelease(version, judged.digest, record.cycle_id)
    context = record.permit(
        "permit",
        "promote",
        _evidence(asked),
        subject=f"promote {version} from {asked['source']} over {before.version}: {judged.reason}",
        release=after.digest,
    )
    stations = stations_of(record)
    baseline = record.step(
        "watch_baseline", lambda: stations.watch_baseline(record, asdict(before))
    )
    share = float(baseline["plan"]["share"])
    revision = _deploy(record, asked, before, after, context, share)
    ring.progress.note(f"{version} is live (commit {revision[:8]})")
    looks, decision = run_watch(record, stations, before, baseline)
    record.step(
        "watch.json", lambda: str(record.write("watch.json", {**baseline, "looks": looks}).name)
    )
    why = looks[-1]["reason"]
    if decision == WatchDecision.ROLL_BACK:
        roll_back(record, revision, before, why)
        record.notify("rolled_back", "critical", f"{version} was rolled back", why)
    elif decision == WatchDecision.KEEP:
        end_watch(record, after)
        record.notify(
            "promoted",
            "info",
            f"{version} came from {asked['source']}",
            f"its watch kept it: {why}",
        )
    else:
        text = f"{why}: the hold-back stays until somebody looks"
        record.notify("held", "warning", f"{version} could not be judged", text)
    rolled_back = decision == WatchDecision.ROLL_BACK
    return {
        "version": version, "live": not rolled_back, "rolled_back": rolled_back,
        "revision": revision,
    }  # fmt: skip


def _decided(record: Record, key: str, asked: Json) -> Json:
    """What the evidence says now, on the record. Call it inside a step."""
    ring, contour = record.ring, record.options.contour
    given = looked_at(
        ring.desired.gitops, ring.releases, str(asked["version"]), str(asked["source"]), contour
    )
    return record.decide(key, "promotion_between", given)


def _allowed(record: Record, decided: Json, asked: Json) -> Promotable:
    """``PolicyDenied`` where the evidence does not let the release come."""
    found, version = deciders.to_promotion_between(decided), asked["version"]
    if found.allowed and found.returned and not found.done and not asked["actor"]:
        reason = f"{record.options.contour} went back from it before; a person may ask for it"
        found = replace(found, allowed=False, reason=reason)
    if not found.allowed:
        raise PolicyDenied(f"{version} cannot come from {asked['source']}: {found.reason}")
    return found


def _evidence(asked: Json) -> Context:
    """What policy is told: the verdicts that the source's commit stands for."""
    passed, source = str(Verdict.PASS), str(asked["source"])
    edge = {"edge_experiment": passed} if source == EDGE else {}
    rehearsed = {"simulated": True} if source == REHEARSED else {}
    return {
        "evaluation": passed, "experiment": passed, "from_contour": source, **edge, **rehearsed,
    }  # fmt: skip


def _preparing(record: Record, found: Deployment) -> None:
    """A release with another encoder waits for its vectors here: show how far, let a stop in."""
    if found.preparing is None:
        return
    if (why := record.stopped("end_watch")) is not None:
        raise CycleCancelled(f"the promotion was stopped before it served: {why}")
    record.ring.progress.work(
        "documents embedded anew", found.preparing.done, found.preparing.total
    )


def _deploy(
    record: Record,
    asked: Json,
    before: LiveRelease,
    after: LiveRelease,
    context: Context,
    share: float,
) -> str:
    def evidence() -> dict[str, str]:
        still = _allowed(record, _decided(record, "promotable:deploy", asked), asked)
        if faults := verify_bundle(record.ring.objects, after.digest):
            raise PredatorError(
                f"{after.version} is not whole here: {'; '.join(faults)}",
                cure="Copy its objects from the contour that it comes from",
            )
        rule = [r for r in record.journal.read() if r.get("type") == "policy"][-1]["rule"]
        return {
            FROM: str(asked["source"]),
            "From-Revision": still.revision,
            "Release": after.digest,
            "Evaluation": still.evaluation,
            "Experiment": still.experiment,
            "Policy": rule,
        }

    subject = f"Promote {after.version} from {asked['source']} ({record.cycle_id})"
    return deploy(
        record, before, after, share, context, subject, evidence, partial(_preparing, record)
    )
