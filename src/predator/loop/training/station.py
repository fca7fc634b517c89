"""Station 4 of a cycle: the portfolio is trained in a process of its own, the best that could be
served is kept as a release."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from predator.contours.meaning import GATE_PROFILES
from predator.domain.documents import Document, Query
from predator.domain.errors import IntegrityError, PredatorError
from predator.domain.release import Release
from predator.loop import deciders
from predator.loop.dataset import stage as dataset_stage
from predator.loop.evaluate import Gates, Measured
from predator.loop.gold import report as gold_report
from predator.loop.labels import Labels
from predator.loop.record import CycleCancelled, Record
from predator.loop.release.bundle import keep_exported
from predator.loop.replica import Replica, keep_release
from predator.loop.ring import Sources
from predator.loop.train import Budget
from predator.loop.training.affordable import Beside, measured, offered, p95_ms
from predator.loop.training.portfolio_files import (
    TUNED_ON,
    Submitted,
    job_inputs,
    job_spec,
    read_left_out,
    read_portfolio,
    read_tuned_on,
)
from predator.loop.training.submit import Submission
from predator.ports.datasets import DatasetVersion
from predator.ports.runtime import Json
from predator.search.serving.agent import load_release
from predator.search.serving.ingest import embedding_text


def gates_for(record: Record, cost_max: float | None, alpha: float) -> Gates:
    """The offline gates of a cycle at level ``alpha``; ``cost_max`` is the contour's price limit
    as people have set it, ``None`` where it is that of the settings."""
    options = record.options
    return Gates(
        options.ndcg_delta_rel_min,
        options.category_delta_rel_min,
        options.latency_delta_rel_max,
        options.latency_floor_ms,
        options.cost_per_1k_usd_max if cost_max is None else cost_max,
        alpha,
        options.power,
        GATE_PROFILES[options.gate_profile],
    )


def train(
    record: Record,
    sources: Sources,
    labels: Labels,
    replica: Replica,
    documents: Sequence[Document],
    opened: Json,
    dataset: Json,
    gates: Gates,
) -> Json:
    """Train on ``dataset`` over the cycle's ``documents``, which ``replica`` has indexed.

    Begun again after a crash, it asks for the same job. ``PredatorError`` where the job fails.
    """
    ring = record.ring
    version = DatasetVersion(
        Path(dataset["path"]), dataset["hash"], dataset["revision"], Path(dataset["lock_file"])
    )
    known = _tuned_on(record, opened["before"], sources.encoder.digest)
    data = sources.datasets.fetch(version)
    rows = [row for row in dataset_stage.read_rows(data) if row[0] not in known]
    gold_report.check_apart(list(dict.fromkeys(row[1] for row in rows)), labels)
    live = load_release(ring.objects.get(opened["before"]["digest"]))
    asked = list({row[0]: Query(row[0], row[1]) for row in rows}.values())
    room = None
    if sources.readable is not None:
        before = p95_ms(replica.engine(live), asked)
        inputs = deciders.reading_room_inputs(before, gates)
        room = deciders.to_reading_room(record.decide("reading_room", "reading_room", inputs))
    files, status = _trained(record, sources, live, documents, data, rows, room)
    portfolio, left_out = read_portfolio(files), read_left_out(files)

    def measure(one: Submitted) -> Measured:
        beside = replace(replica, objects=Beside(ring.objects, dict(one.objects)))
        if one.reranker is None:
            raise IntegrityError(f"{one.name} of the trained portfolio came without its reranker")
        release = replace(live, retrieval=one.retrieval, reranker=beside.objects.put(one.reranker))
        cpu_hour_usd = record.options.cpu_hour_usd
        return measured(replica.engine(live), beside.engine(release), asked, cpu_hour_usd)

    inputs = deciders.submit_inputs(offered(portfolio, gates, measure), gates)
    submission = deciders.to_submit(record.decide("submit", "submit", inputs))
    best = next(one for one in portfolio if one.name == submission.name)
    candidate = _release(record, sources, live, best)
    shown = [
        {
            "name": one.name,
            "ndcg_at_10_out_of_fold": one.ndcg_out_of_fold,
            "reason": _place(one, best, submission),
        }
        for one in portfolio
    ]
    folder = f"mlflow_run_{record.run_id}/model"
    record.write(f"{folder}/release.json", candidate.to_json())
    if candidate.encoder != sources.encoder.digest:
        fresh = read_tuned_on(files) if best.encoder is not None else []
        record.write(f"{folder}/{TUNED_ON}", sorted({*known, *fresh}))
    if candidate.reranker is not None:
        record.write(f"{folder}/reranker.json", ring.objects.get(candidate.reranker))
    record.write(
        f"{folder}/portfolio.json",
        [
            *({**s, **one.details} for s, one in zip(shown, portfolio, strict=True)),
            *({"name": name, "reason": reason} for name, reason in left_out.items()),
        ],
    )
    return {
        "release": candidate.digest,
        "best": best.name,
        "portfolio": shown,
        "folder": folder,
        "job": _job(record),
        "dataset": version.revision,
        "attempts": status.attempts,
        "usage": dict(status.usage),
    }


def _trained(
    record: Record,
    sources: Sources,
    live: Release,
    documents: Sequence[Document],
    data: bytes,
    rows: Sequence[dataset_stage.Row],
    room: float | None,
) -> tuple[Mapping[str, bytes], Any]:
    """The files of the job, and how it went."""
    ring, options = record.ring, record.options
    encoder, encode_all = sources.encoder_for(live)
    texts = list(dict.fromkeys(row[1] for row in rows))
    hidden = dataset_stage.masked_documents(data, documents)
    bring = sources.tunable or sources.readable
    inputs = job_inputs(
        rows,
        documents,
        encode_all([embedding_text(document) for document in documents]),
        texts,
        np.asarray([encoder.encode_query(text) for text in texts], np.float32).reshape(
            len(texts), encoder.dim
        ),
        None if bring is None else bring(),
        hidden,
        encode_all([embedding_text(document) for document in hidden.values()]),
    )
    with ring.governance.fence.passing():
        # Encoding may have taken minutes since policy was asked.
        if (why := record.stopped("train")) is not None:
            raise CycleCancelled(f"the training was not started: {why}")
        spec = job_spec(
            seed=options.seed,
            dim=encoder.dim,
            base=live.retrieval,
            budget=Budget(
                options.training_budget_s, options.training_budget_usd, options.cpu_hour_usd
            ),
            max_tokens=sources.max_tokens if sources.tunable is not None else 0,
            cross_encoder=sources.readable is not None,
            room_ms=room,
        )
        sources.trainer.start(_job(record), "portfolio", inputs, spec)
    status = _wait(record, sources)
    return sources.trainer.collect(_job(record)), status


def _wait(record: Record, sources: Sources) -> Any:
    """Follow a training to its end; a stop by a person or by policy ends it."""
    ring, trainer, job = record.ring, sources.trainer, _job(record)
    while (status := trainer.poll(job)).state == "running":
        if (why := record.stopped("train")) is not None:
            trainer.cancel(job)
            raise CycleCancelled(f"the training was stopped: {why}")
        ring.progress.work(status.what or "training", status.done, max(status.total, 1))
        ring.clock.sleep(min(0.5, record.options.poll_s))
    if status.state != "completed":
        raise PredatorError(f"the training {status.state}: {status.error}")
    return status


def _job(record: Record) -> str:
    return f"{record.cycle_id}:train"


def _release(record: Record, sources: Sources, live: Release, best: Submitted) -> Release:
    """The candidate as a release whose every byte is in the store."""
    objects = record.ring.objects
    for data in best.objects.values():
        objects.put(data)
    candidate = replace(
        live,
        encoder=live.encoder
        if best.encoder is None
        else keep_exported(objects, *best.encoder, sources.max_tokens),
        retrieval=best.retrieval,
        reranker=objects.put(best.reranker) if best.reranker is not None else None,
    )
    keep_release(objects, candidate)
    return candidate


def _tuned_on(record: Record, live: Json, founding: str) -> frozenset[str]:
    """The queries that the live encoder has learnt from, as the cycle that made it live tells.

    Nothing else is learnt from them: their cosines are too good to be true. ``IntegrityError``
    where the encoder is a tuned one and its cycle's artifacts are gone.
    """
    if load_release(record.ring.objects.get(live["digest"])).encoder == founding:
        return frozenset()
    folder = record.folder.parent / str(live["cycle"])
    for path in folder.glob(f"mlflow_run_*/model/{TUNED_ON}"):
        return frozenset(json.loads(path.read_bytes()))
    raise IntegrityError(
        f"nothing says which queries the live encoder was tuned on: {folder} lacks {TUNED_ON}",
        cure="Restore the artifacts of that cycle",
    )


def _place(one: Submitted, best: Submitted, submission: Submission) -> str:
    if one is best:
        among = " of those that could be served" if submission.refused else ""
        return f"submitted: the best out of fold{among}"
    if one.name in submission.refused:
        return f"could not be served: {submission.refused[one.name]}"
    return f"{best.ndcg_out_of_fold - one.ndcg_out_of_fold:.4f} below the submitted one out of fold"
