"""The trainer in memory keeps the contract."""

from __future__ import annotations

from pathlib import Path

from predator.adapters.trainer.memory import MemoryTrainer
from predator.ports.trainer import Trainer
from tests.adapters.trainer.jobs import IN_MEMORY
from tests.contracts.trainer import TrainerContract


class TestMemoryTrainer(TrainerContract):
    def make(self, folder: Path) -> Trainer:
        return MemoryTrainer(IN_MEMORY)

    def lose(self, trainer: Trainer, job_id: str) -> None:
        assert isinstance(trainer, MemoryTrainer)
        trainer.lose(job_id)
