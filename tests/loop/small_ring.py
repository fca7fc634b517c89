"""A whole ring in one process: real index, releases, git semantics and deciders; made-up users.

Time is virtual: it passes when the ring sleeps, and users search while it does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from predator.adapters.approvals.memory import MemoryApprovals
from predator.adapters.cycles.memory import MemoryCycles
from predator.adapters.datasets.memory import MemoryDatasets
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
from predator.adapters.runtime.virtual import Journal, VirtualClock, VirtualRuntime
from predator.adapters.slots.memory import MemorySlots
from predator.adapters.tracking.memory import MemoryTracking
from predator.adapters.trainer.memory import MemoryTrainer
from predator.config import Settings
from predator.domain.canonical import canonical_json, digest_of, sha256_hex
from predator.domain.documents import Document, Query
from predator.domain.governance import EVERYWHERE, Flag
from predator.domain.readings import Value
from predator.domain.release import Release, RetrievalParameters
from predator.loop.cycle import Outcome, turn
from predator.loop.dataset import stage as dataset_stage
from predator.loop.governance import Governance, Rules
from predator.loop.labels import Labels
from predator.loop.observe import judged_ndcg, served_last
from predator.loop.real_stations import RealStations
from predator.loop.record import LOOP, Record
from predator.loop.release.desired_state import DesiredState
from predator.loop.replica import keep_release
from predator.loop.ring import Ring, Sources
from predator.loop.stations import Situation
from predator.loop.training.job_child import Report
from predator.loop.training.train_job import train_job
from predator.policy.decision import Principal
from predator.policy.gates import load_gates
from predator.ports.feedback import DraftedHit, Failure, Impression
from predator.search.analyze import SCHEMA
from predator.search.desired import LiveRelease
from predator.search.engine import Engine
from predator.search.index import Index
from predator.search.rerank import load_reranker
from predator.search.serving.agent import Agent, load_release
from predator.simulation.click_user import visit
from predator.statistics.interleaving import coins, team_draft
from tests.search.fakes import HashedEncoder

CYCLE = "si_2025_12_07_001"
DRILL = "si_2025_12_07_002"
START = 1_765_070_000.0
TOPICS = ("optics", "cooking", "sailing", "knots")
RATE = 60.0
SECRET = b"small ring"
MODEL, TOKENIZER, RULES = b"model", b"tokenizer", b"rules"
ENCODER = {
    "model": sha256_hex(MODEL),
    "tokenizer": sha256_hex(TOKENIZER),
    "max_tokens": 128,
    "exporter": 1,
}
DEFAULTS = {
    "kill_switch": False,
    "manual_approval_required": False,
    "auto_promote": True,
    "auto_rollback": True,
    "ab_testing": True,
    "cost_optimization": True,
    "self_improvement_enabled": True,
}

Clicks = Callable[[str, Sequence[str], str, np.random.Generator], Sequence[int]]
"""(query id, hits, arm, luck) → 1-based positions clicked."""


class SmallEncoder(HashedEncoder):
    """Hashed terms, under the name of an encoder whose bytes are kept."""

    digest = digest_of(ENCODER)


_TRAINED: dict[str, dict[str, bytes]] = {}
"""What a training of these very inputs leaves: the same in every world."""


def train_once(
    inputs: Mapping[str, bytes], spec: Mapping[str, object], report: Report
) -> dict[str, bytes]:
    """The real training; the same inputs give the same models, so they are trained once."""
    key = digest_of([{name: sha256_hex(data) for name, data in inputs.items()}, dict(spec)])
    if key not in _TRAINED:
        _TRAINED[key] = train_job(inputs, spec, report)
    report("trained", 1, 1)
    return _TRAINED[key]


class _WorldClock(VirtualClock):
    """While time passes, users search."""

    def __init__(self, world: World) -> None:
        super().__init__(START)
        self._world = world

    def run_until(self, until: float, ready: Callable[[], bool] = lambda: False) -> None:
        if not ready():
            self._world.pass_time(max(0.0, until - self.now()))
        super().run_until(until, ready)
        self._world.at("sleep")

    def set(self, now: float) -> None:
        self._now = now


_RANKED: dict[tuple[str, str, int], list[str]] = {}
"""What a release answers to a query over so many documents: the same in every world."""


def word(rng: np.random.Generator) -> str:
    return "".join(rng.choice(list("bcdfghklmnprstvz"), 3)) + "".join(rng.choice(list("aeiou"), 2))


def collection(
    count: int, queries: int, seed: int = 0
) -> tuple[list[Document], list[Query], dict[str, dict[str, int]]]:
    """Documents whose titles answer, and whose texts mislead.

    A query asks for the two words of a title. The texts of other documents repeat those words,
    so ranking by the whole text misses what a look at the titles finds.
    """
    rng = np.random.default_rng(seed)
    words = sorted({word(rng) for _ in range(count // 2)})
    pairs = [tuple(rng.choice(words, 2, replace=False)) for _ in range(count)]
    docs = []
    for number, pair in enumerate(pairs):
        noise = [w for other in rng.integers(count, size=4) for w in pairs[other]]
        text = " ".join([*noise, *noise, *rng.choice(words, 12)])
        topic = TOPICS[number * len(TOPICS) // count]
        docs.append(Document(f"doc-{number}", " ".join(pair), f"{text}. About {topic}.", topic))
    asked = [Query(f"q{n}", f"{' '.join(pairs[n])} {docs[n].category}") for n in range(queries)]
    return docs, asked, {query.id: {f"doc-{n}": 1} for n, query in enumerate(asked)}


@dataclass
class World:
    """What the ring is connected to. ``at(event)`` is told of all that happens, and may raise."""

    folder: Path
    settings: Settings
    clicks: Clicks | None = None
    rate: float = RATE
    at: Callable[[str], None] = lambda _: None
    defaults: dict[str, bool] = field(default_factory=lambda: dict(DEFAULTS))
    gates: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.clock = _WorldClock(self)
        self.flows = Journal()
        self.flags = MemoryFlags()
        self.approvals, self.overrides = MemoryApprovals(), MemoryOverrides()
        self.limits, self.slots, self.cycles = MemoryLimits(), MemorySlots(), MemoryCycles()
        self.notifier, self.fence = MemoryNotifier(now=self.clock.now), MemoryFence()
        self.ledger = MemoryLedger()
        self.trainer = MemoryTrainer({"portfolio": train_once})
        self.said: list[str] = []
        self.served: list[Impression] = []
        self.failed: list[Failure] = []
        self.docs, self.queries, self.judgments = collection(240, 200)
        self.gitops = MemoryGitOps(now=lambda: self.time)
        self.objects = MemoryObjectStore()
        self.tracking = MemoryTracking()
        self.index = Index(SmallEncoder.dim)
        self._arrivals: dict[str, float] = {}
        self._rng = np.random.default_rng(7)
        self._asked: list[Query] = []
        self._opened = 0
        self.agent = Agent(self.gitops, "local", self.engine_of, lambda _: None)
        self.desired = DesiredState(self.gitops, "local")
        for data in (MODEL, TOKENIZER, canonical_json(ENCODER), RULES):
            self.objects.put(data)
        self.releases = MemoryReleases(self.gitops)
        first = Release(SmallEncoder.digest, SCHEMA, sha256_hex(RULES), RetrievalParameters())
        keep_release(self.objects, first)
        self.desired.set_release(
            LiveRelease("v1.0", first.digest, "bootstrap"), None, "Found",
            {"Cycle": "bootstrap", "Step": "release"},
        )  # fmt: skip
        self.founded = self.gitops.head()

    # What happens to the platform.

    def arrive(self, documents: Sequence[Document], queries: Sequence[Query]) -> None:
        """Documents can be found from now on, and users ask about them."""
        rows = self.index.add(documents)
        texts = [f"{d.title}. {d.text}" for d in documents]
        self.index.set_vectors(rows, SmallEncoder().encode(texts))
        self._arrivals.update({d.id: self.time for d in documents})
        self._asked.extend(queries)

    def engine_of(self, digest: str) -> Engine:
        """A release over the documents that are there now."""
        release = load_release(self.objects.get(digest))
        reranker = load_reranker(self.objects.get(release.reranker)) if release.reranker else None
        return Engine(release, self.index, SmallEncoder(), reranker)

    def _search(self, at: float) -> None:
        query = self._asked[int(self._rng.integers(len(self._asked)))]
        user = f"user-{self._rng.integers(1500)}"
        assert self.agent.routing is not None
        route = self.agent.routing.route(SECRET, user)
        release = route.engine.release.digest
        hits = self._ranked(route.engine, query)
        draft: tuple[DraftedHit, ...] = ()
        if route.rival is not None:
            name = f"s{len(self.served)}"
            places = team_draft(hits, self._ranked(route.rival, query), 10, coins(name, 10))
            hits, release = [place.item for place in places], ""
            draft = tuple(DraftedHit(p.team, p.live_rank, p.candidate_rank) for p in places)
        came = visit(hits, self.judgments[query.id], self._rng)
        clicks = came.clicks
        if self.clicks is not None:
            clicks = tuple(self.clicks(query.id, hits, route.variant, self._rng))
        self.served.append(
            Impression(
                f"s{len(self.served)}", query.text, user, release, route.experiment, route.variant,
                tuple(hits), clicks, came.rating, 5.0 + float(self._rng.gamma(2.0)), at, draft,
            )
        )  # fmt: skip

    def _ranked(self, engine: Engine, query: Query) -> list[str]:
        key = (engine.release.digest, query.id, len(self.index))
        if key not in _RANKED:
            found = engine.rank(query.text, 10).rows.tolist()
            _RANKED[key] = [self.index.documents[row].id for row in found]
        return _RANKED[key]

    @property
    def time(self) -> float:
        return self.clock.now()

    @time.setter
    def time(self, now: float) -> None:
        self.clock.set(now)

    def sleep(self, seconds: float) -> None:
        self.clock.sleep(seconds)

    def pass_time(self, seconds: float) -> None:
        """Users search for so long."""
        self.agent.step()
        for one in range(int(seconds * self.rate)):
            self._search(self.time + one / self.rate)

    def engage(self, flag: str = "kill_switch", *, enabled: bool = True) -> None:
        """An operator sets a flag everywhere."""
        self.flags.put(Flag(flag, enabled, EVERYWHERE), actor="ann", reason="test", at=self.time)

    # The ports: progress, feedback, corpus.

    def station(self, title: str, detail: str = "") -> None:
        self.said.append(title)
        self.at(f"station {title}")

    def work(self, what: str, done: int, total: int) -> None:
        self.at(f"work {what}")

    def note(self, text: str) -> None:
        self.said.append(text)
        self.at(f"note {text}")

    def impressions(
        self, since: float, until: float, experiment: str | None = None
    ) -> list[Impression]:
        return [
            one
            for one in self.served
            if since <= one.at < until and experiment in (None, one.experiment)
        ]

    def failures(self, since: float, until: float, experiment: str | None = None) -> list[Failure]:
        return [
            one
            for one in self.failed
            if since <= one.at < until and experiment in (None, one.experiment)
        ]

    def log_counts(self, since: float, until: float) -> Mapping[str, int]:
        return {"etl/info: documents indexed": 1}

    def backlog_s(self, at: float) -> float:
        return 0.0

    def documents(self) -> Sequence[Document]:
        return [self.index.documents[i] for i in range(len(self.index.documents))]

    def arrivals(self) -> Mapping[str, float]:
        return dict(self._arrivals)

    # The ring.

    def ring(self) -> Ring:
        return Ring(
            options=self.settings,
            governance=self.governance(),
            desired=self.desired,
            releases=self.releases,
            objects=self.objects,
            tracking=self.tracking,
            deployer=MemoryDeployer(self.agent, self.gitops),
            clock=self.clock,
            progress=self,
            artifacts=self.folder / "artifacts",
            served_last=lambda release, since, until: served_last(
                self.impressions(since, until), release
            ),
        )

    def governance(self) -> Governance:
        options = self.settings
        rules = Rules(
            "local", self.defaults, 100, options.budget_usd, options.cycle_cost_usd,
            options.max_experiments, options.approval_expires_s,
        )  # fmt: skip
        return Governance(
            rules, self.flags, self.approvals, self.overrides, self.limits, self.slots,
            self.cycles, self.notifier, self.fence, self.ledger, self.clock,
        )  # fmt: skip

    def sources(self) -> Sources:
        return Sources(
            feedback=self,
            corpus=self,
            datasets=MemoryDatasets(self.folder / "lineage", stage),
            trainer=self.trainer,
            encoder=SmallEncoder(),
            encode_all=self._encode_all,
        )

    def stations(self, situation: Situation) -> RealStations:
        return RealStations(self.sources(), self.labels(), situation, load_gates(self.gates))

    def record(
        self, trigger: Mapping[str, object], cycle: str = CYCLE, principal: Principal = LOOP
    ) -> Record:
        """A record whose cycle is in the register; the same cycle again goes on."""
        while self.cycles.get(cycle) is None:
            self.cycles.open(f"{cycle}:{self._opened}", "local", dict(trigger), START)
            self._opened += 1
        runtime = VirtualRuntime(cycle, clock=self.clock, journal=self.flows, at=self.at)
        return Record(self.ring(), runtime, cycle, trigger, principal)

    def turn(self, situation: Situation, cycle: str = CYCLE) -> Outcome:
        return turn(self.record(situation.trigger, cycle), self.stations(situation))

    def _encode_all(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return SmallEncoder().encode(texts)

    def labels(self) -> Labels:
        parts: dict[int, list[Query]] = {0: [], 1: [], 2: []}
        for number, query in enumerate(self.queries):
            parts[number % 3].append(query)
        return Labels(parts[0], parts[1], parts[2], self.judgments)

    def live_through(self) -> Situation:
        """Healthy traffic, then new documents and users who ask about them."""
        old, new = self.docs[:180], self.docs[180:]
        known = [q for q in self.queries if int(q.id[1:]) < 180]
        fresh = [q for q in self.queries if int(q.id[1:]) >= 180]
        self.arrive(old, known)
        self.sleep(10)
        until = self.time
        reading = judged_ndcg(self.impressions(START, until), self.labels(), until)
        assert isinstance(reading, Value)
        self.time += 1
        self.arrive(new, fresh * 4)
        self.sleep(10)
        return Situation(None, reading, START, until, until + 1, self.time)

    @property
    def commits(self) -> list[str]:
        """The steps committed since the platform was founded, oldest first."""
        log = list(reversed(self.gitops.log()))
        steps = [commit.trailers.get("Step", commit.subject) for commit in log][1:]
        return [step for step in steps if step != "anchor"]


def stage(inputs: Mapping[str, bytes]) -> bytes:
    """The dataset stage itself, without DVC around it."""
    return dataset_stage.build_from(inputs).data


def short(folder: Path, **changes: object) -> Settings:
    """Settings for virtual time: generous spans cost nothing."""
    given: dict[str, object] = {
        "home": folder / "home",
        "artifacts": folder / "artifacts",
        "generated_queries": 40,
        "experiment_max_s": 60,
        "experiment_min_s": 10,
        "watch_looks": 4,
        "watch_look_s": 10,
        "latency_floor_ms": 10_000,
        "cost_per_1k_usd_max": 100,
        "approval_expires_s": 120,
    }
    return Settings(**{**given, **changes})  # type: ignore[arg-type]


def no_clicks_on(*arms: str) -> Clicks:
    """Users of these arms click nothing; the others click the first hit half of the time."""

    def clicks(
        _query: str, hits: Sequence[str], arm: str, rng: np.random.Generator
    ) -> Sequence[int]:
        luck = rng.random()
        return () if arm in arms or luck < 0.5 or not hits else (1,)

    return clicks


def by_luck(_query: str, hits: Sequence[str], _arm: str, rng: np.random.Generator) -> Sequence[int]:
    """Users who click whatever stands anywhere: no release is better than another."""
    return (math.ceil(rng.random() * len(hits)),) if hits and rng.random() < 0.6 else ()
