"""The weights of a bi-encoder in training: original, tuned, best, and the optimizer's moments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from predator.learning.checkpoint import Tensors

FROZEN = "embeddings."
"""Tables of words and positions keep their place: a word that no lesson holds would be left
behind otherwise, and they are half of MiniLM's weights (Kumar et al. 2022, freeze-embed)."""
WEIGHT_DECAY = 0.01
MOST_NORM = 1.0
_MOMENTS = ("exp_avg", "exp_avg_sq")


class TunedWeights:
    """Tensors by name on one device; the frozen ones are only in ``original``."""

    def __init__(self, torch: Any, original: Mapping[str, NDArray[np.float32]], device: Any):
        self._torch, self._device = torch, device
        self.original = {name: self._tensor(value) for name, value in original.items()}
        self._tuned = {n: t.clone() for n, t in self.original.items() if not n.startswith(FROZEN)}
        for tensor in self._tuned.values():
            tensor.requires_grad_(True)
        self._best = self._detached()
        self._optimizer = torch.optim.AdamW(
            list(self._tuned.values()), lr=0.0, weight_decay=WEIGHT_DECAY
        )

    @property
    def current(self) -> dict[str, Any]:
        """All weights as they are now; a loss made from them reaches the tuned ones."""
        return {**self.original, **self._tuned}

    def begin_step(self) -> None:
        """Forget the gradients of the step before."""
        self._optimizer.zero_grad(set_to_none=True)

    def step(self, learning_rate: float) -> None:
        """Follow the gradients, clipped to a norm of ``MOST_NORM``."""
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate
        self._torch.nn.utils.clip_grad_norm_(list(self._tuned.values()), MOST_NORM)
        self._optimizer.step()

    def keep_best(self) -> None:
        """Let the weights of now be those that are mixed in the end."""
        self._best = self._detached()

    def mixed(self, mix: float) -> dict[str, Any]:
        """All weights, ``mix`` of the way from the original to the best."""
        tuned = {name: self.original[name].lerp(best, mix) for name, best in self._best.items()}
        return {**self.original, **tuned}

    def packed(self, file: bytes, mix: float) -> bytes:
        """The safetensors ``file`` with :meth:`mixed` weights in their places, as float32."""
        from safetensors.numpy import load, save

        mixed = {name: value.cpu().numpy() for name, value in self.mixed(mix).items()}
        return save({**load(file), **mixed}, metadata={"format": "pt"})

    def groups(self) -> dict[str, Tensors]:
        """What a checkpoint has to keep."""
        moments = {
            f"{moment} {name}": self._optimizer.state[tensor][moment].cpu().numpy()
            for name, tensor in self._tuned.items()
            for moment in _MOMENTS
            if moment in self._optimizer.state.get(tensor, {})
        }
        return {
            "weights": {name: tensor.cpu().numpy() for name, tensor in self._detached().items()},
            "best": {name: tensor.cpu().numpy() for name, tensor in self._best.items()},
            "moments": moments,
        }

    def restore(self, groups: Mapping[str, Tensors], step: int) -> None:
        """The inverse of :meth:`groups`, after ``step`` steps."""
        moments = groups["moments"]
        self._best = {name: self._tensor(value) for name, value in groups["best"].items()}
        with self._torch.no_grad():
            for name, tensor in self._tuned.items():
                tensor.copy_(self._tensor(groups["weights"][name]))
                if f"{_MOMENTS[0]} {name}" in moments:
                    held = {m: self._tensor(moments[f"{m} {name}"]) for m in _MOMENTS}
                    count = self._torch.tensor(float(step))
                    self._optimizer.state[tensor] = {"step": count, **held}

    def _tensor(self, value: NDArray[np.float32]) -> Any:
        return self._torch.from_numpy(np.array(value)).to(self._device)

    def _detached(self) -> dict[str, Any]:
        return {name: tensor.detach().clone() for name, tensor in self._tuned.items()}
