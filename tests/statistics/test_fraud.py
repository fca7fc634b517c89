"""Machines are told from people by what they do, and people are left alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from predator.statistics.fraud import FLOOD_SEARCHES, Suspicion, suspects

Search = tuple[int, float, tuple[int, ...], tuple[int, ...]]
"""(user, at, positions clicked, documents clicked)."""


def people(users: int = 400, seed: int = 0, icc: float = 0.3) -> list[Search]:
    """Moods of their own, a few who search a lot, three in ten searches for what they know."""
    rng = np.random.default_rng(seed)
    weight = 1.0 / icc - 1.0
    found = []
    for user in range(users):
        mood, known = rng.beta(0.6 * weight, 0.4 * weight), [0]
        for _ in range(int(rng.poisson(6 * rng.lognormal(-0.32, 0.8)))):
            again = len(known) > 1 and rng.random() < 0.3
            document = int(rng.choice(known)) if again else int(rng.zipf(1.4) % 5000)
            known.append(document)
            clicked = rng.random() < mood
            place = int(rng.geometric(0.5))
            found.append(
                (user, float(rng.random() * 1e6), (place,) * clicked, (document,) * clicked)
            )
    return found


def flagged(searches: Sequence[Search]) -> dict[int, Suspicion]:
    columns = list(zip(*searches, strict=True)) or [(), (), (), ()]
    return suspects(*columns)


def test_hardly_any_person_is_taken_for_a_machine() -> None:
    wrong = sum(len(flagged(people(400, seed))) for seed in range(10))
    assert wrong <= 0.01 * 4000


def test_a_flood_of_searches_or_of_clicks() -> None:
    crowd = people()
    searches = [(900, float(n), (), ()) for n in range(10 * FLOOD_SEARCHES)]
    clicks = [(901, float(n), tuple(range(1, 31)), tuple(range(30))) for n in range(100)]
    assert flagged([*crowd, *searches, *clicks]) == {
        900: Suspicion.FLOOD,
        901: Suspicion.FLOOD,
    }


def test_searches_in_the_same_instant() -> None:
    bot = [(900, n // 2 * 1000.0, (n % 3 + 1,), (n,)) for n in range(12)]
    assert flagged([*people(icc=0.1), *bot]) == {900: Suspicion.INSTANT}


def test_clicks_on_one_document_that_others_rarely_click() -> None:
    bot = [(900, 1000.0 * n, (n % 7 + 1,), (777_777,)) for n in range(12)]
    assert flagged([*people(icc=0.1), *bot]) == {900: Suspicion.DOCUMENT}


def test_clicks_on_the_document_that_everybody_clicks_are_no_crime() -> None:
    crowd = [(user, 1000.0 * n, (n % 5 + 1,), (1,)) for user in range(50) for n in range(8)]
    assert flagged(crowd) == {}


def test_the_same_in_every_search_for_long() -> None:
    always = [(900, 1000.0 * n, (1,), (n,)) for n in range(25)]
    never = [(901, 1000.0 * n, (), ()) for n in range(25)]
    assert flagged([*people(icc=0.1), *always, *never]) == {
        900: Suspicion.CONSTANT,
        901: Suspicion.CONSTANT,
    }


def test_where_all_do_the_same_nobody_is_suspect() -> None:
    assert flagged([(u, 1000.0 * n, (), ()) for u in range(50) for n in range(20)]) == {}
    assert flagged([]) == {}


def test_the_order_of_searches_does_not_matter() -> None:
    searches = [*people(100), *((900, float(n), (), ()) for n in range(400))]
    turned = [searches[i] for i in np.random.default_rng(1).permutation(len(searches))]
    assert flagged(searches) == flagged(turned)
