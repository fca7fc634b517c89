"""One catalogue of settings: name, default, help. Environment: ``PREDATOR_<NAME>``.

The defaults are those of the contour ``local``: full policy, short waits.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from predator.domain.errors import InputError

PREFIX = "PREDATOR_"


class Settings(BaseSettings):
    """Everything that can be set. Units stand last in a name; ``rel`` means relative."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, extra="forbid", frozen=True, allow_inf_nan=False
    )

    home: Path = Field(Path(".predator"), description="state and caches live here")
    artifacts: Path = Field(Path("artifacts"), description="what every cycle leaves")
    contour: str = Field("local", pattern="^local$", description="which contour this is")
    host: str = Field("127.0.0.1", description="address the platform listens on")
    port: int = Field(8321, ge=0, le=65535, description="its port; 0 picks a free one")
    model: Path | None = Field(None, description="folder of the sentence encoder (default: MiniLM)")
    max_tokens: int = Field(128, ge=16, le=512, description="tokens of a document the encoder sees")

    rate_per_s: float = Field(60, gt=0, le=1000, description="searches a second by simulated users")
    users: int = Field(3000, ge=10, le=1_000_000, description="simulated users")

    window_s: float = Field(4, gt=0, description="length of one monitoring window")
    windows_needed: int = Field(
        2, ge=1, le=3, description="windows out of the last 3 that must fire"
    )
    windows_max: int = Field(
        5, ge=1, description="windows to wait for a signal before the schedule"
    )
    arrival_s: float = Field(12, ge=0, le=600, description="how long a wave of documents arrives")
    training_queries: int = Field(1500, ge=10, description="judged queries a training may use")
    gold_queries: int = Field(1000, ge=10, description="held-out queries the gate reads")
    generated_queries: int = Field(500, ge=0, description="training queries generated a cycle")

    alpha: float = Field(0.05, gt=0, lt=0.5, description="error level of every one-sided test")
    power: float = Field(0.8, gt=0.5, lt=1, description="power that a verdict needs at the target")
    ndcg_delta_rel_min: float = Field(0.03, gt=0, description="gate: least relative NDCG@10 gain")
    category_delta_rel_min: float = Field(
        -0.02, gt=-1, le=0, description="gate: worst loss in a category"
    )
    latency_delta_rel_max: float = Field(0.15, ge=0, description="gate: most p95 latency growth")
    latency_floor_ms: float = Field(
        50, ge=0, description="gate: p95 under this is always fast enough"
    )
    cost_per_1k_usd_max: float = Field(0.50, ge=0, description="gate: most cost per 1,000 searches")
    cpu_hour_usd: float = Field(0.05, ge=0, description="price of a CPU hour in that cost")
    csat_min: float = Field(4.0, ge=1, le=5, description="gate: least mean rating")

    experiment_share: float = Field(0.2, gt=0, lt=1, description="candidate's share of users")
    experiment_max_s: float = Field(80, gt=0, description="longest experiment")
    experiment_min_s: float = Field(10, gt=0, description="shortest experiment")

    watch_looks: int = Field(6, ge=1, description="looks at a fresh release")
    watch_look_s: float = Field(3, gt=0, description="time between looks")
    holdback_share: float = Field(0.05, gt=0, lt=1, description="share kept on the old release")
    gross_drop_rel: float = Field(0.2, gt=0, lt=1, description="drop that counts as gross")

    seed: int = Field(0, ge=0, description="seed of everything random")

    @model_validator(mode="after")
    def _experiment_has_a_length(self) -> Settings:
        if self.experiment_min_s > self.experiment_max_s:
            raise ValueError("experiment_min_s is above experiment_max_s")
        return self


def load_settings(overrides: Mapping[str, Any] | None = None) -> Settings:
    """Settings from the environment, then ``overrides``.

    Raises ``InputError`` for an unknown name (with the nearest known one) or an unusable value.
    """
    known = set(Settings.model_fields)
    for variable in sorted(os.environ):
        if variable.upper().startswith(PREFIX) and variable[len(PREFIX) :].lower() not in known:
            raise InputError(
                f"unknown environment variable {variable}",
                cure=_nearest(variable[len(PREFIX) :].lower(), known, PREFIX, upper=True),
            )
    for name in overrides or {}:
        if name not in known:
            raise InputError(f"unknown setting {name!r}", cure=_nearest(name, known, ""))
    try:
        return Settings(**(overrides or {}))
    except ValidationError as error:
        first = error.errors()[0]
        if not first["loc"]:
            raise InputError(
                first["msg"].removeprefix("Value error, "), cure="see `predator settings`"
            ) from error
        name = ".".join(map(str, first["loc"]))
        raise InputError(
            f"setting {name!r} cannot be {str(first.get('input'))[:60]!r}: {first['msg']}",
            cure="see `predator settings`",
        ) from error


def parse_overrides(pairs: list[str]) -> dict[str, str]:
    """``["rate_per_s=60"]`` → ``{"rate_per_s": "60"}``."""
    overrides: dict[str, str] = {}
    for pair in pairs:
        name, found, value = pair.partition("=")
        if not found:
            raise InputError(f"setting {pair!r} has no value", cure="write NAME=VALUE")
        overrides[name.strip()] = value.strip()
    return overrides


def _nearest(name: str, known: set[str], prefix: str, *, upper: bool = False) -> str:
    close = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.4)
    if not close:
        return "see `predator settings`"
    suggestion = prefix + (close[0].upper() if upper else close[0])
    return f"did you mean {suggestion}?"
