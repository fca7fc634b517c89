"""What is searched, what is asked, and what is right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

Judgments = Mapping[str, Mapping[str, int]]
"""Relevance grades by query id, then document id (0 = judged not relevant)."""


@dataclass(frozen=True, slots=True)
class Document:
    """One thing to find. ``category`` is empty until the processor classifies it."""

    id: str
    title: str
    text: str
    category: str = ""
    language: str = ""
    entities: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Query:
    """One thing asked."""

    id: str
    text: str


@dataclass(frozen=True, slots=True)
class Collection:
    """Documents, queries and judgments that belong together.

    ``splits`` maps a split name (``train``, ``dev``, ``test``) to its judgments. Every query
    and document that a judgment names is present. ``digest`` identifies the content: when it
    changes, a new Gold set starts. ``arrivals`` is the order in which groups of documents
    enter the world: the first group is there from the start; empty means "all at once".
    """

    name: str
    documents: Sequence[Document]
    queries: Sequence[Query]
    splits: Mapping[str, Judgments]
    digest: str
    arrivals: Sequence[Sequence[str]] = ()
    manifest: Mapping[str, object] = field(default_factory=dict)
