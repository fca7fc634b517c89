"""Has the language of the corpus moved, or is it sampling noise?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_CELLS_AT_ONCE = 2_000_000
_MOST_TOKENS = 10**9


@dataclass(frozen=True, slots=True)
class Shift:
    """``js``: Jensen-Shannon divergence in bits, 0 (same) to 1 (nothing in common).

    ``noise_p95``: what two samples of these sizes from *one* distribution reach in 95 of 100 cases;
    ``significant``: ``js`` is above it.
    """

    js: float
    noise_p95: float
    significant: bool


def jensen_shannon(before: Mapping[str, int], after: Mapping[str, int]) -> float:
    """Jensen-Shannon divergence (base 2) of two token counts (Lin 1991). Symmetric, in [0, 1].

    Raises ``ValueError`` where a side is empty or a count is negative.
    """
    left, right = _aligned(before, after)
    return float(_divergence(left, right))


def shift(
    before: Mapping[str, int],
    after: Mapping[str, int],
    rng: np.random.Generator,
    rounds: int = 100,
) -> Shift:
    """Divergence of two token counts against its permutation noise floor.

    Each round deals the pooled tokens out again to two sides of the same sizes (a multivariate
    hypergeometric draw). With large vocabularies the floor is far above 0, so that the raw
    divergence of small samples says little. Tokens come in documents and are burstier than the
    floor assumes: at real sizes nearly every change is significant, so read ``js`` as the effect
    size. Raises ``ValueError`` as :func:`jensen_shannon` does, for no rounds, and from 10⁹ tokens.
    """
    if rounds < 1:
        raise ValueError(f"{rounds} rounds give no noise floor")
    left, right = _aligned(before, after)
    observed = float(_divergence(left, right))
    pooled, size = left + right, int(left.sum())
    if int(pooled.sum()) >= _MOST_TOKENS:
        raise ValueError("10⁹ tokens and more: sample the documents before comparing them")
    noise: list[NDArray[np.float64]] = []
    batch = max(1, _CELLS_AT_ONCE // pooled.size)
    for start in range(0, rounds, batch):
        dealt = rng.multivariate_hypergeometric(
            pooled, size, size=min(batch, rounds - start), method="marginals"
        )
        noise.append(_divergence(dealt, pooled - dealt))
    floor = float(np.quantile(np.concatenate(noise), 0.95))
    return Shift(js=observed, noise_p95=floor, significant=observed > floor)


def _aligned(
    before: Mapping[str, int], after: Mapping[str, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    tokens = list(dict.fromkeys((*before, *after)))
    sides = []
    for name, counts in (("before", before), ("after", after)):
        column = np.fromiter((counts.get(token, 0) for token in tokens), np.int64, len(tokens))
        if (column < 0).any():
            raise ValueError(f"{name}: a token is counted a negative number of times")
        if not column.any():
            raise ValueError(f"{name}: no tokens to compare")
        sides.append(column)
    present = (sides[0] + sides[1]) > 0
    return sides[0][present], sides[1][present]


def _divergence(left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.float64]:
    """Along the last axis; the sums of ``p log2 p`` are taken over counts, not shares."""
    p = left / left.sum(axis=-1, keepdims=True)
    q = right / right.sum(axis=-1, keepdims=True)
    bits: NDArray[np.float64] = _entropy((p + q) / 2) - (_entropy(p) + _entropy(q)) / 2
    return np.clip(bits, 0.0, 1.0)


def _entropy(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    logs = np.log2(shares, out=np.zeros_like(shares), where=shares > 0)
    entropy: NDArray[np.float64] = -(shares * logs).sum(axis=-1)
    return entropy
