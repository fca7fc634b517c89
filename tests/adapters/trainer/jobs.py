"""Training jobs that do nothing useful: functions, and a program around them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from predator.loop.training.job_child import Report, Work, run

Inputs = Mapping[str, bytes]
Spec = Mapping[str, Any]


def reverse(inputs: Inputs, spec: Spec, report: Report) -> dict[str, bytes]:
    for done in range(len(inputs)):
        report("files", done + 1, len(inputs))
    return {name: data[::-1] + spec["suffix"].encode() for name, data in inputs.items()}


def broken(inputs: Inputs, spec: Spec, report: Report) -> dict[str, bytes]:
    raise ValueError(spec["says"])


def patient(inputs: Inputs, spec: Spec, report: Report) -> dict[str, bytes]:
    for done in range(spec["steps"]):
        report("steps", done + 1, spec["steps"])
        time.sleep(spec.get("pause_s", 0))
    return {"done": b"1"}


IN_MEMORY: dict[str, Work] = {"reverse": reverse, "broken": broken, "patient": patient}


def memory_hog(inputs: Inputs, spec: Spec, report: Report) -> dict[str, bytes]:
    kept = []
    while True:
        kept.append(b"x" * (8 << 20))
        time.sleep(0.005)


def one_huge_array(inputs: Inputs, spec: Spec, report: Report) -> dict[str, bytes]:
    return {"a": bytes(8 << 30)}


def cpu_hog(inputs: Inputs, spec: Spec, report: Report) -> dict[str, bytes]:
    report("rounds", 1, 2)
    while True:
        sum(range(1000))


def deaf_hog(inputs: Inputs, spec: Spec, report: Report) -> dict[str, bytes]:
    """Does not answer to SIGTERM, and its child neither."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return family(inputs, spec, report)


def family(inputs: Inputs, spec: Spec, report: Report) -> dict[str, bytes]:
    child = subprocess.Popen([sys.executable, "-S", "-c", "while True: pass"])
    report(str(child.pid), 1, 2)
    while True:
        time.sleep(1)


def numpy_loop(inputs: Inputs, spec: Spec, report: Report) -> dict[str, bytes]:
    import numpy as np

    square = np.ones((400, 400))
    report("products", 1, 2)
    while True:
        square = square @ square / 400


def lightgbm_loop(inputs: Inputs, spec: Spec, report: Report) -> dict[str, bytes]:
    import lightgbm
    import numpy as np

    rng = np.random.default_rng(0)
    data = lightgbm.Dataset(rng.random((5000, 20)), label=rng.integers(0, 2, 5000))
    report("trees", 1, 2)
    lightgbm.train({"verbosity": -1, "num_threads": 1}, data, num_boost_round=10**6)
    return {}


def chatter(inputs: Inputs, spec: Spec, report: Report) -> dict[str, bytes]:
    while True:
        os.write(1, b"x" * 65536)


def surroundings(inputs: Inputs, spec: Spec, report: Report) -> dict[str, bytes]:
    lines = [f"{name}={text}" for name, text in sorted(os.environ.items())]
    files = [
        str(file.readlink()) for fd in range(100) if (file := Path(f"/proc/self/fd/{fd}")).exists()
    ]
    return {
        "environment": "\n".join(lines).encode(),
        "files": "\n".join(files).encode(),
        "nice": str(os.nice(0)).encode(),
        "folder": str(Path.cwd()).encode(),
        "group": f"{os.getpgid(0)} {os.getsid(0)}".encode(),
    }


def exits(inputs: Inputs, spec: Spec, report: Report) -> dict[str, bytes]:
    sys.stderr.write("what a pity\n\n")
    sys.stderr.flush()
    os._exit(3)


def quiet_exit(inputs: Inputs, spec: Spec, report: Report) -> dict[str, bytes]:
    os._exit(4)


def kills_itself(inputs: Inputs, spec: Spec, report: Report) -> dict[str, bytes]:
    os.kill(os.getpid(), spec["signal"])
    return {}


def leaves(make: Callable[[Path], object]) -> Work:
    def work(inputs: Inputs, spec: Spec, report: Report) -> dict[str, bytes]:
        Path("out").mkdir()
        make(Path("out"))
        return {"good": b"1"}

    return work


def _large(out: Path) -> None:
    with (out / "large").open("wb") as file:
        file.truncate(3 << 20)
    with (out / "second").open("wb") as file:
        file.truncate(3 << 20)


ALL: dict[str, Work] = {
    **IN_MEMORY,
    **{f.__name__: f for f in (
        memory_hog, one_huge_array, cpu_hog, deaf_hog, family, numpy_loop, lightgbm_loop, chatter,
        surroundings, exits, quiet_exit, kills_itself,
    )},
    "leaves_link": leaves(lambda out: (out / "passwd").symlink_to("/etc/passwd")),
    "leaves_folder": leaves(lambda out: (out / "sub").mkdir()),
    "leaves_pipe": leaves(lambda out: os.mkfifo(out / "pipe")),
    "leaves_hidden": leaves(lambda out: (out / ".x").write_text("")),
    "leaves_large": leaves(_large),
    "leaves_many": leaves(lambda out: [(out / f"f{n}").write_text("") for n in range(64)]),
}  # fmt: skip
KINDS = {kind: ["-P", __file__, kind] for kind in ALL}

if __name__ == "__main__":
    sys.exit(run(Path(sys.argv[2]), ALL[sys.argv[1]]))
