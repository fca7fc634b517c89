"""A Gold set: the questions that decide, who judged them, and how they were set apart (I23).

Only people's judgments make Gold. The kinds that count are a closed list; a click, a generated
query, a pseudo-label of a stronger ranker and whatever is invented next are refused, because
they are not on it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from predator.domain.canonical import digest_of
from predator.domain.errors import InputError

SCHEMA = "gold-set/1"


class Human(StrEnum):
    """The kinds of lineage that make Gold."""

    JUDGMENT = "judgment"
    """A person read document and question, and said how relevant the one is to the other."""
    KNOWN_ITEM = "known_item"
    """A person wrote the question's words about the one document that is to be found."""


@dataclass(frozen=True, slots=True)
class Lineage:
    """Where a row comes from.

    ``source`` is any text: what is no :class:`Human` kind never becomes Gold. ``judge`` names
    who judged (empty: nobody says), ``at`` when (unix s; ``None``: nobody says). ``file`` is
    the file's name inside its collection, ``sha256`` the hash of its content, ``lines`` the
    numbers of the lines that hold the row's judgments (empty where a file has no lines).
    """

    source: str
    file: str
    sha256: str
    lines: tuple[int, ...] = ()
    judge: str = ""
    at: float | None = None


@dataclass(frozen=True, slots=True)
class GoldRow:
    """One question with its judgments (grade by document id), and when it was asked (unix s)."""

    query: str
    text: str
    grades: Mapping[str, int]
    lineage: Lineage
    asked_at: float | None = None

    def __post_init__(self) -> None:
        times = [at for at in (self.asked_at, self.lineage.at) if at is not None]
        if not self.grades or not all(map(math.isfinite, times)):
            raise ValueError(f"Gold row {self.query!r} has no judgment, or a time that is none")


@dataclass(frozen=True, slots=True)
class SplitRule:
    """How Gold was set apart from what may be learnt from.

    ``by``: ``cluster``, ``cluster and time``, or ``the collection's test split``. ``why`` says
    it in a sentence. Every Gold question was asked at ``cut`` (unix s) or later, every learnt
    one before it. ``watched`` counts judged questions that would have been learnt from, had they
    not said what a Gold question says; ``aside`` those that could stand on neither side.
    """

    by: str
    why: str
    seed: int
    cut: float | None = None
    watched: int = 0
    aside: int = 0


@dataclass(frozen=True, slots=True)
class GoldSet:
    """One version. ``InputError`` where a row is not a person's judgment.

    ``documents`` is the object that lists the documents the judges could see (the sha256 of
    :func:`corpus_bytes`), ``collection`` the content digest of what it was cut from. Version 0
    is a proposal that nobody has sealed; ``supersedes`` is the digest of the version before.
    """

    name: str
    collection: str
    documents: str
    rows: tuple[GoldRow, ...]
    split: SplitRule
    version: int = 0
    supersedes: str = ""
    sealed_at: float | None = None

    def __post_init__(self) -> None:
        admit(self.rows)

    @property
    def content(self) -> str:
        """Names questions and grades alone: two NDCGs on other content cannot be compared."""
        return content_of((row.text, row.grades) for row in self.rows)

    @property
    def body(self) -> str:
        """Names everything but the version: the same body again is no new version."""
        value = self.to_json()
        return digest_of({k: value[k] for k in value if k not in _OF_VERSION})

    @property
    def sources(self) -> Mapping[str, int]:
        """How many rows each kind of lineage brought."""
        return {
            str(kind): count
            for kind in Human
            if (count := sum(row.lineage.source == kind for row in self.rows))
        }

    def to_json(self) -> dict[str, Any]:
        return {"schema": SCHEMA, **asdict(self)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> GoldSet:
        """``ValueError``, ``KeyError`` or ``TypeError`` for what :meth:`to_json` never made."""
        given = dict(value)
        if given.pop("schema") != SCHEMA:
            raise ValueError(f"no Gold set of {SCHEMA}")
        rows = tuple(_row(row) for row in given.pop("rows"))
        return cls(**{**given, "rows": rows, "split": SplitRule(**given["split"])})


@dataclass(frozen=True, slots=True)
class Provenance:
    """What is known about a collection's questions, by query id: who judged them, from where,
    and when they were asked (unix s; only where something says so)."""

    lineage: Mapping[str, Lineage]
    asked_at: Mapping[str, float]


_OF_VERSION = ("version", "supersedes", "sealed_at")


def admit(rows: Iterable[GoldRow]) -> tuple[GoldRow, ...]:
    """``rows``, each a person's judgment; ``InputError`` that names the first that is not."""
    admitted = tuple(rows)
    tainted = [row for row in admitted if not is_human(row.lineage)]
    if tainted:
        row = tainted[0]
        place = f"{row.lineage.file}:{row.lineage.lines[0]}" if row.lineage.lines else ""
        raise InputError(
            f"query {row.query!r:.80} cannot be Gold: its lineage is {row.lineage.source!r:.40}"
            f"{f' ({place})' if place else ''}, and {len(tainted)} of {len(admitted)} rows are no "
            "person's judgments",
            cure=f"Gold takes {' or '.join(Human)}; leave the others to training",
        )
    if len({row.query for row in admitted}) != len(admitted):
        raise InputError("a query stands twice in the Gold set", cure="Keep one row of it")
    return admitted


def is_human(lineage: Lineage) -> bool:
    """Whether a person judged: the kind is on the list, letter by letter."""
    return lineage.source in frozenset(map(str, Human))


def content_of(rows: Iterable[tuple[str, Mapping[str, int]]]) -> str:
    """The digest of questions and their grades, in their order."""
    return digest_of([[text, dict(grades)] for text, grades in rows])


def _row(value: Mapping[str, Any]) -> GoldRow:
    lineage = dict(value["lineage"])
    grades = {str(document): int(grade) for document, grade in dict(value["grades"]).items()}
    return GoldRow(
        **{
            **value,
            "grades": grades,
            "lineage": Lineage(**{**lineage, "lines": tuple(lineage["lines"])}),
        }
    )
