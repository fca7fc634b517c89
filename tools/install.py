"""Installs pinned packages into the environment whose python runs this, and shows how far it is.

``python tools/install.py run|dev|train`` from the root of the checkout. pip's own words go to
``install.log`` in the environment; a failure shows the last of them.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import time
from collections.abc import Sequence
from pathlib import Path

PINS = ("-c", "constraints.txt")
TRAIN_PINS = (*PINS, "-c", "requirements/train.txt")
PROJECT = ("--no-build-isolation", "-e")
ENCODER = ("--no-deps", "--require-hashes", "-r", "requirements/encoder.txt")
BUILD = (*PINS, "setuptools")
"""What builds the project is pinned too, so it comes first."""

STEPS: dict[str, tuple[tuple[str, ...], ...]] = {
    "run": (BUILD, (*PINS, *PROJECT, ".[search,track]"), ENCODER),
    "dev": ((*PINS, *PROJECT, ".[search,track,dev,deploy]"),),
    "train": (
        (*TRAIN_PINS, "torch==2.13.0"),
        BUILD,
        (*TRAIN_PINS, *PROJECT, ".[search,track,dev,train]"),
        ENCODER,
    ),
}
TITLES = {
    "run": "Installing about 155 pinned packages (0.9 GB unpacked, a few minutes)",
    "dev": "Installing what the tests need",
    "train": "Installing torch and sentence-transformers (gigabytes where it comes with CUDA)",
}
TAIL_LINES = 15
_FETCHED = re.compile(r"Collecting ([\w.-]+)")
_UNPACKING = "Installing collected packages: "


class Line:
    """One line that is rewritten on a terminal, and repeated every 10 seconds elsewhere."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._said = self._started

    def show(self, text: str) -> None:
        """Say how far it is."""
        now = time.monotonic()
        text = f"  {text}, {now - self._started:.0f} s"
        if sys.stdout.isatty():
            print(f"\r\033[K{text[:78]}", end="", flush=True)
        elif now - self._said >= 10:
            self._said = now
            print(text, flush=True)

    def close(self) -> None:
        """Say how long it took."""
        ending = "\r\033[K" if sys.stdout.isatty() else ""
        print(f"{ending}  done in {time.monotonic() - self._started:.0f} s", flush=True)


def log_file() -> Path:
    """Where pip's words go."""
    return Path(sys.prefix) / "install.log"


def unpacked() -> int:
    """Packages that are in the environment by now."""
    return sum(1 for _ in Path(sysconfig.get_path("purelib")).glob("*.dist-info"))


def pip(arguments: Sequence[str], log: Path, line: Line) -> int:
    """Run ``pip install`` with ``arguments``; its exit status."""
    command = [sys.executable, "-m", "pip", "install", "--progress-bar", "off", *arguments]
    environment = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_USER": "0"}
    with log.open("a", encoding="utf-8") as output:
        output.write(f"$ pip install {' '.join(arguments)}\n")
        output.flush()
        start = output.tell()
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env=environment
        )
        try:
            while process.poll() is None:
                line.show(progress(log, start))
                time.sleep(0.5)
        finally:
            process.terminate()
            process.wait()
    return process.returncode


def progress(log: Path, start: int) -> str:
    """What pip is doing, read from its log."""
    with log.open(encoding="utf-8", errors="replace") as file:
        file.seek(start)
        text = file.read()
    _, unpacking, names = text.partition(_UNPACKING)
    if unpacking:
        return f"unpacking {names.count(',') + 1} packages: {unpacked()} are here"
    fetched = _FETCHED.findall(text)
    return f"fetched {len(fetched)} packages: {fetched[-1]}" if fetched else "looking for packages"


def main(kind: str) -> int:
    """Install what ``kind`` needs; the exit status."""
    print(TITLES[kind], flush=True)
    log = log_file()
    line = Line()
    for arguments in STEPS[kind]:
        status = pip(arguments, log, line)
        if status:
            words = log.read_text(encoding="utf-8", errors="replace").splitlines()
            print("\n".join(["", *words[-TAIL_LINES:]]))
            print(f"error: the installation failed; everything pip said is in {log}")
            return status
    line.close()
    return 0


if __name__ == "__main__":
    if sys.argv[1:2] == [] or sys.argv[1] not in STEPS:
        sys.exit(f"usage: python tools/install.py {'|'.join(STEPS)}")
    try:
        sys.exit(main(sys.argv[1]))
    except KeyboardInterrupt:
        sys.exit("\ninterrupted; the same command goes on from here")
