"""Trains the cross-encoder in a process of its own."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import TYPE_CHECKING

from predator.bootstrap.home import Home
from predator.bootstrap.jobs import outputs_of
from predator.config import Settings
from predator.domain.errors import InputError

if TYPE_CHECKING:
    from predator.learning.cross_encoder import Plan
    from predator.learning.stacking import Lessons, Stacked


def cross_encoder_of(
    settings: Settings, home: Home, report: Callable[[str, int, int], None]
) -> Callable[[Lessons, Plan], Stacked]:
    """What trains a cross-encoder from the founding encoder; the same lessons are learnt once.

    It raises ``InputError`` where torch is not installed, or where the job ends without a model.
    """

    if importlib.util.find_spec("torch") is None:
        raise InputError(
            "training a cross-encoder needs torch, which is not installed",
            cure="pip install 'predator-search[train]', or set cross_encoder=false",
        )

    def train(lessons: Lessons, plan: Plan) -> Stacked:
        from predator.loop.training.cross_encoder_job import (
            KIND,
            job_inputs,
            job_spec,
            read_base,
            read_stacked,
        )
        from predator.search.encoder.hub import model_folder

        folder = model_folder(
            settings.model, home.caches / "encoder", lambda line: report(line, 0, 1)
        )
        inputs, spec = job_inputs(read_base(folder), lessons), job_spec(plan, lessons)
        return read_stacked(outputs_of(settings, KIND, inputs, spec, report))

    return train
