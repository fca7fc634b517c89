"""One turn of the ring, top to bottom: diagnose → augment → train → evaluate → experiment →
promote → watch → (roll back). Every step is durable, every effect allowed by policy and recorded.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from predator.domain.verdicts import Verdict, WatchDecision
from predator.loop.ending import fail
from predator.loop.go_live import Lived, go_live
from predator.loop.live import stand_in_line
from predator.loop.record import Record
from predator.loop.stations import Stations
from predator.ports.runtime import Json
from predator.search.desired import LiveRelease


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a turn of the ring came to, for people and for ``--json``."""

    cycle_id: str
    trigger: str
    cause: str
    verdict: Verdict
    reason: str
    promoted: bool
    release_before: LiveRelease
    release_after: LiveRelease
    evaluation: dict[str, Any]
    experiment: dict[str, Any] | None
    watch: list[dict[str, Any]]
    rolled_back: bool
    portfolio: list[dict[str, Any]]
    cost_usd: float
    artifacts: str
    times: dict[str, float] = field(default_factory=dict)

    @property
    def undecided(self) -> bool:
        """Whether its watch could not judge the release: the hold-back waits for a person."""
        held = bool(self.watch) and self.watch[-1]["decision"] == WatchDecision.HOLD
        return self.promoted and held and not self.rolled_back

    def to_json(self) -> Json:
        return asdict(self)

    @classmethod
    def from_json(cls, value: Json) -> Outcome:
        """The inverse of :meth:`to_json`."""
        releases = {
            name: LiveRelease(**value[name]) for name in ("release_before", "release_after")
        }
        return cls(**{**value, **releases, "verdict": Verdict(value["verdict"])})


def turn(record: Record, stations: Stations) -> Outcome:
    """Walk the ring once. Run again after a crash, it goes on where it stopped.

    Raises what a station raises, after taking back what the users got and closing the record.
    """
    try:
        record.begin()
        return _turn(record, stations)
    except Exception as error:
        fail(record, error)
        raise


def _turn(record: Record, stations: Stations) -> Outcome:
    say = record.ring.progress
    opened = record.act(
        "open",
        "begin_cycle",
        lambda: stations.open(record),
        context={**record.claim_limits(), "trigger": str(record.trigger["type"])},
    )
    before = LiveRelease(**opened["before"])

    say.station("diagnose", record.trigger["type"])
    diagnosis = record.act(
        "diagnostic",
        "diagnose",
        lambda: stations.diagnose(record, opened),
        lambda found: {"outputs": ["diagnostic_report.json"], "cause": found["cause"]},
    )
    say.note(f"cause: {diagnosis['cause']} · {diagnosis['evidence']}")
    affected = ", ".join(diagnosis["affected_categories"])
    say.note(f"affected: {affected or 'no category in particular'}")

    say.station("augment")
    dataset = record.act(
        "augment_data",
        "build_dataset",
        lambda: stations.build_dataset(record, opened, diagnosis),
        lambda made: {"artifacts": ["augmented_dataset.csv"], "dvc_hash": made["hash"]},
    )

    say.station("train", "a portfolio of candidates, in a process of its own")
    stand_in_line(record, "train", training=True)
    trained = record.act(
        "train_model",
        "train",
        lambda: stations.train(record, opened, dataset),
        lambda found: {"mlflow_run": record.run_id, "best": found["best"]},
    )
    record.step("trained", lambda: record.leave(record.trainings))

    evaluated = _evaluate(record, stations, opened, trained, 1)
    reference = record.act(
        "register_model",
        "register_model",
        lambda: _register(record, trained),
        lambda name: {"model_registry_ref": name},
    )

    lived = Lived(before)
    number = 1
    while evaluated["verdict"] == Verdict.PASS:
        stand_in_line(record, "start_experiment")
        if _live_now(record, number) != evaluated["before"]:
            say.note("another release went live meanwhile: judged again, against that one")
            number += 1
            evaluated = _evaluate(record, stations, opened, trained, number)
            continue
        before = LiveRelease(**evaluated["before"])
        lived = go_live(record, stations, before, trained, evaluated, reference)
        break

    verdict, reason = Verdict(evaluated["verdict"]), evaluated["reason"]
    if lived.result is not None:
        verdict, reason = Verdict(lived.result["verdict"]), lived.result["reason"]
    if lived.rolled_back:
        verdict, reason = Verdict.FAIL, f"rolled back: {lived.looks[-1]['reason']}"
    say.station("verdict", f"{verdict}: {reason}")
    return _ended(record, diagnosis, trained, evaluated, before, lived, verdict, reason)


def _evaluate(record: Record, stations: Stations, opened: Json, trained: Json, number: int) -> Json:
    record.ring.progress.station("evaluate", f"{opened.get('gold', 0)} Gold queries")
    name = "evaluate" if number == 1 else f"evaluate-{number}"

    def judge() -> Json:
        found = stations.evaluate(record, opened, trained, number)
        record.mark("offline_verdict")
        return found

    evaluated = record.act(
        name,
        "evaluate",
        judge,
        lambda found: {"verdict": found["verdict"], "outputs": ["evaluation.json"]},
        kind="evaluate",
    )
    record.ring.progress.note(f"{evaluated['verdict']}: {evaluated['reason']}")
    return evaluated


def _register(record: Record, trained: Json) -> str:
    reference = record.ring.tracking.register(
        record.run_id,
        "predator-release",
        record.folder / trained["folder"],
        {"release": trained["release"]},
    )
    record.write("model_registry_ref", reference + "\n")
    return reference


def _live_now(record: Record, number: int) -> Json:
    return record.step(f"live:{number}", lambda: asdict(record.ring.desired.read().release))


def _ended(
    record: Record,
    diagnosis: Json,
    trained: Json,
    evaluated: Json,
    before: LiveRelease,
    lived: Lived,
    verdict: Verdict,
    reason: str,
) -> Outcome:
    watched = {**(lived.baseline or {}), "looks": lived.looks}
    record.step("watch.json", lambda: str(record.write("watch.json", watched).name))
    settled = verdict in (Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE)
    outcome = "rolled_back" if lived.rolled_back else "success" if settled else "error"
    cost = record.close(outcome, rollback_available=True)
    times = record.step("times", lambda: _times(record))
    return Outcome(
        record.cycle_id, record.trigger["type"], diagnosis["cause"], verdict, reason,
        lived.promoted, before, lived.release, evaluated, lived.experiment, lived.looks,
        lived.rolled_back, trained["portfolio"], cost, str(record.folder), times,
    )  # fmt: skip


def _times(record: Record) -> dict[str, float]:
    """Seconds from the signal to the first action and to the verdict, and those in experiments,
    apart: a cycle that waits a week for users is not a slow cycle."""
    entry = record.ring.governance.cycles.get(record.cycle_id)
    if entry is None:
        return {}
    found, moments = {}, entry.moments
    if "first_action" in moments:
        found["reaction_s"] = moments["first_action"] - entry.requested_at
    if "ended" in moments:
        found["total_s"] = moments["ended"] - entry.requested_at
        waited = moments.get("experiment_ended", 0) - moments.get("experiment_started", 0)
        found["experiment_s"] = max(0.0, waited)
        found["cycle_s"] = found["total_s"] - found["experiment_s"]
    return {name: round(value, 3) for name, value in found.items()}
