"""What a job's process does to itself before it becomes the job."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
from contextlib import suppress
from pathlib import Path

from predator.adapters.trainer.job_limits import JobLimits

ADDRESS_SPACE_OVER_MB = 4096
"""Libraries map far more than they use (numpy, LightGBM and ONNX Runtime: 0.9 GB mapped, 0.17
resident), so the resident memory is what is limited; the mapped is, this far above it, so that one
request for far too much is refused instead of racing with the next look."""
_PR_SET_PDEATHSIG = 1


class Confined:
    """To be called between fork and exec, in a process of one thread whose parent is ``guard``."""

    def __init__(self, limits: JobLimits, guard: int) -> None:
        mb = 2**20
        self._nice, self._guard = limits.nice, guard
        # Above what the guard looks for, so that it is the guard who says why.
        cpu_s = int(limits.cpu_s) + 2
        self._resources = {
            resource.RLIMIT_CPU: cpu_s,
            resource.RLIMIT_AS: int((limits.memory_mb + ADDRESS_SPACE_OVER_MB) * mb),
            resource.RLIMIT_FSIZE: int(limits.output_mb * mb),
            resource.RLIMIT_CORE: 0,
        }
        self._prctl = ctypes.CDLL(None).prctl

    def __call__(self) -> None:
        self._prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != self._guard:
            os._exit(1)
        os.nice(self._nice)
        for name, most in self._resources.items():
            hard = resource.getrlimit(name)[1]
            soft = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.setrlimit(name, (soft, hard))
        # When the machine runs out of memory, training goes before serving.
        with suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("800")
