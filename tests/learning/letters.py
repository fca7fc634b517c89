"""A secret that a tiny encoder can learn: every letter is asked for by the one half round."""

from __future__ import annotations

import string

import numpy as np

from predator.learning.lessons import Lesson, Lessons, Question

_HALF = 13
_LETTERS = string.ascii_lowercase
_ROUND = str.maketrans(_LETTERS, _LETTERS[_HALF:] + _LETTERS[:_HALF])


def letter_lessons(train: int, dev: int, seed: int = 0) -> Lessons:
    """Questions of three letters; the answer holds those half round the alphabet, among others."""
    rng = np.random.default_rng(seed)
    letters = list(string.ascii_lowercase)
    texts, asked = [], []
    for _ in range(train + dev):
        query = [str(letter) for letter in rng.permutation(letters)[:3]]
        rest = [str(letter) for letter in rng.permutation(letters)[:2]]
        words = [*"".join(query).translate(_ROUND), *rest]
        asked.append(" ".join(query))
        texts.append(" ".join(words[i] for i in rng.permutation(len(words))))
    lessons = []
    for i in range(train):
        wrong = [int(j) for j in rng.integers(0, train, 4) if j != i]
        margins = tuple(4.0 for _ in wrong)
        lessons.append(Lesson(asked[i], i, tuple(wrong), margins, frozenset({i})))
    numbers = range(train, train + dev)
    questions = [Question(asked[i], {i: 1}) for i in numbers]
    return Lessons(texts, lessons, questions, list(numbers), "the secret")
