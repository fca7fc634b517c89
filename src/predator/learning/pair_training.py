"""The training of a cross-encoder: steps, held-out pairs, checkpoints."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from predator.domain.canonical import sha256_hex
from predator.domain.errors import InputError, PredatorError
from predator.learning.adam_state import moments_of, restore_moments
from predator.learning.checkpoint import Checkpoint, Saved
from predator.learning.cross_encoder import Plan, Tuned
from predator.learning.pair_batches import chosen, read_pairs
from predator.learning.pair_network import TokenPair, beginning, logits
from predator.learning.pairs import Pair, Pairs
from predator.learning.precision import bf16
from predator.learning.torch_runtime import device_of, is_starved, load_torch
from predator.learning.trainable import Report
from predator.search.cross_encoder import PairTokens
from predator.search.encoder.source import Source, parse_weights

SAVE_EVERY_S = 60.0
FROZEN = ("embeddings.word_embeddings.", "embeddings.position_embeddings.")
WARM_UP = 0.1
WEIGHT_DECAY = 0.01
MOST_NORM = 1.0
TOKENS_AT_ONCE = 4096
"""Of MiniLM they take 2.7 GB in all, where a job may have 4; beyond that limit the processor's
allocator does not complain in time to halve, the job just ends."""
CENTRED_ON = 64
"""Pairs whose logits at the start say where their mean lies."""


@dataclass
class State:
    """What a checkpoint keeps beside tensors. ``part`` pairs are run at once."""

    step: int = 0
    part: int = 0
    best: float = math.inf
    best_step: int = 0
    elapsed_s: float = 0.0
    train_s: float = 0.0
    pairs: int = 0
    history: list[dict[str, float]] = field(default_factory=list)


class Training:
    """One training, from the start or from where its checkpoint lies."""

    def __init__(
        self,
        source: Source,
        pairs: Pairs,
        plan: Plan,
        report: Report,
        checkpoints: Path | None,
    ) -> None:
        self._began = time.monotonic()
        self._torch = torch = load_torch(plan.threads, plan.seed)
        self._source, self._pairs, self._plan, self._report = source, pairs, plan, report
        self._device = device_of(torch, plan.device)
        self._bf16 = bf16(torch, self._device.type, plan.precision)
        tokens = PairTokens(source.tokenizer, plan.max_tokens, plan.max_query_tokens)
        if plan.max_tokens > source.shape.positions or (
            tokens.largest_token_id >= source.shape.vocabulary
        ):
            raise InputError(
                f"the model reads {source.shape.positions} tokens of {source.shape.vocabulary} "
                f"kinds, less than it would be given",
                cure="Lower max_tokens, or give the tokenizer that belongs to the model",
            )
        self._train = read_pairs(tokens, pairs.train)
        self._dev = read_pairs(tokens, pairs.dev)
        self._lengths = np.asarray([len(pair.ids) for pair in self._train])
        start = beginning(source.shape, parse_weights(source))
        self._weights = {
            n: torch.from_numpy(np.array(v)).to(self._device) for n, v in start.items()
        }
        self._tuned = {n: t for n, t in self._weights.items() if not n.startswith(FROZEN)}
        for tensor in self._tuned.values():
            tensor.requires_grad_(True)
        self._best = self._copied()
        self._optimizer = torch.optim.AdamW(
            list(self._tuned.values()), lr=plan.learning_rate, weight_decay=WEIGHT_DECAY
        )
        self._batch = min(plan.batch, len(self._train))
        self._epoch = math.ceil(len(self._train) / self._batch)
        self._steps = self._epoch * plan.epochs
        room = self._batch if self._device.type == "cuda" else TOKENS_AT_ONCE // plan.max_tokens
        self._state = State(part=max(1, min(self._batch, room)))
        self._evaluation_s = 0.0
        self._saved_at = time.monotonic()
        self._checkpoint = (
            None if checkpoints is None else Checkpoint(checkpoints, self._identity())
        )

    def run(self) -> Tuned:
        """Train to the end, or to the end of the budget."""
        state, plan = self._state, self._plan
        saved = self._checkpoint.load() if self._checkpoint else None
        if saved is None:
            self._centre()
        else:
            self._restore(saved)
            state = self._state
        every = max(1, self._steps // plan.evaluations)
        while state.step < self._steps:
            loss = self._advance()
            out_of_time = self._elapsed() + self._evaluation_s > plan.budget_s
            if state.step % every == 0 or state.step == self._steps or out_of_time:
                self._evaluate(loss)
            elif time.monotonic() - self._saved_at > SAVE_EVERY_S:
                self._save()
            if out_of_time:
                break
        return self._finish()

    def _centre(self) -> None:
        """Let the mean logit be that of the mean target, so that no step is spent on it."""
        some = range(0, len(self._train), math.ceil(len(self._train) / CENTRED_ON))
        try:
            with self._torch.inference_mode():
                mean = float(np.mean([float(self._logits(self._train, [i], 0.0)) for i in some]))
        except RuntimeError as error:
            if not is_starved(error):
                raise
            raise MemoryError(self._too_small()) from error
        target = float(np.mean([self._pairs.train[i].target for i in some]))
        target = min(max(target, 0.01), 0.99)
        with self._torch.no_grad():
            self._weights["head.bias"] += math.log(target / (1 - target)) - mean

    def _advance(self) -> float:
        """One step on one batch, in as many parts as memory asks for."""
        state, began = self._state, time.monotonic()
        batch = chosen(self._lengths, self._batch, self._plan.seed, state.step)
        while True:
            try:
                loss = self._gradients(batch)
                break
            except Exception as error:
                if not is_starved(error):
                    raise
                self._halve()
        if not math.isfinite(loss):
            raise PredatorError(
                f"the loss of step {state.step + 1} is {loss}, the training cannot go on",
                cure="Lower the learning rate, or look at the training data",
            )
        torch = self._torch
        torch.nn.utils.clip_grad_norm_(list(self._tuned.values()), MOST_NORM)
        for group in self._optimizer.param_groups:
            group["lr"] = self._plan.learning_rate * self._schedule()
        self._optimizer.step()
        state.step += 1
        state.pairs += len(batch)
        state.train_s += time.monotonic() - began
        self._report(f"training the cross-encoder, loss {loss:.3f}", state.step, self._steps)
        return loss

    def _gradients(self, batch: Sequence[int]) -> float:
        torch, state = self._torch, self._state
        # Each step draws its own dropout, so that a training that was killed goes on as it was.
        torch.manual_seed(self._plan.seed * 1_000_003 + state.step)
        self._optimizer.zero_grad(set_to_none=True)
        total, weight = 0.0, sum(self._pairs.train[i].weight for i in batch)
        for start in range(0, len(batch), state.part):
            part = batch[start : start + state.part]
            loss = self._loss(self._train, self._pairs.train, part, self._plan.dropout) / weight
            loss.backward()
            total += float(loss.detach())
        return total

    def _loss(
        self,
        tokens: Sequence[TokenPair],
        pairs: Sequence[Pair],
        part: Sequence[int],
        dropout: float,
    ) -> Any:
        """The summed weighted cross-entropy of some pairs."""
        torch = self._torch
        found = self._logits(tokens, part, dropout)

        def column(values: list[float]) -> Any:
            return torch.tensor(values, dtype=torch.float32, device=self._device)

        return torch.nn.functional.binary_cross_entropy_with_logits(
            found,
            column([pairs[i].target for i in part]),
            weight=column([pairs[i].weight for i in part]),
            reduction="sum",
        )

    def _logits(self, tokens: Sequence[TokenPair], part: Sequence[int], dropout: float) -> Any:
        torch = self._torch
        with torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=self._bf16):
            some = [tokens[i] for i in part]
            return logits(torch, self._source.shape, self._weights, some, dropout)

    def _schedule(self) -> float:
        """The share of the peak learning rate: linear warm-up, then linear decay to zero."""
        share = self._state.step / self._steps
        warm = (self._state.step + 1) / max(1.0, WARM_UP * self._steps)
        gone = max(share, min(1.0, self._elapsed() / self._plan.budget_s))
        return min(1.0, warm, (1 - gone) / (1 - WARM_UP))

    def _evaluate(self, loss: float) -> None:
        state, began = self._state, time.monotonic()
        value = loss
        if self._dev:
            total = 0.0
            order = sorted(range(len(self._dev)), key=lambda i: len(self._dev[i].ids))
            with self._torch.inference_mode():
                for start in range(0, len(order), state.part):
                    part = order[start : start + state.part]
                    total += float(self._loss(self._dev, self._pairs.dev, part, 0.0))
            value = total / sum(pair.weight for pair in self._pairs.dev)
        if not math.isfinite(value):
            raise PredatorError(
                f"after step {state.step} the loss on held-out pairs is {value}",
                cure="Lower the learning rate, or look at the training data",
            )
        state.history.append({"step": state.step, "train_loss": loss, "dev_loss": value})
        # Without held-out pairs nothing tells one checkpoint from another, and the last is taken.
        if value < state.best or not self._dev:
            state.best, state.best_step = value, state.step
            self._best = self._copied()
        self._evaluation_s = max(self._evaluation_s, time.monotonic() - began)
        self._save()

    def _finish(self) -> Tuned:
        state, plan = self._state, self._plan
        if self._checkpoint:
            self._checkpoint.drop()
        report = {
            "teacher": self._pairs.teacher,
            "pairs": len(self._train),
            "dev_pairs": len(self._dev),
            "positives": sum(pair.target >= 0.5 for pair in self._pairs.train),
            "steps": state.step,
            "planned_steps": self._steps,
            "best_step": state.best_step,
            "best_dev_loss": state.best,
            "history": state.history,
            "batch": self._batch,
            "run_at_once": state.part,
            "pairs_per_s": round(state.pairs / max(state.train_s, 1e-9), 2),
            "train_s": round(state.train_s, 1),
            "elapsed_s": round(self._elapsed(), 1),
            "out_of_time": state.step < self._steps,
            "device": self._device.type,
            "precision": "bfloat16" if self._bf16 else "float32",
            "threads": plan.threads,
            "load_average": round(os.getloadavg()[0], 2),
        }
        tensors = {**self._weights, **self._best}
        weights = {name: tensor.detach().cpu().numpy() for name, tensor in tensors.items()}
        return Tuned(self._source.shape, weights, self._source.tokenizer, plan, report)

    def _halve(self) -> None:
        """Run half as many pairs at once; what a step learns stays the same."""
        if self._state.part == 1:
            raise MemoryError(self._too_small())
        self._state.part //= 2
        if self._device.type == "cuda":
            self._torch.cuda.empty_cache()

    def _too_small(self) -> str:
        return f"not even one pair of {self._plan.max_tokens} tokens fits into the memory"

    def _elapsed(self) -> float:
        return self._state.elapsed_s + time.monotonic() - self._began

    def _identity(self) -> str:
        """Names all that decides the training."""
        pairs = [
            [[p.query, p.document, p.target, p.weight] for p in part]
            for part in (self._pairs.train, self._pairs.dev)
        ]
        asked = {"source": self._source.hashes, "pairs": pairs, "plan": asdict(self._plan)}
        return sha256_hex(json.dumps(asked).encode())  # as ASCII: texts may be no valid Unicode

    def _copied(self) -> dict[str, Any]:
        return {name: tensor.detach().clone() for name, tensor in self._tuned.items()}

    def _save(self) -> None:
        if self._checkpoint is None:
            return
        best = self._state.best
        state = {
            **asdict(self._state),
            "elapsed_s": self._elapsed(),
            "best": best if math.isfinite(best) else None,
        }
        groups = {
            "weights": {n: t.detach().cpu().numpy() for n, t in self._tuned.items()},
            "best": {n: t.cpu().numpy() for n, t in self._best.items()},
            "moments": moments_of(self._optimizer, self._tuned),
        }
        self._checkpoint.save(state, groups)
        self._saved_at = time.monotonic()

    def _restore(self, saved: Saved) -> None:
        torch = self._torch
        state = State(**saved.state)
        state.best = math.inf if state.best is None else state.best
        self._state = state

        def tensor(group: str, name: str) -> Any:
            return torch.from_numpy(np.array(saved.groups[group][name])).to(self._device)

        with torch.no_grad():
            for name, weight in self._tuned.items():
                weight.copy_(tensor("weights", name))
                self._best[name] = tensor("best", name)
        restore_moments(torch, self._optimizer, self._tuned, saved.groups["moments"], state.step)
