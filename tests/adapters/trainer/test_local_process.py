"""Training as processes keeps the contract, and nothing that lies on disk is trusted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pytest

from predator.adapters.trainer.job_folder import JobFolder
from predator.adapters.trainer.job_limits import JobLimits
from predator.adapters.trainer.local_process import LocalProcessTrainer
from predator.adapters.trainer.naming import ordered
from predator.domain.errors import IntegrityError, PredatorError
from predator.ports.trainer import Trainer
from tests.adapters.trainer.jobs import KINDS
from tests.adapters.trainer.watching import at_rest, folder_of, guard_of, kill
from tests.contracts.trainer import INPUTS, JOB, TrainerContract, ended, reached


class TestLocalProcessTrainer(TrainerContract):
    patience: ClassVar = {"steps": 400, "pause_s": 0.02}

    def make(self, folder: Path) -> Trainer:
        return LocalProcessTrainer(folder / "jobs", KINDS)

    def lose(self, trainer: Trainer, job_id: str) -> None:
        assert isinstance(trainer, LocalProcessTrainer)
        kill(guard_of(trainer._folder, job_id).pid)


@pytest.fixture
def trainer(tmp_path: Path) -> LocalProcessTrainer:
    return LocalProcessTrainer(tmp_path, KINDS)


def completed(trainer: LocalProcessTrainer) -> None:
    trainer.start(JOB, "reverse", INPUTS, {"suffix": ""})
    assert ended(trainer).state == "completed"


def test_the_job_sees_no_secret_and_no_file_of_its_starter(
    trainer: LocalProcessTrainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREDATOR_TOKEN", "s3cr3t-in-the-environment")
    monkeypatch.setenv("SLACK_WEBHOOK", "https://hooks.example/T0")
    with (tmp_path / "ledger").open("w") as ours:
        os.set_inheritable(ours.fileno(), True)
        trainer.start(JOB, "surroundings", {}, {})
        assert ended(trainer).state == "completed"
    at_rest(tmp_path)
    seen = {name: data.decode() for name, data in trainer.collect(JOB).items()}
    names = {line.partition("=")[0] for line in seen["environment"].splitlines()}
    assert "PATH" in names
    assert not names & {"PREDATOR_TOKEN", "SLACK_WEBHOOK"}
    assert "s3cr3t" not in seen["environment"]
    assert "OMP_NUM_THREADS=1" in seen["environment"].splitlines()
    assert "ledger" not in seen["files"]
    assert seen["nice"] == str(os.nice(0) + 10)
    group, session = map(int, seen["group"].split())
    assert group == session != os.getsid(0)
    assert seen["folder"] == str(folder_of(tmp_path) / "attempt-1")
    left = [p for p in tmp_path.rglob("*") if p.is_file() and b"s3cr3t" in p.read_bytes()]
    assert left == []


def test_only_the_owner_may_look_into_a_job(trainer: LocalProcessTrainer, tmp_path: Path) -> None:
    completed(trainer)
    assert folder_of(tmp_path).stat().st_mode & 0o077 == 0


def test_what_a_job_used_is_known(trainer: LocalProcessTrainer) -> None:
    trainer.start(JOB, "patient", {}, {"steps": 10, "pause_s": 0.05})
    usage = ended(trainer).usage
    assert 0.01 < usage["cpu_s"] < 30
    assert 0.5 < usage["wall_s"] < 120
    assert 5 < usage["peak_rss_mb"] < 200


def test_an_ended_job_gives_its_room_back(trainer: LocalProcessTrainer, tmp_path: Path) -> None:
    completed(trainer)
    at_rest(tmp_path)
    assert not (folder_of(tmp_path) / "inputs").exists()
    other = "si_2026_11_02_002:train"
    trainer.start(other, "patient", {"a": b"1"}, {"steps": 400, "pause_s": 0.02})
    reached(trainer, 2, other)
    trainer.cancel(other)
    assert not (folder_of(tmp_path, other) / "inputs").exists()


def test_a_failed_job_gives_its_room_back(trainer: LocalProcessTrainer, tmp_path: Path) -> None:
    trainer.start(JOB, "broken", {"a": b"1"}, {"says": "no"})
    (folder_of(tmp_path) / "checkpoint").mkdir()
    assert ended(trainer).state == "failed"
    assert not (folder_of(tmp_path) / "inputs").exists()
    assert not (folder_of(tmp_path) / "checkpoint").exists()
    assert trainer.poll(JOB).error == "ValueError: no"


def test_what_was_left_of_a_job_goes_when_the_next_one_comes(
    trainer: LocalProcessTrainer, tmp_path: Path
) -> None:
    """An ended one whose end was cut off, and one that nobody goes on with."""
    for name in ("cut-off", "forgotten", "resting"):
        job = JobFolder(name, tmp_path / name)
        job.make(ordered("patient", {"a": b"1"}, {}), {"a": b"1"})
        (job.path / "attempt-1").mkdir()
        (job.path / "checkpoint").mkdir()
    JobFolder("cut-off", tmp_path / "cut-off").end("cancelled")
    week_ago = time.time() - 8 * 86_400
    for path in (tmp_path / "forgotten", tmp_path / "forgotten" / "attempt-1"):
        os.utime(path, (week_ago, week_ago))
    completed(trainer)
    assert (tmp_path / "resting" / "checkpoint").exists()
    assert not (tmp_path / "cut-off" / "checkpoint").exists()
    assert not (tmp_path / "cut-off" / "inputs").exists()
    assert not (tmp_path / "forgotten").exists()
    assert JobFolder("cut-off", tmp_path / "cut-off").status().state == "cancelled"


def _change(path: Path) -> None:
    path.write_bytes(path.read_bytes()[::-1])


def _to_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _to_link(path: Path) -> None:
    path.rename(path.parent.parent / "aside")
    path.symlink_to(path.parent.parent / "aside")


def _folder_to_link(path: Path) -> None:
    path.parent.rename(path.parent.parent / "aside")
    path.parent.symlink_to(path.parent.parent / "aside")


@pytest.mark.parametrize(
    "tamper",
    [
        _change,
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b"x" * (1 << 20)),
        lambda path: (path.parent / "more").touch(),
        lambda path: (path.unlink(), path.mkdir()),
        _to_pipe,
        _to_link,
        _folder_to_link,
    ],
    ids=["changed", "missing", "grown", "one more", "folder", "pipe", "link", "linked folder"],
)
def test_files_that_are_not_what_the_job_left_are_refused(
    trainer: LocalProcessTrainer, tmp_path: Path, tamper: Callable[[Path], object]
) -> None:
    completed(trainer)
    tamper(folder_of(tmp_path) / "attempt-1" / "out" / "a.bin")
    with pytest.raises(IntegrityError):
        trainer.collect(JOB)


@pytest.mark.parametrize(
    "kind",
    [
        "leaves_link", "leaves_folder", "leaves_pipe", "leaves_hidden", "leaves_large",
        "leaves_many",
    ],
)  # fmt: skip
def test_a_job_may_leave_only_plain_files_within_bounds(tmp_path: Path, kind: str) -> None:
    trainer = LocalProcessTrainer(tmp_path, KINDS, limits=JobLimits(output_mb=4))
    trainer.start(JOB, kind, {}, {})
    status = ended(trainer)
    assert status.state == "failed"
    assert "among its files: at most 64 plain files of 4 MB" in status.error


def test_a_changed_input_is_noticed_by_the_next_attempt(
    trainer: LocalProcessTrainer, tmp_path: Path
) -> None:
    trainer.start(JOB, "patient", INPUTS, {"steps": 400, "pause_s": 0.02})
    reached(trainer, 1)
    (folder_of(tmp_path) / "inputs" / "b.csv").write_bytes(b"x,z\n")
    kill(guard_of(tmp_path).pid)
    status = ended(trainer)
    assert (status.state, status.attempts) == ("failed", 2)
    assert "IntegrityError: the job's input b.csv is not what it was started with" in status.error


@pytest.mark.parametrize("name", ["job.json", "outcome.json"])
def test_a_damaged_record_is_an_error_in_one_line(
    trainer: LocalProcessTrainer, tmp_path: Path, name: str
) -> None:
    completed(trainer)
    for content in (b"", b"{", b"[]", b"[" * 100_000):
        (folder_of(tmp_path) / name).write_bytes(content)
        with pytest.raises(IntegrityError, match="is not what was written"):
            trainer.start(JOB, "reverse", INPUTS, {"suffix": ""})
            trainer.poll(JOB)


def test_nonsense_for_progress_is_no_progress(trainer: LocalProcessTrainer, tmp_path: Path) -> None:
    completed(trainer)
    for said in ("", "{", "[1]", '{"done": -1, "total": "x"}', '{"done": 1e999}', '{"done": true}'):
        (folder_of(tmp_path) / "attempt-1" / "progress.json").write_text(said)
        status = trainer.poll(JOB)
        assert (status.state, status.what, status.done, status.total) == ("completed", "", 0, 0)


def test_what_a_job_says_of_its_progress_stays_one_short_line(
    trainer: LocalProcessTrainer, tmp_path: Path
) -> None:
    completed(trainer)
    said = json.dumps({"what": "\x1b[2Jtoken=abc\n" + "x" * 900, "done": 1, "total": 2})
    (folder_of(tmp_path) / "attempt-1" / "progress.json").write_text(said)
    status = trainer.poll(JOB)
    assert status.what.startswith("[2Jtoken=[redacted] xxx")
    assert len(status.what) == 100


def test_a_folder_that_cannot_be_written_is_an_error_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    trainer = LocalProcessTrainer(tmp_path / "file" / "jobs", KINDS)
    with pytest.raises(PredatorError, match=r"training jobs .* cannot be used: Not a directory"):
        trainer.start(JOB, "reverse", INPUTS, {"suffix": ""})


FULL = """
import resource, sys
from pathlib import Path
from typing import ClassVar
from predator.adapters.trainer.job_limits import JobLimits
from predator.adapters.trainer.local_process import LocalProcessTrainer
from predator.adapters.trainer.naming import ordered
from predator.domain.errors import PredatorError
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
try:
    trainer = LocalProcessTrainer(Path(sys.argv[1]), {"a": ["-c", "0"]})
    trainer.start("a", "a", {"b": bytes(20_000)}, {})
