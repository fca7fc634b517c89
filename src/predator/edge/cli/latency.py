"""``predator bench latency``: search over HTTP beside the sum of its parts; swaps under load."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table

from predator.bootstrap.home import Home, Run
from predator.bootstrap.platform import (
    collection_of,
    deployer_of,
    desired_of,
    found_platform,
    objects_of,
    process,
)
from predator.config import Settings
from predator.domain.documents import Collection, Query
from predator.domain.release import Release
from predator.edge.cli.latency_experiment import MOST_ADDED, overhead
from predator.edge.cli.local import feed, wait_for_documents, wait_for_vectors
from predator.edge.cli.options import check_writable, passed_on, settings_from, write_json
from predator.edge.cli.progress import ConsoleProgress
from predator.learning import lambdamart
from predator.learning.categories import learn_rules
from predator.learning.examples import collect
from predator.loop.replica import Replica, keep_release
from predator.search.desired import LiveRelease
from predator.search.encoder.onnx_encoder import OnnxEncoder
from predator.search.features import features
from predator.search.rerank import dump_reranker, load_reranker
from predator.search.retrieve import retrieve
from predator.search.serving.agent import load_release
from predator.search.serving.ingest import embedding_text
from predator.search.summarise import summarise
from predator.simulation.local_world import judged
from predator.simulation.processes import PlatformProcess, UsersProcess

LESSONS = 300
SWAP_RATE, SWAPS = 50.0, 10


@dataclass
class Parts:
    """Milliseconds of every stage of a search, timed one after another."""

    samples: dict[str, list[float]] = field(default_factory=dict)

    def time(self, name: str, work: Callable[[], Any]) -> Any:
        started = time.perf_counter()
        result = work()
        self.samples.setdefault(name, []).append((time.perf_counter() - started) * 1e3)
        return result

    def table(self) -> dict[str, dict[str, float]]:
        return {
            name: {"p50_ms": _quantile(values, 0.5), "p95_ms": _quantile(values, 0.95)}
            for name, values in self.samples.items()
        }


def latency(rate: float, seconds: float, json_file: Path | None, pairs: Sequence[str]) -> None:
    """Measure on the embedded corpus with a LambdaMART release, top 10 of 100 reranked."""
    settings = settings_from(pairs)
    check_writable(json_file)
    progress = ConsoleProgress()
    with ExitStack() as stack:
        stack.callback(progress.close)
        bench = _Bench(settings, progress, stack)
        parts, traffic = bench.measure(rate, seconds)
        experiment = bench.experiment()
        swaps = bench.swap()
    table = parts.table()
    total = sum(row["p50_ms"] for row in table.values())
    encoded = bench.encoding()
    result = {
        "documents": bench.documents,
        "rate_per_s": rate,
        "http": {"p50_ms": traffic["p50_ms"], "p95_ms": traffic["p95_ms"]},
        "parts": table,
        "sum_of_parts_p50_ms": round(total, 3),
        "http_over_parts": round(traffic["p50_ms"] / total, 2),
        "searches": traffic["ok"],
        "failed_requests": traffic["failed"],
        "encoder": encoded,
        "experiment": experiment,
        "swaps": swaps,
    }
    if json_file is not None:
        write_json(json_file, result)
    _show(result, Console(highlight=False))


class _Bench:
    def __init__(self, settings: Settings, progress: ConsoleProgress, stack: ExitStack) -> None:
        self._settings, self._progress = settings, progress
        home = Home(settings)
        progress.station("corpus", "docstrings of the installed packages")
        collection = collection_of(None, home, "error", 2, progress)
        files = home.encoder_files(progress.note)
        rules = learn_rules(collection.documents, settings.seed)
        self.run: Run = home.new_run("latency")
        found_platform(self.run, files, rules, "latency", settings.contour)
        self._desired = desired_of(self.run, settings.contour)
        objects = objects_of(self.run.folder)
        documents = process(rules, collection.documents)
        self.documents = len(documents)
        encode = home.encode_all(files, progress, "vectors", 2)
        self._replica = Replica.of(documents, OnnxEncoder(files), encode, objects)
        self._queries = [q for q in collection.queries if q.id in judged(collection)]
        self._release = self._train(collection)
        self._commit("v2.0", self._release.digest)
        progress.station("platform", "one worker, LambdaMART over 100 candidates")
        platform = PlatformProcess(
            self.run.folder, self.run.folder / "platform.log", passed_on(replace_port(settings))
        )
        stack.callback(platform.stop)
        self._stack = stack
        self._url = platform.wait_ready()
        feed(self._url, collection.documents, progress)
        wait_for_documents(self._url, progress)
        wait_for_vectors(self._url, progress)

    def measure(self, rate: float, seconds: float) -> tuple[Parts, dict[str, Any]]:
        self._progress.station("measure", f"{rate:g} searches a second for {seconds:g} s")
        users = self._users(rate)
        parts, ended, turn = Parts(), time.monotonic() + seconds, 0
        while (now := time.monotonic()) < ended:
            self._time_parts(self._queries[-1 - turn % 1000], parts)
            turn += 1
            self._progress.work("seconds", int(seconds - (ended - now)), int(seconds))
            time.sleep(0.1)
        return parts, users.finish()

    def encoding(self, count: int = 256) -> dict[str, float]:
        """Documents of the corpus encoded a second by one thread, in three parts of a sample."""
        documents = self._replica.index.documents[:: max(1, self.documents // count)][:count]
        texts = [embedding_text(document) for document in documents]
        rates = []
        for start in range(3):
            part = texts[start::3]
            started = time.perf_counter()
            self._replica.encoder.encode(part)
            rates.append(len(part) / (time.perf_counter() - started))
        rates.sort()
        return {
            "tokens": self._settings.max_tokens,
            "documents_per_s": round(rates[1], 1),
            "least": round(rates[0], 1),
            "most": round(rates[2], 1),
        }

    def experiment(self) -> dict[str, Any]:
        """What an open experiment adds to a search, with a candidate that costs as much."""
        self._progress.station("experiment", "the same searches with and without one, in turn")
        retrieval = self._release.retrieval
        twin = replace(retrieval, title_boost=retrieval.title_boost * 1.001)
        candidate = keep_release(self._replica.objects, replace(self._release, retrieval=twin))
        deployer = deployer_of(self.run, self._url)
        with httpx.Client(base_url=self._url, timeout=30, trust_env=False) as client:

            def ask(query: str, user: str) -> None:
                body = {"query": query, "user_id": user}
                client.post("/search", json=body).raise_for_status()

            found = overhead(
                self._desired,
                deployer,
                candidate,
                [query.text for query in self._queries[LESSONS:]],
                ask,
                lambda done, total: self._progress.work("turns", done, total),
            )
        deployer.close()
        return found

    def swap(self) -> dict[str, Any]:
        self._progress.station("swap", f"{SWAPS} releases under {SWAP_RATE:g} searches a second")
        deployer = deployer_of(self.run, self._url)
        before = self._desired.read().release.digest
        other = load_release(self._replica.objects.get(before))
        plain = keep_release(self._replica.objects, replace(other, reranker=None))
        users = self._users(SWAP_RATE)
        time.sleep(2)
        took: list[float] = []
        for number in range(SWAPS):
            started = time.perf_counter()
            revision = self._commit(f"v{3 + number}.0", plain if number % 2 == 0 else before)
            deployer.wait(revision, 30)
            took.append(time.perf_counter() - started)
            self._progress.work("swaps", number + 1, SWAPS)
            time.sleep(1)
        deployer.close()
        traffic = users.finish()
        return {
            "swaps": SWAPS,
            "rate_per_s": SWAP_RATE,
            "searches": traffic["ok"],
            "failed_requests": traffic["failed"],
            "longest_swap_s": round(max(took), 3),
        }

    def _train(self, collection: Collection) -> Release:
        live = load_release(self._replica.objects.get(self._desired.read().release.digest))
        retrieval = replace(live.retrieval, fusion="weighted", title_boost=1.0)
        examples = collect(
            self._replica.index, self._replica.encoder, self._queries[:LESSONS], judged(collection),
            progress=lambda done, total: self._progress.work("features", done, total),
        )  # fmt: skip
        prepared = lambdamart.prepare(self._replica.index, examples, retrieval)
        model = lambdamart.train(prepared, trees=100, seed=self._settings.seed, base_weight=2.0)
        reranker = self._replica.objects.put(dump_reranker(model.text, model.base_weight))
        release = replace(live, retrieval=retrieval, reranker=reranker)
        keep_release(self._replica.objects, release)
        return release

    def _commit(self, version: str, digest: str) -> str:
        return self._desired.set_release(
            LiveRelease(version, digest, "bench"), None, f"Bench: {version}",
            {"Cycle": "bench", "Step": version},
        )  # fmt: skip

    def _users(self, rate: float) -> UsersProcess:
        world = self.run.folder / "world.json"
        questions = [{"id": q.id, "text": q.text, "relevant": {}} for q in self._queries[LESSONS:]]
        world.write_text(json.dumps({"groups": {"all": questions}}))
        users = UsersProcess(
            self._url, world, self.run.folder / "users.log", rate=rate, users=500,
            seed=self._settings.seed, mix={"all": 1.0},
        )  # fmt: skip
        self._stack.callback(users.stop)
        return users

    def _time_parts(self, query: Query, parts: Parts) -> None:
        index, retrieval = self._replica.index, self._release.retrieval
        vector = parts.time("encode", lambda: self._replica.encoder.encode([query.text])[0])
        analysed = parts.time("analyse", lambda: index.analyse(query.text))
        parts.time(
            "bm25",
            lambda: index.lexical.search(analysed.terms, retrieval.depth),
        )
        parts.time("vector", lambda: index.vectors.search(vector, retrieval.depth))
        started = time.perf_counter()
        found = retrieve(index, retrieval, analysed, vector)
        whole = (time.perf_counter() - started) * 1e3
        both = parts.samples["bm25"][-1] + parts.samples["vector"][-1]
        parts.samples.setdefault("fuse", []).append(max(0.0, whole - both))
        head = found.take(retrieval.rerank)
        matrix = parts.time("features", lambda: features(index, analysed, head))
        data = self._replica.objects.get(self._release.reranker or "")
        reranker = _cached_reranker(data)
        scores = parts.time("lambdamart", lambda: reranker.score(matrix, head.fused))
        best = head.rows[(-scores).argsort()[:10]]
        wanted = frozenset(analysed.terms)
        parts.time(
            "summarise",
            lambda: [summarise(index.documents[r].text, wanted, "full") for r in best.tolist()],
        )


_RERANKERS: dict[bytes, Any] = {}


def _cached_reranker(data: bytes) -> Any:
    if data not in _RERANKERS:
        _RERANKERS[data] = load_reranker(data)
    return _RERANKERS[data]


def replace_port(settings: Settings) -> Settings:
    """The same settings on any free port: a bench must not need the default one."""
    return settings.model_copy(update={"port": 0})


def _quantile(values: Sequence[float], share: float) -> float:
    return round(sorted(values)[int(share * (len(values) - 1))], 3)


def _show(result: dict[str, Any], console: Console) -> None:
    table = Table("part", "p50, ms", "p95, ms", box=None, header_style="bold")
    for name, row in result["parts"].items():
        table.add_row(name, f"{row['p50_ms']:.2f}", f"{row['p95_ms']:.2f}")
    table.add_row("sum of the p50", f"{result['sum_of_parts_p50_ms']:.2f}", "", style="bold")
    http = result["http"]
    table.add_row("over HTTP", f"{http['p50_ms']:.2f}", f"{http['p95_ms']:.2f}", style="bold")
    console.print(
        f"{result['documents']} documents, {result['rate_per_s']:g} searches a second, "
        f"{result['searches']} searches, {result['failed_requests']} failed"
    )
    console.print(table)
    console.print(f"HTTP p50 is {result['http_over_parts']:.2f} × the sum of its parts")
    experiment = result["experiment"]
    console.print(
        f"an open experiment: p50 × {experiment['ab_over_none']:.3f} (at most {MOST_ADDED:g}); "
        f"lists drafted from two releases: × {experiment['interleave_over_none']:.2f}"
    )
    encoder = result["encoder"]
    console.print(
        f"encoder: {encoder['documents_per_s']:.0f} documents a second on one thread "
        f"({encoder['least']:.0f} to {encoder['most']:.0f}), cut to {encoder['tokens']} tokens"
    )
    swaps = result["swaps"]
    console.print(
        f"{swaps['swaps']} swaps under {swaps['rate_per_s']:g} searches a second: "
        f"{swaps['failed_requests']} failed of {swaps['searches']}; the longest took "
        f"{swaps['longest_swap_s']:.2f} s from commit to live"
    )
