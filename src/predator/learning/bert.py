"""BERT with mean pooling in torch, on plain tensors by the names of the published files.

The twin of :mod:`predator.search.encoder.graph`, which serves what is trained here. Weights are a
dictionary, so that interpolating, checkpointing and exporting a model are arithmetic on it, and
the architecture is one function. An encoder is trained without dropout: a step depends on its
batch alone, so a training that was killed goes on exactly where it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from predator.domain.errors import InputError
from predator.search.encoder.graph import BertShape
from predator.search.encoder.onnx_encoder import shown

CHUNK, CHUNK_ON_A_CARD = 32, 512
"""Texts of similar length that are run together: few, so that little is padding; many on a card,
which would wait for them otherwise."""


class Tokens:
    """Texts as token ids, cut to ``max_tokens``, each text once."""

    def __init__(self, tokenizer: bytes, max_tokens: int, vocabulary: int) -> None:
        from tokenizers import Tokenizer

        self._max_tokens = max_tokens
        try:
            self._tokenizer = Tokenizer.from_str(tokenizer.decode())
            self._tokenizer.no_padding()
            self._tokenizer.enable_truncation(max_tokens)
            largest = max(self._tokenizer.get_vocab(with_added_tokens=True).values(), default=0)
        except Exception as error:  # the library raises bare Exception
            raise InputError(f"the encoder's tokenizer cannot be read: {error}") from None
        if largest >= vocabulary:
            raise InputError(
                f"the tokenizer knows token {largest}, the model has {vocabulary}",
                cure="Give the tokenizer that belongs to the model",
            )

    def __call__(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of every text; however long a text is, only its beginning is looked at."""
        return [self._tokenizer.encode(shown(text, self._max_tokens)).ids for text in texts]


def embed(
    torch: Any, shape: BertShape, weights: Mapping[str, Any], ids: Sequence[list[int]]
) -> Any:
    """Embeddings [texts, hidden] of unit length, in float32; gradients flow to ``weights``."""
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    device = weights["embeddings.word_embeddings.weight"].device
    chunk = CHUNK if device.type == "cpu" else CHUNK_ON_A_CARD
    parts = []
    for start in range(0, len(order), chunk):
        rows = [ids[i] for i in order[start : start + chunk]]
        width = max(map(len, rows))
        table = np.zeros((len(rows), width), np.int64)
        for place, row in enumerate(rows):
            table[place, : len(row)] = row
        lengths = np.asarray([len(row) for row in rows])
        mask = np.arange(width) < lengths[:, None]
        parts.append(
            _forward(
                torch,
                shape,
                weights,
                torch.from_numpy(table).to(device),
                torch.from_numpy(mask).to(device),
            )
        )
    back = np.empty(len(order), np.int64)
    back[order] = np.arange(len(order))
    return torch.cat(parts)[torch.from_numpy(back).to(parts[0].device)]


def embed_all(
    torch: Any, shape: BertShape, weights: Mapping[str, Any], ids: Sequence[list[int]]
) -> NDArray[np.float32]:
    """The same as an array, without gradients."""
    with torch.inference_mode():
        vectors: NDArray[np.float32] = embed(torch, shape, weights, ids).cpu().numpy()
    return vectors


def _forward(torch: Any, shape: BertShape, weights: Mapping[str, Any], ids: Any, mask: Any) -> Any:
    x = hidden_states(torch, shape, weights, ids, mask)
    # The direction of the mean is that of the sum.
    total = (x.float() * mask[:, :, None]).sum(dim=1)
    return torch.nn.functional.normalize(total, dim=1)


def hidden_states(
    torch: Any,
    shape: BertShape,
    weights: Mapping[str, Any],
    ids: Any,
    mask: Any,
    segments: Any = None,
    dropout: float = 0.0,
) -> Any:
    """The last layer [texts, seq, hidden] of token ids [texts, seq] where ``mask`` is true.

    ``segments`` [texts, seq] numbers each token's segment, the first where it is ``None``.
    """
    call = torch.nn.functional

    def linear(x: Any, name: str) -> Any:
        return call.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])

    def norm(x: Any, name: str) -> Any:
        size = (shape.hidden,)
        return call.layer_norm(
            x, size, weights[f"{name}.weight"], weights[f"{name}.bias"], shape.epsilon
        )

    def drop(x: Any) -> Any:
        return call.dropout(x, dropout) if dropout else x

    count, width = ids.shape
    heads = (count, width, shape.heads, shape.hidden // shape.heads)
    kinds = weights["embeddings.token_type_embeddings.weight"]
    x = (
        call.embedding(ids, weights["embeddings.word_embeddings.weight"])
        + weights["embeddings.position_embeddings.weight"][:width]
        + (kinds[0] if segments is None else call.embedding(segments, kinds))
    )
    x = drop(norm(x, "embeddings.LayerNorm"))
    seen = mask[:, None, None, :]
    for layer in range(shape.layers):
        prefix = f"encoder.layer.{layer}"
        query, key, value = (
            linear(x, f"{prefix}.attention.self.{part}").view(heads).transpose(1, 2)
            for part in ("query", "key", "value")
        )
        context = call.scaled_dot_product_attention(
            query, key, value, attn_mask=seen, dropout_p=dropout
        )
        mixed = linear(
            context.transpose(1, 2).reshape(count, width, shape.hidden),
            f"{prefix}.attention.output.dense",
        )
        x = norm(drop(mixed) + x, f"{prefix}.attention.output.LayerNorm")
        inner = call.gelu(linear(x, f"{prefix}.intermediate.dense"))
        x = norm(drop(linear(inner, f"{prefix}.output.dense")) + x, f"{prefix}.output.LayerNorm")
    return x
