"""A cross-encoder as files: what its digest names, kept in a store and checked on the way back."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

from predator.domain.canonical import canonical_json, sha256_hex
from predator.domain.errors import InputError, IntegrityError

FORMAT = "predator-cross-encoder/1"
MANIFEST, MODEL, TOKENIZER = "cross-encoder.json", "cross-encoder.onnx", "tokenizer.json"
MOST_BYTES = {"model": 2 << 30, "tokenizer": 64 << 20}
MOST_TOKENS = 512
SPECIAL_TOKENS = 3
"""[CLS] query [SEP] document [SEP]."""

_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)

Fetch = Callable[[str], bytes]
"""Bytes by their SHA-256, as an object store gives them."""


@dataclass(frozen=True, slots=True)
class Part:
    """A file by its hash and length."""

    sha256: str
    size: int

    def __post_init__(self) -> None:
        if not isinstance(self.sha256, str) or _SHA256.fullmatch(self.sha256) is None:
            raise ValueError(f"{self.sha256!r:.80} is no SHA-256")

    @classmethod
    def of(cls, data: bytes) -> Part:
        return cls(sha256_hex(data), len(data))


@dataclass(frozen=True, slots=True)
class Manifest:
    """All that decides a score: the files, and how much of a pair is read.

    A pair has at most ``max_tokens`` tokens; the query's first ``max_query_tokens`` go in, the
    document gets what is left.
    """

    model: Part
    tokenizer: Part
    max_tokens: int
    max_query_tokens: int

    def __post_init__(self) -> None:
        whole = type(self.max_tokens) is type(self.max_query_tokens) is int
        least = self.max_query_tokens + SPECIAL_TOKENS
        if not whole or self.max_query_tokens < 1 or not least < self.max_tokens <= MOST_TOKENS:
            raise InputError(
                f"a cross-encoder cannot read {self.max_query_tokens} of a query's tokens "
                f"in {self.max_tokens}",
                cure=f"Let both fit, with room for a document, into {MOST_TOKENS} tokens",
            )

    def to_bytes(self) -> bytes:
        """Canonical JSON; its SHA-256 is the cross-encoder's digest."""
        return canonical_json({"format": FORMAT, **asdict(self)})

    @property
    def digest(self) -> str:
        """What a reranker names."""
        return sha256_hex(self.to_bytes())

    @classmethod
    def read(cls, data: bytes) -> Manifest:
        """The inverse of :meth:`to_bytes`; ``IntegrityError`` for anything else."""
        try:
            value = json.loads(data)
            header = value.pop("format")
            model, tokenizer = Part(**value.pop("model")), Part(**value.pop("tokenizer"))
            manifest = cls(model=model, tokenizer=tokenizer, **value)
            same = manifest.to_bytes() == data
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, InputError):
            raise IntegrityError("the object of the cross-encoder does not describe one") from None
        if header != FORMAT or not same:
            raise IntegrityError("the object of the cross-encoder is of another format")
        return manifest


def parts_of(manifest: Manifest) -> Sequence[tuple[str, Part]]:
    """The files that a manifest names."""
    return (("model", manifest.model), ("tokenizer", manifest.tokenizer))


def keep_cross_encoder(put: Callable[[bytes], str], files: Mapping[str, bytes]) -> str:
    """Put an exported cross-encoder's files into a store; returns the digest that names it.

    ``IntegrityError`` where the files do not belong together.
    """
    try:
        data, contents = files[MANIFEST], {"model": files[MODEL], "tokenizer": files[TOKENIZER]}
    except KeyError as error:
        raise IntegrityError(f"a cross-encoder without its {error.args[0]}") from None
    for name, part in parts_of(Manifest.read(data)):
        if Part.of(contents[name]) != part:
            raise IntegrityError(f"the cross-encoder's {name} is not what its manifest promises")
        put(contents[name])
    return put(data)


def fetch_files(digest: str, fetch: Fetch) -> tuple[Manifest, dict[str, bytes]]:
    """The manifest ``digest`` and its files by part.

    ``IntegrityError`` where bytes are missing, or not of the size or hash that was promised,
    before any of them is parsed.
    """
    data = fetch(digest)
    if sha256_hex(data) != digest:
        raise IntegrityError(f"object {digest:.12} is not the cross-encoder's manifest")
    manifest = Manifest.read(data)
    return manifest, {name: _verified(name, part, fetch) for name, part in parts_of(manifest)}


def _verified(name: str, part: Part, fetch: Fetch) -> bytes:
    if type(part.size) is not int or not 0 < part.size <= MOST_BYTES[name]:
        raise IntegrityError(f"a cross-encoder's {name} of {part.size!r:.20} bytes is refused")
    data = fetch(part.sha256)
    if Part.of(data) != part:
        raise IntegrityError(f"the cross-encoder's {name} is not what its manifest promises")
    return data
