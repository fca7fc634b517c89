"""One catalogue of settings: name, default, help. Environment: ``PREDATOR_<NAME>``.

The defaults are those of the contour ``local``: full policy, short waits. A contour's file of
values outweighs them, the environment outweighs the file, and a command's ``--set`` all of them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import (
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from predator.contours.load import load_file, packaged
from predator.contours.meaning import FROM_KEYS, GATE_PROFILES, setting_values
from predator.contours.model import NAMES, Contour
from predator.contours.problems import did_you_mean
from predator.contours.secret_reference import check_reference
from predator.domain.errors import InputError

PREFIX = "PREDATOR_"
SECRETS = frozenset({"database_url", "query_writer_key", "argocd_token"})
"""Settings whose value is never shown."""

_NOT_IN_A_FILE = frozenset({"contour", "contour_file"}) | SECRETS - {"argocd_token"}
_SEE = "see `predator settings`"


class Settings(BaseSettings):
    """Everything that can be set. Units stand last in a name; ``rel`` means relative."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,
    )

    home: Path = Field(Path(".predator"), description="state and caches live here")
    artifacts: Path = Field(Path("artifacts"), description="what every cycle leaves")
    contour: str = Field("local", description=f"which contour this is: {', '.join(NAMES)}")
    contour_file: Path | None = Field(
        None, description="a file of values for the contour (default: the packaged one)"
    )
    database_url: SecretStr | None = Field(
        None, description="PostgreSQL of the loop (default: SQLite in home); never shown"
    )
    executor_id: str | None = Field(
        None,
        pattern="^[A-Za-z0-9._-]{1,64}$",
        description="lasting name of this worker (default: from host name and home)",
    )
    shared_releases: bool = Field(
        False, description="platforms of this home share git and releases: contour to contour"
    )
    host: str = Field("127.0.0.1", description="address the platform listens on")
    port: int = Field(8321, ge=0, le=65535, description="its port; 0 picks a free one")
    admin_host: str = Field("127.0.0.1", description="address the admin API listens on")
    admin_port: int = Field(8322, ge=0, le=65535, description="its port; 0 picks a free one")
    model: Path | None = Field(None, description="folder of the sentence encoder (default: MiniLM)")
    max_tokens: int = Field(128, ge=16, le=512, description="tokens of a document the encoder sees")

    argocd_url: str | None = Field(
        None, description="Argo CD that deploys this contour (default: the platform follows git)"
    )
    argocd_app: str | None = Field(
        None, description="its application there (default: predator-<contour>)"
    )
    argocd_project: str = Field("predator", description="the project of that application")
    argocd_token: str | None = Field(
        None, description="where the token for it lies, env:NAME or file:/path"
    )
    argocd_ca: Path | None = Field(
        None,
        description="PEM file of its certificate authority (default: well-known ones)",
    )
    argocd_control_url: str | None = Field(
        None, description="headless service of the search pods, for flips (default: git alone)"
    )
    argocd_timeout_s: float = Field(
        600, ge=1, le=86_400, description="least time that a roll-out gets there"
    )

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
    query_writer_url: str | None = Field(
        None, description="OpenAI-compatible API that writes queries too (default: none is asked)"
    )
    query_writer_model: str | None = Field(None, description="its model")
    query_writer_key: str | None = Field(
        None, description="where its key lies, env:NAME or file:/path (default: it needs none)"
    )
    query_writer_tokens_max: int = Field(
        5_000_000, ge=0, description="most tokens that it may use in a process"
    )
    query_writer_prompt_usd: float = Field(0, ge=0, description="its price of 1M prompt tokens")
    query_writer_completion_usd: float = Field(
        0, ge=0, description="its price of 1M tokens that it writes"
    )
    doc2query_model: Path | None = Field(
        None, description="folder of a doc2query model that writes queries too (default: none)"
    )

    alpha: float = Field(0.05, gt=0, lt=0.5, description="error level of every one-sided test")
    power: float = Field(0.8, gt=0.5, lt=1, description="power that a verdict needs at the target")
    ndcg_delta_rel_min: float = Field(0.03, gt=0, description="gate: least relative NDCG@10 gain")
    gate_profile: str = Field(
        "spec",
        description="gate: spec asks that whole gain of the estimate, sensitive half of it",
    )
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

    shadow_queries: int = Field(
        0, ge=0, le=10_000, description="recorded queries replayed before users; 0: no replay"
    )
    interleaving_share: float = Field(
        0, ge=0, lt=1, description="share of users who screen a candidate first; 0: no screen"
    )
    experiment_share: float = Field(0.2, gt=0, lt=1, description="candidate's share of users")
    experiment_max_s: float = Field(80, gt=0, description="longest experiment")
    experiment_min_s: float = Field(10, gt=0, description="shortest experiment")

    watch_looks: int = Field(6, ge=1, description="looks at a fresh release")
    watch_look_s: float = Field(3, gt=0, description="time between looks")
    holdback_share: float = Field(0.05, gt=0, lt=1, description="share kept on the old release")
    holdback_share_max: float = Field(
        0.2, gt=0, le=0.5, description="share up to which it is widened where the traffic is small"
    )
    gross_drop_rel: float = Field(0.2, gt=0, lt=1, description="drop that counts as gross")
    watch_drop_rel: float = Field(
        0.3, gt=0, lt=1, description="drop that a watch must be able to see to keep a release"
    )
    watch_extend_max: int = Field(
        2, ge=1, le=100, description="how many times longer a watch may become to see it"
    )
    watch_latency_floor_ms: float = Field(
        100, ge=0, description="watch: p95 under this is never too slow"
    )

    drill_every_s: float = Field(0, ge=0, description="time between drills by a worker (0: none)")

    approval_expires_s: float = Field(
        86_400, ge=1, description="how long a person may take to approve"
    )
    budget_usd: float = Field(500, gt=0, description="most that a month of cycles may cost")
    cycle_cost_usd: float = Field(
        1.0, ge=0, description="set aside in that budget before a cycle starts"
    )
    max_experiments: int = Field(
        1, ge=1, le=1, description="experiments open at once on one target"
    )

    tune_encoder: bool = Field(
        False, description="tune the encoder too (needs the extra train, and minutes)"
    )
    cross_encoder: bool = Field(
        False, description="train a cross-encoder too (needs the extra train, and minutes)"
    )
    training_budget_s: float = Field(
        600, ge=0, description="candidates that would take longer in all are left out"
    )
    training_budget_usd: float = Field(
        1.0, ge=0, description="the same in money, at the price of a CPU hour"
    )
    training_cpu_s: float = Field(3600, ge=1, description="most CPU time of a training job")
    training_wall_s: float = Field(3600, ge=1, description="longest training job")
    training_memory_mb: int = Field(4096, ge=64, description="most memory of a training job")

    worker_heartbeat_s: float = Field(2, gt=0, description="how often a worker says it is alive")
    worker_lease_s: float = Field(
        10, gt=0, description="silence after which its work passes to another"
    )
    poll_s: float = Field(
        0.5, gt=0, le=60, description="how often something waited for is looked at"
    )

    seed: int = Field(0, ge=0, description="seed of everything random")

    _contour: Contour | None = PrivateAttr(None)
    _origins: Mapping[str, str] = PrivateAttr(default_factory=dict)

    @field_validator("query_writer_key", "argocd_token")
    @classmethod
    def _is_a_reference(cls, reference: str | None) -> str | None:
        return None if reference is None else check_reference(reference)

    @field_validator("contour")
    @classmethod
    def _is_a_contour(cls, name: str) -> str:
        if name not in NAMES:
            raise ValueError(f"known are {', '.join(NAMES)}")
        return name

    @field_validator("gate_profile")
    @classmethod
    def _is_a_profile(cls, name: str) -> str:
        if name not in GATE_PROFILES:
            raise ValueError(f"known are {', '.join(GATE_PROFILES)}")
        return name

    @model_validator(mode="after")
    def _lengths_fit(self) -> Settings:
        if self.experiment_min_s > self.experiment_max_s:
            raise ValueError("experiment_min_s is above experiment_max_s")
        if self.worker_lease_s < 2 * self.worker_heartbeat_s:
            raise ValueError("worker_lease_s is below twice worker_heartbeat_s")
        return self


