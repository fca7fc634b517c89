"""A whole ring in one process: real index, releases, git semantics and deciders; made-up users.

Time is virtual: it passes when the ring sleeps, and users search while it does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from predator.adapters.datasets.memory import MemoryDatasets
from predator.adapters.gitops.memory import MemoryGitOps
from predator.adapters.object_store.memory import MemoryObjectStore
from predator.adapters.platform.memory_deployer import MemoryDeployer
from predator.adapters.tracking.memory import MemoryTracking
from predator.config import Settings
from predator.domain.documents import Document, Query
from predator.domain.readings import Value
from predator.domain.release import Release, RetrievalParameters
from predator.loop import dataset_stage
from predator.loop.desired_state import DesiredState
from predator.loop.labels import Labels
from predator.loop.observe import judged_ndcg
from predator.loop.replica import keep_release
from predator.loop.ring import Ring
from predator.loop.stations import Situation
from predator.ports.feedback import Impression
from predator.search.analyze import SCHEMA
from predator.search.desired import LiveRelease
from predator.search.engine import Engine
from predator.search.index import Index
from predator.search.rerank import load_reranker
from predator.search.serving.agent import Agent, load_release
from predator.simulation.click_user import visit
from tests.search.fakes import HashedEncoder

CYCLE = "si_2025_12_07_001"
DRILL = "si_2025_12_07_002"
START = 1_765_070_000.0
TOPICS = ("optics", "cooking", "sailing", "knots")
RATE = 60.0
SECRET = b"small ring"

Clicks = Callable[[str, Sequence[str], str, np.random.Generator], Sequence[int]]
"""(query id, hits, arm, luck) → 1-based positions clicked."""


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
    flags: dict[str, bool] = field(
        default_factory=lambda: {"kill_switch": False, "manual_approval_required": False}
    )

    def __post_init__(self) -> None:
        self.time = START
        self.said: list[str] = []
        self.served: list[Impression] = []
        self.docs, self.queries, self.judgments = collection(240, 200)
        self.gitops = MemoryGitOps(now=lambda: self.time)
        self.objects = MemoryObjectStore()
        self.tracking = MemoryTracking()
        self.index = Index(HashedEncoder.dim)
        self._arrivals: dict[str, float] = {}
        self._rng = np.random.default_rng(7)
        self._asked: list[Query] = []
        self.agent = Agent(self.gitops, "local", self.engine_of, lambda _: None)
        self.desired = DesiredState(self.gitops, "local")
        first = Release(HashedEncoder.digest, SCHEMA, "1" * 64, RetrievalParameters())
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
        self.index.set_vectors(rows, HashedEncoder().encode(texts))
        self._arrivals.update({d.id: self.time for d in documents})
        self._asked.extend(queries)

    def engine_of(self, digest: str) -> Engine:
        """A release over the documents that are there now."""
        release = load_release(self.objects.get(digest))
        reranker = load_reranker(self.objects.get(release.reranker)) if release.reranker else None
        return Engine(release, self.index, HashedEncoder(), reranker)

    def _search(self, at: float) -> None:
        query = self._asked[int(self._rng.integers(len(self._asked)))]
        user = f"user-{self._rng.integers(1500)}"
        assert self.agent.routing is not None
        route = self.agent.routing.route(SECRET, user)
        key = (route.engine.release.digest, query.id, len(self.index))
        if key not in _RANKED:
            found = route.engine.rank(query.text, 10).rows.tolist()
            _RANKED[key] = [self.index.documents[row].id for row in found]
        hits = _RANKED[key]
        came = visit(hits, self.judgments[query.id], self._rng)
        clicks = came.clicks
        if self.clicks is not None:
            clicks = tuple(self.clicks(query.id, hits, route.variant, self._rng))
        self.served.append(
            Impression(
                f"s{len(self.served)}", query.text, user, key[0], route.experiment, route.variant,
                tuple(hits), clicks, came.rating, 5.0 + float(self._rng.gamma(2.0)), at,
            )
        )  # fmt: skip

    # The ports: clock, progress, feedback, corpus.

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.agent.step()
        for turn in range(int(seconds * self.rate)):
            self._search(self.time + turn / self.rate)
        self.time += seconds
        self.at("sleep")

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
            desired=self.desired,
            objects=self.objects,
            datasets=MemoryDatasets(self.folder / "lineage", stage),
            tracking=self.tracking,
            deployer=MemoryDeployer(self.agent, self.gitops),
            feedback=self,
            corpus=self,
            clock=self,
            encoder=HashedEncoder(),
            encode_all=self._encode_all,
            progress=self,
            artifacts=self.folder / "artifacts",
            flags=lambda: self.flags,
        )

    def _encode_all(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return HashedEncoder().encode(texts)

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
        return [commit.trailers.get("Step", commit.subject) for commit in log][1:]


def stage(inputs: Mapping[str, bytes]) -> bytes:
    """The dataset stage itself, without DVC around it."""
    with TemporaryDirectory() as folder:
        for name, data in inputs.items():
            (Path(folder) / name).write_bytes(data)
        made, _ = dataset_stage.build(Path(folder))
    return made


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
