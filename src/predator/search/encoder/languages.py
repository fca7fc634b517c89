"""Which languages an encoder cannot read: those that its tokenizer has to spell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from predator.search.encoder.files import EncoderFiles

MOST_PIECES = 3.0
"""Pieces a word from which a language is spelt rather than read. A vocabulary that was made with a
language needs one to two and a half (Rust et al. 2021, "fertility"); an English one needs five for
Cyrillic words, a letter or two each."""

PROBES: Mapping[str, str] = {
    "en": "Search finds documents by meaning and not only by single words of the query.",
    "uk": "Пошук знаходить документи за змістом, а не лише за окремими словами запиту.",
    "ru": "Поиск находит документы по смыслу, а не только по отдельным словам запроса.",
}
"""One sentence in each language that the processor tells apart."""


def unread_languages(files: EncoderFiles) -> tuple[str, ...]:
    """The languages of ``PROBES`` whose words the encoder's tokenizer breaks into letters.

    Vectors of such texts say next to nothing, so their queries are found by words alone until
    a weight for the dense side has been learnt. None where it breaks all of them: then it reads
    by letters, and has learnt to.
    """
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(files.tokenizer().decode())
    tokenizer.no_truncation()
    tokenizer.no_padding()
    spelt = tuple(
        language for language, text in PROBES.items() if _pieces(tokenizer, text) > MOST_PIECES
    )
    return spelt if len(spelt) < len(PROBES) else ()


def _pieces(tokenizer: Any, text: str) -> float:
    """Pieces a word; what is no known piece at all counts as spelt."""
    pieces = tokenizer.encode(text, add_special_tokens=False).tokens
    unknown = sum(piece in {"[UNK]", "<unk>"} for piece in pieces)
    words = len(text.split())
    return float((len(pieces) + unknown * MOST_PIECES * 2) / words)
