"""Relevance judgments: BEIR's three columns, or the four of a TREC qrels file."""

from __future__ import annotations

import re
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path

from predator.adapters.collections.lines import Line, read_lines, shown, shown_path
from predator.domain.documents import Judgments
from predator.domain.errors import InputError

GRADE_LIMIT = 1000
"""trec_eval keeps a counter for each grade up to the largest."""

_GRADE = re.compile(r"\+?([0-9]{1,18})(?:\.0*)?\Z", re.ASCII)
_NUMBER = re.compile(r"[+-]?(?:[0-9.]+(?:e[+-]?[0-9]+)?|nan|inf(?:inity)?)\Z", re.ASCII | re.I)
_COLUMNS = "Write query-id, corpus-id, score (BEIR), or qid 0 docid rel (TREC), split by tabs"


@dataclass(frozen=True, slots=True)
class Qrels:
    """The judgments of one file, and what was left out because its documents are missing."""

    judgments: Judgments
    dropped_judgments: int
    dropped_queries: frozenset[str]


def read_qrels(
    path: Path,
    queries: Container[str],
    documents: Container[str],
    *,
    droppable: Container[str] | None,
) -> Qrels:
    """Read one file of judgments; a first line with neither a known query nor a number is a header.

    Judgments of documents that are ``droppable`` (``None``: of all unknown documents) are left
    out, and so are the queries that this leaves without a relevant document.
    """
    judgments: dict[str, dict[str, int]] = {}
    dropped = 0
    robbed: set[str] = set()
    for position, line in enumerate(read_lines(path)):
        query_id, document_id, score = _cells(line)
        if position == 0 and query_id not in queries and not _NUMBER.match(score):
            continue
        grade = _grade(line, score)
        if query_id not in queries:
            raise line.error(
                f"query {shown(query_id)} is not in queries.jsonl",
                "Add it there, or remove the line",
            )
        if document_id not in documents:
            if droppable is not None and document_id not in droppable:
                raise line.error(
                    f"document {shown(document_id)} is not in corpus.jsonl",
                    "Add it there, or pass --missing-docs ignore",
                )
            dropped += 1
            if grade:
                robbed.add(query_id)
            continue
        known = judgments.setdefault(query_id, {}).setdefault(document_id, grade)
        if known != grade:
            raise line.error(
                f"query {shown(query_id)}, document {shown(document_id)} was judged {known} before",
                "Keep one judgment of the pair",
            )
    lost = frozenset(query for query in robbed if not any(judgments.get(query, {}).values()))
    for query_id in lost:
        judgments.pop(query_id, None)
    if not judgments:
        raise InputError(
            f"{shown_path(path)}:1: no judgment names a document of the corpus"
            if dropped
            else f"{shown_path(path)}:1: there is no judgment below the header",
            cure="Fill the file or remove it",
        )
    return Qrels(judgments, dropped, lost)


def _cells(line: Line) -> tuple[str, str, str]:
    if "\t" in line.text:
        match [cell.strip() for cell in line.text.split("\t")]:
            case [query_id, document_id, score] | [query_id, _, document_id, score]:
                return query_id, document_id, score
            case cells:
                raise line.error(f"{len(cells)} columns instead of 3 or 4", _COLUMNS)
    match line.text.split():
        case [query_id, _, document_id, score]:
            return query_id, document_id, score
        case cells:
            raise line.error(f"{len(cells)} columns without tabs", _COLUMNS)


def _grade(line: Line, score: str) -> int:
    match = _GRADE.match(score)
    if match is None:
        raise line.error(
            f"score {shown(score)} is not a whole number of 0 or more",
            "Use 0 for not relevant, 1 and up for relevant",
        )
    grade = int(match[1])
    if grade > GRADE_LIMIT:
        raise line.error(
            f"score {shown(score)} is above {GRADE_LIMIT}", "Use small grades, such as 0 to 3"
        )
    return grade