def load_settings(overrides: Mapping[str, Any] | None = None) -> Settings:
    """Settings from the contour's file of values, then the environment, then ``overrides``.

    Raises ``InputError`` for an unknown name (with the nearest known one) or an unusable value.
    """
    given = dict(overrides or {})
    for name in given:
        if name not in Settings.model_fields:
            cure = did_you_mean(name, Settings.model_fields)
            raise InputError(f"unknown setting {name[:60]!r}", cure=cure or _SEE)
    variables = _variables()
    chosen = {name: os.environ[variable] for name, variable in variables.items()} | given
    contour = _contour(chosen)
    from_file = _from_file(contour)
    origins = {
        **dict.fromkeys(from_file, contour.source),
        **variables,
        **dict.fromkeys(given, "--set"),
    }
    try:
        settings = Settings(**{**from_file, **chosen})
    except ValidationError as error:
        # Not chained: the error under this one holds the values, and a value may be a secret.
        raise _unusable(error, origins, contour) from None
    settings._contour, settings._origins = contour, origins
    return settings


def load_contour(settings: Settings) -> Contour:
    """The contour these settings were loaded for: the spec's keys, typed."""
    return settings._contour or _read_contour(settings.contour, settings.contour_file)


def quality_gates(settings: Settings) -> dict[str, dict[str, float]]:
    """The contour's ``quality_gates`` in the spec's shape, with the settings that outweigh it.

    Every gate is there, so that a file that leaves one out does not lift it.
    """
    gates = load_contour(settings).quality_gates.given()
    for name, path in FROM_KEYS.items():
        block, _, rest = path.partition(".")
        if block == "quality_gates":
            gate, _, limit = rest.partition(".")
            gates.setdefault(gate, {})[limit] = getattr(settings, name)
    return gates


