"""What training brings: mostly nothing, sometimes a gain, sometimes a loss that hides."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from predator.simulation.year.world import CEILING, START, Release, World

KINDS = (
    ("equal", 0.58),
    ("better", 0.14),
    ("worse", 0.14),
    ("hidden", 0.06),
    ("curious", 0.04),
    ("slow", 0.04),
)
"""Kinds of candidates and how often each comes. ``hidden``: Gold shows a gain, users lose.
``curious``: users like it while it is new."""

LEARNT = (0.85, 1.0)
"""The share of what has moved since the live release's training that a training picks up."""


def train(
    world: World, live: Release, cycle_id: str, at: float, rng: np.random.Generator
) -> tuple[Release, str]:
    """A candidate that was trained at ``at`` beside ``live``, and of which kind it is."""
    names = [name for name, _ in KINDS]
    kind = str(rng.choice(names, p=[share for _, share in KINDS]))
    mean = float(world.mix(at) @ live.skill)
    room = max(0.0, (CEILING - mean) / (CEILING - START))
    gain = {
        "equal": rng.normal(0.0, 0.004),
        "better": abs(rng.normal(0.03, 0.015)) * room,
        "worse": -abs(rng.normal(0.03, 0.02)),
        "hidden": -abs(rng.normal(0.05, 0.02)),
        "curious": -abs(rng.normal(0.01, 0.005)),
        "slow": abs(rng.normal(0.03, 0.01)) * room,
    }[kind]
    topics = rng.normal(0.0, 0.006, live.skill.size)
    skill = np.clip(live.skill * (1 + gain + topics), 0.05, 0.95)
    learnt = live.known + rng.uniform(*LEARNT) * (world.language(at) - live.known)
    made = Release(
        name="",
        cycle=cycle_id,
        skill=skill,
        known=learnt,
        latency_ms=live.latency_ms * (1.4 if kind == "slow" else float(rng.normal(1.0, 0.02))),
        cost_per_1k_usd=live.cost_per_1k_usd * float(np.exp(rng.normal(-0.01, 0.06))),
    )
    if kind == "hidden":
        made = replace(made, flattered=skill * (0.03 - gain + abs(rng.normal(0.0, 0.02))))
    if kind == "curious":
        made = replace(made, flattered=skill * 0.04, novelty=0.08)
    return made, kind


DEFECTS = ("wrong vectors", "errors", "slow")


def deployed(release: Release, at: float, rng: np.random.Generator, share: float) -> Release:
    """What really serves after a promotion: in ``share`` of them something broke on the way."""
    served = replace(release, novel_from=at)
    if rng.random() >= share:
        return served
    match str(rng.choice(DEFECTS)):
        case "wrong vectors":
            return replace(served, broken=float(rng.uniform(0.04, 0.35)))
        case "errors":
            return replace(served, errors=float(rng.uniform(0.05, 0.2)))
        case _:
            return replace(served, latency_ms=served.latency_ms * 4)


def bad_release(live: Release, cycle_id: str, rng: np.random.Generator) -> Release:
    """What a drill pushes: the live release, broken on purpose."""
    broken = float(rng.uniform(0.15, 0.6))
    return replace(live, name=f"{live.name}-drill", cycle=cycle_id, broken=broken)
