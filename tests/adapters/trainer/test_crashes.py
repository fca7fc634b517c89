"""Whoever is killed or stopped, there is one job at a time and one outcome."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from predator.adapters.trainer import local_process
from predator.adapters.trainer.job_folder import JobFolder
from predator.adapters.trainer.job_limits import JobLimits
from predator.adapters.trainer.local_process import LocalProcessTrainer
from predator.adapters.trainer.vitals import Identity, session_of
from predator.domain.errors import PredatorError
from tests.adapters.trainer.jobs import KINDS
from tests.adapters.trainer.watching import at_rest, folder_of, guard_of, job_process, kill, until
from tests.contracts.trainer import INPUTS, JOB, ended, reached

STARTER = """
import json, sys
from pathlib import Path
from predator.adapters.trainer.local_process import LocalProcessTrainer
folder, kinds, job, kind, spec = sys.argv[1:]
trainer = LocalProcessTrainer(Path(folder), json.loads(kinds))
trainer.start(job, kind, {}, json.loads(spec))
print("started", flush=True)
sys.stdin.read()
"""
SLOW = {"steps": 400, "pause_s": 0.02}


@contextmanager
def starter(
    jobs: Path, kind: str = "patient", spec: object = SLOW
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that started the job and lives on."""
    arguments = [str(jobs), json.dumps(KINDS), JOB, kind, json.dumps(spec)]
    with subprocess.Popen(
        [sys.executable, "-c", STARTER, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def started(process: subprocess.Popen[bytes]) -> None:
    assert process.stdout is not None
    assert process.stdout.readline() == b"started\n"


def attempts_alive(jobs: Path) -> int:
    job = JobFolder(JOB, folder_of(jobs))
    guards = [attempt.guard for attempt in job.attempts()] if job.exists else []
    return sum(bool(guard and session_of(guard)) for guard in guards)


def test_a_job_dies_with_its_starter_and_the_next_one_goes_on(tmp_path: Path) -> None:
    trainer = LocalProcessTrainer(tmp_path, KINDS)
    with starter(tmp_path) as process:
        started(process)
        reached(trainer, 1)
        assert trainer.poll(JOB).attempts == 1
        process.kill()
        process.wait()
        at_rest(tmp_path, within_s=20)
    trainer.start(JOB, "patient", {}, SLOW)
    assert trainer.poll(JOB).attempts == 2
    reached(trainer, 1)
    trainer.cancel(JOB)


def test_a_job_that_ignores_everything_dies_with_its_starter(tmp_path: Path) -> None:
    with starter(tmp_path, "deaf_hog", {}) as process:
        started(process)
        job_process(tmp_path)
        process.kill()
        process.wait()
        at_rest(tmp_path, within_s=20)


def test_a_job_that_is_stopped_at_any_moment_dies_with_its_starter(tmp_path: Path) -> None:
    """As soon as its process is there, which is before it has become the job."""
    for number in range(3):
        with starter(tmp_path / f"{number}") as process:
            kill(job_process(tmp_path / f"{number}"), signal.SIGSTOP)
            process.kill()
            process.wait()
            at_rest(tmp_path / f"{number}", within_s=20)


def test_a_job_dies_with_its_guard(tmp_path: Path) -> None:
    trainer = LocalProcessTrainer(tmp_path, KINDS)
    trainer.start(JOB, "cpu_hog", {}, {})
    reached(trainer, 1)
    kill(guard_of(tmp_path).pid)
    at_rest(tmp_path, within_s=20)
    trainer.cancel(JOB)


def test_a_poll_is_enough_to_go_on_after_a_crash(tmp_path: Path) -> None:
    trainer = LocalProcessTrainer(tmp_path, KINDS)
    with starter(tmp_path, "patient", {"steps": 40, "pause_s": 0.02}) as process:
        started(process)
        guard = guard_of(tmp_path)
        process.kill()
        process.wait()
        until(lambda: not session_of(guard))
    status = ended(trainer)
    assert (status.state, status.attempts, status.done) == ("completed", 2, 40)
    assert trainer.collect(JOB) == {"done": b"1"}


def test_another_trainer_does_not_double_a_job_that_runs(tmp_path: Path) -> None:
    with starter(tmp_path) as process:
        started(process)
        other = LocalProcessTrainer(tmp_path, KINDS)
        for _ in range(20):
            other.start(JOB, "patient", {}, SLOW)
            assert other.poll(JOB).attempts == 1
        reached(other, 1)
        kill(process.pid, signal.SIGSTOP)
        kill(job_process(tmp_path), signal.SIGSTOP)
        for _ in range(20):
            other.start(JOB, "patient", {}, SLOW)
        assert other.poll(JOB).attempts == 1
        assert attempts_alive(tmp_path) == 1
    at_rest(tmp_path, within_s=20)


def test_a_stopped_attempt_whose_starter_died_is_ended_before_the_next(tmp_path: Path) -> None:
    trainer = LocalProcessTrainer(tmp_path, KINDS)
    with starter(tmp_path) as process:
        started(process)
        job, guard = job_process(tmp_path), guard_of(tmp_path)
        for pid in (job, guard.pid):
            kill(pid, signal.SIGSTOP)
        process.kill()
        process.wait()
    trainer.start(JOB, "patient", {}, SLOW)
    assert Identity.of(job) is None
    assert not guard.lives
    assert reached(trainer, 1).attempts == 2
    trainer.cancel(JOB)


def test_a_guard_that_was_stopped_for_too_long_is_replaced(tmp_path: Path) -> None:
    """It cannot keep the limits any more, so somebody else has to."""
    with starter(tmp_path) as process:
        started(process)
        guard = guard_of(tmp_path)
        kill(guard.pid, signal.SIGSTOP)
        strict = LocalProcessTrainer(tmp_path, KINDS, limits=JobLimits(wall_s=0.01))
        until(lambda: guard.age_s > 0.2)
        assert strict.poll(JOB).attempts == 1
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(local_process, "OVERDUE_S", 0.1)
            assert strict.poll(JOB).attempts == 2
        assert not guard.lives
        ended(strict)


def zombie_wakes(tmp_path: Path) -> None:
    """The guard sleeps while the job completes and is cancelled by someone who cannot kill."""
    trainer = LocalProcessTrainer(tmp_path, KINDS)
    trainer.start(JOB, "patient", {}, {"steps": 20, "pause_s": 0.02})
    reached(trainer, 1)
    guard = guard_of(tmp_path)
    kill(guard.pid, signal.SIGSTOP)
    out = folder_of(tmp_path) / "attempt-1" / "out" / "done"
    until(out.exists)
    assert JobFolder(JOB, folder_of(tmp_path)).end("cancelled")
    kill(guard.pid, signal.SIGCONT)
    at_rest(tmp_path)
    assert trainer.poll(JOB).state == "cancelled"
    with pytest.raises(PredatorError, match="it is cancelled"):
        trainer.collect(JOB)


def test_a_zombie_that_wakes_after_the_cancellation_cannot_publish(tmp_path: Path) -> None:
    zombie_wakes(tmp_path)


@pytest.mark.nightly
def test_a_hundred_zombies_that_wake_cannot_publish(tmp_path: Path) -> None:
    for number in range(100):
        zombie_wakes(tmp_path / f"{number}")


def test_a_completion_and_a_cancellation_have_one_winner(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    seen = set()
    for number in range(8):
        job_id = f"race-{number}"
        trainer = LocalProcessTrainer(tmp_path, KINDS)
        trainer.start(job_id, "patient", {}, {"steps": 3, "pause_s": 0.01})
        guard_of(tmp_path, job_id)
        time.sleep(0.03 + rng.random() * 0.08)
        trainer.cancel(job_id)
        state = trainer.poll(job_id).state
        seen.add(state)
        if state == "completed":
            assert trainer.collect(job_id) == {"done": b"1"}
        else:
            assert state == "cancelled"
            with pytest.raises(PredatorError):
                trainer.collect(job_id)
        at_rest(tmp_path, job_id)
        assert trainer.poll(job_id).state == state
    assert seen <= {"completed", "cancelled"}


def test_of_sixteen_processes_one_starts_the_job(tmp_path: Path) -> None:
    racer = STARTER.replace("trainer =", "sys.stdin.readline()\ntrainer =")
    arguments = [str(tmp_path), json.dumps(KINDS), JOB, "patient", json.dumps(SLOW)]
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", racer, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for _ in range(16)
    ]
    try:
        for one in racers:
            assert one.stdin is not None
            one.stdin.write(b"go\n")
            one.stdin.flush()
        for one in racers:
            started(one)
        guard_of(tmp_path)
        assert attempts_alive(tmp_path) == 1
        assert len(JobFolder(JOB, folder_of(tmp_path)).attempts()) == 1
        assert [p.name for p in tmp_path.iterdir()] == [folder_of(tmp_path).name]
    finally:
        for one in racers:
            one.kill()
            one.communicate()
    at_rest(tmp_path, within_s=20)


def killed_at_random(tmp_path: Path, rounds: int, seed: int) -> None:
    """Starters, guards and jobs are killed at random; the job is done once, by one at a time."""
    rng = np.random.default_rng(seed)
    for number in range(rounds):
        jobs = tmp_path / f"{number}"
        with starter(jobs, "patient", {"steps": 10, "pause_s": 0.01}) as process:
            time.sleep(rng.random() * 0.4)
            victim = rng.choice(["starter", "guard", "job"])
            job = JobFolder(JOB, folder_of(jobs))
            if victim == "starter" or not job.exists or not job.attempts():
                process.kill()
                process.wait()
            else:
                guard = job.attempts()[-1].guard
                family = [] if guard is None else session_of(guard)
                for pid in family:
                    if (pid == (guard and guard.pid)) == (victim == "guard"):
                        kill(pid)
            trainer = LocalProcessTrainer(jobs, KINDS)
            trainer.start(JOB, "patient", {}, {"steps": 10, "pause_s": 0.01})
            most = 0
            deadline = time.monotonic() + 20
            while (status := trainer.poll(JOB)).state == "running":
                most = max(most, attempts_alive(jobs))
                assert time.monotonic() < deadline
            assert (status.state, status.done) == ("completed", 10)
            assert trainer.collect(JOB) == {"done": b"1"}
            assert status.attempts <= 3
            assert most <= 1
            assert {p.name for p in jobs.iterdir() if not p.name.startswith(".")} == {
                folder_of(jobs).name
            }


def test_a_kill_at_a_random_moment_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    killed_at_random(tmp_path, 5, 1)


@pytest.mark.nightly
def test_two_hundred_kills_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    killed_at_random(tmp_path, 200, int.from_bytes(os.urandom(4)))


def test_processes_that_a_dead_attempt_left_behind_are_ended_by_the_next(tmp_path: Path) -> None:
    trainer = LocalProcessTrainer(tmp_path, KINDS)
    trainer.start(JOB, "family", {}, {})
    orphan = int(reached(trainer, 1).what)
    guard = guard_of(tmp_path)
    kill(guard.pid)
    until(lambda: session_of(guard) == [orphan])
    assert trainer.poll(JOB).attempts == 2
    assert Identity.of(orphan) is None
    trainer.cancel(JOB)


def test_a_number_that_was_given_away_again_is_left_alone() -> None:
    """A session leader with our number and another start is somebody else."""
    with subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE,
                          start_new_session=True) as other:  # fmt: skip
        me = Identity.of(other.pid)
        assert me is not None
        assert session_of(me) == [other.pid]
        assert session_of(Identity(other.pid, me.started - 1)) == []
        other.kill()


def test_inputs_survive_a_crash(tmp_path: Path) -> None:
    trainer = LocalProcessTrainer(tmp_path, KINDS)
    trainer.start(JOB, "reverse", INPUTS, {"suffix": "!"})
    kill(guard_of(tmp_path).pid)
    assert ended(trainer).state == "completed"
    assert trainer.collect(JOB) == {name: data[::-1] + b"!" for name, data in INPUTS.items()}
