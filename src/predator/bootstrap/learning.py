"""What learns: under which budget, and how the encoder is tuned in a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from predator.bootstrap.home import Home
from predator.bootstrap.jobs import outputs_of
from predator.bootstrap.ring import tunable_of
from predator.bootstrap.text_rankers import cross_encoder_of
from predator.config import Settings
from predator.domain.errors import PredatorError
from predator.ports.object_store import ObjectStore
from predator.ports.progress import Progress

if TYPE_CHECKING:
    from predator.learning.anchors import AnchorSet
    from predator.learning.bi_encoder import BiEncoder, Plan
    from predator.learning.lessons import Lessons
    from predator.loop.replica import Replica
    from predator.loop.train import Budget
    from predator.loop.training.encoder_tuning import Tune
    from predator.loop.training.learn import Learner


def budget_of(settings: Settings) -> Budget:
    """What a training may take."""
    from predator.loop.train import Budget

    return Budget(settings.training_budget_s, settings.training_budget_usd, settings.cpu_hour_usd)


def learner_of(
    settings: Settings, home: Home, threads: int, progress: Progress
) -> Callable[[Replica, int, bool], Learner]:
    """What makes a learner over a replica, from a seed, from judgments or without any."""
    from predator.loop.training.learn import Learner

    tune = tuner_of(settings, home, progress)
    read = cross_encoder_of(settings, home, progress.work) if settings.cross_encoder else None

    tuned_on: dict[str, frozenset[str]] = {}

    def make(replica: Replica, seed: int, judged: bool) -> Learner:
        return Learner(
            replica, seed, threads, budget_of(settings), progress.work, judged,
            tune, lambda tuned: _export(home, settings, replica.objects, tuned),
            read=read, put=replica.objects.put, tuned_on=tuned_on,
        )  # fmt: skip

    return make


def tuner_of(settings: Settings, home: Home, progress: Progress) -> Tune | None:
    """Tunes the founding encoder in a process of its own; what was tuned once is not tuned anew.

    ``None`` where tuning is off, ``InputError`` where it is on and torch is not installed.
    """
    bring = tunable_of(settings, home, progress)
    if bring is None:
        return None

    def tune(lessons: Lessons, anchors: Sequence[AnchorSet], plan: Plan) -> BiEncoder:
        from predator.loop.training.bi_encoder_job import KIND, job_inputs, job_spec, read_tuned

        inputs = job_inputs(bring(), lessons, anchors)
        spec = job_spec(plan, lessons, max_tokens=settings.max_tokens)
        return read_tuned(outputs_of(settings, KIND, inputs, spec, progress.work))

    return tune


def _export(home: Home, settings: Settings, objects: ObjectStore, tuned: BiEncoder) -> str:
    from predator.loop.release.bundle import keep_encoder

    files = tuned.export(home.caches / "encoder", max_tokens=settings.max_tokens)
    told = tuned.report["encoder"]["digest"]
    if files.digest != told:
        raise PredatorError(
            f"the tuned encoder exports as {files.digest[:12]} here, and as {told[:12]} in its job"
        )
    return keep_encoder(objects, files)
