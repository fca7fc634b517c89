"""A BERT cross-encoder in torch, on plain tensors by the names of the published files.

The twin of :func:`predator.search.encoder.graph.build_pair_graph`, which serves what is trained
here. Weights are a dictionary, so that a checkpoint and an export are the same names again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from predator.learning.bert import hidden_states
from predator.search.encoder.graph import BertShape

SCALE = 20.0
"""What turns a cosine into a logit at the start: the factor that MiniLM was trained with."""


@dataclass(frozen=True, slots=True)
class TokenPair:
    """A pair as the model reads it: ids, of which the first ``first`` are the query's segment."""

    ids: Sequence[int]
    first: int


def beginning(
    shape: BertShape, encoder: Mapping[str, NDArray[np.float32]]
) -> dict[str, NDArray[np.float32]]:
    """The weights to begin with: the sentence encoder's, and the cosine of the two means as head.

    So what the encoder knows about meaning is there from the first step on. The second segment
    looks like the first until it has learnt otherwise: the encoder has never seen another.
    """
    types = "embeddings.token_type_embeddings.weight"
    return {
        **encoder,
        types: np.repeat(encoder[types][:1], shape.token_types, axis=0),
        "head.weight": np.full((shape.hidden, 1), SCALE, np.float32),
        "head.bias": np.zeros(1, np.float32),
    }


def logits(
    torch: Any,
    shape: BertShape,
    weights: Mapping[str, Any],
    pairs: Sequence[TokenPair],
    dropout: float = 0.0,
) -> Any:
    """Relevance logits [pairs] in float32; gradients flow to ``weights``."""
    device = weights["head.weight"].device
    width = max(len(pair.ids) for pair in pairs)
    ids = np.zeros((len(pairs), width), np.int64)
    for row, pair in enumerate(pairs):
        ids[row, : len(pair.ids)] = pair.ids
    place = np.arange(width)
    mask = place < np.asarray([len(pair.ids) for pair in pairs])[:, None]
    second = mask & (place >= np.asarray([pair.first for pair in pairs])[:, None])
    read, seen, segments = (
        torch.from_numpy(one).to(device) for one in (ids, mask, second.astype(np.int64))
    )
    x = hidden_states(torch, shape, weights, read, seen, segments, dropout).float()
    # Cosines lie close together: their differences would drown in bf16.
    with torch.autocast(device.type, enabled=False):
        means = []
        for part in (mask & ~second, second):
            total = torch.from_numpy(part[:, None].astype(np.float32)).to(device) @ x
            means.append(torch.nn.functional.normalize(total[:, 0], dim=1))
        found = (means[0] * means[1]) @ weights["head.weight"] + weights["head.bias"]
    return found[:, 0]
