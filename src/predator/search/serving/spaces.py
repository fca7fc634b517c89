"""One vector space an encoder: opened when a release names it, filled behind, dropped after.

A space takes traffic only once it lacks no document that the serving one can find by meaning, so
that nobody's search gets worse for a change of encoder.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from predator.domain.documents import Document
from predator.domain.errors import PredatorError
from predator.ports.encoder import Encoder
from predator.search.index import Index

AHEAD = 512
"""Known documents that wait at an encoder at a time: new ones get in line behind no more. Twice
what an encoder looks up in its cache at once, so that it never runs dry."""
STEP = 64
"""Known documents queued at once."""
SAY_EVERY_S = 10.0

OnVectors = Callable[[Sequence[int], NDArray[np.float32]], None]


def embedding_text(document: Document) -> str:
    """What the encoder sees of a document."""
    return f"{document.title}. {document.text}" if document.title else document.text


class VectorSource(Protocol):
    """Makes vectors behind the index's back and calls back with them (``BackgroundEncoder``)."""

    @property
    def backlog(self) -> int:
        """Texts that a vector may still come for."""
        ...

    @property
    def failed(self) -> int:
        """Texts that no vector will come for."""
        ...

    def submit(self, keys: Sequence[int], texts: Sequence[str]) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Dense:
    """An encoder as a platform uses it: queries at once, documents behind the scenes."""

    encoder: Encoder
    background: Callable[[OnVectors], VectorSource]


@dataclass(frozen=True, slots=True)
class Filling:
    """How far a space is: documents with a vector, of all. ``eta_s`` is ``None`` while unknown."""

    encoder: str
    done: int
    total: int
    eta_s: float | None

    def __str__(self) -> str:
        left = f", about {self.eta_s:.0f} s left" if self.eta_s else ""
        return f"encoder {self.encoder[:12]}: {self.done} of {self.total} documents{left}"


class IncompleteSpaceError(PredatorError):
    """A release cannot serve yet: the space of its encoder is being filled."""

    def __init__(self, filling: Filling) -> None:
        super().__init__(f"vectors are being made anew by {filling}")
        self.filling = filling


class Space:
    """The vectors of one encoder over an index, and what makes them.

    ``queueing`` is held while a new document is queued at one encoder after the other.
    """

    def __init__(
        self, index: Index, dense: Dense, say: Callable[[str], None], queueing: threading.Lock
    ) -> None:
        self.encoder = dense.encoder
        index.open_space(dense.encoder.digest, dense.encoder.dim)
        self.index = index.seen_by(dense.encoder.digest)
        self._say, self._said = say, time.monotonic()
        self._queueing, self._lock = queueing, threading.Lock()
        self._source = dense.background(self._on_vectors)
        self._complete = False
        # Rows below the end are queued from here; later ones come by :meth:`submit`.
        self._next, self._end = 0, 0
        self._begun = time.monotonic()

    def fill(self) -> None:
        """Queue what the index holds already; :meth:`submit` must reach this space from now on."""
        self._end = len(self.index.documents)
        if self._end:
            self._say(f"vectors are being made anew by {self.progress()}")
        self._top_up()

    @property
    def backlog(self) -> int:
        """Documents that a vector may still come for."""
        return self._source.backlog + max(0, self._end - self._next)

    def progress(self) -> Filling:
        done, total = len(self.index.vectors), len(self.index)
        took = time.monotonic() - self._begun
        eta = took * max(0, total - done) / done if done else None
        return Filling(self.encoder.digest, done, total, eta)

    def submit(self, rows: Sequence[int], texts: Sequence[str]) -> None:
        """Queue new documents."""
        self._source.submit(rows, texts)

    def check(self, serving: Index) -> None:
        """Return where this space lacks nothing that is known or that ``serving`` can find.

        The space that serves already is complete by that. Raises ``IncompleteSpaceError`` until
        then, and ``PredatorError`` where no vector will ever come for a document that ``serving``
        has one of.
        """
        if self._complete or serving.vectors is self.index.vectors:
            return
        self._top_up()
        if self._next < self._end:
            raise self._incomplete()
        with self._queueing:
            rows = self.index.live_rows()
            findable = serving.vectors.has(rows)
        # What could be found was queued here too: without a backlog it has its vector, or failed.
        backlog = self._source.backlog
        wanted = findable | (rows < self._end) if backlog else findable
        lacking = rows[wanted & ~self.index.vectors.has(rows)]
        lacking = np.intersect1d(lacking, self.index.live_rows())
        if not len(lacking):
            self._complete = True
            self._say(f"vectors are complete: {self.progress()}")
            return
        if not backlog and self._source.failed:
            raise PredatorError(
                f"encoder {self.encoder.digest[:12]} gives no vector for {len(lacking)} of "
                f"{len(rows)} documents that the live release finds by meaning",
                cure="Look into the platform's log, then train or export the encoder again",
            )
        raise self._incomplete()

    def close(self) -> None:
        self._source.close()

    def _incomplete(self) -> IncompleteSpaceError:
        error = IncompleteSpaceError(self.progress())
        if time.monotonic() - self._said > SAY_EVERY_S:
            self._said = time.monotonic()
            self._say(str(error))
        return error

    def _on_vectors(self, rows: Sequence[int], vectors: NDArray[np.float32]) -> None:
        self.index.set_vectors(rows, vectors)
        self._top_up()

    def _top_up(self) -> None:
        # A source may call back inside ``submit``: whoever is here already does the work.
        if not self._lock.acquire(blocking=False):
            return
        try:
            while self._next < self._end and self._source.backlog < AHEAD:
                rows = range(self._next, min(self._next + STEP, self._end))
                known = [(row, self.index.documents[row]) for row in rows]
                live = [(row, d) for row, d in known if self.index.row_of(d.id) == row]
                self._source.submit([row for row, _ in live], [embedding_text(d) for _, d in live])
                self._next = rows.stop  # now: what stands before it is in the source's backlog
        finally:
            self._lock.release()


