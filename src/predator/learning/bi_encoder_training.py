"""The training of a bi-encoder: steps, held-out questions, checkpoints, and the mix at the end."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from predator.domain.canonical import digest_of, sha256_hex
from predator.domain.errors import InputError, PredatorError
from predator.learning.bert import Tokens
from predator.learning.bi_encoder import MIXES, BiEncoder, Plan, Report, best_mix, source_of
from predator.learning.bi_encoder_objective import Objective, check
from predator.learning.bi_encoder_weights import TunedWeights
from predator.learning.checkpoint import Checkpoint
from predator.learning.lessons import Lessons
from predator.learning.torch_runtime import device_of, is_starved, load_torch
from predator.search.encoder.source import WEIGHTS, parse_weights

LEAST_BATCH = 4
"""With fewer questions a batch there are too few wrong answers in it to learn from."""
BATCH_ON_A_CARD, LEAST_STEPS = 512, 30
"""A card is given larger batches, as long as an epoch still has so many steps."""
TIMED_STEPS = 5
"""Steps from whose time the length of the training is planned."""
MOST_LOOKING = 0.4
SAVE_EVERY_S = 60.0
WARM_UP = 0.1


def run_training(
    model: Mapping[str, bytes],
    lessons: Lessons,
    plan: Plan,
    report: Report,
    checkpoints: Path | None,
) -> BiEncoder:
    """See :func:`predator.learning.bi_encoder.train`."""
    check(lessons, plan)
    torch = load_torch(plan.threads, plan.seed)
    try:
        return _Training(torch, model, lessons, plan, report, checkpoints).run()
    except Exception as error:
        if is_starved(error) and not isinstance(error, MemoryError):
            raise MemoryError(str(error).partition("\n")[0]) from error
        raise


@dataclass
class _State:
    """What a checkpoint keeps beside tensors."""

    step: int = 0
    steps: int = 0
    evaluations: int = 1
    batch: int = 0
    stale: int = 0
    best: float = -1.0
    elapsed_s: float = 0.0
    pairs: int = 0
    train_s: float = 0.0
    ended: str = ""
    history: list[dict[str, float]] = field(default_factory=list)


class _Training:
    def __init__(
        self,
        torch: Any,
        model: Mapping[str, bytes],
        lessons: Lessons,
        plan: Plan,
        report: Report,
        checkpoints: Path | None,
    ) -> None:
        self._torch, self._plan, self._lessons, self._report = torch, plan, lessons, report
        self._model = model
        self._began = time.monotonic()
        source = source_of(model)
        if plan.max_tokens > source.shape.positions:
            raise InputError(
                f"max_tokens is {plan.max_tokens}", cure=f"Choose 3 to {source.shape.positions}"
            )
        self._device = device_of(torch, plan.device)
        self._weights = TunedWeights(torch, parse_weights(source), self._device)
        tokens = Tokens(source.tokenizer, plan.max_tokens, source.shape.vocabulary)
        self._objective = Objective(torch, source.shape, tokens, lessons, plan)
        self._evaluation_s = 0.0
        self._state = _State(batch=self._first_batch())
        self._checkpoint = (
            None if checkpoints is None else Checkpoint(checkpoints, self._identity())
        )
        self._saved_at = time.monotonic()

    def run(self) -> BiEncoder:
        begun = time.monotonic()
        before = self._objective.held_out(self._weights.original)
        self._evaluation_s = time.monotonic() - begun
        self._objective.begin(self._weights.original)
        saved = self._checkpoint.load() if self._checkpoint else None
        if saved is not None:
            self._state = _State(**saved.state)
            self._weights.restore(saved.groups, self._state.step)
        state = self._state
        if saved is None:
            state.history.append({"step": 0, "ndcg_at_10": float(before.mean())})
            state.steps = self._epoch_steps() * self._plan.epochs
            state.evaluations = self._plan.evaluations
        while state.step < state.steps and not state.ended:
            self._advance()
        if not state.ended:
            state.ended = "all steps"
        self._save()
        return self._finish(before)

    def _advance(self) -> None:
        state, plan = self._state, self._plan
        begun = time.monotonic()
        try:
            loss, pairs = self._step(state.step)
        except Exception as error:
            if not is_starved(error):
                raise
            self._halve()
            return
        if not math.isfinite(loss):
            raise PredatorError(
                f"the loss of step {state.step + 1} is {loss}, the training cannot go on",
                cure="Lower the learning rate, or look at the training data",
            )
        state.step += 1
        state.pairs += pairs
        state.train_s += time.monotonic() - begun
        if state.step == TIMED_STEPS:
            self._plan_length()
        self._report(f"tuning the encoder, loss {loss:.3f}", state.step, state.steps)
        every = math.ceil(state.steps / state.evaluations)
        if state.step % every == 0 or state.step == state.steps:
            self._evaluate(loss)
        elif time.monotonic() - self._saved_at > SAVE_EVERY_S:
            self._save()
        if not state.ended and self._elapsed() > plan.budget_s and state.step < state.steps:
            if state.history[-1]["step"] != state.step:
                self._evaluate(loss)
            state.ended = "out of time"

    def _step(self, number: int) -> tuple[float, int]:
        torch, plan = self._torch, self._plan
        self._weights.begin_step()
        chosen, rng = self._batch(number)
        with torch.autocast(
            self._device.type, dtype=torch.bfloat16, enabled=self._device.type == "cuda"
        ):
            loss, pairs = self._objective.loss(self._weights.current, chosen, rng)
        loss.backward()
        value = float(loss.detach())
        if math.isfinite(value):
            self._weights.step(plan.learning_rate * _schedule(number, self._state.steps))
        return value, pairs

    def _batch(self, number: int) -> tuple[list[int], np.random.Generator]:
        """The lessons of a step, which depend on its number and the seed alone."""
        each = self._epoch_steps()
        epoch, place = divmod(number, each)
        order = np.random.default_rng([self._plan.seed, epoch]).permutation(self._objective.usable)
        chosen = order[place * self._state.batch : (place + 1) * self._state.batch].tolist()
        return chosen, np.random.default_rng([self._plan.seed, epoch, place])

    def _evaluate(self, loss: float) -> None:
        state = self._state
        value = float(self._objective.held_out(self._weights.current).mean())
        state.history.append({"step": state.step, "ndcg_at_10": value, "loss": loss})
        if value > state.best + 1e-9:
            state.best, state.stale = value, 0
            self._weights.keep_best()
        else:
            state.stale += 1
            if state.stale >= self._plan.patience:
                state.ended = "no gain on held-out questions"
        self._save()

    def _finish(self, before: NDArray[np.float64]) -> BiEncoder:
        state, by_mix = self._state, [before]
        for number, mix in enumerate(MIXES[1:], start=1):
            self._report(f"mixing {mix:.0%} of the tuned weights", number, len(MIXES))
            by_mix.append(self._objective.held_out(self._weights.mixed(mix)))
        mix = best_mix(by_mix)
        after = by_mix[MIXES.index(mix)]
        report = {
            "mix": mix,
            "loss": self._plan.loss,
            "teacher": self._lessons.teacher,
            "lessons": len(self._objective.usable),
            "held_out_questions": len(self._lessons.dev),
            "pool": len(self._lessons.pool),
            "dev_ndcg_at_10": {str(m): float(s.mean()) for m, s in zip(MIXES, by_mix, strict=True)},
            "dev_before": [round(value, 6) for value in before.tolist()],
            "dev_after": [round(value, 6) for value in after.tolist()],
            "history": state.history,
            "steps": state.step,
            "planned_steps": state.steps,
            "batch": state.batch,
            "ended": state.ended,
            "pairs_per_s": round(state.pairs / max(state.train_s, 1e-9), 2),
            "train_s": round(state.train_s, 1),
            "elapsed_s": round(self._elapsed(), 1),
            "device": self._device.type,
            "threads": self._plan.threads,
            "load_average": round(os.getloadavg()[0], 2),
        }
        self._report("mixing", len(MIXES), len(MIXES))
        if self._checkpoint:
            self._checkpoint.drop()
        if not mix:
            return BiEncoder(dict(self._model), report)
        packed = self._weights.packed(self._model[WEIGHTS], mix)
        return BiEncoder({**self._model, WEIGHTS: packed}, report)

    def _epoch_steps(self) -> int:
        return max(1, math.ceil(len(self._objective.usable) / self._state.batch))

    def _plan_length(self) -> None:
        """As many steps as fit, so that the learning rate comes down in time.

        Looks at held-out questions get at most ``MOST_LOOKING`` of the budget.
        """
        state, plan, each = self._state, self._plan, max(self._evaluation_s, 1e-9)
        looks = int(MOST_LOOKING * plan.budget_s / each) - len(MIXES)
        state.evaluations = max(1, min(plan.evaluations, looks))
        left = plan.budget_s - self._elapsed() - (state.evaluations + len(MIXES) - 1) * each
        fit = TIMED_STEPS + int(left / max(state.train_s / TIMED_STEPS, 1e-9))
        state.steps = max(TIMED_STEPS, min(state.steps, fit))

    def _first_batch(self) -> int:
        """The plan's; on a card as much more as still leaves an epoch ``LEAST_STEPS``."""
        count, batch = len(self._objective.usable), self._plan.batch
        while self._device.type == "cuda" and batch < BATCH_ON_A_CARD:
            if count < 2 * batch * LEAST_STEPS:
                break
            batch *= 2
        return min(batch, count)

    def _halve(self) -> None:
        """Begin again with half the batch."""
        state = self._state
        if state.batch // 2 < LEAST_BATCH:
            raise MemoryError(f"a batch of {state.batch} questions does not fit")
        self._weights.begin_step()
        if self._device.type == "cuda":
            self._torch.cuda.empty_cache()
        left = (state.steps - state.step) * 2
        state.batch //= 2
        state.steps = state.step + left

    def _elapsed(self) -> float:
        return self._state.elapsed_s + time.monotonic() - self._began

    def _identity(self) -> str:
        """Names all that decides the training."""
        lessons = json.dumps(asdict(self._lessons), default=sorted).encode()
        return digest_of(
            {
                "model": {name: sha256_hex(data) for name, data in self._model.items()},
                "lessons": sha256_hex(lessons),
                "plan": asdict(self._plan),
            }
        )

    def _save(self) -> None:
        self._saved_at = time.monotonic()
        if self._checkpoint is None:
            return
        state = {**asdict(self._state), "elapsed_s": self._elapsed()}
        # A disk that is full must not end the training for want of a way back.
        with suppress(OSError):
            self._checkpoint.save(state, self._weights.groups())


def _schedule(step: int, steps: int) -> float:
    """The share of the peak learning rate: linear warm-up, then linear decay to zero."""
    warm = max(1, round(WARM_UP * steps))
    return min((step + 1) / warm, (steps - step) / max(1, steps - warm + 1))
