"""What the admin API takes. What it gives are the records of ``domain`` and ``loop``."""

from __future__ import annotations

import re
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Path, Query
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
)

from predator.domain.governance import EVERYWHERE, Role, Token
from predator.loop.operator.desk import MOST_TEXT

NO_NUL = r"^[^\x00]*$"
_ISO = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d")


def _moment(value: object) -> object:
    """ISO 8601 (without an offset: UTC) or unix seconds → unix seconds."""
    if isinstance(value, bool):
        raise ValueError("a moment is ISO 8601 or unix seconds")
    if not isinstance(value, str):
        return value
    try:
        if _ISO.match(value) is None:
            raise ValueError
        moment = datetime.fromisoformat(value)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError) as error:
        raise ValueError("a moment looks like 2025-12-07T01:23:45Z, or is unix seconds") from error


Moment = Annotated[
    float,
    BeforeValidator(_moment),
    Field(allow_inf_nan=False),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "string", "format": "date-time"}]}),
]
Reason = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MOST_TEXT, pattern=r"^[^\x00]*[^\s\x00][^\x00]*$"),
]
Name = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=NO_NUL)]
ContourName = Annotated[str, StringConstraints(min_length=1, max_length=60, pattern=NO_NUL)]

Contour = Annotated[str, Query(max_length=60, pattern=NO_NUL, description="which contour")]
CycleId = Annotated[str, Path(pattern=r"^si_[0-9]{4}_[0-9]{2}_[0-9]{2}_[0-9]{3,}$", max_length=40)]
Id = Annotated[str, Path(min_length=1, max_length=200, pattern=NO_NUL)]


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Stop(Body):
    """Everything may be left out: a stop must be easy."""

    contour: ContourName = Field(EVERYWHERE, description="a contour, or `all`")
    reason: str = Field("", max_length=MOST_TEXT, pattern=NO_NUL)


class Start(Body):
    contour: ContourName = Field(description="a contour, or `all`")
    reason: Reason


class Rollback(Body):
    environment: ContourName = Field(description="which contour")
    to_version: Name | None = Field(None, description="such as `v2.0`; null: what was before")
    reason: str = Field("", max_length=MOST_TEXT, pattern=NO_NUL)


class GateException(Body):
    reason: Reason
    expires_at: Moment = Field(description="when the floor is the contour's own again")
    contour: ContourName


class PolicyException(Body):
    contour: ContourName
    action: Name = Field(description="an effect of the closed set, such as `promote`")
    reason: Reason
    expires_at: Moment


class CycleRequest(Body):
    contour: ContourName
    reason: Reason


class Because(Body):
    reason: Reason


class FlagValue(Body):
    enabled: bool = Field(strict=True)
    reason: Reason
    metadata: dict[str, Any] = Field(default_factory=dict, description="at most 4 KiB of JSON")


class TokenRequest(Body):
    holder: Name = Field(description="who will act with it")
    role: Role
    contours: list[ContourName] = Field(max_length=20, description="none: every contour")
    expires_at: Moment


class TokenView(BaseModel):
    """A token without its text."""

    id: str
    actor: str
    role: Role
    contours: list[str]
    created_at: float
    expires_at: float
    revoked_at: float | None

    @classmethod
    def of(cls, token: Token) -> TokenView:
        return cls(**{**asdict(token), "contours": sorted(token.contours)})


class IssuedToken(TokenView):
    """``token`` is its text: it is shown in the first answer and never again (then null)."""

    token: str | None


class Accepted(BaseModel):
    """What was asked for and will be done; ``id`` says where to look."""

    id: str


class Removed(BaseModel):
    removed: bool


class Asked(BaseModel):
    """``asked`` is false where somebody had asked before."""

    cycle_id: str
    asked: bool


class ArtifactList(BaseModel):
    cycle_id: str
    artifacts: list[str]


class Health(BaseModel):
    status: str


class Readiness(BaseModel):
    """``ready`` while the flags can be read; ``parts`` says of each part what is wrong."""

    ready: bool
    parts: dict[str, str]
