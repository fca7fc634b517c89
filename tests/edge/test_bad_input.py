"""Bad input gets one clear line and exit code 2."""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys
from pathlib import Path

import pytest


def predator(
    *arguments: str, cwd: Path, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "predator", *arguments],
        cwd=cwd,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """Exit code 2, and a last line that starts with ``error:`` and holds the words."""
    assert done.returncode == 2, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in lines[0], lines[0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "--data", "nowhere"), ("nowhere",)),
        (("run", "--set", "rate=5"), ("unknown setting", "rate_per_s")),
        (("run", "--set", "seed"), ("NAME=VALUE",)),
        (("run", "--set", "window_s=-1"), ("window_s",)),
        (("run", "--json", "missing/out.json"), ("missing",)),
        (("bench", "relevance", "nowhere"), ("nowhere",)),
        (("search", ""), ("empty",)),
        (("search", "x", "-k", "0"), ("1 to 100",)),
        (("search", "x", "-k", "1000000"), ("1 to 100",)),
        (("search", "x" * 100_000), ("100000 characters",)),
        (("serve",), ("predator run",)),
        (("serve", "--run", "nowhere"), ("nowhere",)),
        (("cycle", "show", "../../etc"), ("cycle list",)),
        (("cycle", "show", "si_2026_01_01_001"), ("cycle list",)),
    ],
)
def test_arguments(arguments: tuple[str, ...], words: tuple[str, ...], tmp_path: Path) -> None:
    refused(predator(*arguments, cwd=tmp_path), *words)


def test_an_unknown_environment_variable_is_named_with_the_nearest(tmp_path: Path) -> None:
    done = predator("settings", cwd=tmp_path, environment={"PREDATOR_SEEDS": "1"})
    refused(done, "PREDATOR_SEEDS", "PREDATOR_SEED")


def test_a_taken_port(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused(predator("run", "--set", f"port={port}", cwd=tmp_path), str(port), "port=")
    assert not (tmp_path / ".predator").exists()


def test_a_malformed_folder_names_the_line(tmp_path: Path) -> None:
    data = tmp_path / "data"
    (data / "qrels").mkdir(parents=True)
    (data / "corpus.jsonl").write_text('{"_id": "a", "text": "one"}\n{broken\n')
    (data / "queries.jsonl").write_text('{"_id": "q", "text": "one"}\n')
    (data / "qrels" / "test.tsv").write_text("q\ta\t1\n")
    refused(predator("run", "--data", "data", "--set", "port=0", cwd=tmp_path), "corpus.jsonl:2")


def test_unknown_documents_name_the_cure(tmp_path: Path) -> None:
    data = tmp_path / "data"
    (data / "qrels").mkdir(parents=True)
    (data / "corpus.jsonl").write_text('{"_id": "a", "text": "one"}\n')
    (data / "queries.jsonl").write_text('{"_id": "q", "text": "one"}\n')
    (data / "qrels" / "test.tsv").write_text("q\tz\t1\n")
    refused(predator("bench", "relevance", "data", cwd=tmp_path), "--missing-docs ignore")


def test_help_is_quick(tmp_path: Path) -> None:
    """CPU seconds, because the wall clock of a shared machine says little."""
    best = min(_cpu_of_help(tmp_path) for _ in range(3))
    assert best <= 0.5


def _cpu_of_help(folder: Path) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert predator("--help", cwd=folder).returncode == 0
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
