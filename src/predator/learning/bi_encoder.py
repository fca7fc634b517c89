"""Trainable: the sentence encoder, tuned to the collection at hand.

With judgments it learns by InfoNCE over in-batch and hard negatives (van den Oord et al. 2018;
Henderson et al. 2017), without any by the margins of a named teacher (GPL, Wang et al. 2022:
MarginMSE, Hofstätter et al. 2020). Either way the result is the point on the line between the
original weights and the tuned ones that ranks held-out questions best (WiSE-FT, Wortsman et al.
2022), the original itself included. A model that is tuned on a few hundred questions forgets what
it knew about all the others; the line gives most of the gain for little of the loss, at the price
of a few forward passes, while a penalty (L2-SP) needs a weight that has to be chosen beforehand.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from predator.domain.errors import InputError, IntegrityError
from predator.learning import occlusion
from predator.learning.lessons import Lessons
from predator.learning.occlusion import Contribution
from predator.learning.torch_runtime import Device
from predator.ports.encoder import Encoder
from predator.search.encoder.export import prepare_encoder
from predator.search.encoder.files import EncoderFiles
from predator.search.encoder.onnx_encoder import OnnxEncoder
from predator.search.encoder.source import Source, parse_weights, read_bounded, read_source
from predator.statistics.paired import paired_gain

Loss = Literal["info_nce", "margin_mse"]
Report = Callable[[str, int, int], None]

name = "bi_encoder"

PARTS = {
    "config.json": "config.json",
    "modules.json": "modules.json",
    "pooling.json": "1_Pooling/config.json",
    "tokenizer.json": "tokenizer.json",
    "model.safetensors": "model.safetensors",
}
"""A model's files by flat name, and where they lie in a sentence-transformers folder."""
REPORT = "report.json"
MIXES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Shares of the tuned weights that are tried, the original first: ties stay with it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How to tune.

    ``epochs`` over the lessons at most, cut to what ``budget_s`` of wall time allows by the pace of
    the first steps, evaluations included; where the machine gets busier it takes longer. ``batch``
    questions a step, each with its answer and one hard negative; halved where memory ends.
    ``learning_rate`` is AdamW's peak, after a tenth of warm-up and with linear decay: high for a
    BERT, because a few dozen steps have to do and the mix takes back what went too far. ``scale``
    multiplies cosines into logits: 20 is what MiniLM was trained with. ``patience`` evaluations
    without a gain on held-out questions end it early. ``max_tokens`` may be fewer than the model
    serves with: what a text is about is said early, and time grows with its length. bf16 is used
    on CUDA.
    """

    loss: Loss
    seed: int
    threads: int = 1
    budget_s: float = 600.0
    epochs: int = 3
    batch: int = 32
    learning_rate: float = 1e-4
    max_tokens: int = 64
    scale: float = 20.0
    evaluations: int = 4
    patience: int = 2
    device: Device = "auto"

    def __post_init__(self) -> None:
        if self.loss not in ("info_nce", "margin_mse"):
            raise InputError(f"there is no loss {self.loss!r:.40}")
        for name in (
            "threads", "budget_s", "epochs", "batch", "learning_rate", "scale", "evaluations",
            "patience",
        ):  # fmt: skip
            # A NaN fails both comparisons.
            if not 0 < getattr(self, name) < 1e9:
                raise InputError(f"{name} is {getattr(self, name)!r}, not above 0 and finite")
        if not 3 <= self.max_tokens <= 16_384:
            raise InputError(f"max_tokens is {self.max_tokens!r}", cure="Choose 3 to 16384")


@dataclass(frozen=True, slots=True)
class BiEncoder:
    """A tuned model: its files by the names of :data:`PARTS`, and what its training reported."""

    files: Mapping[str, bytes]
    report: Mapping[str, Any]

    @property
    def is_original(self) -> bool:
        """Whether no share of the tuned weights was better than none."""
        return not self.report["mix"]

    def write(self, folder: Path) -> Path:
        """Lay the files out as a sentence-transformers folder, which is given back."""
        for name, place in PARTS.items():
            (folder / place).parent.mkdir(parents=True, exist_ok=True)
            (folder / place).write_bytes(self.files[name])
        return folder

    def export(self, cache: Path, *, max_tokens: int) -> EncoderFiles:
        """The encoder as it serves (int8), kept in ``cache``; ``InputError`` where it cannot."""
        with tempfile.TemporaryDirectory() as scratch:
            return prepare_encoder(self.write(Path(scratch)), cache, max_tokens=max_tokens)


def read_parts(folder: Path) -> dict[str, bytes]:
    """The files of a sentence-transformers folder by flat name; ``InputError`` for other models."""
    source = read_source(folder)  # checks all of them
    modules = json.loads(read_bounded(folder / "modules.json", most=1 << 20))
    pooling = folder / str(modules[1]["path"]) / "config.json"
    modules[1]["path"] = "1_Pooling"
    return {
        "config.json": read_bounded(folder / "config.json", most=1 << 20),
        "modules.json": json.dumps(modules, indent=2).encode(),
        "pooling.json": read_bounded(pooling, most=1 << 20),
        "tokenizer.json": source.tokenizer,
        "model.safetensors": source.weights,
    }


def source_of(files: Mapping[str, bytes]) -> Source:
    """The model that ``files`` (flat names) hold, checked as any model from outside is."""
    missing = sorted(set(PARTS) - set(files))
    if missing:
        raise InputError(f"the model lacks {missing[0]}")
    with tempfile.TemporaryDirectory() as scratch:
        return read_source(BiEncoder(files, {}).write(Path(scratch)))


def save(model: BiEncoder) -> dict[str, bytes]:
    """The model as files without folders, the inverse of :func:`load`."""
    report = json.dumps(model.report, indent=1, allow_nan=False).encode()
    return {**{name: model.files[name] for name in PARTS}, REPORT: report}


def load(files: Mapping[str, bytes]) -> BiEncoder:
    """The model that :func:`save` wrote; ``IntegrityError`` where it is not whole."""
    try:
        report = json.loads(files[REPORT])
        mix = report["mix"]
        if type(mix) not in {int, float} or not 0 <= mix <= 1:
            raise ValueError(f"its mix is {mix!r:.40}")
        parse_weights(source_of(files))
    except (ValueError, LookupError, TypeError, RecursionError, InputError) as error:
        raise IntegrityError(f"the tuned encoder cannot be read: {error}") from error
    return BiEncoder({name: files[name] for name in PARTS}, report)


def train(
    model: Mapping[str, bytes],
    lessons: Lessons,
    plan: Plan,
    *,
    report: Report = lambda _what, _done, _total: None,
    checkpoints: Path | None = None,
) -> BiEncoder:
    """Tune the model ``model`` (flat names) on ``lessons``; needs torch.

    The same inputs give the same weights on the same machine, unless the budget cuts the training
    short. ``checkpoints`` is a folder of this training alone: begun again there after a kill, it
    goes on. Raises ``InputError`` for lessons or a model that cannot be used, ``PredatorError``
    where the loss is no number, ``MemoryError`` where even the smallest batch does not fit.
    """
    from predator.learning.bi_encoder_training import run_training

    return run_training(model, lessons, plan, report, checkpoints)


def open_encoder(
    model: BiEncoder, cache: Path, *, max_tokens: int, threads: int = 1
) -> OnnxEncoder:
    """The model as it serves, exported into ``cache`` where it is not there yet."""
    return OnnxEncoder(model.export(cache, max_tokens=max_tokens), threads=threads)


def score(encoder: Encoder, query: str, documents: Sequence[str]) -> NDArray[np.float64]:
    """The cosine of ``query`` with each of ``documents``, as the dense side has it."""
    if not documents:
        return np.zeros(0)
    return (encoder.encode(documents) @ encoder.encode_query(query)).astype(np.float64)


def explain(encoder: Encoder, query: str, document: str) -> list[Contribution]:
    """What each word of ``query`` adds to its cosine with ``document``."""
    return occlusion.explain(encoder.encode, query, document)[1]


def best_mix(scores: Sequence[NDArray[np.float64]], alpha: float = 0.05) -> float:
    """The share among :data:`MIXES` with the highest mean over held-out questions [questions].

    Of equals the one nearest to 0; and 0 where the gain over the original is not shown, one-sided
    at ``alpha``: another encoder costs encoding every document anew.
    """
    best = int(np.argmax([round(float(one.mean()), 9) for one in scores]))
    try:
        shown = paired_gain(scores[best], scores[0], alpha=alpha).lower_bound > 0
    except ValueError:  # too few questions, or too little in them, to show anything
        shown = False
    return MIXES[best] if shown else MIXES[0]
