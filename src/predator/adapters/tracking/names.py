"""Names and values that any tracking store takes, whatever text they came from."""

from __future__ import annotations

import hashlib
import json
import math
import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from predator.domain.errors import InputError
from predator.domain.ids import is_cycle_id

KEY_LIMIT = 250
VALUE_LIMIT = 6000
"""MLflow's own limits, in characters: 250 a key, 6,000 a parameter and, here, any other value."""

OWN_TAGS = ("source_sha256", "si_cycle_id")
"""What a registration writes: which bytes, by which cycle."""

_REFERENCE = re.compile(r"models:/([\w.\- ]{1,250})/([1-9]\d{0,9})\Z")
_ALIAS = re.compile(r"(?![vV]\d+\Z)(?!(?i:latest)\Z)[A-Za-z0-9_\-]{1,255}\Z")


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One line of a listing of cycles. ``started_at`` is unix seconds, ``outcome`` may be empty."""

    cycle_id: str
    run_id: str
    status: str
    outcome: str
    started_at: float


def clean_key(text: str) -> str:
    """``text`` as a parameter, metric or tag name; two different texts stay different.

    A name that had to be changed (a character outside letters, digits and ``/_.- :``, a path
    that climbs, more than 250 characters, MLflow's own ``mlflow.``) ends in eight hexadecimal
    digits of its SHA-256.
    """
    kept = re.sub(r"[^/\w.\- :]", "_", text)
    if kept == text and len(kept) <= KEY_LIMIT and _stands_alone(kept):
        return kept
    return _marked(kept.replace("/", "_"), text)


def clean_name(text: str, limit: int = KEY_LIMIT) -> str:
    """``text`` as the name of a registered model or one part of a path: no ``/`` and no ``:``."""
    kept = re.sub(r"[^\w.\- ]", "_", text)
    if kept == text and len(kept) <= limit and _stands_alone(kept):
        return kept
    return _marked(kept, text, limit)


def clean_value(text: str, limit: int = VALUE_LIMIT) -> str:
    """``text`` cut to ``limit`` characters, with what no database stores written as escapes."""
    kept = text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")
    return kept if len(kept) <= limit else kept[: limit - 1] + "…"


def action_tag(sequence: int, action: Mapping[str, Any]) -> tuple[str, str]:
    """The searchable tag of an action: ``("action.003.train_model", "completed")``.

    Raises ``ValueError`` for a sequence below 1 or an action without a type.
    """
    kind = action.get("type")
    if sequence < 1 or not isinstance(kind, str) or not kind:
        raise ValueError(f"action {sequence} needs a sequence from 1 and a type")
    tag = f"action.{sequence:03d}.{clean_name(kind, 200)}"
    return tag, clean_value(str(action.get("status", "")))


def finite(values: Mapping[str, float]) -> dict[str, float]:
    """``values`` under names that can be stored; a NaN or an infinity raises ``ValueError``."""
    for name, value in values.items():
        if not math.isfinite(value):
            raise ValueError(f"metric {name[:80]!r} is not a finite number")
    return {clean_key(name): float(value) for name, value in values.items()}


def checked_cycle_id(cycle_id: str) -> str:
    """``cycle_id`` unchanged; raises ``InputError`` where it is not one."""
    if not is_cycle_id(cycle_id):
        raise InputError(f"{cycle_id[:80]!r} is not a cycle id", cure="Use si_YYYY_MM_DD_NNN")
    return cycle_id


def json_line(record: Mapping[str, Any]) -> str:
    """One line of canonical JSON; a lone surrogate, which UTF-8 cannot hold, stays an escape."""
    text = json.dumps(
        record, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return text.encode("utf-8", "backslashreplace").decode()


def clean_folder(text: str) -> str:
    """A folder inside the run's artifacts (``""`` is their root).

    Raises ``InputError`` for an absolute path, one that climbs, or one with control characters.
    """
    if not text:
        return ""
    path = PurePosixPath(text)
    if (
        path.is_absolute()
        or path.as_posix() != text
        or any(part == ".." for part in path.parts)
        or not text.isprintable()
        or "\\" in text
    ):
        raise InputError(
            f"artifact folder {text[:80]!r} does not lie inside the run",
            cure="Give a plain relative folder such as 'metrics'",
        )
    return text


def parse_reference(reference: str) -> tuple[str, str]:
    """``models:/name/3`` → ``("name", "3")``; anything else raises ``InputError``."""
    match = _REFERENCE.match(reference)
    if match is None:
        raise InputError(
            f"{reference[:80]!r} does not name a model version",
            cure="A reference reads models:/name/3",
        )
    return match[1], match[2]


def check_alias(alias: str) -> str:
    """``alias`` unchanged; raises ``InputError`` where the registry could not hold it."""
    if _ALIAS.match(alias) is None:
        raise InputError(
            f"{alias[:80]!r} cannot be an alias",
            cure="Use letters, digits, '_' and '-'; 'latest' and 'v3' are taken",
        )
    return alias


def model_tag(key: str, value: str) -> tuple[str, str]:
    """A tag of a model version as it is stored; ``InputError`` for one that identifies it."""
    cleaned = clean_key(key)
    if cleaned in OWN_TAGS:
        raise InputError(f"the tag {cleaned} of a model version cannot be changed")
    return cleaned, clean_value(value)


def unknown(subject: str) -> InputError:
    """The error for a run or a model version that is not there."""
    return InputError(f"the tracking store knows no {subject[:80]!r}")


def _stands_alone(key: str) -> bool:
    return (
        posixpath.normpath(key) == key
        and key == key.strip()
        and not key.startswith((".", "/", "mlflow."))
    )


def _marked(kept: str, text: str, limit: int = KEY_LIMIT) -> str:
    mark = hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:8]
    stem = kept.lstrip(". ")
    if stem.startswith("mlflow."):
        stem = stem.replace(".", "_", 1)
    return f"{stem[: limit - 9]}_{mark}"
