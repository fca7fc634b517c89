"""What users may ask: questions in groups, and how often each group is asked."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from predator.domain.errors import InputError


@dataclass(frozen=True, slots=True)
class Question:
    """A query as typed, and the grades of the documents that answer it."""

    id: str
    text: str
    relevant: Mapping[str, int]


World = Mapping[str, Sequence[Question]]
"""Questions by the name of their group."""


class Mix:
    """Draws questions: a group by its weight, then a question by its popularity.

    Popularity falls as ``rank ** -exponent`` in the order of the group: 0 asks everything equally
    often, 1 is Zipf's law, the mild default keeps the tail alive in short runs. Groups without a
    weight are not asked. Raises ``ValueError`` for an unknown or empty group, a weight that is
    negative or not finite, and weights that are all zero.
    """

    def __init__(self, world: World, weights: Mapping[str, float], exponent: float = 0.5) -> None:
        asked = {name: float(weight) for name, weight in weights.items() if weight != 0}
        for name, weight in asked.items():
            if name not in world:
                raise ValueError(f"unknown query group {name!r}")
            if not (np.isfinite(weight) and weight > 0):
                raise ValueError(f"the weight of {name!r} is {weight}")
            if not world[name]:
                raise ValueError(f"the query group {name!r} is empty")
        if not asked:
            raise ValueError("no query group has a weight above 0")
        self._groups = [world[name] for name in asked]
        self._group_edges = _edges(np.array(list(asked.values())))
        self._edges = [
            _edges(np.arange(1, len(group) + 1, dtype=np.float64) ** -exponent)
            for group in self._groups
        ]

    def pick(self, rng: np.random.Generator) -> Question:
        """The next question."""
        group = int(np.searchsorted(self._group_edges, rng.random(), side="right"))
        index = int(np.searchsorted(self._edges[group], rng.random(), side="right"))
        return self._groups[group][index]


def _edges(weights: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, Any]:
    edges = np.cumsum(weights / weights.sum())
    edges[-1] = 1.0
    return edges


def load_world(path: Path) -> World:
    """Read ``{"groups": {name: [{"id", "text", "relevant": {document: grade}}]}}``.

    Raises :class:`InputError` that names the first thing wrong.
    """
    try:
        value = json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"the world {path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise InputError(f"the world {path} is not JSON: {error}") from error
    groups = value.get("groups") if isinstance(value, dict) else None
    if not isinstance(groups, dict) or not groups:
        raise InputError(f"the world {path} has no groups", cure='Give {"groups": {name: [...]}}')
    return {
        name: _group(rows, f"the world {path}, group {name!r}") for name, rows in groups.items()
    }


def _group(rows: object, where: str) -> Sequence[Question]:
    if not isinstance(rows, list):
        raise InputError(f"{where}: not a list")
    return tuple(_question(row, f"{where}, entry {number}") for number, row in enumerate(rows))


def _question(entry: object, where: str) -> Question:
    if not isinstance(entry, dict):
        raise InputError(f"{where}: not an object")
    identity, text, relevant = entry.get("id"), entry.get("text"), entry.get("relevant")
    if not isinstance(identity, str) or not isinstance(text, str) or not isinstance(relevant, dict):
        raise InputError(f"{where}: needs id, text (strings) and relevant (document to grade)")
    if not all(type(grade) is int for grade in relevant.values()):
        raise InputError(f"{where}: a grade is not a whole number")
    return Question(identity, text, relevant)
