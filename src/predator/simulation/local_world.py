"""The world of a local run: documents arrive in waves, and users ask about what has arrived."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from predator.domain.documents import Collection, Document, Query
from predator.domain.errors import InputError
from predator.domain.gold_set import GoldRow, GoldSet, Provenance, SplitRule
from predator.learning.splits import query_clusters
from predator.loop.labels import Labels
from predator.search.processor import Processor, Rules
from predator.simulation.roles import deal_roles

LEAST_QUERIES = 20
LEAST_TRAINING = 5
NEW_QUERIES = (0.15, 0.4)
"""A new wave of an ordinary collection should be about this share of the queries."""
SHIFTED_SHARE = 0.5
"""Share of the traffic that asks about the newest wave once it arrives."""


@dataclass(frozen=True)
class LocalWorld:
    """``waves`` of documents, the wave and role (training, live, gold, aside) of every judged
    query, and by which rule it got that role. Without ``provenance`` its Gold cannot be sealed.
    """

    collection: Collection
    waves: Sequence[Sequence[Document]]
    wave_of: Mapping[str, int]
    role_of: Mapping[str, str]
    split: SplitRule
    provenance: Provenance | None = field(default=None, repr=False)

    @property
    def judgments(self) -> Mapping[str, Mapping[str, int]]:
        return judged(self.collection)

    def questions(self) -> dict[str, list[dict[str, object]]]:
        """What users may ask, by the wave it is about, for the traffic generator."""
        groups: dict[str, list[dict[str, object]]] = {}
        for query in self._judged():
            groups.setdefault(f"wave{self.wave_of[query.id]}", []).append(
                {
                    "id": query.id,
                    "text": query.text,
                    "relevant": dict(self.judgments[query.id]),
                }
            )
        return groups

    def mix(self, wave: int) -> dict[str, float]:
        """Who asks what once ``wave`` has arrived: half of the traffic is about the newest."""
        counts: dict[int, int] = {}
        for number in self.wave_of.values():
            counts[number] = counts.get(number, 0) + 1
        known = {w: n for w, n in counts.items() if w <= wave}
        total = sum(known.values())
        if wave == 0 or wave not in known or len(known) == 1:
            return {f"wave{w}": n / total for w, n in known.items()}
        older = total - known[wave]
        return {
            f"wave{w}": SHIFTED_SHARE if w == wave else (1 - SHIFTED_SHARE) * n / older
            for w, n in known.items()
        }

    def labels(self, wave: int, training: int, gold: int) -> Labels:
        """Judged queries about what has arrived. Nothing is learnt from judgments about the
        newest wave, generated queries must stand in: its training queries only watch."""
        parts: dict[str, list[Query]] = {"training": [], "live": [], "gold": [], "aside": []}
        for query in self._judged():
            number, role = self.wave_of[query.id], self.role_of[query.id]
            newest = number == wave and wave > 0
            if number <= wave:
                parts["live" if newest and role == "training" else role].append(query)
        return Labels(
            tuple(parts["training"][:training]),
            tuple(parts["live"]),
            tuple(parts["gold"][:gold]),
            self.judgments,
            self._gold_set(parts["gold"][:gold]),
        )

    def known_documents(self, wave: int) -> Sequence[str]:
        """The ids of what has arrived with ``wave``: what judges of its questions could see."""
        return [d.id for arrived in self.waves[: wave + 1] for d in arrived]

    def _gold_set(self, queries: Sequence[Query]) -> GoldSet | None:
        """A proposal: nobody has sealed it yet."""
        about, judgments = self.provenance, self.judgments
        if about is None:
            return None
        rows = tuple(
            GoldRow(q.id, q.text, judgments[q.id], about.lineage[q.id], about.asked_at.get(q.id))
            for q in queries
        )
        return GoldSet(self.collection.name, self.collection.digest, "", rows, self.split)

    def _judged(self) -> list[Query]:
        return [query for query in self.collection.queries if query.id in self.wave_of]


def judged(collection: Collection) -> dict[str, Mapping[str, int]]:
    """Every judgment of every split; ``InputError`` where two of them contradict each other."""
    merged: dict[str, dict[str, int]] = {}
    for name, judgments in collection.splits.items():
        for query, grades in judgments.items():
            known = merged.setdefault(query, {})
            for document, grade in grades.items():
                if known.setdefault(document, grade) != grade:
                    raise InputError(
                        f"qrels/{name}.tsv judges document {document!r:.80} for query "
                        f"{query!r:.80} as {grade}, another split as {known[document]}",
                        cure="Keep one of the two",
                    )
    return dict(merged)


def answerable(collection: Collection) -> list[Query]:
    """The queries to which some document is relevant; ``InputError`` where they are too few."""
    judgments = judged(collection)
    found = [q for q in collection.queries if any(g > 0 for g in judgments.get(q.id, {}).values())]
    if len(found) < LEAST_QUERIES:
        raise InputError(
            f"{len(found)} judged queries are too few to run the ring on",
            cure=f"Bring at least {LEAST_QUERIES} queries with judgments",
        )
    return found


def plan_world(
    collection: Collection,
    rules: Rules,
    vectors: NDArray[np.float32],
    queries: Sequence[Query],
    seed: int,
    provenance: Provenance | None = None,
) -> LocalWorld:
    """Deal the documents into waves, and into roles the answerable ``queries`` ([n] vectors).

    A collection that names its arrivals keeps them. Otherwise whole categories are held back as
    the second wave, so that new documents bring new vocabulary. The roles are those of
    :func:`deal_roles`. Raises ``InputError`` where they leave one without queries.
    """
    rng = np.random.default_rng(seed)
    judgments = judged(collection)
    waves = _waves(collection, rules, queries, rng)
    clusters = query_clusters(vectors, seed)
    order = rng.permutation(len(queries))
    shuffled = [queries[i] for i in order]
    role_of, split = deal_roles(collection, queries, clusters, rng, seed, provenance)
    if missing := {"training", "live", "gold"}.difference(role_of.values()):
        raise InputError(
            f"the judged queries leave none for the role {sorted(missing)[0]!r}",
            cure="Bring more queries, or questions that are less alike",
        )

    def world(waves: Sequence[Sequence[Document]]) -> LocalWorld:
        wave_of_document = {d.id: w for w, wave in enumerate(waves) for d in wave}
        wave_of = {
            query.id: _majority(
                [wave_of_document[d] for d, grade in judgments[query.id].items() if grade > 0]
            )
            for query in queries
        }
        asked = replace(collection, queries=shuffled)
        return LocalWorld(asked, waves, wave_of, role_of, split, provenance)

    planned = world(waves)
    first, last = (planned.labels(wave, len(queries), 1) for wave in (0, len(waves) - 1))
    if first.live and last.gold and len(last.training) >= LEAST_TRAINING:
        return planned
    # Whatever is new, nothing would be left to learn from, or to compare it with: no shift then.
    return world([list(collection.documents)])


def _waves(
    collection: Collection, rules: Rules, queries: Sequence[Query], rng: np.random.Generator
) -> list[list[Document]]:
    if collection.arrivals:
        by_id = {d.id: d for d in collection.documents}
        return [[by_id[name] for name in wave] for wave in collection.arrivals]
    processor = Processor(rules)
    category = {
        d.id: processor.process(d).category for d in collection.documents if d.title or d.text
    }
    judgments = judged(collection)
    about: dict[str, float] = {}
    for query in queries:
        relevant = [d for d, grade in judgments[query.id].items() if grade > 0 and d in category]
        for document in relevant:
            about[category[document]] = about.get(category[document], 0.0) + 1 / len(relevant)
    held, share = set(), 0.0
    for name in rng.permutation(sorted(about)):
        part = about[name] / len(queries)
        if share < NEW_QUERIES[0] and share + part <= NEW_QUERIES[1]:
            held.add(str(name))
            share += part
    first = [d for d in collection.documents if category.get(d.id) not in held]
    second = [d for d in collection.documents if category.get(d.id) in held]
    return [first, second] if second and first else [list(collection.documents)]


def _majority(waves: Sequence[int]) -> int:
    return max(set(waves), key=lambda w: (waves.count(w), -w)) if waves else 0
