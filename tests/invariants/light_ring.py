"""A whole ring that weighs nothing: memory behind every port, simulated stations, virtual time.

The flow, the deciders, policy, the journals, the registers and the agent that follows git are the
real ones. What is made up are measurements, and users, who are there only as ``traffic``.
"""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import pytest

from predator.adapters.approvals.memory import MemoryApprovals
from predator.adapters.cycles.memory import MemoryCycles
from predator.adapters.fence.memory import MemoryFence
from predator.adapters.flags.memory import MemoryFlags
from predator.adapters.gitops.memory import MemoryGitOps
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
from predator.domain.canonical import canonical_json, sha256_hex
from predator.domain.governance import EVERYWHERE, KILL_SWITCH, Flag
from predator.domain.release import Release, RetrievalParameters
from predator.loop.cycle import turn
from predator.loop.drill import DRILL, drill
from predator.loop.gold.versions import keep_version
from predator.loop.governance import Governance, Rules
from predator.loop.keep import keep_flow
from predator.loop.people import roll_back_flow
from predator.loop.record import LOOP, Record
from predator.loop.release.desired_state import DesiredState
from predator.loop.replica import keep_release
from predator.loop.ring import Ring
from predator.policy.decision import Principal
from predator.ports.feedback import Impression
from predator.ports.progress import Silent
from predator.ports.releases import KeptRelease
from predator.ports.runtime import Flow, Json, Runtime
from predator.search import desired
from predator.search.analyze import SCHEMA
from predator.search.desired import LiveRelease
from predator.search.engine import Engine
from predator.search.serving.agent import Agent, load_release
from predator.simulation.simulated_stations import Effects, SimulatedStations

CONTOUR = "local"
TARGET = f"{CONTOUR}/ranking"
START = 1_765_070_000.0
DAY = 86_400.0
MODEL, TOKENIZER, RULES = b"model", b"tokenizer", b"rules"

BETTER = Effects(offline=0.3, online=0.9, live=0.5, queries=40, searches=400)
KINDS: Mapping[str, Effects] = {
    "better": BETTER,
    "equal": Effects(0.0, 0.0, 0.0, 40, 400),
    "worse": Effects(-0.3, -0.5, -0.5, 40, 400),
    "equal online": Effects(0.3, 0.0, 0.0, 40, 400),
    "worse online": Effects(0.3, -0.9, -0.9, 40, 400),
    "bad live": Effects(0.3, 0.9, -0.9, 40, 400),
}
"""What may be true of a candidate, by name; a cycle's trigger says which."""

DEFAULTS = {
    KILL_SWITCH: False,
    "manual_approval_required": False,
    "auto_promote": True,
    "auto_rollback": True,
    "ab_testing": True,
    "cost_optimization": True,
    "self_improvement_enabled": True,
}


@dataclass(frozen=True)
class _Engine:
    """All that routing asks of an engine."""

    release: Release


class LightStations(SimulatedStations):
    """Simulated stations whose users come only where the world has traffic."""

    def __init__(self, world: LightWorld, effects: Effects) -> None:
        super().__init__(effects)
        self._world = world

    def train(self, record: Record, opened: Json, dataset: Json) -> Json:
        self._world.trainings += 1
        return super().train(record, opened, dataset)

    def seen(self, record: Record, experiment: str, since: float) -> int:
        return int(super().seen(record, experiment, since) * self._world.traffic)

    def _served(
        self, record: Record, what: str, count: int, effects: dict[str, float], release: str
    ) -> Sequence[Impression]:
        there = int(count * self._world.traffic)
        return super()._served(record, what, there, effects, release)


