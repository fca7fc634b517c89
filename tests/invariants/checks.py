"""What must hold on a ring at any moment, looked up in what it leaves: git, journals, registers.

Nothing here trusts the flow: each check starts from the commit or the register and asks whether
the evidence for it lies where it has to.
"""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from typing import Any

from predator.domain.canonical import digest_of
from predator.domain.governance import Approval
from predator.journal.audit import read_journal
from predator.loop.anchor import Anchors
from predator.loop.replay import replay
from predator.loop.verify import verify_cycle
from predator.ports.gitops import Commit
from predator.search.desired import Desired, LiveRelease
from tests.invariants.light_ring import CONTOUR, TARGET, LightWorld

OUTCOMES = frozenset({"success", "rolled_back", "denied", "cancelled", "error", "missed"})
FORWARD = frozenset({"start-experiment", "promote", "drill", "end-watch", "withdraw-end-watch"})
"""Steps of commits that give users something new; the others take back or tell."""

BACKWARD = frozenset(
    {"rollback", "rollback-end-watch", "end-experiment", "anchor", "release", "other writer"}
)


class Broken(BaseException):
    """An invariant does not hold. No ``Exception``: a flow must not take it for its own."""


class Watchman:
    """Follows a ring commit by commit and remembers what was found to be right."""

    def __init__(self, world: LightWorld) -> None:
        self.world = world
        self._commits = 1
        self._justified = {world.founding}
        self._last = world.founding
        self._wanted = world.desired.read()
        self._stable = {world.founding.version}
        self.killed = False
        self._claims: dict[str, set[str]] = {}

    def look(self) -> None:
        """Every check that is cheap: after every event."""
        self.commits()
        self.live()
        self.stable()
        self.open()
        self.limits()

    def commits(self) -> None:
        """Each new commit is one that was allowed then."""
        log = self.world.gitops.log(100_000)
        fresh = list(reversed(log[: len(log) - self._commits]))
        self._commits = len(log)
        for commit in fresh:
            step = commit.trailers.get("Step", "")
            if step not in FORWARD | BACKWARD:
                raise Broken(f"nobody knows what a commit {step!r} is: {commit.subject}")
            if self.killed and step in FORWARD:
                raise Broken(f"a {step} while the kill switch is engaged: {commit.subject}")
            wanted = self.world.desired.read(commit.revision)
            self._narrowed(wanted, step)
            release = wanted.release
            if release != self._last:
                self._last = release
                self.justify(release, commit)

    def _narrowed(self, wanted: Desired, step: str) -> None:
        """The end of a hold-back that takes back leaves nobody with another release."""
        held, self._wanted = self._wanted.holdback, wanted
        if held is None or wanted.holdback is not None or not self.killed:
            return
        if step == "rollback-end-watch" and held.release != wanted.release.digest:
            raise Broken(f"{held.id} was ended forward while the kill switch is engaged")

    def justify(self, release: LiveRelease, commit: Commit) -> None:
        """``commit`` made ``release`` live: by right?"""
        if release in self._justified:
            return  # a way back
        if commit.trailers.get("Step") == "drill":
            return  # judged by how it ends
        self.evidence(release, commit)
        self._justified.add(release)

    def evidence(self, release: LiveRelease, commit: Commit) -> None:
        """PASS of the evaluation, PASS of the experiment, and ALLOW, each about this release."""
        cycle, trailers = release.cycle, commit.trailers
        if (trailers.get("Step"), trailers.get("Cycle")) != ("promote", cycle):
            raise Broken(f"{release.version} went live by another commit: {commit.subject}")
        if trailers.get("Release") != release.digest:
            raise Broken(f"the commit of {release.version} promotes another release")
        folder = self.world.folder_of(cycle)
        for trailer, name in (("Evaluation", "evaluation"), ("Experiment", "ab_test_results")):
            written = json.loads((folder / f"{name}.json").read_text())
            if digest_of(written) != trailers.get(trailer):
                raise Broken(f"{name}.json of {cycle} is not what its promotion stands on")
            if (written["verdict"], written["release"]) != ("PASS", release.digest):
                raise Broken(f"{release.version} is live with {name} {written['verdict']}")
        records = read_journal(folder / "audit.jsonl")[0].records
        asked = [r for r in records if r.get("effect") == "promote" and r["action"] == "deploy"]
        last = asked[-1]
        if (last["decision"], last["rule"]) != ("ALLOW", trailers.get("Policy")):
            raise Broken(f"{release.version} is live although policy said {last['decision']}")
        self._by_whom(release, last)

    def _by_whom(self, release: LiveRelease, asked: dict[str, Any]) -> None:
        context = asked["context"]
        if context["kill_switch"] is not False:
            raise Broken("a promotion was allowed while the kill switch was engaged")
        if asked["rule"].startswith("override:"):
            granted = {f"override:{one.id}": one for one in self.world.overrides.list(CONTOUR)}
            used = granted[asked["rule"]]
            if (used.kind, used.target) != ("policy", "promote") or not used.created_at <= asked[
                "at"
            ] < used.expires_at:
                raise Broken(f"{asked['rule']} does not lift this promotion")
            return
        if context["manual_approval_required"] or not context["auto_promote"]:
            answers = [a for a in self.world.approvals.list() if a.cycle_id == release.cycle]
            if not any(_says_yes(a, release) for a in answers):
                raise Broken(f"{release.version} is live without the approval that was required")

    def live(self) -> None:
        """What git wants, and what users get, is justified, or a drill that is under way."""
        world, wanted = self.world, self.world.desired.read()
        if wanted.release not in self._justified and not self._drilling(wanted.release.cycle):
            raise Broken(f"{wanted.release.version} is live, and nothing says why it may be")
        digests = {release.digest for release in self._justified}
        if world.serving not in digests and not self._drilling(wanted.release.cycle):
            raise Broken(f"users get {world.serving[:12]}, and nothing says why they may")
        trial = wanted.experiment
        if trial is not None:
            written = json.loads(
                (world.folder_of(_cycle_of(trial.id)) / "evaluation.json").read_text()
            )
            if (written["verdict"], written["release"]) != ("PASS", trial.candidate):
                raise Broken(f"{trial.id} gives users a candidate that no evaluation passed")

    def stable(self) -> None:
        """Only what is live, and was promoted, is marked as stable."""
        fresh = {r.version: r for r in self.world.releases.list() if r.stable_at is not None}
        for version in fresh.keys() - self._stable:
            live = self.world.desired.read().release
            if (live.version, live.digest) != (version, fresh[version].digest):
                raise Broken(f"{version} was marked as stable while {live.version} was live")
            if live not in self._justified:
                raise Broken(f"{version} is stable without evidence")
        self._stable |= fresh.keys()

    def open(self) -> None:
        """At most so many experiments, each of a cycle that holds a place."""
        world, most = self.world, self.world.rules.max_experiments
        holders = world.slots.holders(TARGET)[:most]
        trial = world.desired.read().experiment
        if trial is not None and _cycle_of(trial.id) not in holders:
            raise Broken(f"{trial.id} is open, and the places are held by {holders}")

    def limits(self) -> None:
        """Never more cycles a day, never more money."""
        world = self.world
        spent = world.limits.spent(CONTOUR, world.clock.now())
        if spent.charged_usd + spent.reserved_usd > world.rules.budget_usd + 1e-6:
            raise Broken(f"the budget is exceeded: {spent}")

    def claimed(self, cycle_id: str) -> None:
        """A cycle has just asked to be counted, to this day."""
        self._claims.setdefault(cycle_id, set()).add(_day(self.world.clock.now()))

    def end(self) -> None:
        """After everything has come to its end."""
        self.look()
        world = self.world
        for status in world.flows.list(limit=100_000):
            if status.state not in ("done", "failed"):
                raise Broken(f"the flow {status.id} is {status.state}")
        entries = world.cycles.list(limit=100_000)
        for entry in entries:
            if entry.outcome not in OUTCOMES:
                raise Broken(f"{entry.cycle_id} ended as {entry.outcome!r}")
        if holders := world.slots.holders(TARGET):
            raise Broken(f"places are still held by {holders}")
        if world.limits.spent(CONTOUR, world.clock.now()).reserved_usd:
            raise Broken("money is still set aside")
        wanted = world.desired.read()
        if wanted.experiment is not None:
            raise Broken(f"{wanted.experiment.id} is still open")
        if wanted.release not in self._justified:
            raise Broken(f"the drill {wanted.release.version} is still live")
        if world.serving != wanted.release.digest:
            raise Broken("users get another release than git wants")
        self._days()
        self._audits()

    def _days(self) -> None:
        begun: Counter[str] = Counter()
        for entry in self.world.cycles.list(limit=100_000):
            path = self.world.folder_of(entry.cycle_id) / "audit.jsonl"
            for record in read_journal(path)[0].records:
                allowed = record.get("decision") == "ALLOW"
                lifted = str(record.get("rule")).startswith("override:")
                if allowed and not lifted and record.get("effect") == "begin_cycle":
                    # Where the clock went on to another day meanwhile, the day of the claim
                    # counts; where a crash made it claim twice, nobody can say which.
                    days = self._claims.get(entry.cycle_id, {_day(record["at"])})
                    begun.update(days if len(days) == 1 else ())
                    break
        if begun and max(begun.values()) > self.world.rules.max_cycles_per_day:
            raise Broken(f"more cycles than a day may have: {begun.most_common(1)}")

    def _audits(self) -> None:
        anchors = [Anchors(self.world.gitops)]
        for entry in self.world.cycles.list(limit=100_000):
            folder = self.world.folder_of(entry.cycle_id)
            found = verify_cycle(folder, anchors)
            if not (found.ok and found.state == "closed" and found.anchored):
                raise Broken(f"the audit of {entry.cycle_id}: {found}")

    def replays(self) -> None:
        """Every decision of every cycle is the same when it is derived again."""
        for entry in self.world.cycles.list(limit=100_000):
            found = replay(self.world.folder_of(entry.cycle_id))
            if not found.ok:
                raise Broken(f"{entry.cycle_id} does not replay: {found}")

    def _drilling(self, cycle_id: str) -> bool:
        entry = self.world.cycles.get(cycle_id)
        return entry is not None and entry.trigger.get("type") == "drill" and not entry.outcome


def _says_yes(approval: Approval, release: LiveRelease) -> bool:
    return approval.state == "approved" and approval.release == release.digest


def _cycle_of(experiment: str) -> str:
    return experiment.removeprefix("exp-").removeprefix("watch-")


def _day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%F")