class Spaces:
    """The spaces of a platform by their encoder's digest.

    One thread opens and drops, another submits; any may read. ``dense_of`` brings an encoder by
    its digest and raises ``PredatorError`` where it cannot be had.
    """

    def __init__(
        self, index: Index, dense_of: Callable[[str], Dense], say: Callable[[str], None]
    ) -> None:
        self._index, self._dense_of, self._say = index, dense_of, say
        self._spaces: dict[str, Space] = {}
        self._queueing = threading.Lock()

    def open(self, encoder: str) -> Space:
        """The space of ``encoder``; where it is new, filling it begins."""
        space = self._spaces.get(encoder)
        if space is None:
            dense = self._dense_of(encoder)
            if dense.encoder.digest != encoder:
                raise PredatorError(f"encoder {dense.encoder.digest[:12]} came for {encoder[:12]}")
            space = Space(self._index, dense, self._say, self._queueing)
            self._spaces = {**self._spaces, encoder: space}
            space.fill()
        return space

    def submit(self, rows: Sequence[int], documents: Sequence[Document]) -> None:
        """Have new documents embedded in every space."""
        texts = [embedding_text(document) for document in documents]
        with self._queueing:
            for space in self._spaces.values():
                space.submit(rows, texts)

    def keep(self, encoders: Iterable[str]) -> None:
        """Drop all spaces but those of ``encoders``."""
        kept = frozenset(encoders)
        dropped = [space for digest, space in self._spaces.items() if digest not in kept]
        self._spaces = {d: space for d, space in self._spaces.items() if d in kept}
        for space in dropped:
            space.close()
            self._index.drop_space(space.encoder.digest)
            self._say(f"vectors of encoder {space.encoder.digest[:12]} were dropped: none needs it")

    def backlog(self, encoder: str | None) -> int:
        """Documents on their way into the space of ``encoder``; of the fullest line for none."""
        spaces = self._spaces
        if encoder in spaces:
            return spaces[encoder].backlog
        return max((space.backlog for space in spaces.values()), default=0)

    def progress(self) -> list[Filling]:
        """How far each space is."""
        return [space.progress() for space in self._spaces.values()]

    def close(self) -> None:
        for space in self._spaces.values():
            space.close()
