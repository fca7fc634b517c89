"""What the ring of one contour is connected to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from predator.domain.errors import InputError
from predator.domain.release import Release
from predator.loop.governance import Governance
from predator.loop.release.desired_state import DesiredState
from predator.loop.replica import EncodeAll, EncoderOf
from predator.ports.clock import Clock
from predator.ports.corpus import Corpus
from predator.ports.datasets import Datasets
from predator.ports.deployer import Deployer
from predator.ports.encoder import Encoder
from predator.ports.feedback import Feedback
from predator.ports.object_store import ObjectStore
from predator.ports.progress import Progress
from predator.ports.query_writer import QueryWriter
from predator.ports.releases import Releases
from predator.ports.tracking import Tracking
from predator.ports.trainer import Trainer

ServedLast = Callable[[str, float, float], float | None]
"""(release, since, until) → when users last got it in that time, if they did."""


class Options(Protocol):
    """The settings that the ring reads (see ``predator.config``)."""

    contour: str
    window_s: float
    windows_needed: int
    windows_max: int
    generated_queries: int
    alpha: float
    power: float
    ndcg_delta_rel_min: float
    gate_profile: str
    category_delta_rel_min: float
    latency_delta_rel_max: float
    latency_floor_ms: float
    cost_per_1k_usd_max: float
    cpu_hour_usd: float
    csat_min: float
    shadow_queries: int
    interleaving_share: float
    experiment_share: float
    experiment_max_s: float
    experiment_min_s: float
    watch_looks: int
    watch_look_s: float
    holdback_share: float
    holdback_share_max: float
    gross_drop_rel: float
    watch_drop_rel: float
    watch_extend_max: int
    watch_latency_floor_ms: float
    poll_s: float
    training_budget_s: float
    training_budget_usd: float
    training_wall_s: float
    approval_expires_s: float
    max_experiments: int
    seed: int


OPTIONS = tuple(Options.__annotations__)


@dataclass(frozen=True, slots=True)
class Ring:
    """The seams through which every effect of the loop goes."""

    options: Options
    governance: Governance
    desired: DesiredState
    releases: Releases
    objects: ObjectStore
    tracking: Tracking
    deployer: Deployer
    clock: Clock
    progress: Progress
    artifacts: Path
    served_last: ServedLast


@dataclass(frozen=True, slots=True)
class Sources:
    """What real stations learn from and with.

    ``encoder`` and ``encode_all`` are those that the platform was founded with, ``encoder_of``
    brings those of releases that name another one. ``tunable`` brings the files of the model that
    may be tuned (:func:`~predator.learning.bi_encoder.read_parts`) to an encoder that reads
    ``max_tokens``; ``None`` where none is to be tuned. ``readable`` brings the same files, for a
    cross-encoder to be trained from; ``None`` where none is to be.
    """

    feedback: Feedback
    corpus: Corpus
    datasets: Datasets
    trainer: Trainer
    encoder: Encoder
    encode_all: EncodeAll
    dataset_name: str = "predator-dataset"
    writer: QueryWriter | None = None
    encoder_of: EncoderOf | None = None
    tunable: Callable[[], Mapping[str, bytes]] | None = None
    readable: Callable[[], Mapping[str, bytes]] | None = None
    max_tokens: int = 0

    def encoder_for(self, release: Release) -> tuple[Encoder, EncodeAll]:
        """The encoder of ``release``, and what encodes many texts with it.

        ``InputError`` where it is another one and nobody knows others; what ``encoder_of``
        raises where that one cannot be had.
        """
        if release.encoder == self.encoder.digest:
            return self.encoder, self.encode_all
        if self.encoder_of is None:
            raise InputError(f"encoder {release.encoder[:12]} is not the one at hand")
        return self.encoder_of(release.encoder)


def timestamp(at: float) -> str:
    """UTC, ISO 8601, to the second."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
