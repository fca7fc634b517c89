"""What a contour's file of values can say: the spec's keys (6A.6, 6A.10, 6A.12), typed.

The page ``docs/contours.md`` explains each key; a test keeps both in step. Defaults are the
careful side: what a file does not say is off, or needs a person.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_validator,
)
from pydantic.alias_generators import to_camel

from predator.contours.schedule import check_cron, seconds
from predator.contours.secret_reference import check_reference

NAMES = ("local", "dev-mac", "edge-oracle", "compute-nvidia")


def _check_duration(text: str) -> str:
    seconds(text)
    return text


def _check_destination(text: str) -> str:
    if not text.isprintable() or "@" in text.partition("://")[2].partition("/")[0]:
        raise ValueError("name a folder or a bucket, without a password in it")
    return text


def _check_scalar(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("a setting is a number or a text")
    return value


def _nothing() -> Mapping[str, Any]:
    return MappingProxyType({})


# What a schema of the file can say of them ahead of time; the validators decide.
_DURATION = WithJsonSchema({"type": "string", "pattern": "^[0-9]+[smhd]$"})
_REFERENCE = WithJsonSchema({"type": "string", "pattern": "^(env:[A-Za-z_]|file:/)"})
_SCALAR = WithJsonSchema({"type": ["string", "number"]})

Duration = Annotated[str, AfterValidator(_check_duration), _DURATION]
Cron = Annotated[str, AfterValidator(check_cron)]
Reference = Annotated[str, AfterValidator(check_reference), _REFERENCE]
Scalar = Annotated[Any, AfterValidator(_check_scalar), _SCALAR]
Destination = Annotated[str, Field(max_length=1_000), AfterValidator(_check_destination)]
Metric = Annotated[float, Field(ge=0)]
_FROZEN = AfterValidator(MappingProxyType)


class _Block(BaseModel):
    """Exactly these keys, each of its very type."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,
        alias_generator=to_camel,
    )


class _SnakeBlock(_Block):
    model_config = ConfigDict(alias_generator=None)


class Features(_Block):
    """What the loop may do by itself."""

    auto_promote: bool = False
    ab_testing: bool = False
    ab_split_ratio: float = Field(default=0.2, gt=0, lt=1)
    rollback_on_degrade: bool = True


class Monitoring(_Block):
    """Where news goes."""

    slack_webhook: Reference | None = None
    alert_on_degrade: bool = True


class Backup(_Block):
    """Copies of what cannot be made again."""

    enabled: bool = False
    schedule: Cron = "0 2 * * *"
    destination: Destination = ""

    @model_validator(mode="after")
    def _goes_somewhere(self) -> Backup:
        if self.enabled and not self.destination:
            raise ValueError("a backup that is enabled needs a destination")
        return self


class Resources(_Block):
    """The machine that trains."""

    gpu: bool = False
    gpu_count: int = Field(default=0, ge=0, le=64)
    gpu_type: str = Field(default="", max_length=100)


class Kubecost(_Block):
    """Money. ``budget_alert`` is a percentage of the month's budget."""

    enabled: bool = False
    budget_alert: float = Field(default=80, gt=0, le=100)
    cost_optimization: bool = False


class H2oStudio(_Block):
    """An outside trainer."""

    enabled: bool = False
    auto_trigger_training: bool = False


class SelfImprovement(_Block):
    """The loop on one contour."""

    enabled: bool = False
    policy: Literal["staging", "full"] = "staging"
    mock_signals: bool = False
    mock_metrics: Annotated[Mapping[str, Metric], _FROZEN] = Field(default_factory=_nothing)
    cycle_interval: Duration = "4h"
    schedule: Cron = "0 2 * * 0"
    features: Features = Features()
    monitoring: Monitoring = Monitoring()
    backup: Backup = Backup()
    resources: Resources = Resources()
    kubecost: Kubecost = Kubecost()
    h2o_studio: H2oStudio = Field(default=H2oStudio(), alias="h2oStudio")
    kill_switch: bool = False
    manual_approval_required: bool = False
    max_cycles_per_day: int = Field(default=6, ge=0, le=10_000)

    @property
    def cycle_interval_s(self) -> int:
        return seconds(self.cycle_interval)


class NdcgGate(_SnakeBlock):
    """``min_delta`` is relative to the baseline, ``min`` an NDCG@10."""

    min_delta: float | None = Field(default=None, gt=0, le=10)
    min: float | None = Field(default=None, ge=0, le=1)


class LatencyGate(_SnakeBlock):
    """``max_delta`` is relative to the baseline, ``max`` is in milliseconds."""

    max_delta: float | None = Field(default=None, ge=0, le=10)
    max: float | None = Field(default=None, gt=0)


class CostGate(_SnakeBlock):
    """``max_delta`` is relative to the baseline, ``max`` is in USD for 1,000 searches."""

    max_delta: float | None = Field(default=None, ge=0, le=10)
    max: float | None = Field(default=None, ge=0)


class SatisfactionGate(_SnakeBlock):
    """``min_delta`` is relative to the baseline, ``min`` a mean rating."""

    min_delta: float | None = Field(default=None, gt=-1, le=10)
    min: float | None = Field(default=None, ge=1, le=5)


class QualityGates(_SnakeBlock):
    """The spec's ``quality_gates`` (6A.6)."""

    ndcg_at_10: NdcgGate = NdcgGate()
    latency_p95: LatencyGate = LatencyGate()
    cost_per_1k: CostGate = CostGate()
    user_satisfaction: SatisfactionGate = SatisfactionGate()

    def given(self) -> dict[str, dict[str, float]]:
        """The block as it was written, without what it leaves out."""
        found: dict[str, dict[str, float]] = self.model_dump(exclude_none=True)
        return {name: limits for name, limits in found.items() if limits}


class ContourFile(_SnakeBlock):
    """A file of values as a whole. ``settings`` overrides defaults of ``predator.config``."""

    self_improvement: SelfImprovement = Field(
        default_factory=SelfImprovement, alias="selfImprovement"
    )
    quality_gates: QualityGates = QualityGates()
    settings: Annotated[Mapping[str, Scalar], _FROZEN] = Field(default_factory=_nothing)


@dataclass(frozen=True, slots=True)
class Contour:
    """A contour as its file describes it; ``source`` names the file for people."""

    name: str
    source: str
    self_improvement: SelfImprovement
    quality_gates: QualityGates
    settings: Mapping[str, str | int | float]
