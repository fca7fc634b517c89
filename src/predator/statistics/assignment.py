"""Sticky assignment: the same unit meets the same arm, on every machine and after every restart."""

from __future__ import annotations

import hmac
import math
from collections.abc import Sequence

_MANTISSA_BITS = 53


def bucket(secret: bytes, layer: str, unit: str) -> float:
    """Where ``unit`` (a user id) falls in ``[0, 1)``: HMAC-SHA256, 53 bits of it.

    Layers are independent of each other, so that experiments on different layers can overlap
    (Tang et al. 2010, KDD). Without ``secret`` nobody can pick an id that lands in an arm. An empty
    secret raises ``ValueError``.
    """
    if not secret:
        raise ValueError("the assignment secret is empty")
    # The length keeps ("ab", "c") apart from ("a", "bc"); ids from JSON may hold lone surrogates.
    name = layer.encode("utf-8", "surrogatepass")
    message = len(name).to_bytes(8, "big") + name + unit.encode("utf-8", "surrogatepass")
    digest = hmac.digest(secret, message, "sha256")
    return (int.from_bytes(digest[:8], "big") >> (64 - _MANTISSA_BITS)) / 2.0**_MANTISSA_BITS


def in_slice(secret: bytes, layer: str, unit: str, slice_: tuple[float, float]) -> bool:
    """Whether ``unit`` stands in a slice ``[from, to)`` of the users of ``layer``.

    Slices that do not overlap share no unit. The draw is none of :func:`bucket`'s for an
    experiment, even for one that is named like the layer, so that a slice says nothing about an
    arm. The whole, (0, 1), is everybody, without a draw.
    """
    lower, upper = slice_
    if lower <= 0.0 and upper >= 1.0:
        return True
    return lower <= bucket(secret, f"layer\x1f{layer}", unit) < upper


def assign(secret: bytes, layer: str, unit: str, shares: Sequence[tuple[str, float]]) -> str:
    """The arm of ``unit``: ``shares`` are (name, share) in a fixed order and sum to 1.

    Widening the first arm keeps everyone who is in it. Raises ``ValueError`` for no arms, a
    repeated name, a share outside [0, 1] or a sum other than 1.
    """
    names = [name for name, _ in shares]
    if len(set(names)) != len(names):
        raise ValueError(f"an arm is named twice: {', '.join(names)}")
    if not all(0.0 <= share <= 1.0 for _, share in shares):
        raise ValueError("every arm's share lies between 0 and 1")
    if not math.isclose(math.fsum(share for _, share in shares), 1.0, abs_tol=1e-9):
        raise ValueError("the arms' shares do not sum to 1")
    position = bucket(secret, layer, unit)
    upper = 0.0
    chosen = ""
    for name, share in shares:
        if share == 0.0:
            continue
        chosen = name
        upper += share
        if position < upper:
            break
    return chosen
