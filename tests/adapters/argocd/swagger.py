"""Argo CD's own description of its API, by which requests and answers are checked."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest

SPECS = Path(__file__).parents[3].parent / "shared/specs/argocd"
STRICT = SPECS / "swagger.strict.json"
ABSENT = "Argo CD's swagger is not beside the project"


class Swagger:
    """Problems of requests and answers by the strict description: what it does not know is one."""

    def __init__(self, description: Mapping[str, Any]) -> None:
        self._definitions = description["definitions"]
        self._routes = [
            (re.compile(re.sub(r"\{\w+\}", "[^/]+", path)), methods)
            for path, methods in description["paths"].items()
        ]
        self._validator = cache(self._made)

    @classmethod
    def beside(cls) -> Swagger | None:
        """The one that lies beside the project, if it does."""
        return cls(json.loads(STRICT.read_text())) if STRICT.exists() else None

    def request(self, method: str, path: str, query: str, body: bytes) -> list[str]:
        operation = self._operation(method, path)
        if operation is None:
            return [f"{method} {path}: there is no such route"]
        known = {one["name"]: one for one in operation.get("parameters", [])}
        problems = [
            f"{method} {path}: unknown query {name!r}"
            for name, _ in parse_qsl(query, keep_blank_values=True)
            if known.get(name, {}).get("in") != "query"
        ]
        schema = next((one["schema"] for one in known.values() if one["in"] == "body"), None)
        if schema is not None:
            problems += self._check(f"{method} {path}", schema, body)
        elif body:
            problems.append(f"{method} {path}: takes no body")
        return problems

    def answer(self, method: str, path: str, status: int, body: bytes) -> list[str]:
        operation = self._operation(method, path) or {"responses": {"default": {}}}
        responses = operation["responses"]
        schema = responses.get(str(status), responses["default"]).get("schema")
        lines = body.splitlines() if "/stream/" in path else [body]
        return [
            problem
            for line in lines
            for problem in self._check(f"{method} {path} → {status}", schema or {}, line)
        ]

    def _operation(self, method: str, path: str) -> Mapping[str, Any] | None:
        for pattern, methods in self._routes:
            if pattern.fullmatch(path) and method.lower() in methods:
                found: Mapping[str, Any] = methods[method.lower()]
                return found
        return None

    def _check(self, where: str, schema: Mapping[str, Any], body: bytes) -> list[str]:
        try:
            value = json.loads(body)
        except ValueError:
            return [f"{where}: no JSON"]
        validator = self._validator(json.dumps(schema))
        return [
            f"{where}: {'/'.join(map(str, error.path))}: {error.message[:200]}"
            for error in validator.iter_errors(value)
        ]

    def _made(self, schema: str) -> Any:
        jsonschema = pytest.importorskip("jsonschema")
        return jsonschema.Draft4Validator({**json.loads(schema), "definitions": self._definitions})
