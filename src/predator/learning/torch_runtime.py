"""torch, where it is installed: one place that asks for it, and says what to do where it is not."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any, Literal, get_args

from predator.domain.errors import InputError

Device = Literal["auto", "cpu", "cuda"]

_STARVED = ("out of memory", "can't allocate memory", "not enough memory", "bad_alloc")


def load_torch(threads: int, seed: int) -> Any:
    """The module ``torch``, seeded, on ``threads`` threads, with deterministic kernels.

    ``InputError`` with the cure where the train extra is not installed.
    """
    # Threads that spin while they wait for each other halve the speed of a busy machine. Read once,
    # when the library of threads is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        torch: Any = import_module("torch")
    except ImportError:
        raise InputError(
            "a neural model cannot be trained here: torch is not installed",
            cure="Run: pip install 'predator-search[train]'",
        ) from None
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    # Some kernels of CUDA have no deterministic form; a warning there would end nothing well.
    torch.use_deterministic_algorithms(True, warn_only=True)
    return torch


def device_of(torch: Any, wanted: Device) -> Any:
    """Where to compute: ``auto`` takes CUDA where there is some; a GPU is never needed."""
    if wanted not in get_args(Device):
        raise InputError(f"there is no device {wanted!r:.40}", cure="Choose auto, cpu or cuda")
    there = bool(torch.cuda.is_available())
    if wanted == "cuda" and not there:
        raise InputError("there is no CUDA device here", cure="Choose auto or cpu")
    return torch.device("cuda" if there and wanted != "cpu" else "cpu")


def is_starved(error: BaseException) -> bool:
    """Whether an error means that memory ran out, on the card or beside it."""
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(cry in str(error).lower() for cry in _STARVED)
    )