class LightWorld:
    """The stores, which outlive a crash, and the flows over them, which :meth:`restart` anew.

    ``at(event)`` hears every boundary of every step (see ``VirtualRuntime``) and may act or raise.
    ``through`` may wrap the runtime that a flow gets.
    """

    def __init__(self, folder: Path, **changes: object) -> None:
        self.folder = folder
        self.settings = _settings(**changes)
        self.clock = VirtualClock(START)
        self.journal = Journal()
        self.at: Callable[[str], None] = lambda _: None
        self.through: Callable[[Runtime], Runtime] = lambda runtime: runtime
        self.traffic = 1.0
        self.trainings = 0
        self.flags = MemoryFlags()
        self.approvals, self.overrides = MemoryApprovals(), MemoryOverrides()
        self.limits, self.slots, self.cycles = MemoryLimits(), MemorySlots(), MemoryCycles()
        self.notifier, self.fence = MemoryNotifier(now=self.clock.now), MemoryFence()
        self.gitops = MemoryGitOps(now=self.clock.now)
        self.objects, self.tracking = MemoryObjectStore(), MemoryTracking()
        self.desired = DesiredState(self.gitops, CONTOUR)
        self.releases = MemoryReleases(self.gitops)
        self.agent = Agent(self.gitops, CONTOUR, self._engine, lambda _: None)
        self.founding = self._found()
        self.rules = Rules(
            CONTOUR, dict(DEFAULTS), self.settings.max_cycles, self.settings.budget_usd,
            self.settings.cycle_cost_usd, self.settings.max_experiments,
            self.settings.approval_expires_s,
        )  # fmt: skip
        self._numbers = itertools.count(1)
        self.restart()

    def restart(self) -> None:
        """A new process over the same stores: the flows go on at the next :meth:`run`."""
        self.ring = self._ring()
        self.flows = VirtualFlows(
            self._flows(), clock=self.clock, journal=self.journal, at=self._hear
        )

    # What happens.

    def ask(self, kind: str = "better", key: str = "") -> str:
        """Ask for a cycle whose candidate is of a ``kind``; its id."""
        trigger = {"type": "manual", "kind": kind}
        key = key or f"manual-{next(self._numbers)}"
        cycle_id = self.cycles.open(key, CONTOUR, trigger, self.clock.now())
        asked = {"cycle_id": cycle_id, "contour": CONTOUR, "trigger": trigger}
        self.flows.enqueue("cycle", cycle_id, asked)
        return cycle_id

    def ask_drill(self) -> str:
        """Ask for a drill; its cycle's id."""
        trigger = {"type": "drill"}
        cycle_id = self.cycles.open(
            f"drill-{next(self._numbers)}", CONTOUR, trigger, self.clock.now()
        )
        self.flows.enqueue("drill", cycle_id, {"cycle_id": cycle_id, "trigger": trigger})
        return cycle_id

    def ask_rollback(self, to_version: str | None = None) -> str:
        """An operator asks for a rollback; the id of its flow."""
        flow_id = f"rollback-{CONTOUR}-{next(self._numbers)}"
        asked = {
            "environment": CONTOUR, "to_version": to_version, "actor": "ann", "reason": "bad",
            "live": self.desired.read().release.version,
        }  # fmt: skip
        self.flows.enqueue("rollback", flow_id, asked)
        return flow_id

    def ask_keep(self, cycle_id: str) -> str:
        """An operator asks to keep the release of a cycle; the id of its flow."""
        flow_id = f"keep-{CONTOUR}-{next(self._numbers)}"
        asked = {"environment": CONTOUR, "cycle_id": cycle_id, "actor": "ann", "reason": "fine"}
        self.flows.enqueue("keep", flow_id, asked)
        return flow_id

    def run(self) -> None:
        """Run all flows to their ends."""
        self.flows.run_all()

    def set_flag(self, name: str, enabled: bool, **metadata: object) -> None:
        """An operator sets a flag everywhere."""
        flag = Flag(name, enabled, EVERYWHERE, metadata)
        self.flags.put(flag, actor="ann", reason="test", at=self.clock.now())

    def kill(self, engaged: bool = True) -> None:
        self.set_flag(KILL_SWITCH, engaged)

    # What is there to see.

    def folder_of(self, cycle_id: str) -> Path:
        return self.ring.artifacts / cycle_id

    @property
    def steps(self) -> list[str]:
        """The steps committed since the founding, oldest first, anchors left out."""
        log = list(reversed(self.gitops.log(100_000)))
        steps = [commit.trailers.get("Step", commit.subject) for commit in log][1:]
        return [step for step in steps if step != "anchor"]

    @property
    def serving(self) -> str:
        """The digest of the release that users get now."""
        self.agent.step()
        assert self.agent.routing is not None
        return self.agent.routing.live_digest

    def outcome(self, cycle_id: str) -> str:
        entry = self.cycles.get(cycle_id)
        assert entry is not None
        return entry.outcome

    # How it is put together.

    def _hear(self, boundary: str) -> None:
        self.at(boundary)

    def _served_last(self, release: str, _since: float, until: float) -> float | None:
        """Users search all the time, and get what serves."""
        return until if release == self.serving else None

    def _engine(self, digest: str) -> Engine:
        return cast(Engine, _Engine(load_release(self.objects.get(digest))))

    def _found(self) -> LiveRelease:
        encoder = {"model": sha256_hex(MODEL), "tokenizer": sha256_hex(TOKENIZER),
                   "max_tokens": 128, "exporter": 1}  # fmt: skip
        for data in (MODEL, TOKENIZER, RULES):
            self.objects.put(data)
        named = self.objects.put(canonical_json(encoder))
        first = Release(named, SCHEMA, sha256_hex(RULES), RetrievalParameters())
        live = LiveRelease("v1.0", keep_release(self.objects, first), "bootstrap")
        trailers = {"Cycle": "bootstrap", "Step": "release"}
        revision = self.desired.set_release(live, None, "Found", trailers)
        kept = KeptRelease(live.version, live.digest, revision, live.cycle, START)
        keep_version(self.releases, self.objects, self.desired, kept)
        self.releases.mark(live.version, "stable", START)
        return live

    def _ring(self) -> Ring:
        return Ring(
            options=self.settings,
            governance=Governance(
                self.rules, self.flags, self.approvals, self.overrides, self.limits, self.slots,
                self.cycles, self.notifier, self.fence, MemoryLedger(), self.clock,
            ),
            desired=self.desired,
            releases=self.releases,
            objects=self.objects,
            tracking=self.tracking,
            deployer=MemoryDeployer(self.agent, self.gitops),
            clock=self.clock,
            progress=Silent(),
            artifacts=self.folder,
            served_last=self._served_last,
        )  # fmt: skip

    def _flows(self) -> Mapping[str, Flow]:
        return {
            "cycle": self._cycle,
            "drill": self._drill,
            "keep": lambda runtime, asked: keep_flow(self._register)(self.through(runtime), asked),
            "rollback": lambda runtime, asked: roll_back_flow(self._register)(
                self.through(runtime), asked
            ),
        }

    def stations(self, trigger: Mapping[str, Any]) -> SimulatedStations:
        return LightStations(self, KINDS.get(str(trigger.get("kind")), BETTER))

    def _cycle(self, runtime: Runtime, asked: Json) -> Json:
        record = Record(self.ring, self.through(runtime), asked["cycle_id"], asked["trigger"], LOOP)
        return turn(record, self.stations(asked["trigger"])).to_json()

    def _drill(self, runtime: Runtime, asked: Json) -> Json:
        record = Record(
            self.ring, self.through(runtime), asked["cycle_id"], asked["trigger"], DRILL
        )
        return drill(record, self.stations(asked["trigger"]))

    def _register(self, runtime: Runtime, key: str, trigger: Json, principal: Principal) -> Record:
        def register() -> str:
            opened: str = self.cycles.open(
                f"{runtime.flow_id}:{key}", CONTOUR, trigger, self.clock.now()
            )
            return opened

        cycle_id = str(runtime.step(f"register:{key}", register))
        return Record(self.ring, runtime, cycle_id, trigger, principal)


class LightSettings(Settings):
    """The settings, and how many cycles a day may have."""

    max_cycles: int = 100


def _settings(**changes: object) -> LightSettings:
    given: dict[str, object] = {
        "experiment_min_s": 2,
        "experiment_max_s": 40,
        "watch_looks": 3,
        "watch_look_s": 10,
        "watch_drop_rel": 0.9,
        "experiment_share": 0.3,
        "latency_floor_ms": 10_000,
        "cost_per_1k_usd_max": 100,
        "approval_expires_s": 120,
        "poll_s": 1,
    }
    return LightSettings(**{**given, **changes})  # type: ignore[arg-type]


@contextmanager
def fast_folder() -> Iterator[Path]:
    """A folder where syncing costs nothing, where the machine has one."""
    shared = Path("/dev/shm")  # noqa: S108 - memory, where there is such a folder
    made = tempfile.mkdtemp(prefix="predator-", dir=shared if shared.is_dir() else None)
    try:
        yield Path(made)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parse each text of the desired state once: the same text is always the same state."""
    parse = lru_cache(maxsize=4096)(desired.parse)
    monkeypatch.setattr("predator.loop.release.desired_state.parse", parse)
    monkeypatch.setattr("predator.search.serving.agent.parse", parse)
