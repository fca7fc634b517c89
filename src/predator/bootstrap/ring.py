"""The ring of a contour, connected to one running platform."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from predator.bootstrap.deployer import deployer_for
from predator.bootstrap.governed import Stores, governance_of
from predator.bootstrap.home import Home, Run
from predator.bootstrap.platform import desired_of, objects_of
from predator.bootstrap.query_writer import query_writer_of
from predator.config import Settings, quality_gates
from predator.contours.meaning import GATE_PROFILES
from predator.domain.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from predator.adapters.tracking.mlflow_sqlite import MlflowTracking
    from predator.loop.evaluate import Gates
    from predator.loop.ring import Ring, Sources
    from predator.policy.gates import Gate
    from predator.ports.progress import Progress
    from predator.ports.trainer import Trainer
    from predator.search.encoder.files import EncoderFiles
    from predator.search.encoder.onnx_encoder import OnnxEncoder


def ring_of(settings: Settings, run: Run, url: str, stores: Stores, progress: Progress) -> Ring:
    """The seams of the contour's effects, on one running platform."""
    from predator.adapters.clock import SystemClock
    from predator.adapters.platform.records import PlatformRecords
    from predator.adapters.releases.gto_git import GtoGitReleases
    from predator.loop.observe import served_last
    from predator.loop.ring import Ring

    home = Home(settings)
    records = PlatformRecords(run.database)
    return Ring(
        options=settings,
        governance=governance_of(settings, stores),
        desired=desired_of(run, settings.contour),
        releases=GtoGitReleases(run.gitops),
        objects=objects_of(run.folder),
        tracking=tracking_of(settings),
        deployer=deployer_for(settings, run, url),
        clock=SystemClock(),
        progress=progress,
        artifacts=home.artifacts,
        served_last=lambda release, since, until: served_last(
            records.impressions(since, until), release
        ),
    )


def sources_of(
    settings: Settings,
    run: Run,
    encoder: OnnxEncoder,
    files: EncoderFiles,
    progress: Progress,
) -> Sources:
    """What real stations learn from and with."""
    from predator.adapters.datasets.dvc_git import DvcDatasets
    from predator.adapters.platform.records import PlatformRecords
    from predator.loop.ring import Sources

    home = Home(settings)
    records = PlatformRecords(run.database)
    return Sources(
        feedback=records,
        corpus=records,
        datasets=DvcDatasets(
            home.root / "lineage",
            home.root / "lineage-remote",
            [Path(sys.executable).name, "-m", "predator.loop.dataset.stage"],
        ),
        trainer=trainer_of(settings),
        encoder=encoder,
        encode_all=home.encode_all(files, progress, "vectors"),
        dataset_name=f"predator-dataset-{run.folder.name.lower()}"[:60].rstrip("-"),
        writer=query_writer_of(settings),
        encoder_of=home.encoder_of(objects_of(run.folder), progress),
        tunable=tunable_of(settings, home, progress),
        readable=readable_of(settings, home, progress),
        max_tokens=settings.max_tokens,
    )


def tunable_of(
    settings: Settings, home: Home, progress: Progress
) -> Callable[[], Mapping[str, bytes]] | None:
    """What brings the files of the encoder that may be tuned; ``None`` where that is off.

    ``InputError`` where it is on and torch is not installed.
    """
    if not settings.tune_encoder:
        return None
    if importlib.util.find_spec("torch") is None:
        raise InputError(
            "tuning the encoder needs torch, which is not installed",
            cure="pip install 'predator-search[train]', or set tune_encoder=false",
        )

    return lambda: _parts(settings, home, progress)


def readable_of(
    settings: Settings, home: Home, progress: Progress
) -> Callable[[], Mapping[str, bytes]] | None:
    """What brings the files of the model that a cross-encoder is trained from; ``None`` where
    that is off. Where torch is missing the job says so, and trains the rest."""
    return (lambda: _parts(settings, home, progress)) if settings.cross_encoder else None


def _parts(settings: Settings, home: Home, progress: Progress) -> Mapping[str, bytes]:
    from predator.learning.bi_encoder import read_parts
    from predator.search.encoder.hub import model_folder

    return read_parts(model_folder(settings.model, home.caches / "encoder", progress.note))


def trainer_of(settings: Settings) -> Trainer:
    """Training in processes of their own, below the home folder."""
    from predator.adapters.trainer.job_limits import JobLimits
    from predator.adapters.trainer.local_process import LocalProcessTrainer

    return LocalProcessTrainer(
        Home(settings).root / "jobs",
        {
            "portfolio": ["-P", "-m", "predator.loop.training.train_job"],
            "bi_encoder": ["-P", "-m", "predator.loop.training.bi_encoder_job"],
            "cross_encoder": ["-P", "-m", "predator.loop.training.cross_encoder_job"],
        },
        limits=JobLimits(
            cpu_s=settings.training_cpu_s,
            wall_s=settings.training_wall_s,
            memory_mb=settings.training_memory_mb,
        ),
    )


def tracking_of(settings: Settings) -> MlflowTracking:
    """MLflow on SQLite in the home folder."""
    from predator.adapters.tracking.mlflow_sqlite import MlflowTracking

    home = Home(settings)
    return MlflowTracking(home.root / "mlflow.db", home.root / "mlflow-artifacts")


def quality_gates_of(settings: Settings) -> Mapping[str, Gate]:
    """The contour's quality gates, before anybody's override."""
    from predator.policy.gates import load_gates

    return load_gates(quality_gates(settings))


def gates_of(settings: Settings) -> Gates:
    """The offline gates of the contour."""
    from predator.loop.evaluate import Gates

    return Gates(
        settings.ndcg_delta_rel_min,
        settings.category_delta_rel_min,
        settings.latency_delta_rel_max,
        settings.latency_floor_ms,
        settings.cost_per_1k_usd_max,
        settings.alpha,
        settings.power,
        GATE_PROFILES[settings.gate_profile],
    )
