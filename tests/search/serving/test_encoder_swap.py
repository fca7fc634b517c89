"""Index and encoder change as one, under load: a real second encoder behind a real server."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from predator.adapters.platform.embedded_deployer import EmbeddedDeployer
from predator.domain.errors import IntegrityError
from predator.loop.release.bundle import keep_encoder
from predator.loop.replica import EncodeAll, Replica
from predator.ports.deployer import Deployment
from predator.ports.encoder import Encoder
from predator.search.desired import Holdback, RunningExperiment
from predator.search.encoder.export import prepare_encoder
from predator.search.encoder.files import EncoderFiles
from predator.search.encoder.onnx_encoder import OnnxEncoder
from predator.search.encoder.vector_cache import VectorCache
from predator.simulation.http_client import HttpClient
from tests.adapters.platform.platforms import TOKEN, Place, process
from tests.search.encoder.tiny import tiny_folder
from tests.search.fakes import HashedEncoder, documents

RATE, PHASE_S, SHARE = 50, 0.8, 0.5
DOCS = documents(150)
QUERIES = [" ".join(d.text.split()[:3]) for d in DOCS[:20]]


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> EncoderFiles:
    """A BERT with random weights, exported as int8 like any encoder that serves."""
    folder = tiny_folder(tmp_path_factory.mktemp("model"), seed=5)
    return prepare_encoder(folder, tmp_path_factory.mktemp("exported"), max_tokens=32)


@pytest.fixture
def place(tmp_path: Path, other: EncoderFiles) -> Place:
    place = Place(tmp_path)
    keep_encoder(place.objects, other)
    return place


def replica_of(place: Place, other: EncoderFiles) -> Replica:
    def encoder_of(digest: str) -> tuple[Encoder, EncodeAll]:
        if digest != other.digest:
            raise IntegrityError(f"there is no encoder {digest[:12]}")
        encoder = OnnxEncoder(other)
        return encoder, encoder.encode

    hashed = HashedEncoder()
    return Replica.of(DOCS, hashed, hashed.encode, place.objects, encoder_of)


@dataclass(frozen=True)
class Answer:
    """What one search got, and when it was asked."""

    asked: float
    status: int
    query: int
    release: str
    variant: str
    hits: list[str]


async def search_until(done: asyncio.Future[None], url: str) -> list[Answer]:
    """Searches at a steady rate, whatever the server does."""
    address = urlsplit(url)
    client = HttpClient(str(address.hostname), int(address.port or 0), timeout_s=10)
    answers: list[Answer] = []

    async def ask(number: int) -> None:
        asked, query = time.monotonic(), number % len(QUERIES)
        body = {"query": QUERIES[query], "user_id": f"user-{number}"}
        found = await client.post("/search", json.dumps(body).encode())
        got = json.loads(found.body)
        hits = [hit["id"] for hit in got.get("hits", [])]
        answers.append(
            Answer(
                asked, found.status, query, got.get("release", ""), got.get("variant") or "", hits
            )
        )

    began, tasks = time.monotonic(), list[asyncio.Task[None]]()
    while not done.done():
        await asyncio.sleep(max(0.0, began + len(tasks) / RATE - time.monotonic()))
        tasks.append(asyncio.create_task(ask(len(tasks))))
    await asyncio.gather(*tasks)
    client.close()
    return answers


def test_another_encoder_goes_live_and_back_under_load_and_no_search_fails(
    place: Place, other: EncoderFiles
) -> None:
    old = place.release(fusion="dense").digest
    new = place.release(encoder=other.digest, fusion="dense").digest
    replica = replica_of(place, other)
    expected = {
        digest: [
            [DOCS[row].id for row in engine.rank(query, 10).rows.tolist()] for query in QUERIES
        ]
        for digest in (old, new)
        for engine in [replica.engine(digest)]
    }
    assert expected[old] != expected[new]
    place.commit("v1", old)
    moments: dict[str, float] = {}
    waited: list[int] = []
    again: list[Deployment] = []

    def live_through(url: str) -> None:
        """Experiment, promotion, and a rollback by flip and by git."""
        deployer = EmbeddedDeployer(url, TOKEN, place.gitops)
        time.sleep(PHASE_S)
        started = place.desired.set_experiment(
            RunningExperiment("exp", "ranking", new, SHARE), "Start", {"Step": "start"}
        )
        deployer.wait(
            started, 30, lambda f: waited.append(f.preparing.done) if f.preparing else None
        )
        moments["experiment"] = time.monotonic()
        time.sleep(PHASE_S)
        promoted = place.commit("v2", new, Holdback("watch", old, SHARE))
        deployer.wait(promoted, 30)
        moments["promoted"] = time.monotonic()
        time.sleep(PHASE_S)
        deployer.flip(old)
        moments["back"] = time.monotonic()
        restored = place.desired.restore(promoted, "Back", {"Step": "back"})
        deployer.wait(restored, 30, again.append)
        time.sleep(PHASE_S)
        deployer.close()

    async def under_load(url: str) -> list[Answer]:
        done = asyncio.get_running_loop().run_in_executor(None, live_through, url)
        answers = await search_until(done, url)
        await done
        return answers

    with process(place.folder) as (url, _):
        body = [{"id": d.id, "title": d.title, "text": d.text} for d in DOCS]
        assert httpx.post(f"{url}/documents", json=body).status_code == 202
        while httpx.get(f"{url}/readyz").json()["etl_pending"]:
            time.sleep(0.05)
        answers = asyncio.run(under_load(url))

    assert len(answers) > 4 * PHASE_S * RATE * 0.9
    assert Counter(answer.status for answer in answers) == {200: len(answers)}
    for answer in answers:  # vectors of one encoder never meet queries of another
        assert answer.hits == expected[answer.release][answer.query]
    assert waited, "there was nothing to wait for: the test shows nothing"
    arms = {(a.release, a.variant) for a in answers if moments["experiment"] < a.asked}
    assert {(old, "baseline"), (new, "candidate"), (new, "live"), (old, "holdback")} <= arms
    after = [a.release for a in answers if a.asked > moments["back"]]
    assert set(after) == {old}
    assert not any(found.preparing for found in again), "the way back had to make vectors first"


@pytest.mark.nightly
def test_vectors_made_once_are_not_made_again_after_a_restart(
    place: Place, other: EncoderFiles
) -> None:
    digest = place.release(encoder=other.digest, fusion="dense").digest
    place.commit("v1", place.release().digest)
    held: list[int] = []
    for turn in range(2):
        with process(place.folder) as (url, child):
            if turn == 0:
                body = [{"id": d.id, "title": d.title, "text": d.text} for d in DOCS]
                assert httpx.post(f"{url}/documents", json=body).status_code == 202
                while httpx.get(f"{url}/readyz").json()["etl_pending"]:
                    time.sleep(0.05)
                revision = place.commit("v2", digest)
            deployer = EmbeddedDeployer(url, TOKEN, place.gitops)
            assert deployer.wait(revision, 30).release == digest
            while httpx.get(f"{url}/readyz").json()["vector_backlog"]:
                time.sleep(0.05)
            deployer.close()
            child.kill()
        cache = VectorCache(place.folder / "vectors" / other.digest[:16], other.dim)
        held.append(cache.path.stat().st_size)
        assert len(cache) == len({(d.title, d.text) for d in DOCS})
    assert held[0] == held[1]
