"""Training queries come from the documents that need them."""

from __future__ import annotations

import time

from predator.domain.documents import Document
from predator.loop.augment import sources


def test_documents_with_the_wanted_terms_come_first() -> None:
    docs = [
        Document("none", "nothing", "here", category="new"),
        Document("one", "sparse", "text", category="old"),
        Document("both", "sparse", "tensors", category="old"),
        Document("other", "plain", "text", category="old"),
        Document("one-new", "tensor", "text", category="new"),
    ]
    chosen = sources(docs, ["spars", "tensor"], 10, ["new"])
    assert [d.id for d in chosen] == ["both", "one-new", "one", "none"]
    assert [d.id for d in sources(docs, ["spars", "tensor"], 2, ["new"])] == ["both", "one-new"]
    assert sources(docs, [], 10, []) == []


def test_a_document_of_any_length_is_chosen_in_no_time() -> None:
    long = [Document(f"d{i}", "word " * 100_000, "word " * 100_000) for i in range(5)]
    begun = time.process_time()
    assert len(sources(long, ["word"], 5, [])) == 5
    assert time.process_time() - begun < 5