except PredatorError as error:
    print(error)
"""


def test_a_disk_that_is_full_leaves_no_half_of_a_job(tmp_path: Path) -> None:
    told = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert "cannot be used: File too large. Make room" in told.stdout
    assert told.stdout.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_starter_left_half_made_is_swept_away(
    trainer: LocalProcessTrainer, tmp_path: Path
) -> None:
    old, fresh = tmp_path / ".x.0123", tmp_path / ".y.4567"
    for folder in (old, fresh):
        (folder / "inputs").mkdir(parents=True)
    os.utime(old, (time.time() - 7200,) * 2)
    completed(trainer)
    assert not old.exists()
    assert fresh.exists()


def test_a_python_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    trainer = LocalProcessTrainer(tmp_path, KINDS, python="/no/such/python")
    with pytest.raises(PredatorError, match="No such file"):
        trainer.start(JOB, "reverse", INPUTS, {"suffix": ""})


def test_the_outcome_of_a_job_is_written_once(tmp_path: Path) -> None:
    job = JobFolder("a", tmp_path)
    (tmp_path / "attempt-1").mkdir()
    assert job.end("cancelled")
    assert not job.end("completed", job.attempt(1), files={})
    assert job.outcome() == {"state": "cancelled", "attempt": None}
    assert [p.name for p in tmp_path.iterdir() if "outcome" in p.name] == ["outcome.json"]


def test_an_attempt_that_was_followed_by_another_has_no_say(tmp_path: Path) -> None:
    job = JobFolder("a", tmp_path)
    for number in (1, 2, 10):
        (tmp_path / f"attempt-{number}").mkdir()
    assert not job.end("completed", job.attempt(1), files={})
    assert not job.end("failed", job.attempt(2), error="late")
    assert not job.has_ended()
    assert job.end("completed", job.attempt(10), files={})
