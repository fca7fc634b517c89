"""A cross-encoder from a BERT such as MiniLM, one relevance logit a pair.

What is learnt is a correction of an order that is good already: the head starts as noise, tables
of words and positions stay frozen (Kumar et al. 2022: what lessons do not touch must not be left
behind), and of all checkpoints the one with the least loss on held-out pairs is kept. Training
needs torch and lives in :mod:`predator.learning.pair_training`; exporting and loading do not.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from predator.domain.errors import InputError, IntegrityError
from predator.learning.pairs import Pairs, check_pairs
from predator.learning.precision import Precision
from predator.learning.torch_runtime import Device
from predator.learning.trainable import Report
from predator.search.cross_encoder import CrossEncoder
from predator.search.cross_encoder_files import (
    MANIFEST,
    MODEL,
    TOKENIZER,
    Manifest,
    keep_cross_encoder,
)
from predator.search.encoder.export_pairs import PROBES, export_cross_encoder
from predator.search.encoder.graph import BertShape
from predator.search.encoder.source import Source

REPORT = "report.json"


@dataclass(frozen=True, slots=True)
class Plan:
    """How to train.

    ``epochs`` over the pairs at most, within ``budget_s`` of wall time, evaluations included:
    the learning rate comes down to zero with whichever ends first. ``batch`` pairs a step, run in
    halves, quarters, … where memory ends. ``learning_rate`` is AdamW's peak after a tenth of
    warm-up. ``precision`` ``auto`` takes bf16 where the processor or the card multiplies it.
    """

    seed: int
    threads: int = 1
    budget_s: float = 900.0
    epochs: int = 2
    batch: int = 32
    learning_rate: float = 1e-4
    dropout: float = 0.1
    max_tokens: int = 128
    max_query_tokens: int = 48
    evaluations: int = 8
    device: Device = "auto"
    precision: Precision = "auto"

    def __post_init__(self) -> None:
        for field in ("threads", "budget_s", "epochs", "batch", "learning_rate", "evaluations"):
            # A NaN fails both comparisons.
            if not 0 < getattr(self, field) < 1e9:
                raise InputError(f"{field} is {getattr(self, field)!r}, not above 0 and finite")
        if not 0 <= self.dropout < 1:
            raise InputError(f"dropout is {self.dropout!r}, not from 0 to below 1")
        if self.precision not in get_args(Precision):
            raise InputError(
                f"there is no precision {self.precision!r:.40}",
                cure="Choose auto, float32 or bfloat16",
            )


@dataclass(frozen=True, slots=True)
class Tuned:
    """A trained cross-encoder: float32 weights by the published names, and how it went."""

    shape: BertShape
    weights: Mapping[str, NDArray[np.float32]]
    tokenizer: bytes
    plan: Plan
    report: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Model:
    """A cross-encoder as it serves: its files, and the same loaded."""

    files: Mapping[str, bytes]
    encoder: CrossEncoder
    report: Mapping[str, Any]


def train(
    source: Source,
    pairs: Pairs,
    plan: Plan,
    *,
    report: Report = lambda _what, _done, _total: None,
    checkpoints: Path | None = None,
) -> Tuned:
    """Train from ``source`` on ``pairs``; needs torch.

    The same inputs give the same weights on the same machine, unless the budget cuts the training
    short. ``checkpoints`` is a folder of this training alone: begun again there after a kill, it
    goes on. Raises ``InputError`` for pairs or a source that cannot be used, ``PredatorError``
    where the loss is no number, ``MemoryError`` where not even one pair fits.
    """
    from predator.learning.pair_training import Training

    check_pairs(pairs)
    return Training(source, pairs, plan, report, checkpoints).run()


def export(tuned: Tuned, probes: Sequence[tuple[str, str]] = PROBES) -> dict[str, bytes]:
    """The files to keep: manifest, int8 ONNX, tokenizer, report; needs no torch.

    ``probes`` are pairs on which int8 must keep float32's order (``InputError`` otherwise).
    """
    exported = export_cross_encoder(
        tuned.shape,
        tuned.weights,
        tuned.tokenizer,
        max_tokens=tuned.plan.max_tokens,
        max_query_tokens=tuned.plan.max_query_tokens,
        probes=probes,
    )
    told = {
        **tuned.report,
        "int8_rank_correlation": round(exported.rank_correlation, 4),
        "int8_error": round(exported.error, 4),
    }
    return {**exported.files, REPORT: json.dumps(told, indent=1, allow_nan=False).encode()}


def load(files: Mapping[str, bytes], *, threads: int = 1) -> Model:
    """The model of :func:`export`'s files; ``IntegrityError`` where they do not fit together."""
    keep_cross_encoder(lambda _: "", files)
    try:
        told = json.loads(files[REPORT])
    except (KeyError, ValueError, RecursionError):
        raise IntegrityError("the cross-encoder's report cannot be read") from None
    encoder = CrossEncoder(
        Manifest.read(files[MANIFEST]), files[MODEL], files[TOKENIZER], threads=threads
    )
    return Model(dict(files), encoder, told)
