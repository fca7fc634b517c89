"""What AdamW remembers, as named arrays: kept as safetensors, never as a pickle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOMENTS = ("exp_avg", "exp_avg_sq")


def moments_of(optimizer: Any, tensors: Mapping[str, Any]) -> dict[str, NDArray[np.float32]]:
    """Both moments of every one of ``tensors`` that has been stepped, as ``moment name``."""
    found = {}
    for name, tensor in tensors.items():
        held = optimizer.state.get(tensor, {})
        for moment in MOMENTS:
            if moment in held:
                found[f"{moment} {name}"] = held[moment].cpu().numpy()
    return found


def restore_moments(
    torch: Any,
    optimizer: Any,
    tensors: Mapping[str, Any],
    moments: Mapping[str, NDArray[np.float32]],
    step: int,
) -> None:
    """The inverse of :func:`moments_of` after ``step`` steps."""
    for name, tensor in tensors.items():
        if f"{MOMENTS[0]} {name}" in moments:
            optimizer.state[tensor] = {
                "step": torch.tensor(float(step)),
                **{
                    moment: torch.from_numpy(np.array(moments[f"{moment} {name}"])).to(tensor)
                    for moment in MOMENTS
                },
            }
