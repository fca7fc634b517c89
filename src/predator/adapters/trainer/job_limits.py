"""What one training job may use."""

from __future__ import annotations

from dataclasses import dataclass

from predator.domain.errors import InputError

THREAD_SETTINGS = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS",
    "RAYON_NUM_THREADS", "LOKY_MAX_CPU_COUNT",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class JobLimits:
    """Limits of each attempt, and how many there are.

    ``cpu_s`` and ``memory_mb`` (resident) count the job and its descendants together. ``nice`` is
    added to the priority number. ``threads`` is what numeric libraries are told. No file that the
    job writes, and not all its outputs together, may be above ``output_mb``.
    """

    cpu_s: float = 3600.0
    wall_s: float = 7200.0
    memory_mb: float = 4096.0
    nice: int = 10
    threads: int = 1
    output_mb: float = 256.0
    attempts: int = 3

    def __post_init__(self) -> None:
        for name in ("cpu_s", "wall_s", "memory_mb", "threads", "output_mb", "attempts"):
            # A NaN fails both comparisons.
            if not 0 < getattr(self, name) < 1e9:
                raise InputError(
                    f"the training limit {name} is {getattr(self, name)!r}, not above 0 and finite"
                )
        if not 0 <= self.nice <= 19:
            raise InputError(f"the training limit nice is {self.nice!r}, it must be 0 to 19")
