"""Pairs in which it is known what makes a document relevant."""

from __future__ import annotations

import tempfile
from functools import lru_cache
from pathlib import Path

import numpy as np

from predator.learning.pairs import Pair, Pairs
from predator.learning.stacking import Lessons, Question
from predator.search.encoder.source import Source, read_source
from tests.search.encoder.tiny import tiny_folder

WORDS = ("read", "search", "file", "q", "z")


@lru_cache
def tiny_source() -> Source:
    with tempfile.TemporaryDirectory() as folder:
        return read_source(tiny_folder(Path(folder)))


def pair(rng: np.random.Generator, answer: bool) -> Pair:
    """An answer holds the word "table", the rest does not."""
    words = [WORDS[i] for i in rng.integers(0, len(WORDS), 4)]
    if answer:
        words[int(rng.integers(4))] = "table"
    return Pair(WORDS[int(rng.integers(len(WORDS)))], " ".join(words), float(answer))


def pairs(train: int = 256, dev: int = 64, seed: int = 0) -> Pairs:
    rng = np.random.default_rng(seed)
    made = [pair(rng, number % 4 == 0) for number in range(train + dev)]
    return Pairs(made[:train], made[train:])


def answered(count: int) -> Lessons:
    """Questions whose answer holds the word "table", last among the live candidates."""
    rng = np.random.default_rng(0)
    words = ["read", "search", "file", "q", "z"]
    texts = [" ".join(rng.choice(words, 4)) + f" {'xyz'[i % 3]}" * (i % 7) for i in range(200)]
    texts += [f"table {one}" for one in texts]
    questions = []
    for number in range(count):
        wrong = rng.choice(200, 5, replace=False).tolist()
        answer = 200 + int(rng.integers(200))
        pairs = ((answer, 1.0, 1.0), *((text, 0.0, 1.0) for text in wrong))
        fused = tuple(np.linspace(1, 0, 6).tolist())
        questions.append(
            Question(words[number % 5], number, (*wrong, answer), fused, {answer: 1}, tuple(pairs))
        )
    return Lessons(texts, questions)
