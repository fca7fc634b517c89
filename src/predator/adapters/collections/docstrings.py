"""The embedded collection: docstrings of the installed packages, in the order they arrive.

It needs no download and is about as hard as real known-item search: sentence and text were
written by the same person, but share few words.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from itertools import count
from pathlib import Path

from predator.adapters.collections import harvest, known_items
from predator.adapters.collections.cache import read_cached, write_cached
from predator.adapters.collections.digest import content_digest
from predator.adapters.collections.harvest import STDLIB, Source, find_sources, read_docstrings
from predator.adapters.collections.known_items import Entry
from predator.domain.canonical import digest_of, sha256_hex
from predator.domain.documents import Collection
from predator.domain.errors import InputError

WAVES = ((STDLIB, "numpy", "networkx"), ("sklearn",), ("scipy",), ("sqlalchemy",))
"""Packages by wave: the first wave is there from the start, each later one arrives as a whole."""

SPLIT = "known-item"

_DISTRIBUTION = {"sklearn": "scikit-learn"}
_EXTRA = {"sqlalchemy": "track"}


def embedded_collection(
    cache: Path | None = None,
    *,
    waves: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> Collection:
    """The docstrings of the first ``waves`` of :data:`WAVES` (1 to 4).

    A wave holds the same documents however many waves follow. ``cache`` is a folder that keeps
    the result until a package changes; ``progress`` hears (files read, files in all), nothing
    where the cache answers. Raises ``InputError`` where a package is not installed.
    """
    if not 1 <= waves <= len(WAVES):
        raise InputError(
            f"the embedded collection has {len(WAVES)} waves, not {waves}",
            cure=f"Choose 1 to {len(WAVES)}",
        )
    sources = [
        [source for package in wave for source in find_sources(package, _cure(package))]
        for wave in WAVES[:waves]
    ]
    packages = {package: _version(package) for wave in WAVES[:waves] for package in wave}
    if cache is None:
        return _harvest(sources, packages, progress)
    key = _key(sources, packages)
    cached = read_cached(cache, key)
    if cached is None:
        cached = _harvest(sources, packages, progress)
        write_cached(cache, key, cached)
    return cached


def _cure(package: str) -> str:
    return f"Install it with: pip install 'predator-search[{_EXTRA.get(package, 'search')}]'"


def _version(package: str) -> str:
    if package == STDLIB:
        return platform.python_version()
    try:
        return version(_DISTRIBUTION.get(package, package))
    except PackageNotFoundError:  # a package on the path without its metadata
        return "unknown"


def _key(sources: Sequence[Sequence[Source]], packages: dict[str, str]) -> str:
    """Sizes stand in for contents: some systems split the standard library into parts that come
    and go under one version."""
    files = [[source.module, source.size] for wave in sources for source in wave]
    return digest_of([_harvester(), len(sources), packages, files])


def _harvester() -> str:
    """Identifies the code that decides what becomes of a package."""
    code = (Path(module.__file__ or "").read_bytes() for module in (harvest, known_items))
    return sha256_hex(b"".join(code))[:12]


def _harvest(
    sources: Sequence[Sequence[Source]],
    packages: dict[str, str],
    progress: Callable[[int, int], None] | None,
) -> Collection:
    total, done = sum(map(len, sources)), count(1)

    def entries(wave: Sequence[Source]) -> Iterator[Entry]:
        for source in wave:
            for name, docstring in read_docstrings(source):
                yield Entry(source.package, name, docstring)
            if progress is not None:
                progress(next(done), total)

    arrived = known_items.known_items(map(entries, sources))
    pairs = [pair for wave in arrived for pair in wave]
    documents = tuple(document for document, _ in pairs)
    queries = tuple(query for _, query in pairs)
    splits = {SPLIT: {query.id: {document.id: 1} for document, query in pairs}}
    return Collection(
        name="docstrings",
        documents=documents,
        queries=queries,
        splits=splits,
        digest=content_digest(documents, queries, splits),
        arrivals=tuple(tuple(document.id for document, _ in wave) for wave in arrived),
        manifest={
            "source": "docstrings",
            "harvester": _harvester(),
            "python": platform.python_version(),
            "packages": packages,
            "documents": len(documents),
        },
    )
