"""A whole contour in a folder: every part is the real one, but for users and their searches.

Two databases (or one PostgreSQL), a git repository, an object store, MLflow and a training job in a
process of its own. ``Contour`` only knows where things lie, so that any process may open it.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from predator.adapters.approvals.sql import SqlApprovals
from predator.adapters.clock import SystemClock
from predator.adapters.cycles.sql import SqlCycles
from predator.adapters.database.engine import Database, open_database
from predator.adapters.fence.file import FileFence
from predator.adapters.fence.postgres import PostgresFence
from predator.adapters.flags.sql import SqlFlags
from predator.adapters.gitops.bare_git import BareGit
from predator.adapters.ledger.sql import SqlLedger
from predator.adapters.limits.sql import SqlLimits
from predator.adapters.notifier.outbox import Outbox
from predator.adapters.object_store.folder import FolderObjectStore
from predator.adapters.overrides.sql import SqlOverrides
from predator.adapters.platform.revisions import covers
from predator.adapters.releases.gto_git import GtoGitReleases
from predator.adapters.runtime.dbos_client import DbosFlows
from predator.adapters.slots.sql import SqlSlots
from predator.adapters.tracking.mlflow_sqlite import MlflowTracking
from predator.adapters.trainer.job_limits import JobLimits
from predator.adapters.trainer.local_process import LocalProcessTrainer
from predator.config import Settings
from predator.domain.canonical import canonical_json, sha256_hex
from predator.domain.errors import PredatorError
from predator.domain.governance import Notice
from predator.domain.release import Release, RetrievalParameters
from predator.loop.cycle import turn
from predator.loop.gold.versions import keep_version
from predator.loop.governance import Governance, Rules
from predator.loop.people import roll_back_flow
from predator.loop.record import LOOP, Record
from predator.loop.release.desired_state import DesiredState
from predator.loop.replica import keep_release
from predator.loop.ring import Ring
from predator.policy.decision import Principal
from predator.ports.deployer import Deployment, Look
from predator.ports.progress import Silent
from predator.ports.releases import KeptRelease
from predator.ports.runtime import Flow, Json, Runtime
from predator.ports.trainer import Trainer
from predator.search.analyze import SCHEMA
from predator.search.desired import LiveRelease
from predator.simulation.simulated_stations import Effects, SimulatedStations
from tests.crash.taps import Moments, TappedRecord, TappedRuntime, tapped

CONTOUR = "dev-mac"
TRIGGER = {"type": "mock_signal", "value": 0.5, "baseline": 0.6}
FLAGS = {
    "kill_switch": False,
    "manual_approval_required": False,
    "auto_promote": True,
    "auto_rollback": True,
    "ab_testing": True,
    "cost_optimization": True,
    "self_improvement_enabled": True,
}
MODEL, TOKENIZER, RULES = b"model", b"tokenizer", b"rules"
ENCODER = canonical_json(
    {
        "model": sha256_hex(MODEL),
        "tokenizer": sha256_hex(TOKENIZER),
        "max_tokens": 128,
        "exporter": 1,
    }
)
GOOD = Effects(offline=0.3, online=0.8, live=0.8)
"""A candidate so good that no luck (which the cycle's id, so the date, decides) hides it."""
BAD = Effects(offline=0.3, online=0.8, live=-0.9)
"""One that turns bad once everybody gets it."""


@dataclass(frozen=True)
class Contour:
    """``url``: the PostgreSQL of everything; empty where the databases are SQLite files."""

    folder: Path
    url: str = ""

    @property
    def database_url(self) -> str:
        return self.url or f"sqlite:///{self.folder / 'optimizer.db'}"

    @property
    def flows_url(self) -> str:
        return self.url or f"sqlite:///{self.folder / 'flows.db'}"

    @property
    def artifacts(self) -> Path:
        return self.folder / "artifacts"

    @property
    def repository(self) -> Path:
        return self.folder / "gitops.git"

    @property
    def ledger(self) -> Path:
        """What people were really told, and what traffic was really sent to: a line each."""
        return self.folder / "ledger.jsonl"

    def git(self) -> BareGit:
        return BareGit(self.repository, stale_lock_s=0.05)

    def objects(self) -> FolderObjectStore:
        return FolderObjectStore(self.folder / "objects")

    def releases(self) -> GtoGitReleases:
        return GtoGitReleases(self.repository, stale_lock_s=0.05)

    def desired(self) -> DesiredState:
        return DesiredState(self.git(), CONTOUR)

    def database(self, busy_timeout_s: float = 30.0) -> Database:
        return open_database(self.database_url, busy_timeout_s=busy_timeout_s)

    def trainer(self) -> LocalProcessTrainer:
        job = [str(Path(__file__).with_name("tiny_job.py"))]
        return LocalProcessTrainer(
            self.folder / "jobs", {"tiny": job}, limits=JobLimits(attempts=50, nice=0)
        )

    def note(self, kind: str, key: str) -> None:
        """A line in the ledger, whole or not at all."""
        line = json.dumps({"kind": kind, "key": key, "pid": os.getpid()}) + "\n"
        fd = os.open(self.ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            os.write(fd, line.encode())
        finally:
            os.close(fd)

    def told(self) -> list[dict[str, Any]]:
        if not self.ledger.exists():
            return []
        return [json.loads(line) for line in self.ledger.read_text().splitlines()]

    def settings(self) -> Settings:
        given: dict[str, Any] = {
            "home": self.folder,
            "artifacts": self.artifacts,
            "contour": CONTOUR,
            "poll_s": 0.02,
            "experiment_min_s": 0.05,
            "experiment_max_s": 5,
            "watch_looks": 2,
            "watch_look_s": 0.05,
            "latency_floor_ms": 10_000,
            "cost_per_1k_usd_max": 100,
        }
        return Settings(**given)

    def found(self) -> None:
        """The first release, live and kept, and every database with its tables."""
        self.folder.mkdir(parents=True, exist_ok=True)
        objects, desired = self.objects(), self.desired()
        for data in (MODEL, TOKENIZER, ENCODER, RULES):
            objects.put(data)
        first = Release(sha256_hex(ENCODER), SCHEMA, sha256_hex(RULES), RetrievalParameters())
        keep_release(objects, first)
        revision = desired.set_release(
            LiveRelease("v1.0", first.digest, "bootstrap"), None, "Found",
            {"Cycle": "bootstrap", "Step": "release"},
        )  # fmt: skip
        releases = self.releases()
        kept = KeptRelease("v1.0", first.digest, revision, "bootstrap", time.time())
        keep_version(releases, objects, desired, kept)
        releases.mark("v1.0", "stable", time.time())
        self.tracking().cycles()
        self.database().close()
        DbosFlows(self.flows_url).close()

    def tracking(self) -> MlflowTracking:
        return MlflowTracking(self.folder / "mlflow.db", self.folder / "mlflow-artifacts")

    def ask(self, flow: str = "cycle", **asked: Any) -> str:
        """Put a cycle into the register and the queue, as the API does; its id."""
        with self.database() as database:
            cycles = SqlCycles(database, taken=lambda name: (self.artifacts / name).exists())
            key = f"test:{time.time_ns()}"
            cycle_id = cycles.open(key, CONTOUR, TRIGGER, time.time()) if flow == "cycle" else key
        flows = DbosFlows(self.flows_url)
        flows.enqueue(flow, cycle_id, {"cycle_id": cycle_id, **asked})
        flows.close()
        return cycle_id


class GitDeployer:
    """What git says is what serves; a flip is only noted."""

    def __init__(self, contour: Contour, desired: DesiredState) -> None:
        self._contour, self._desired = contour, desired

    def status(self) -> Deployment:
        revision = self._desired.gitops.head() or ""
        return Deployment(self._desired.read(revision).release.digest, revision, True)

    def wait(self, revision: str, timeout_s: float, look: Look = lambda _found: None) -> Deployment:
        found = self.status()
        if not covers(self._desired.gitops, found.revision, revision):
            raise PredatorError(f"revision {revision[:12]} was not applied")
        return found

    def flip(self, release: str) -> None:
        self._contour.note("flip", release)


class TrainingStations(SimulatedStations):
    """Simulated ones that do train: a job of a moment, in a process of its own."""

    def __init__(self, trainer: Trainer, effects: Effects) -> None:
        super().__init__(effects)
        self._trainer = trainer

    def train(self, record: Record, opened: Json, dataset: Json) -> Json:
        job = f"train-{record.cycle_id}"
        self._trainer.start(job, "tiny", {"data": record.cycle_id.encode()}, {})
        while (status := self._trainer.poll(job)).state == "running":
            time.sleep(0.01)
        if status.state != "completed":
            raise PredatorError(f"the training {status.state}: {status.error}")
        record.write("trained.txt", self._trainer.collect(job)["trained"])
        return super().train(record, opened, dataset)


def ring_of(contour: Contour, moments: Moments, *, busy_timeout_s: float = 30.0) -> Ring:
    """The seams of the contour, each of them told of."""
    settings = contour.settings()
    database = contour.database(busy_timeout_s)
    clock = SystemClock()

    def send(notice: Notice) -> None:
        contour.note("notice", notice.key)

    rules = Rules(CONTOUR, FLAGS, 1000, 500.0, 1.0, 1, 60.0)
    fence = (
        FileFence(contour.folder / "effects.lock") if database.sqlite else PostgresFence(database)
    )
    governance = Governance(
        rules,
        SqlFlags(database),
        SqlApprovals(database),
        SqlOverrides(database),
        tapped(SqlLimits(database), "limits", moments),
        tapped(SqlSlots(database), "slots", moments),
        tapped(
            SqlCycles(database, taken=lambda name: (contour.artifacts / name).exists()),
            "cycles",
            moments,
        ),
        tapped(Outbox(database, send), "notifier", moments),
        fence,
        SqlLedger(database),
        clock,
    )
    desired = DesiredState(tapped(contour.git(), "git", moments), CONTOUR)
    return Ring(
        options=settings,
        governance=governance,
        desired=desired,
        releases=tapped(contour.releases(), "releases", moments),
        objects=tapped(contour.objects(), "objects", moments),
        tracking=tapped(contour.tracking(), "tracking", moments),
        deployer=tapped(GitDeployer(contour, desired), "deployer", moments),
        clock=clock,
        progress=Silent(),
        artifacts=contour.artifacts,
        served_last=lambda release, since, until: None,
    )


def flows_of(contour: Contour, moments: Moments, **how: Any) -> dict[str, Flow]:
    """The flows of a worker of this contour."""
    ring = ring_of(contour, moments, **how)

    def record_of(
        runtime: Runtime, cycle_id: str, trigger: Json, principal: Principal = LOOP
    ) -> TappedRecord:
        watched: Any = TappedRuntime(runtime, moments)
        record = TappedRecord(ring, watched, cycle_id, trigger, principal, simulated=True)
        return record.watched_by(moments)

    def cycle(runtime: Runtime, asked: Json) -> Json:
        effects = BAD if asked.get("bad") else GOOD
        trainer = tapped(contour.trainer(), "trainer", moments)
        record = record_of(runtime, asked["cycle_id"], TRIGGER)
        return turn(record, TrainingStations(trainer, effects)).to_json()

    def register(runtime: Runtime, key: str, trigger: Json, principal: Principal) -> Record:
        def opened() -> str:
            return ring.governance.cycles.open(
                f"{runtime.flow_id}:{key}", CONTOUR, trigger, time.time()
            )

        cycle_id = str(runtime.step(f"register:{key}", opened))
        return record_of(runtime, cycle_id, trigger, principal)

    return {"cycle": cycle, "rollback": roll_back_flow(register)}
