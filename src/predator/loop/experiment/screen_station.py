"""What stations do before an experiment: decide on a replay, and on what drafted lists were
preferred."""

from __future__ import annotations

from collections.abc import Sequence

from predator.loop import deciders
from predator.loop.experiment.screen import ScreenPlan
from predator.loop.experiment.shadow import Replayed, ShadowLimits
from predator.loop.record import Record
from predator.ports.feedback import Impression
from predator.ports.runtime import Json


def shadowed(record: Record, seen: Replayed) -> Json:
    """What a replay says, by the limits of the contour's settings."""
    options = record.options
    limits = ShadowLimits(options.latency_delta_rel_max, options.latency_floor_ms, options.alpha)
    return record.decide("shadow", "shadow", deciders.shadow_inputs(seen, limits))


def screened(record: Record, plan: ScreenPlan, seen: Sequence[Impression]) -> Json:
    """What the users of a screen preferred."""
    return record.decide("screen", "screen", deciders.screen_inputs(plan, seen))
