"""Two contours over one bare git repository: releases pass on the edge and come to production."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from predator.adapters.approvals.memory import MemoryApprovals
from predator.adapters.cycles.memory import MemoryCycles
from predator.adapters.fence.memory import MemoryFence
from predator.adapters.flags.memory import MemoryFlags
from predator.adapters.gitops.bare_git import BareGit
from predator.adapters.ledger.memory import MemoryLedger
from predator.adapters.limits.memory import MemoryLimits
from predator.adapters.notifier.memory import MemoryNotifier
from predator.adapters.object_store.memory import MemoryObjectStore
from predator.adapters.overrides.memory import MemoryOverrides
from predator.adapters.platform.memory_deployer import MemoryDeployer
from predator.adapters.releases.memory import MemoryReleases
from predator.adapters.runtime.virtual import Journal, VirtualClock
from predator.adapters.runtime.virtual_flows import VirtualFlows
from predator.adapters.slots.memory import MemorySlots
from predator.adapters.tracking.memory import MemoryTracking
from predator.config import Settings
from predator.contours.load import packaged
from predator.contours.meaning import policy_defaults
from predator.domain.canonical import canonical_json, sha256_hex
from predator.domain.governance import EVERYWHERE, Flag
from predator.domain.release import Release, RetrievalParameters
from predator.loop.cycle import turn
from predator.loop.gold.versions import keep_version
from predator.loop.governance import Governance, Rules
from predator.loop.keep import keep_flow
from predator.loop.people import roll_back_flow
from predator.loop.record import LOOP, Record
from predator.loop.release.desired_state import DesiredState
from predator.loop.release.promotion_flow import promotion_flow
from predator.loop.replica import keep_release
from predator.loop.ring import Ring
from predator.policy.decision import Principal
from predator.ports.progress import Silent
from predator.ports.releases import KeptRelease
from predator.ports.runtime import Json, Runtime
from predator.search.analyze import SCHEMA
from predator.search.desired import LiveRelease
from predator.search.engine import Engine
from predator.search.serving.agent import Agent, load_release
from predator.simulation.simulated_stations import Effects, SimulatedStations

START = 1_765_070_000.0
EDGE, COMPUTE = "edge-oracle", "compute-nvidia"
PARTS = (b"model", b"tokenizer", b"rules")
GOOD = Effects(live=0.5, searches=200)
WORSE = replace(GOOD, live=-0.9)
QUIET = replace(GOOD, searches=2)


@dataclass(frozen=True)
class _Engine:
    release: Release


class TwoContours:
    """``edge`` and ``compute`` are the desired states; the ring is that of ``target``."""

    def __init__(
        self,
        folder: Path,
        target: str = COMPUTE,
        *,
        at: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.folder, self.target, self.effects = folder, target, GOOD
        self.clock, self.journal, self.at = VirtualClock(START), Journal(), at
        self.git = BareGit(folder / "gitops.git", now=self.clock.now)
        self.objects, self.releases = MemoryObjectStore(), MemoryReleases(self.git)
        self.edge = DesiredState(self.git, EDGE)
        self.compute = DesiredState(self.git, COMPUTE)
        self.flags, self.slots, self.cycles = MemoryFlags(), MemorySlots(), MemoryCycles()
        self.tracking, self.limits = MemoryTracking(), MemoryLimits()
        self.approvals, self.notifier = MemoryApprovals(), MemoryNotifier(now=self.clock.now)
        self.settings = Settings(
            contour=target, watch_looks=3, watch_look_s=10, watch_drop_rel=0.9, poll_s=1,
            approval_expires_s=120, experiment_min_s=2, experiment_max_s=40,
        )  # type: ignore[call-arg]  # fmt: skip
        self._numbers = itertools.count(1)
        self.first = self.release()
        for contour in ("dev-mac", EDGE, COMPUTE):
            self.desired_of(contour).set_release(
                LiveRelease("v1.0", self.first, "bootstrap"),
                None,
                "Found",
                {"Cycle": f"bootstrap-{contour}", "Step": "release", "Contour": contour},
            )
        self.restart()

    def desired_of(self, contour: str) -> DesiredState:
        return DesiredState(self.git, contour)

    def release(self) -> str:
        """Another whole release among the objects; its digest."""
        model, tokenizer, rules = (self.objects.put(part) for part in PARTS)
        encoder = {"model": model, "tokenizer": tokenizer, "max_tokens": 128, "exporter": 1}
        weight = next(self._numbers) / 100
        parameters = RetrievalParameters(fusion="weighted", dense_weight=weight)
        named = self.objects.put(canonical_json(encoder))
        return keep_release(self.objects, Release(named, SCHEMA, rules, parameters))

    # What happens on the contour before.

    def passes(
        self, version: str, contour: str = EDGE, *, stable: bool = True, **changes: str
    ) -> str:
        """An experiment makes a new release live on ``contour``; the commit."""
        digest = self.release()
        cycle = f"si_2025_12_06_{next(self._numbers):03d}"
        live = LiveRelease(version, digest, cycle)
        trailers = {
            "Cycle": cycle, "Step": "promote", "Contour": contour, "Release": digest,
            "Evaluation": sha256_hex(b"evaluation"), "Experiment": sha256_hex(b"experiment"),
            "Policy": "edge-loop-turns-the-ring", **changes,
        }  # fmt: skip
        given = {name: value for name, value in trailers.items() if value}
        desired = self.desired_of(contour)
        revision = desired.set_release(live, None, f"Promote {version}", given)
        kept = KeptRelease(version, digest, revision, cycle, self.clock.now())
        keep_version(self.releases, self.objects, desired, kept)
        if stable:
            self.releases.mark(version, "stable", self.clock.now())
        return revision

    def goes_back(self, revision: str, contour: str = EDGE) -> str:
        """The watch of ``contour`` takes a release back; the commit."""
        cycle = f"back-{next(self._numbers)}"
        trailers = {"Cycle": cycle, "Step": "rollback"}
        return self.desired_of(contour).restore(revision, "Roll back", trailers)

    def digest(self, version: str) -> str:
        return self.releases.get(version).digest

    # What is asked for on the contour that it comes to.

    def ask(self, version: str, source: str = EDGE, *, actor: str = "ann", key: str = "") -> str:
        """A promotion; the id of its flow, the same for the same ``key``."""
        flow_id = f"promotion-{key or next(self._numbers)}"
        asked = {
            "environment": self.target, "source": source, "version": version, "actor": actor,
            "reason": "it is good",
        }  # fmt: skip
        self.flows.enqueue("promotion", flow_id, asked)
        return flow_id

    def promote(self, version: str, source: str = EDGE, *, actor: str = "ann") -> Any:
        """The same, done; its result, or the error that it ended with."""
        flow_id = self.ask(version, source, actor=actor)
        self.flows.run_all()
        found = self.flows.status(flow_id)
        assert found is not None
        return found.result if found.state == "done" else found.error

    def turn(self) -> str:
        """A whole cycle of the target's own; how it ended."""
        flow_id = f"cycle-{next(self._numbers)}"
        self.flows.enqueue("cycle", flow_id, {})
        self.flows.run_all()
        found = self.flows.status(flow_id)
        assert found is not None
        return found.error or str(found.result["verdict"])

    def restart(self) -> None:
        """A new process over the same stores."""
        self.ring = self._ring()
        flows = {
            "cycle": self._cycle,
            "promotion": promotion_flow(self._register, lambda _: self.stations()),
            "keep": keep_flow(self._register),
            "rollback": roll_back_flow(self._register),
        }
        self.flows = VirtualFlows(flows, clock=self.clock, journal=self.journal, at=self._hear)

    def stations(self) -> SimulatedStations:
        return SimulatedStations(self.effects)

    def set_flag(self, name: str, enabled: bool) -> None:
        flag = Flag(name, enabled, EVERYWHERE)
        self.flags.put(flag, actor="ann", reason="test", at=self.clock.now())

    # What is there to see.

    @property
    def live(self) -> str:
        """The version that the target's part of git wants."""
        return self.desired_of(self.target).read().release.version

    def commits(self) -> list[Mapping[str, str]]:
        """Trailers of the commits that made a release live on the target, oldest first."""
        return [change.trailers for change in self.desired_of(self.target).changes()]

    def told(self) -> list[str]:
        return [notice.title for notice in reversed(self.notifier.sent())]

    def _cycle(self, runtime: Runtime, asked: Json) -> Json:
        record = self._register(runtime, "cycle", {"type": "scheduled"}, LOOP)
        return turn(record, self.stations()).to_json()

    def _hear(self, boundary: str) -> None:
        self.at(boundary)

    def _register(self, runtime: Runtime, key: str, trigger: Json, principal: Principal) -> Record:
        def register() -> str:
            opened: str = self.cycles.open(
                f"{runtime.flow_id}:{key}", self.target, trigger, self.clock.now()
            )
            return opened

        cycle_id = str(runtime.step(f"register:{key}", register))
        return Record(self.ring, runtime, cycle_id, trigger, principal)

    def _ring(self) -> Ring:
        settings = self.settings
        rules = Rules(
            self.target, policy_defaults(packaged(self.target)), 100, settings.budget_usd, 1.0, 1,
            settings.approval_expires_s,
        )  # fmt: skip
        governance = Governance(
            rules, self.flags, self.approvals, MemoryOverrides(), self.limits, self.slots,
            self.cycles, self.notifier, MemoryFence(), MemoryLedger(), self.clock,
        )  # fmt: skip

        def engine(digest: str) -> Engine:
            return cast(Engine, _Engine(load_release(self.objects.get(digest))))

        agent = Agent(self.git, self.target, engine, lambda _: None)
        return Ring(
            options=settings,
            governance=governance,
            desired=self.desired_of(self.target),
            releases=self.releases,
            objects=self.objects,
            tracking=self.tracking,
            deployer=MemoryDeployer(agent, self.git),
            clock=self.clock,
            progress=Silent(),
            artifacts=self.folder / "artifacts",
            served_last=lambda _release, _since, _until: None,
        )
