"""Behind a real server: what is acknowledged survives a kill, and releases change under load."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from predator.search.engine import Engine
from predator.simulation.http_client import HttpClient
from tests.adapters.platform.platforms import Place, process, served
from tests.search.fakes import HashedEncoder, documents, indexed

NOW = "2025-12-07T01:23:45.678Z"
SWAPS, RATE, SECONDS = 10, 50, 6.0
LAST_SEEN_BY = 600
"""So many searches after the load, the newest release answers even on a slow machine."""


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(tmp_path)
    place.commit("v1", place.release().digest)
    return place


def wait_for(url: str, **wanted: object) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        state = httpx.get(f"{url}/readyz").json()
        if all(state[name] == value for name, value in wanted.items()):
            return
        time.sleep(0.02)
    pytest.fail(f"{wanted} did not come about: {state}")


def send(url: str, count: int, first: int = 0) -> None:
    docs = documents(first + count)[first:]
    body = [{"id": d.id, "title": d.title, "text": d.text} for d in docs]
    assert httpx.post(f"{url}/documents", json=body).status_code == 202


class TestLongBodies:
    """A client that sends too much must be told so, not just cut off."""

    @pytest.mark.parametrize("size", [300_000, 2**20, 50 * 2**20])
    def test_a_long_query_gets_an_answer(self, place: Place, size: int) -> None:
        with served(place.app()) as url:
            answer = httpx.post(f"{url}/search", json={"query": "x" * size}, timeout=20)
            assert answer.status_code == 413
            assert answer.json()["detail"].startswith("at most 262144 bytes")
            assert httpx.post(f"{url}/search", json={"query": "x"}).status_code == 200

    def test_a_body_without_a_length_is_counted_as_it_comes(self, place: Place) -> None:
        def endless() -> Iterator[bytes]:
            yield b'{"query": "'
            for _ in range(64):
                yield b"x" * 2**14
            yield b'"}'

        with served(place.app()) as url:
            answer = httpx.post(
                f"{url}/search", content=endless(), headers={"content-type": "application/json"}
            )
            assert answer.status_code == 413


class TestKilled:
    def test_acknowledged_events_and_ratings_are_there_after_a_kill(self, place: Place) -> None:
        acknowledged: list[str] = []
        with process(place.folder) as (url, child):
            send(url, 40)

            def visit(user: int) -> None:
                with httpx.Client(base_url=url) as client:
                    for turn in itertools.count():
                        mark = f"{user}-{turn}"
                        found = client.post("/search", json={"query": "matrix graph"}).json()
                        event = {
                            "action_name": "click",
                            "timestamp": NOW,
                            "query_id": found["query_id"],
                            "message": mark,
                            "event_attributes": {"position": {"ordinal": 1}},
                        }
                        if client.post("/events", json=[event]).status_code == 202:
                            acknowledged.append(mark)
                        rating = {"query_id": found["query_id"], "rating": 5}
                        if client.post("/feedback", json=rating).status_code == 202:
                            acknowledged.append(f"rated {found['query_id']}")

            def until_killed(user: int) -> None:
                with contextlib.suppress(httpx.HTTPError, ValueError):
                    visit(user)

            with ThreadPoolExecutor(4) as pool:
                for user in range(4):
                    pool.submit(until_killed, user)
                while len(acknowledged) < 100:
                    time.sleep(0.01)
                child.kill()
                child.wait()
        connection = sqlite3.connect(place.database)
        bodies = connection.execute("SELECT body FROM ubi_events").fetchall()
        rated = connection.execute("SELECT query_id FROM ratings").fetchall()
        orphans = connection.execute(
            "SELECT count(*) FROM ubi_events "
            "WHERE query_id NOT IN (SELECT query_id FROM ubi_queries)"
        ).fetchone()
        connection.close()
        kept = {json.loads(body)["message"] for (body,) in bodies}
        kept |= {f"rated {query_id}" for (query_id,) in rated}
        assert len(acknowledged) >= 100
        assert set(acknowledged) <= kept
        assert orphans == (0,)

    def test_accepted_documents_are_indexed_after_a_kill(self, place: Place) -> None:
        with process(place.folder) as (url, child):
            for batch in range(4):
                send(url, 200, 200 * batch)
            child.kill()
            child.wait()
        connection = sqlite3.connect(place.database)
        states = dict(connection.execute("SELECT status, count(*) FROM documents GROUP BY 1"))
        connection.close()
        assert sum(states.values()) == 800
        assert states.get("queued", 0) > 0, "it was too quick: nothing was left to do"
        with process(place.folder) as (url, _):
            wait_for(url, documents=800, etl_pending=0, vector_backlog=0)
            last = documents(800)[-1]
            body = {"query": f"{last.title} {last.text}", "k": 1}
            [hit] = httpx.post(f"{url}/search", json=body).json()["hits"]
            assert hit["id"] == last.id


class TestSwaps:
    def test_releases_change_under_load_and_nobody_notices(self, place: Place) -> None:
        """50 searches a second while ten releases go live: none fails, each answer is of one
        release alone, and nobody who asks later gets an older one."""
        docs = documents(120)
        index = indexed(docs)
        releases = [
            place.release(fusion="weighted", dense_weight=i / SWAPS) for i in range(SWAPS + 1)
        ]
        queries = [f"{a.split()[0]} {a.split()[1]}" for a in (d.text for d in docs[:20])]
        expected = {
            release.digest: [
                [docs[row].id for row in engine.rank(query, 10).rows.tolist()] for query in queries
            ]
            for release in releases
            for engine in [Engine(release, index, HashedEncoder(), None)]
        }
        order = {release.digest: number for number, release in enumerate(releases)}
        assert len({json.dumps(ranked) for ranked in expected.values()}) > SWAPS / 2
        place.commit("first", releases[0].digest)
        with process(place.folder) as (url, _):
            send(url, len(docs))
            wait_for(url, documents=len(docs), etl_pending=0, vector_backlog=0)
            answers = asyncio.run(self.load(url, place, [r.digest for r in releases], queries))
        assert len(answers) >= 0.9 * RATE * SECONDS
        newest_seen = 0
        for _, _, status, _, _ in answers:
            assert status == 200
        for started, _, _, query, body in sorted(answers):
            assert body["release"] in order
            assert [hit["id"] for hit in body["hits"]] == expected[body["release"]][query]
            done_before = [
                order[other["release"]] for _, ended, _, _, other in answers if ended < started
            ]
            newest_seen = max([newest_seen, *done_before])
            assert order[body["release"]] >= newest_seen
        assert {order[body["release"]] for *_, body in answers} >= {0, SWAPS // 2, SWAPS}

    async def load(
        self, url: str, place: Place, digests: list[str], queries: list[str]
    ) -> list[tuple[float, float, int, int, dict[str, Any]]]:
        """(started, ended, status, query number, answer) of every search."""
        address = urlsplit(url)
        client = HttpClient(str(address.hostname), int(address.port or 0), timeout_s=10)
        answers: list[tuple[float, float, int, int, dict[str, Any]]] = []

        async def ask(number: int) -> None:
            started = time.monotonic()
            query = number % len(queries)
            body = {"query": queries[query], "user_id": f"user-{number}"}
            found = await client.post("/search", json.dumps(body).encode())
            answers.append((started, time.monotonic(), found.status, query, json.loads(found.body)))

        def swap() -> None:
            for number, digest in enumerate(digests[1:]):
                time.sleep(SECONDS / (SWAPS + 2))
                place.commit(f"swap-{number}", digest)

        swapping = asyncio.get_running_loop().run_in_executor(None, swap)
        began, tasks = time.monotonic(), []
        for number in range(int(RATE * SECONDS)):
            await asyncio.sleep(max(0.0, began + number / RATE - time.monotonic()))
            tasks.append(asyncio.create_task(ask(number)))
        await asyncio.gather(*tasks)
        await swapping
        for number in range(len(tasks), len(tasks) + LAST_SEEN_BY):
            await ask(number)
            if answers[-1][4].get("release") == digests[-1]:
                break
            await asyncio.sleep(0.05)
        client.close()
        return answers
