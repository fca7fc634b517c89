"""LightGBM's text format, read strictly: a broken text makes the library abort the process.

What is handed on is written anew from what was understood, so that nothing else gets through.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

MOST_TREES = 4096
MOST_LEAVES = 256

_INTEGER = re.compile(r"-?[0-9]{1,9}")
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?")
_RANGE = re.compile(r"none|\[[-+.0-9eE]+:[-+.0-9eE]+\]")
_BLANK = re.compile(r"\n\n+")

_OF_A_SPLIT = ("split_gain", "internal_value", "internal_weight")
_COUNTS = ("split_feature", "decision_type", "left_child", "right_child", "internal_count")
_OF_A_LEAF = ("leaf_value", "leaf_weight")


def canonical_model(text: str, features: Sequence[str]) -> str:
    """The trees of a LambdaMART model over ``features``, in order, as LightGBM reads them.

    Raises ``ValueError`` for anything else: other features, categorical or linear splits, values
    that are not finite, children that do not form a tree, more trees or leaves than a model of
    ours can have. Importances and parameters, which do not change a score, are left out.
    """
    head, found, _ = text.partition("\nend of trees\n")
    if not found:
        raise ValueError("the trees have no end")
    header, *trees = _BLANK.split(head.strip("\n"))
    if len(trees) > MOST_TREES:
        raise ValueError(f"more than {MOST_TREES} trees")
    lines = [_header(header, features)]
    lines += [_tree(place, block, len(features)) for place, block in enumerate(trees)]
    return "\n\n".join(lines) + "\n\nend of trees\n"


def averaged_model(texts: Sequence[str], features: Sequence[str]) -> str:
    """One model whose score is the mean of the scores of some; raises as :func:`canonical_model`.

    All trees side by side, each with its share of the values.
    """
    blocks: list[str] = []
    header = ""
    for text in texts:
        head, _, _ = canonical_model(text, features).partition("\n\nend of trees\n")
        header, *trees = head.split("\n\n")
        for tree in trees:
            lines = tree.split("\n")
            lines[0] = f"Tree={len(blocks)}"
            blocks.append("\n".join(_share(line, len(texts)) for line in lines))
    return canonical_model("\n\n".join([header, *blocks]) + "\n\nend of trees\n", features)


def _share(line: str, count: int) -> str:
    name, _, values = line.partition("=")
    if name not in ("leaf_value", "internal_value"):
        return line
    return f"{name}={' '.join(repr(float(value) / count) for value in values.split())}"


def _header(block: str, features: Sequence[str]) -> str:
    first, *rest = block.split("\n")
    fields = _fields(rest)
    wanted = {
        "version": "v4",
        "num_class": "1",
        "num_tree_per_iteration": "1",
        "label_index": "0",
        "max_feature_idx": str(len(features) - 1),
        "objective": "lambdarank",
        "feature_names": " ".join(features),
    }
    if first != "tree" or any(fields.get(name) != value for name, value in wanted.items()):
        raise ValueError("not a LambdaMART model over these features")
    ranges = fields.get("feature_infos", "").split(" ")
    if len(ranges) != len(features) or not all(map(_RANGE.fullmatch, ranges)):
        raise ValueError("the features' ranges are broken")
    wanted["feature_infos"] = " ".join(ranges)
    return "\n".join(["tree", *(f"{name}={value}" for name, value in wanted.items())])


def _tree(place: int, block: str, features: int) -> str:
    first, *rest = block.split("\n")
    fields = _fields(rest)
    (leaves,) = _integers(fields, "num_leaves", 1)
    plain = fields.get("num_cat") == "0" and fields.get("is_linear") == "0"
    if first != f"Tree={place}" or not plain or not 1 <= leaves <= MOST_LEAVES:
        raise ValueError(f"tree {place} is not a plain numerical tree")
    splits = leaves - 1
    numbers = {name: _integers(fields, name, splits) for name in _COUNTS}
    _check_splits(numbers, leaves, features)
    kept = {name: fields[name] for name in _COUNTS}
    # An infinite threshold parts what is missing from all the rest.
    kept["threshold"] = _floats(fields, "threshold", splits, ("inf", "-inf"))
    for name in _OF_A_SPLIT:
        kept[name] = _floats(fields, name, splits)
    kept["leaf_value"] = _floats(fields, "leaf_value", leaves)
    # A tree that is one leaf has neither weight nor, at times, a count.
    kept["leaf_weight"] = _floats(fields, "leaf_weight", leaves if splits else 0)
    counted = _integers(fields, "leaf_count", leaves) if splits else [0]
    kept["leaf_count"] = " ".join(map(str, counted))
    kept["shrinkage"] = _floats(fields, "shrinkage", 1)
    return "\n".join(
        [first, f"num_leaves={leaves}", "num_cat=0"]
        + [f"{name}={value}" for name, value in kept.items()]
        + ["is_linear=0"]
    )


def _check_splits(numbers: Mapping[str, Sequence[int]], leaves: int, features: int) -> None:
    if not all(0 <= feature < features for feature in numbers["split_feature"]):
        raise ValueError("a split asks for a feature that does not exist")
    # Bit 0: categorical; bit 1: default left; bits 2 and 3: missing as none, zero or NaN.
    if not all(0 <= kind <= 10 and not kind & 1 for kind in numbers["decision_type"]):
        raise ValueError("a split is of an unknown kind")
    waiting, met = [0] if leaves > 1 else [], []
    while waiting:
        node = waiting.pop()
        for child in (numbers["left_child"][node], numbers["right_child"][node]):
            met.append(child)
            if 0 <= child < leaves - 1 and len(met) < 2 * leaves:
                waiting.append(child)
    if leaves > 1 and sorted(met) != [*range(-leaves, 0), *range(1, leaves - 1)]:
        raise ValueError("the nodes do not form a tree")


def _fields(lines: Sequence[str]) -> dict[str, str]:
    fields = dict(line.split("=", 1) for line in lines if "=" in line)
    if len(fields) != len(lines):
        raise ValueError("a line stands twice or says nothing")
    return fields


def _integers(fields: Mapping[str, str], name: str, count: int) -> list[int]:
    tokens = fields.get(name, "").split(" ") if count else []
    if len(tokens) != count or not all(map(_INTEGER.fullmatch, tokens)):
        raise ValueError(f"{name}: {count} whole numbers expected")
    return [int(token) for token in tokens]


def _floats(fields: Mapping[str, str], name: str, count: int, beside: Sequence[str] = ()) -> str:
    """``count`` finite numbers, or ``beside`` them these words, as they are written."""

    def allowed(token: str) -> bool:
        if token in beside:
            return True
        return bool(_NUMBER.fullmatch(token)) and math.isfinite(float(token))

    tokens = fields.get(name, "").split(" ") if count else []
    if len(tokens) != count or not all(map(allowed, tokens)):
        raise ValueError(f"{name}: {count} finite numbers expected")
    return " ".join(tokens)
