"""The cross-encoder at serving: query and document read together, one relevance logit a pair.

One pair a run, as the sentence encoder does and for its reasons: pairs in a batch would share the
scales of int8 activations, so a score would depend on what else was asked about; and a run of one
is where a time budget can stop. Source: Nogueira and Cho 2019.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from predator.domain.documents import Document
from predator.domain.errors import InputError
from predator.search.cross_encoder_files import (
    SPECIAL_TOKENS,
    Fetch,
    Manifest,
    fetch_files,
)
from predator.search.encoder.onnx_encoder import open_session, shown

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Contribution:
    """A word of the pair and by how much it raised the logit; ``start`` and ``end`` as in text."""

    part: str
    text: str
    start: int
    end: int
    share: float


def passage(document: Document) -> str:
    """What the cross-encoder reads of a document."""
    return f"{document.title}. {document.text}" if document.title else document.text


class PairTokens:
    """Pairs as the model reads them: ``[CLS] query [SEP] document [SEP]``, cut to size."""

    def __init__(self, tokenizer: bytes, max_tokens: int, max_query_tokens: int) -> None:
        self._tokenizer = _tokenizer(tokenizer)
        self._max_tokens, self._max_query_tokens = max_tokens, max_query_tokens

    @property
    def largest_token_id(self) -> int:
        """The largest id that the tokenizer can give."""
        return max(self._tokenizer.get_vocab(with_added_tokens=True).values(), default=0)

    def __call__(self, query: str, document: str) -> Any:
        """The pair's ``tokenizers.Encoding``."""
        asked = self._tokens(self.shown(query), self._max_query_tokens)
        room = self._max_tokens - SPECIAL_TOKENS - len(asked.ids)
        return self._tokenizer.post_process(asked, self._tokens(self.shown(document), room))

    def shown(self, text: str) -> str:
        """As much of ``text`` as its tokens can need, as valid Unicode."""
        return shown(text, self._max_tokens)

    def _tokens(self, text: str, most: int) -> Any:
        encoding = self._tokenizer.encode(text, add_special_tokens=False)
        encoding.truncate(most)
        return encoding


class CrossEncoder:
    """A loaded cross-encoder: one session, any number of threads may share it."""

    def __init__(
        self, manifest: Manifest, model: bytes, tokenizer: bytes, *, threads: int = 1
    ) -> None:
        """``InputError`` where the files, which are what the manifest says, cannot be used."""
        self.manifest = manifest
        self.digest = manifest.digest
        self.tokens = PairTokens(tokenizer, manifest.max_tokens, manifest.max_query_tokens)
        self._session = _session(model, threads)

    def score(
        self,
        query: str,
        documents: Sequence[str],
        *,
        budget_ms: float | None = None,
        clock: Clock = time.perf_counter,
    ) -> NDArray[np.float64]:
        """One logit a document [documents], higher is more relevant.

        They are read in the order given, best first, for at most ``budget_ms``; a document for
        which no time was left gets NaN. A pair is begun only where another like the longest so
        far still fits. A logit depends on its pair alone.
        """
        began, longest = clock(), 0.0
        scores = np.full(len(documents), np.nan)
        for place, document in enumerate(documents):
            now = clock()
            if budget_ms is not None and 1000 * (now - began + longest) > budget_ms:
                break
            scores[place] = self._logit(self.tokens(query, document))
            longest = max(longest, clock() - now)
        return scores

    def explain(self, query: str, document: str) -> list[Contribution]:
        """What each word of the pair, as far as it is read, adds to the logit, in reading order.

        By occlusion (Zeiler and Fergus 2014): the logit less that of the pair without the word.
        One run a word.
        """
        pair = self.tokens(query, document)
        whole = self._logit(pair)
        words: dict[tuple[int, int], list[int]] = {}
        for place, (part, word) in enumerate(zip(pair.type_ids, pair.word_ids, strict=True)):
            if word is not None:
                words.setdefault((part, word), []).append(place)
        texts = (self.tokens.shown(query), self.tokens.shown(document))
        found = []
        for (part, _), places in words.items():
            start, end = pair.offsets[places[0]][0], pair.offsets[places[-1]][1]
            share = whole - self._logit(pair, hidden=places)
            name = ("query", "document")[part]
            found.append(Contribution(name, texts[part][start:end], start, end, share))
        return found

    def _logit(self, pair: Any, hidden: Sequence[int] = ()) -> float:
        ids = np.array([pair.ids], np.int64)
        mask = np.ones_like(ids)
        mask[0, list(hidden)] = 0
        feeds = {
            "input_ids": ids,
            "attention_mask": mask,
            "token_type_ids": np.array([pair.type_ids], np.int64),
        }
        # A score that is no number is no evidence: the caller reads NaN as "not scored".
        logit = float(self._session.run(None, feeds)[0][0])
        return logit if np.isfinite(logit) else float("nan")


_loaded: WeakValueDictionary[tuple[str, int], CrossEncoder] = WeakValueDictionary()
_loading = threading.Lock()


def load_cross_encoder(digest: str, fetch: Fetch, *, threads: int = 1) -> CrossEncoder:
    """The cross-encoder ``digest``, its manifest and files from ``fetch``.

    Releases that share one share its session. ``IntegrityError`` where bytes are missing, or not
    of the size or hash that the manifest promises, before any of them is parsed; ``InputError``
    where they are, and cannot be used.
    """
    with _loading:
        found = _loaded.get((digest, threads))
        if found is None:
            manifest, files = fetch_files(digest, fetch)
            found = CrossEncoder(manifest, files["model"], files["tokenizer"], threads=threads)
            _loaded[digest, threads] = found
        return found


def _session(model: bytes, threads: int) -> Any:
    try:
        session = open_session(model, threads)
        inputs = sorted(one.name for one in session.get_inputs())
        outputs = [one.shape for one in session.get_outputs()]
    except Exception as error:  # the library's errors have no common base that could be named
        raise InputError(f"the cross-encoder's model cannot be loaded: {error}") from None
    if inputs != ["attention_mask", "input_ids", "token_type_ids"] or outputs != [["batch"]]:
        raise InputError("the cross-encoder's model does not give a logit for a pair")
    return session


def _tokenizer(data: bytes) -> Any:
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_str(data.decode())
        tokenizer.no_padding()
        tokenizer.no_truncation()
        pair = tokenizer.encode("a", "a")
    except Exception as error:  # the library raises bare Exception
        raise InputError(f"the cross-encoder's tokenizer cannot be read: {error}") from None
    if pair.type_ids != [0, 0, 0, 1, 1] or sum(pair.special_tokens_mask) != SPECIAL_TOKENS:
        raise InputError("the cross-encoder's tokenizer does not join a pair as BERT does")
    return tokenizer
