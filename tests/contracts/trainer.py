"""What every trainer must do; a trainer's test names itself and inherits this."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any, ClassVar

import pytest

from predator.domain.errors import InputError, PredatorError
from predator.ports.trainer import JobStatus, Trainer

JOB = "si_2026_11_02_001:train"
INPUTS = {"a.bin": bytes(range(256)), "b.csv": b"x,y\n", "empty": b""}

BAD_IDS = [
    *["", ".", "..", "../x", "a/b", "/etc/passwd", "a\\b", "a\0b", "a\nb", ".hidden", "-x", "a b"],
    *["x" * 200, "а", "a%2fb", "~", "a*", "\ud800", "a\u200b", "si_1:../x"],
]
BAD_NAMES = ["", ".", "..", "../job.json", "a/b", "/etc/x", "a\0", "a\n", ".x", "x" * 200, "\ud800"]


class TrainerContract:
    """Kinds that a trainer under test knows are those of ``tests.adapters.trainer.jobs``."""

    patience: ClassVar[Mapping[str, Any]] = {"steps": 400}
    """The spec of a ``patient`` job that is still running after some polls."""

    def make(self, folder: Path) -> Trainer:
        raise NotImplementedError

    def lose(self, trainer: Trainer, job_id: str) -> None:
        """Let the running job's process be gone without a result."""
        raise NotImplementedError

    @pytest.fixture
    def trainer(self, tmp_path: Path) -> Trainer:
        return self.make(tmp_path)

    def test_what_a_job_left_is_what_is_collected(self, trainer: Trainer) -> None:
        trainer.start(JOB, "reverse", INPUTS, {"suffix": "Привіт"})
        status = ended(trainer)
        assert (status.id, status.state, status.error, status.attempts) == (JOB, "completed", "", 1)
        assert (status.what, status.done, status.total) == ("files", 3, 3)
        assert set(status.usage) == {"cpu_s", "wall_s", "peak_rss_mb"}
        expected = {name: data[::-1] + "Привіт".encode() for name, data in INPUTS.items()}
        assert trainer.collect(JOB) == expected
        assert trainer.collect(JOB) == expected

    def test_a_job_is_done_once_however_often_it_is_started(self, trainer: Trainer) -> None:
        for _ in range(3):
            trainer.start(JOB, "reverse", INPUTS, {"suffix": ""})
        assert ended(trainer).attempts == 1
        first = trainer.collect(JOB)
        trainer.start(JOB, "reverse", INPUTS, {"suffix": ""})
        assert trainer.poll(JOB).state == "completed"
        assert trainer.poll(JOB).attempts == 1
        assert trainer.collect(JOB) == first

    def test_one_of_many_starters_starts_it(self, trainer: Trainer) -> None:
        together = Barrier(8)

        def start(_: int) -> None:
            together.wait()
            trainer.start(JOB, "reverse", INPUTS, {"suffix": ""})

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(start, range(8)))
        assert ended(trainer).attempts == 1

    @pytest.mark.parametrize(
        "other",
        [
            ("patient", INPUTS, {"suffix": ""}),
            ("reverse", {**INPUTS, "a.bin": b""}, {"suffix": ""}),
            ("reverse", {"a.bin": INPUTS["a.bin"]}, {"suffix": ""}),
            ("reverse", INPUTS, {"suffix": "x"}),
        ],
        ids=["kind", "bytes", "files", "spec"],
    )
    def test_an_id_stands_for_one_piece_of_work(
        self, trainer: Trainer, other: tuple[str, Mapping[str, bytes], Mapping[str, Any]]
    ) -> None:
        trainer.start(JOB, "reverse", INPUTS, {"suffix": ""})
        with pytest.raises(InputError, match="other inputs, spec or kind"):
            trainer.start(JOB, *other)
        assert ended(trainer).state == "completed"
        with pytest.raises(InputError, match="other inputs, spec or kind"):
            trainer.start(JOB, *other)

    def test_an_unknown_job_is_refused(self, trainer: Trainer) -> None:
        asks: list[Callable[[str], object]] = [trainer.poll, trainer.cancel, trainer.collect]
        for ask in asks:
            with pytest.raises(InputError, match="no training job"):
                ask("si_2026_11_02_009:train")

    def test_an_unknown_kind_is_refused_and_leaves_nothing(self, trainer: Trainer) -> None:
        with pytest.raises(InputError, match="no kind"):
            trainer.start(JOB, "mine_coins", INPUTS, {})
        with pytest.raises(InputError, match="no training job"):
            trainer.poll(JOB)

    @pytest.mark.parametrize("bad", BAD_IDS, ids=ascii)
    def test_hostile_ids_are_refused(self, trainer: Trainer, tmp_path: Path, bad: str) -> None:
        asks: list[Callable[[str], object]] = [trainer.poll, trainer.cancel, trainer.collect]
        for ask in asks:
            with pytest.raises(InputError):
                ask(bad)
        with pytest.raises(InputError):
            trainer.start(bad, "reverse", INPUTS, {"suffix": ""})
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("bad", BAD_NAMES, ids=ascii)
    def test_hostile_input_names_are_refused(
        self, trainer: Trainer, tmp_path: Path, bad: str
    ) -> None:
        with pytest.raises(InputError, match="cannot name an input"):
            trainer.start(JOB, "reverse", {bad: b"x"}, {"suffix": ""})
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("spec", [{"x": float("nan")}, {"x": {1}}, {"x": b""}], ids=str)
    def test_a_spec_that_is_no_json_is_refused(
        self, trainer: Trainer, spec: Mapping[str, Any]
    ) -> None:
        with pytest.raises(InputError, match="no JSON"):
            trainer.start(JOB, "reverse", INPUTS, spec)

    def test_a_job_that_fails_says_why_in_one_line(self, trainer: Trainer) -> None:
        trainer.start(JOB, "broken", {}, {"says": "no\nsuch\tthing \x1b[31m token=abc123"})
        status = ended(trainer)
        assert status.state == "failed"
        assert status.error == "ValueError: no such thing [31m token=[redacted]"
        with pytest.raises(PredatorError, match="nothing to collect, it is failed"):
            trainer.collect(JOB)
        trainer.start(JOB, "broken", {}, {"says": "no\nsuch\tthing \x1b[31m token=abc123"})
        assert trainer.poll(JOB) == status

    def test_progress_is_seen_while_it_runs(self, trainer: Trainer) -> None:
        trainer.start(JOB, "patient", {}, self.patience)
        seen = [reached(trainer, 1), reached(trainer, 10)]
        assert all((s.state, s.what, s.total) == ("running", "steps", 400) for s in seen)
        with pytest.raises(PredatorError, match="nothing to collect, it is running"):
            trainer.collect(JOB)
        trainer.cancel(JOB)

    @pytest.mark.flaky(reruns=3, reruns_delay=1)
    def test_a_cancelled_job_ends_within_two_seconds_and_leaves_nothing(
        self, trainer: Trainer
    ) -> None:
        trainer.start(JOB, "patient", {}, self.patience)
        reached(trainer, 3)
        began = time.monotonic()
        trainer.cancel(JOB)
        assert time.monotonic() - began < 2
        status = trainer.poll(JOB)
        assert (status.state, status.attempts) == ("cancelled", 1)
        with pytest.raises(PredatorError, match="nothing to collect, it is cancelled"):
            trainer.collect(JOB)
        trainer.cancel(JOB)
        trainer.start(JOB, "patient", {}, self.patience)
        assert trainer.poll(JOB) == status

    def test_a_job_can_be_cancelled_before_it_got_anywhere(self, trainer: Trainer) -> None:
        trainer.start(JOB, "patient", {}, self.patience)
        trainer.cancel(JOB)
        assert trainer.poll(JOB).state == "cancelled"

    def test_a_completed_job_cannot_be_cancelled_any_more(self, trainer: Trainer) -> None:
        trainer.start(JOB, "reverse", INPUTS, {"suffix": ""})
        ended(trainer)
        trainer.cancel(JOB)
        assert trainer.poll(JOB).state == "completed"
        assert set(trainer.collect(JOB)) == set(INPUTS)

    def test_a_job_whose_process_is_gone_is_begun_again(self, trainer: Trainer) -> None:
        trainer.start(JOB, "patient", {}, self.patience)
        reached(trainer, 3)
        self.lose(trainer, JOB)
        trainer.start(JOB, "patient", {}, self.patience)
        status = reached(trainer, 1)
        assert (status.state, status.attempts) == ("running", 2)
        self.lose(trainer, JOB)
        assert reached(trainer, 1).attempts == 3
        trainer.cancel(JOB)

    def test_it_is_not_begun_again_for_ever(self, trainer: Trainer) -> None:
        trainer.start(JOB, "patient", {}, self.patience)
        for attempt in (1, 2, 3):
            assert reached(trainer, 1).attempts == attempt
            self.lose(trainer, JOB)
        status = ended(trainer)
        assert (status.state, status.attempts) == ("failed", 3)
        assert "in the last of 3 attempts" in status.error

    def test_jobs_do_not_mix(self, trainer: Trainer) -> None:
        others = [f"si_2026_11_02_{n:03d}:train" for n in range(3)]
        for name in others:
            trainer.start(name, "reverse", {"a": name.encode()}, {"suffix": ""})
        for name in others:
            ended(trainer, name)
            assert trainer.collect(name) == {"a": name.encode()[::-1]}


def ended(trainer: Trainer, job_id: str = JOB, within_s: float = 20) -> JobStatus:
    """The status once the job has ended."""
    return _until(trainer, job_id, lambda status: status.state != "running", within_s)


def reached(trainer: Trainer, done: int, job_id: str = JOB, within_s: float = 20) -> JobStatus:
    """The status once the job has done so many steps."""
    return _until(trainer, job_id, lambda status: status.done >= done, within_s)


def _until(
    trainer: Trainer, job_id: str, so: Callable[[JobStatus], bool], within_s: float
) -> JobStatus:
    deadline = time.monotonic() + within_s
    while not so(status := trainer.poll(job_id)):
        assert time.monotonic() < deadline, status
        time.sleep(0.002)
    return status
