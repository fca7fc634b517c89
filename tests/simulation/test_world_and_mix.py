"""What is asked follows the mix, and a world file that makes no sense is refused by name."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from predator.domain.errors import InputError
from predator.simulation.control import SetMix, SetRate, Stop, parse_command
from predator.simulation.population import Population
from predator.simulation.world import Mix, Question, World, load_world

WORLD: World = {
    "old": tuple(Question(f"old-{n}", f"old question {n}", {f"d{n}": 1}) for n in range(100)),
    "new": tuple(Question(f"new-{n}", f"new question {n}", {f"n{n}": 1}) for n in range(10)),
    "empty": (),
}


def test_groups_are_asked_by_weight_and_questions_by_mild_popularity() -> None:
    mix, rng = Mix(WORLD, {"old": 3, "new": 1, "empty": 0}), np.random.default_rng(1)
    asked = [mix.pick(rng) for _ in range(20_000)]
    assert np.mean([q.id.startswith("new") for q in asked]) == pytest.approx(0.25, abs=0.01)
    old = Counter(q.id for q in asked if q.id.startswith("old"))
    assert len(old) == 100
    assert old["old-0"] / old["old-99"] == pytest.approx(10, rel=0.35)


def test_the_same_seed_asks_the_same() -> None:
    first, second = (
        [mix.pick(rng).id for _ in range(50)]
        for mix, rng in ((Mix(WORLD, {"old": 1}), np.random.default_rng(3)) for _ in range(2))
    )
    assert first == second


@pytest.mark.parametrize(
    ("weights", "complaint"),
    [
        ({"ghost": 1}, "unknown query group 'ghost'"),
        ({"empty": 1}, "'empty' is empty"),
        ({"old": -1}, "weight of 'old'"),
        ({"old": float("nan")}, "weight of 'old'"),
        ({"old": 0}, "no query group"),
        ({}, "no query group"),
    ],
)
def test_a_mix_that_asks_nothing_is_refused(weights: dict[str, float], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Mix(WORLD, weights)


def test_users_keep_their_ids_and_change_sessions() -> None:
    rng, people = np.random.default_rng(4), Population(50, seed=9)
    met = [people.next(rng) for _ in range(3000)]
    assert len({user.id for user in met}) == 50
    assert len({(user.id, user.client) for user in met}) == 50
    sessions = {user.session for user in met}
    assert len(met) / len(sessions) == pytest.approx(3, rel=0.15)
    again = Population(50, seed=9).next(np.random.default_rng(4))
    assert again == met[0]
    with pytest.raises(ValueError, match="0 users"):
        Population(0, seed=1)


def test_a_world_file_is_read_back(tmp_path: Path) -> None:
    groups = {
        name: [{"id": q.id, "text": q.text, "relevant": dict(q.relevant)} for q in questions]
        for name, questions in WORLD.items()
    }
    path = tmp_path / "world.json"
    path.write_text(json.dumps({"groups": groups}))
    assert load_world(path) == WORLD


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "is not JSON"),
        ("\xff", "is not JSON"),
        ("[]", "has no groups"),
        ('{"groups": {}}', "has no groups"),
        ('{"groups": {"g": 1}}', "group 'g': not a list"),
        ('{"groups": {"g": [1]}}', "group 'g', entry 0: not an object"),
        ('{"groups": {"g": [{"id": 1, "text": "t", "relevant": {}}]}}', "entry 0: needs id"),
        ('{"groups": {"g": [{"id": "q", "text": "t", "relevant": {"d": 0.5}}]}}', "a grade"),
    ],
)
def test_a_bad_world_file_is_one_clear_line(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "world.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=complaint) as caught:
        load_world(path)
    assert "\n" not in str(caught.value)


def test_a_missing_world_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.json cannot be read"):
        load_world(tmp_path / "none.json")


def test_commands_are_understood() -> None:
    assert parse_command(b'{"cmd":"mix","weights":{"new":2}}') == SetMix({"new": 2.0})
    assert parse_command(b'{"cmd":"rate","value":50}') == SetRate(50.0)
    assert parse_command(b'{"cmd":"stop"}') == Stop()


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"stop",
        b"[]",
        b'{"cmd":"dance"}',
        b'{"cmd":"mix"}',
        b'{"cmd":"mix","weights":{"a":"b"}}',
        b'{"cmd":"mix","weights":{"a":NaN}}',
        b'{"cmd":"rate","value":-1}',
        b'{"cmd":"rate","value":1e9}',
        b'{"cmd":"rate","value":true}',
        b'{"cmd":"rate"}',
        b"\xff",
    ],
)
def test_other_lines_are_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"command|weight|rate"):
        parse_command(line)
