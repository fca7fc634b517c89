"""``predator search``: a client of a running platform."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from predator.domain.errors import InputError, PredatorError
from predator.edge.cli.options import settings_from

MAX_QUERY, MAX_K = 1000, 100


def search_once(
    query: str, k: int, url: str | None, user: str | None, as_json: bool, pairs: Sequence[str]
) -> None:
    """Ask, and print the hits."""
    if not query.strip():
        raise InputError("the query is empty", cure="say what to look for")
    if len(query) > MAX_QUERY:
        raise InputError(f"the query has {len(query)} characters", cure=f"use at most {MAX_QUERY}")
    if not 1 <= k <= MAX_K:
        raise InputError(f"k is {k}", cure=f"use 1 to {MAX_K}")
    settings = settings_from(pairs)
    address = url or f"http://{settings.host}:{settings.port}"
    answer = _ask(address, {"query": query, "k": k, **({"user_id": user} if user else {})})
    if as_json:
        sys.stdout.write(json.dumps(answer, indent=2, ensure_ascii=False) + "\n")
        return
    from rich.console import Console
    from rich.markup import escape

    from predator.edge.cli.shown import safe

    console = Console(highlight=False)
    for place, hit in enumerate(answer["hits"], 1):
        category = f"[dim]{escape(safe(hit['category']))}[/]" if hit["category"] else ""
        console.print(f"[bold]{place:2}. {escape(safe(hit['title'] or hit['id']))}[/]  {category}")
        if hit["summary"]:
            console.print(f"    {escape(safe(hit['summary']))}")
    variant = f", {answer['variant']} arm" if answer["variant"] else ""
    hits = "hit" if len(answer["hits"]) == 1 else "hits"
    console.print(
        f"[dim]{len(answer['hits'])} {hits} in {answer['took_ms']:.1f} ms by release "
        f"{answer['release'][:12]}{variant}[/]"
    )


def _ask(address: str, body: dict[str, object]) -> dict[str, Any]:
    import httpx

    try:
        answer = httpx.post(f"{address}/search", json=body, timeout=30)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise PredatorError(
            f"no platform answers at {address}: {error}", cure="start one with `predator serve`"
        ) from error
    try:
        value = answer.json()
        if answer.status_code != 200:
            raise InputError(f"the platform refused: {value['detail']}")
        if not isinstance(value["hits"], list):
            raise TypeError
    except (ValueError, KeyError, TypeError) as error:
        raise PredatorError(f"{address} does not answer as a Predator platform") from error
    return dict(value)