def describe(settings: Settings) -> Sequence[Mapping[str, str]]:
    """Name, value, where it came from, and help of every setting; no secret."""
    return [
        {
            "name": name,
            "value": _shown(name, getattr(settings, name)),
            "from": settings._origins.get(name, "default"),
            "help": field.description or "",
        }
        for name, field in Settings.model_fields.items()
    ]


def parse_overrides(pairs: list[str]) -> dict[str, str]:
    """``["rate_per_s=60"]`` → ``{"rate_per_s": "60"}``."""
    overrides: dict[str, str] = {}
    for pair in pairs:
        name, found, value = pair.partition("=")
        if not found:
            shown = pair.partition(":")[0][:60]  # what follows a colon may be a URL with a password
            raise InputError(f"setting {shown!r} has no value", cure="write NAME=VALUE")
        overrides[name.strip()] = value.strip()
    return overrides


def _variables() -> dict[str, str]:
    """Settings that the environment gives, and the variable that gives each."""
    found = {}
    for variable in sorted(os.environ):
        if not variable.upper().startswith(PREFIX):
            continue
        name = variable[len(PREFIX) :].lower()
        if name not in Settings.model_fields:
            known = [known.upper() for known in Settings.model_fields]
            cure = did_you_mean(name.upper(), known, PREFIX) if name else None
            raise InputError(f"unknown environment variable {variable}", cure=cure or _SEE)
        found[name] = variable
    return found


def _contour(chosen: Mapping[str, Any]) -> Contour:
    """The contour that ``contour`` and ``contour_file`` name, before anything else is read."""
    name = str(chosen.get("contour", NAMES[0]))
    if name not in NAMES:
        raise InputError(
            f"setting 'contour' cannot be {name[:60]!r}: known are {', '.join(NAMES)}", cure=_SEE
        )
    return _read_contour(name, chosen.get("contour_file"))


def _read_contour(name: str, file: Path | str | None) -> Contour:
    return packaged(name) if file is None else load_file(Path(file).expanduser(), name)


def _from_file(contour: Contour) -> Mapping[str, Any]:
    """The contour's values for settings, under names that it may give."""
    for name in contour.settings:
        place = f"settings.{name[:60]} in {contour.source}"
        if name in FROM_KEYS:
            raise InputError(f"{place} has a key of its own", cure=f"set {FROM_KEYS[name]} there")
        if name in _NOT_IN_A_FILE:
            raise InputError(f"{place} cannot be set there", cure=f"use {PREFIX}{name.upper()}")
        if name not in Settings.model_fields:
            near = did_you_mean(name, Settings.model_fields, "settings.")
            raise InputError(f"unknown key {place}", cure=near or _SEE)
    return setting_values(contour)


def _unusable(error: ValidationError, origins: Mapping[str, str], contour: Contour) -> InputError:
    first = error.errors()[0]
    message = first["msg"].removeprefix("Value error, ")
    if not first["loc"]:
        return InputError(message, cure=_SEE)
    name = str(first["loc"][0])
    source = f" in {contour.source}" if origins.get(name) == contour.source else ""
    value = "that" if name in SECRETS else repr(str(first.get("input"))[:60])
    return InputError(f"setting {name!r}{source} cannot be {value}: {message}", cure=_SEE)


def _shown(name: str, value: object) -> str:
    if name in SECRETS:
        return "set, not shown" if value else "none"
    return "none" if value is None else str(value)
