"""How DBOS keeps values: plain JSON, never pickle."""

from __future__ import annotations

import json
from typing import Any

from predator.adapters.runtime.outcomes import plain
from predator.domain.errors import PredatorError


class JsonSerializer:
    """ASCII JSON, so that a database keeps any string (PostgreSQL takes no NUL in its text).

    Our flows end in outcomes, not in exceptions. Those that DBOS itself records (a flow given up
    after too many crashes) are kept by class and message, and read back as ``PredatorError``.
    """

    def name(self) -> str:
        return "predator_json"

    def serialize(self, data: Any) -> str:
        if isinstance(data, BaseException):
            data = {"exception": {"class": type(data).__name__, "message": str(data)}}
        return json.dumps(plain(data), separators=(",", ":"), allow_nan=False)

    def deserialize(self, serialized_data: str) -> Any:
        value = json.loads(serialized_data)
        if isinstance(value, dict) and value.keys() == {"exception"}:
            described = value["exception"]
            return PredatorError(f"{described['class']}: {described['message']}")
        return value
